"""Listing a dataset folder: which arrays lie in it, and the stat of every file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from minian_vc import durable, zarr_format
from minian_vc.errors import BusyError, InvalidInputError, UnreadableError
from minian_vc.names import check_array_name, collisions
from minian_vc.zarr_format import stem

__all__ = ["COARSE", "FINE", "FileStat", "Scan", "busy", "granularity", "list_files", "newest", "scan"]

FINE, COARSE = 20_000_000, 2_000_000_000  # timestamp granularity in ns: most file systems; FAT and exFAT
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

FileStat = tuple[int, int, int, int]  # size, mtime_ns, ctime_ns, inode


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies in the dataset: the files of each array folder, other folders, and rechunker leftovers."""

    arrays: Mapping[str, Mapping[str, FileStat]]
    foreign: tuple[str, ...] = ()
    rechunking: tuple[str, ...] = ()


def scan(path: Path) -> Scan:
    """List and stat every file of every array folder of a dataset; a missing folder has none.

    Raises
    ------
    UnreadableError
        Something in it is a symlink or special file, or two names are one where case does not count.
    """
    arrays: dict[str, Mapping[str, FileStat]] = {}
    foreign, rechunking = [], []
    for entry in _folders(path):
        files = list_files(Path(entry.path))
        if _UUID.fullmatch(entry.name):
            rechunking.append(entry.name)
        elif entry.name.endswith(".zarr") or zarr_format.is_zarr(files):
            arrays[entry.name] = files
        else:
            foreign.append(entry.name)
    _refuse_names(path, arrays)
    return Scan(arrays, tuple(foreign), tuple(rechunking))


def _folders(path: Path) -> Iterator[os.DirEntry[str]]:
    with durable.storage_errors("read the dataset", path):
        entries = sorted(os.scandir(path), key=lambda e: e.name) if path.is_dir() else []
    for entry in entries:
        if entry.is_symlink() and (entry.name.endswith(".zarr") or Path(entry.path).is_dir()):
            raise _link_error(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield entry


def list_files(root: Path) -> dict[str, FileStat]:
    """Return key → stat for a folder, recursively; an empty folder is a key that ends in ``/``."""
    files: dict[str, FileStat] = {}
    pending = [(str(root), "")]
    while pending:
        folder, prefix = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            continue  # removed meanwhile: the second look will see it
        except OSError as error:
            raise UnreadableError(f"{folder} cannot be read: {error.strerror}.", "Nothing was changed.") from error
        if not entries and prefix:
            files[prefix] = (0, 0, 0, 0)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append((entry.path, f"{prefix}{entry.name}/"))
            elif entry.is_file(follow_symlinks=False):
                try:
                    s = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                files[prefix + entry.name] = (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
            else:
                raise _link_error(entry.path)
    return dict(sorted(files.items()))


def _refuse_names(path: Path, arrays: Mapping[str, Mapping[str, FileStat]]) -> None:
    """Refuse names that could not be brought back on every system."""
    for folder in arrays:
        try:
            check_array_name(stem(folder))
        except InvalidInputError as error:
            raise UnreadableError(f"{path}: {error.message}", "Nothing was changed. Rename the folder.") from None
    for names in ([stem(folder) for folder in arrays], *arrays.values()):
        for one, other in collisions(names):
            raise UnreadableError(
                f"{one} and {other} in {path} are one name where case or Unicode form does not count (Windows, macOS).",
                "Nothing was changed. Rename one of them.",
            )


def granularity(mtime_ns: int) -> int:
    return COARSE if mtime_ns % 10_000_000 == 0 else FINE


def newest(files: Mapping[str, FileStat]) -> int:
    return max((s[1] for s in files.values()), default=0)


def busy(path: Path, what: str, leftover: str = "") -> BusyError:
    hint = "Nothing was recorded. Commit again when the save is over"
    hint += f"; if none is running, remove {leftover} first." if leftover else "."
    return BusyError(f"{path} is being written: {what}.", hint)


def _link_error(path: str) -> UnreadableError:
    kind = f"a symlink to {Path(path).readlink()}" if Path(path).is_symlink() else "not a regular file"
    return UnreadableError(
        f"{path} is {kind}: what it points to could change or lie outside the dataset.",
        "Nothing was changed. Put the data itself there.",
    )
