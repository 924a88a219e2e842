"""du: what each dataset, array and checkpoint holds, and what it holds alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from minian_vc.catalog import queries
from minian_vc.catalog.queries import LogEntry
from minian_vc.repository import Repository
from minian_vc.sweep import stored

__all__ = ["Held", "Usage", "usage"]

K = TypeVar("K", str, tuple[str, str])
_Holders = defaultdict[K, set[str]]


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that a dataset, an array in all its versions, or a checkpoint needs, and those that nothing else needs.

    ``array`` is a name, ``checkpoint`` the entry in the log, or None.
    """

    dataset: str
    bytes: int
    alone_bytes: int
    array: str | None = None
    checkpoint: LogEntry | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a repository's objects take. ``waiting_bytes`` are needed by no checkpoint: a prune frees them in time."""

    stored_bytes: int
    waiting_bytes: int
    datasets: tuple[Held, ...]
    arrays: tuple[Held, ...]
    checkpoints: tuple[Held, ...]


def usage(repository: Repository) -> Usage:
    """Weigh what a repository's checkpoints need: manifests, and the chunk objects that these name.

    Raises
    ------
    DamagedError
        A document is missing or damaged.
    """
    sizes = {each.digest: each.size for kind in ("manifests", "chunks") for each in stored(repository.objects, kind)}
    with repository.catalog.read() as connection:
        rows = queries.datasets(connection)
        logs = {row.path: queries.log(connection, row.uid) for row in rows}
    by_dataset: _Holders[str] = defaultdict(set)
    by_array: _Holders[tuple[str, str]] = defaultdict(set)
    by_checkpoint: _Holders[tuple[str, str]] = defaultdict(set)
    for path, log in logs.items():
        for entry in log:
            for array in repository.checkpoint(entry.id).arrays:
                by_dataset[path].add(array.manifest)
                by_array[path, array.name].add(array.manifest)
                by_checkpoint[path, entry.id].add(array.manifest)
    objects = {
        manifest: [digest for digest in _objects(repository, manifest) if digest in sizes]
        for manifest in set().union(*by_dataset.values())
    }
    needed = set().union(*objects.values())
    entries = {(path, entry.id): entry for path, log in logs.items() for entry in log}
    return Usage(
        stored_bytes=sum(sizes.values()),
        waiting_bytes=sum(size for digest, size in sizes.items() if digest not in needed),
        datasets=tuple(Held(path, *found) for path, found in _weigh(by_dataset, objects, sizes)),
        arrays=tuple(
            Held(path, *found, array=name) for (path, name), found in sorted(_weigh(by_array, objects, sizes))
        ),
        checkpoints=tuple(
            Held(key[0], *found, checkpoint=entries[key]) for key, found in _weigh(by_checkpoint, objects, sizes)
        ),
    )


def _weigh(
    holders: Mapping[K, set[str]], objects: Mapping[str, list[str]], sizes: Mapping[str, int]
) -> Iterator[tuple[K, tuple[int, int]]]:
    """Yield for each holder of manifests the bytes that it needs, and those that no other needs."""

    def needed(holder: K) -> set[str]:
        return {digest for manifest in holders[holder] for digest in objects[manifest]}

    times = Counter(digest for holder in holders for digest in needed(holder))
    for holder in holders:
        found = needed(holder)
        alone = sum(sizes[digest] for digest in found if times[digest] == 1)
        yield holder, (sum(sizes[digest] for digest in found), alone)


def _objects(repository: Repository, manifest: str) -> Iterator[str]:
    """Yield the digests of what a manifest consists of: its documents, and the chunk objects that it names."""
    yield manifest
    entries, parts = repository.objects.read_manifest_document(manifest, "manifest")
    documents = [entries]
    for part in parts:
        yield part
        documents.append(repository.objects.read_manifest_document(part, "manifest_part")[0])
    for document in documents:
        yield from (entry.digest for entry in document.values() if entry.inline is None)
