"""Whether a dataset changed, from its folders alone: a cell that changed nothing must cost nothing.

Each chunk is written under another name and renamed, which touches the folder it lies in. So number, inode and
mtime of the folders tell; no file is looked at, however many there are.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from minian_vc.working_folder.scan import granularity

__all__ = ["Stamp", "is_settled", "take_stamp"]

Stamp = Mapping[str, tuple[tuple[str, int, int], ...]]  # array folder → its folders: name, inode, mtime_ns


def take_stamp(dataset: Path) -> Stamp:
    """Return the stamp of a dataset; of one that is not there, the empty one."""
    return {array.name: tuple(sorted(_folders(array))) for array in _entries(dataset) if _is_folder(array)}


def _folders(array: os.DirEntry[str]) -> Iterator[tuple[str, int, int]]:
    with contextlib.suppress(OSError):  # it went while we looked: that is a change
        yield "", array.inode(), array.stat().st_mtime_ns
        for entry in _entries(array.path):
            if _is_folder(entry):
                yield entry.name, entry.inode(), entry.stat().st_mtime_ns


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with contextlib.suppress(OSError):
        return list(os.scandir(folder))
    return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):  # a link that leads to itself, or a network drive that went
        return entry.is_dir()
    return False


def is_settled(stamp: Stamp) -> bool:
    """Tell whether a later change would show: a folder touched just now may be touched again within the same tick."""
    newest = max((mtime for folders in stamp.values() for _, _, mtime in folders), default=0)
    return newest + granularity(newest) < time.time_ns()
