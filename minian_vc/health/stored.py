"""Reading every object in the store, folder by folder, so that it can be interrupted and takes little memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from minian_vc import durable
from minian_vc.health.so_far import SoFar
from minian_vc.objects import KINDS, MISSING, NO_FILE, Found, ObjectStore, Shard, list_shards
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
        total = sum(shard.nbytes for shard in _shards(objects) if not so_far.has(shard.name, len(shard.objects)))
        with progress("Verifying", total) as advance, ThreadPoolExecutor(WORKERS) as pool, so_far:
            for shard in _shards(objects):
                found.objects += len(shard.objects)
                found.nbytes += shard.nbytes
                found.foreign += shard.foreign
                found.bad |= dict.fromkeys(shard.no_files, NO_FILE)
                if not so_far.has(shard.name, len(shard.objects)):
                    bad = dict(_read(objects, shard, advance, pool))
                    found.bad |= bad
                    so_far.add(shard.name, len(shard.objects), bad)
    return found


def _read(
    objects: ObjectStore, shard: Shard, advance: Callable[[int], None], pool: ThreadPoolExecutor
) -> Iterator[tuple[Path, str]]:
    """Yield the objects of a folder that are not what their digest says."""

    def examine(found: Found) -> str:
        problem = objects.examine(found.path)
        advance(found.size)
        return problem

    for found, problem in zip(shard.objects, pool.map(examine, shard.objects), strict=True):
        if problem not in ("", MISSING):  # removed meanwhile: whoever needs it says so
            yield found.path, problem


def _shards(objects: ObjectStore) -> Iterator[Shard]:
    return itertools.chain.from_iterable(list_shards(objects, kind) for kind in KINDS)
