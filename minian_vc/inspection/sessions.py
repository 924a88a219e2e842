"""The datasets below a root, found and opened as ``open_minian_mf`` does, one at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minian_vc.arrays.conventions import decode_cf
from minian_vc.inspection.files import FilesOnDisk, open_file
from minian_vc.prediction.model import Bundle, Fails, Unsure
from minian_vc.prediction.opening import open_folder
from minian_vc.prediction.outcome import Opened, predict_merge

__all__ = ["DatasetBelow", "opened_below"]

CHUNK_FILES = (".zarray", ".zattrs", "0", "0.0", "0.0.0")
ZARR_FILES = frozenset({".zgroup", ".zarray", "zarr.json"})


@dataclass(frozen=True, slots=True)
class DatasetBelow:
    """A dataset below the root: what merging it gives, and what lay beside it that matches too and is not opened.

    ``nbytes`` are those of its arrays as they are on disk.
    """

    path: str
    opened: Opened
    nbytes: int = 0
    ignored: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()


def opened_below(root: str, pattern: re.Pattern[str]) -> Iterator[DatasetBelow]:
    """Yield the datasets in the order in which ``open_minian_mf`` opens them: folders below come first.

    Array folders are listed, their chunk folders only where names of chunks fit the pattern: of all that ``os.walk``
    visits, these alone are left out.
    """
    folders, files, is_zarr = _listing(root)
    for name in folders if not is_zarr or any(map(pattern.search, CHUNK_FILES)) else ():
        path = f"{root}/{name}"
        if not os.path.islink(path):  # noqa: PTH114 (called 100,000 times)
            yield from opened_below(path, pattern)
    matching = [name for name in (*files, *folders) if pattern.search(name)]
    if matching:
        path = f"{root}/{matching[-1]}"
        parents = Path(os.path.realpath(root)).parts
        opened, nbytes = _open(path)
        yield DatasetBelow(path, opened, nbytes, tuple(f"{root}/{name}" for name in matching[:-1]), parents)


def _listing(root: str) -> tuple[list[str], list[str], bool]:
    folders: list[str] = []
    files: list[str] = []
    try:
        for entry in os.scandir(root):
            (folders if entry.is_dir() else files).append(entry.name)
    except OSError:  # os.walk passes over what it cannot list
        return [], [], True
    return folders, files, not ZARR_FILES.isdisjoint(files)


def _open(path: str) -> tuple[Opened, int]:
    """Return what merging a dataset gives, and the bytes of its arrays as they are on disk."""
    if os.path.isfile(path):  # noqa: PTH113
        return open_file(path), 0
    opened: list[Opened] = []
    try:
        entries = list(os.scandir(path))  # in the order of os.listdir, MiniAn's own
    except OSError as error:
        return Fails(type(error).__name__, f"it cannot be listed: {error.strerror}"), 0
    for entry in entries:
        if not entry.is_dir():
            continue
        files = FilesOnDisk(entry.path)
        try:
            opened.append(open_folder(files, decode_cf, files.hinder))
        except Fails as failure:
            return Fails(failure.error, f"{entry.name}: {failure.why}"), 0
        except OSError as error:
            return Fails(type(error).__name__, f"{entry.name}: {error.strerror}"), 0
        except Unsure as doubt:
            opened.append(doubt)
    arrays = [v for bundle in opened if isinstance(bundle, Bundle) for v in bundle.data.values()]
    return predict_merge(opened)[1], sum(v.size * v.dtype.itemsize for v in arrays)
