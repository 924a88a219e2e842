"""The working folder: listing it, remembering what was seen, reading it as one consistent cut."""

from minian_vc.working_folder.folder import FolderFiles, Reading, Sink, Sinks, WorkingFolder, hash_only
from minian_vc.working_folder.records import Records
from minian_vc.working_folder.scan import FileStat, Scan

__all__ = ["FileStat", "FolderFiles", "Reading", "Records", "Scan", "Sink", "Sinks", "WorkingFolder", "hash_only"]
