"""Which objects checkpoints refer to, and removing those that none does.

Manifests go before chunk objects, and the root of a split manifest before its parts: whoever finds a manifest may
count on all that it names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minian_vc import durable
from minian_vc.errors import DamagedError, StorageError
from minian_vc.model import PREFIX, Checkpoint, parse_document
from minian_vc.objects import Kind, ObjectStore

__all__ = ["Found", "Garbage", "References", "find_garbage", "remove"]

_SHARD, _REST = re.compile("[0-9a-f]{2}"), re.compile("[0-9a-f]{62}")


class References:
    """The manifests, with their parts, and the chunk objects that some checkpoints refer to."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.manifests: set[str] = set()
        self.chunks: set[str] = set()

    def add(self, checkpoint: Checkpoint) -> None:
        """Add what a checkpoint refers to; of an array recorded without its bytes too, should they be there.

        Raises
        ------
        DamagedError
            A manifest is missing or damaged.
        """
        for array in checkpoint.arrays:
            for part in self._add(array.manifest, "manifest"):
                self._add(part, "manifest_part")

    def _add(self, digest: str, kind: Literal["manifest", "manifest_part"]) -> list[str]:
        if digest in self.manifests:
            return []
        entries, parts = self._objects.read_manifest_document(digest, kind)
        self.manifests.add(digest)
        self.chunks.update(entry.digest for entry in entries.values() if entry.inline is None)
        return parts


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it lies in the store."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Garbage:
    """Objects that nothing refers to, in the order in which they may go."""

    roots: tuple[Found, ...]
    parts: tuple[Found, ...]
    chunks: tuple[Found, ...]

    def __len__(self) -> int:
        return len(self.roots) + len(self.parts) + len(self.chunks)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(each.size for kind in (self.roots, self.parts, self.chunks) for each in kind)


def find_garbage(objects: ObjectStore, references: References) -> Garbage:
    """Return the objects that are not among the references. Files not named like an object are left alone.

    Raises
    ------
    StorageError
        A folder cannot be listed, or a manifest not read.
    """
    with durable.storage_errors("look through the objects", objects.folder):
        manifests = list(_unreferenced(objects, "manifests", references.manifests))
        roots = {found for found in manifests if _is_root(found.path)}
        return Garbage(
            roots=tuple(roots),
            parts=tuple(found for found in manifests if found not in roots),
            chunks=tuple(_unreferenced(objects, "chunks", references.chunks)),
        )


def remove(garbage: Garbage) -> None:
    """Remove objects for good; what goes first is gone durably before the next.

    The folders of all manifests are flushed, for a prune that died may have removed some and not flushed that.

    Raises
    ------
    StorageError
        One cannot be removed; it and those after it stay.
    """
    kinds = (garbage.roots, garbage.parts, garbage.chunks)
    stores = {found.path.parents[2] for kind in kinds for found in kind}
    try:
        for kind in kinds:
            for found in kind:
                found.path.unlink(missing_ok=True)
            if kind is not garbage.chunks:
                durable.flush((), {shard for store in stores for shard in (store / "manifests").glob("??")})
        durable.flush((), {found.path.parent for found in garbage.chunks})
    except OSError as error:
        raise StorageError(
            f"The object {error.filename or ''} cannot be removed: {error.strerror}.",
            "The checkpoints are pruned, and all others are whole. Prune again to free the rest.",
        ) from error


def _unreferenced(objects: ObjectStore, kind: Kind, referenced: set[str]) -> Iterator[Found]:
    for shard in _entries(objects.folder / kind):
        if not _SHARD.fullmatch(shard.name) or not shard.is_dir(follow_symlinks=False):
            continue
        for entry in _entries(shard.path):
            is_object = _REST.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            if is_object and PREFIX + shard.name + entry.name not in referenced:
                yield Found(Path(entry.path), entry.stat(follow_symlinks=False).st_size)


def _entries(folder: Path | str) -> Iterable[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # nothing was stored yet
        return []


def _is_root(manifest: Path) -> bool:
    try:
        parse_document(manifest.read_bytes(), "manifest")
    except DamagedError:  # a part, or damaged: nobody can use it
        return False
    return True
