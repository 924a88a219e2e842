"""What one dataset says of itself: its folders in the order in which MiniAn meets them."""

from __future__ import annotations

import os
from pathlib import Path

from minian_vc.facts import ArrayFacts, DatasetFacts, Kind, KnownHistory
from minian_vc.inspection.arrays import look_at_array
from minian_vc.inspection.files import FilesOnDisk, open_file
from minian_vc.prediction import Fails

__all__ = ["look_at_file", "look_at_folder"]


def look_at_folder(path: Path, now_ns: int, history: KnownHistory | None = None) -> DatasetFacts:
    """Look at a dataset folder; folders come in the order of ``os.listdir``, as ``open_minian`` takes them.

    Raises
    ------
    OSError
        The folder cannot be listed.
    """
    found = []
    for name in os.listdir(path):  # noqa: PTH208 (MiniAn's own order)
        folder = path / name
        if folder.is_dir():
            files = FilesOnDisk(str(folder))
            found.append(look_at_array(name, files, hinder=files.hinder, link=folder.is_symlink()))
    return DatasetFacts(str(path), tuple(found), now_ns, history=history)


def look_at_file(path: Path) -> DatasetFacts:
    """Look at a file given for a dataset: what is in a netCDF file only its readers can tell."""
    opened = open_file(str(path))
    kind: Kind = "broken" if isinstance(opened, Fails) else "array"
    return DatasetFacts(str(path), (ArrayFacts(path.name, path.name, FilesOnDisk(str(path)), opened, kind),))
