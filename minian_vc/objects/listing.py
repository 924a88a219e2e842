"""What lies in the folders of objects."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from minian_vc.model import PREFIX
from minian_vc.objects.store import Kind, ObjectStore

__all__ = ["Found", "Shard", "list_shards"]

SHARD, REST = re.compile("[0-9a-f]{2}"), re.compile("[0-9a-f]{62}")  # the folder and the name of an object


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it lies in the store, and when it was stored or used again (ns since the epoch)."""

    path: Path
    size: int
    used_ns: int

    @property
    def digest(self) -> str:
        """The digest that its name says."""
        return PREFIX + self.path.parent.name + self.path.name


@dataclass(frozen=True, slots=True)
class Shard:
    """A folder of objects: those in it, what has an object's name and is no file, and what has no object's name."""

    name: str
    objects: list[Found] = field(default_factory=list)
    no_files: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Bytes of its objects."""
        return sum(found.size for found in self.objects)


def list_shards(objects: ObjectStore, kind: Kind) -> Iterator[Shard]:
    """List the objects of a kind, folder by folder, in the order of their digests.

    What lies between those folders comes as a shard that has nothing but one foreign path.

    Raises
    ------
    OSError
        A folder cannot be listed. One that is not there is empty.
    """
    for entry in _entries(objects.folder / kind):
        name, path = f"{kind}/{entry.name}", Path(entry.path)
        if SHARD.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            yield _listed(name, path)
        else:
            yield Shard(name, foreign=[path])


def _listed(name: str, folder: Path) -> Shard:
    shard = Shard(name)
    for entry in _entries(folder):
        path = Path(entry.path)
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # removed since it was listed
            continue
        if not REST.fullmatch(entry.name):
            shard.foreign.append(path)
        elif stat.S_ISREG(status.st_mode):
            shard.objects.append(Found(path, status.st_size, status.st_mtime_ns))
        else:
            shard.no_files.append(path)
    return shard


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:  # nothing was stored yet, or nothing is left
        return []
