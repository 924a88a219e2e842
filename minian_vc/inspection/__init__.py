"""Looking at datasets: from folders and recorded versions to facts. Data chunks are never read, but for headers."""

from minian_vc.inspection.arrays import as_version, look_at_array, renamed
from minian_vc.inspection.dataset import look_at_file, look_at_folder
from minian_vc.inspection.files import FilesOnDisk, FilesStored
from minian_vc.inspection.sessions import DatasetBelow, opened_below

__all__ = [
    "DatasetBelow",
    "FilesOnDisk",
    "FilesStored",
    "as_version",
    "look_at_array",
    "look_at_file",
    "look_at_folder",
    "opened_below",
    "renamed",
]
