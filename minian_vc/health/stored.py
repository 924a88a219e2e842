"""Reading every object in the store, folder by folder, so that it can be interrupted and takes little memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from minian_vc import durable
from minian_vc.health.so_far import SoFar
from minian_vc.objects import KINDS, MISSING, NO_FILE, REST, SHARD, ObjectStore
from minian_vc.progress import progress

__all__ = ["Stored", "read_all"]

WORKERS = min(8, 2 * (os.cpu_count() or 1))


@dataclass
class Stored:
    """What was read: ``bad`` has what is wrong, by path; ``foreign`` are names that no object has."""

    objects: int = 0
    nbytes: int = 0
    bad: dict[Path, str] = field(default_factory=dict)
    foreign: list[Path] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Shard:
    """A folder of objects, and what is in it: objects with their sizes, and what only looks like one."""

    name: str
    sizes: dict[Path, int]
    no_files: list[Path]
    foreign: list[Path]

    @property
    def nbytes(self) -> int:
        return sum(self.sizes.values())


def read_all(objects: ObjectStore, so_far: SoFar) -> Stored:
    """Read every object and compare it with its digest, and show progress.

    Parameters
    ----------
    objects : ObjectStore
        The store.
    so_far : SoFar
        What an interrupted run before has read; it is brought forward.
    """
    found = Stored(bad=dict(so_far.bad))
    with durable.storage_errors("look through the objects", objects.folder):
        total = sum(shard.nbytes for shard in _shards(objects) if not so_far.has(shard.name, len(shard.sizes)))
        with progress("Verifying", total) as advance, ThreadPoolExecutor(WORKERS) as pool, so_far:
            for shard in _shards(objects):
                found.objects += len(shard.sizes)
                found.nbytes += shard.nbytes
                found.foreign += shard.foreign
                found.bad |= dict.fromkeys(shard.no_files, NO_FILE)
                if not so_far.has(shard.name, len(shard.sizes)):
                    bad = dict(_read(objects, shard, advance, pool))
                    found.bad |= bad
                    so_far.add(shard.name, len(shard.sizes), bad)
    return found


def _read(
    objects: ObjectStore, shard: _Shard, advance: Callable[[int], None], pool: ThreadPoolExecutor
) -> Iterator[tuple[Path, str]]:
    """Yield the objects of a folder that are not what their digest says."""

    def examine(path: Path) -> str:
        problem = objects.examine(path)
        advance(shard.sizes[path])
        return problem

    for path, problem in zip(shard.sizes, pool.map(examine, shard.sizes), strict=True):
        if problem not in ("", MISSING):  # removed meanwhile: whoever needs it says so
            yield path, problem


def _shards(objects: ObjectStore) -> Iterator[_Shard]:
    for kind in KINDS:
        for entry in _entries(objects.folder / kind):
            if SHARD.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                yield _listed(f"{kind}/{entry.name}", Path(entry.path))
            else:
                yield _Shard(f"{kind}/{entry.name}", {}, [], [Path(entry.path)])


def _listed(name: str, folder: Path) -> _Shard:
    shard = _Shard(name, {}, [], [])
    for entry in _entries(folder):
        path = Path(entry.path)
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if not REST.fullmatch(entry.name):
            shard.foreign.append(path)
        elif stat.S_ISREG(found.st_mode):
            shard.sizes[path] = found.st_size
        else:
            shard.no_files.append(path)
    return shard


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:  # nothing was stored yet, or nothing is left
        return []
