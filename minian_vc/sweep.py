"""Which objects checkpoints refer to, and removing those that none does.

Manifests go before chunk objects, and the root of a split manifest before its parts: whoever finds a manifest may
count on all that it names.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from minian_vc import durable
from minian_vc.errors import DamagedError, StorageError
from minian_vc.model import Checkpoint, parse_document
from minian_vc.objects import Found, Kind, ObjectStore, list_shards

__all__ = ["Garbage", "References", "being_removed", "find_garbage", "remove", "stored"]

REMOVING = "removing-"


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

    def add_what_is_there(self, checkpoint: Checkpoint) -> None:
        """Add what a checkpoint that was dropped refers to, as far as it was not removed yet."""
        for array in checkpoint.arrays:
            with contextlib.suppress(DamagedError):
                for part in self._add(array.manifest, "manifest"):
                    with contextlib.suppress(DamagedError):
                        self._add(part, "manifest_part")

    def __contains__(self, digest: object) -> bool:
        return digest in self.manifests or digest in self.chunks

    def _add(self, digest: str, kind: Literal["manifest", "manifest_part"]) -> list[str]:
        if digest in self.manifests:
            return []
        entries, parts = self._objects.read_manifest_document(digest, kind)
        self.manifests.add(digest)
        self.chunks.update(entry.digest for entry in entries.values() if entry.inline is None)
        return parts


@dataclass(frozen=True, slots=True)
class Garbage:
    """Objects that nothing refers to, in the order in which they may go."""

    roots: tuple[Found, ...]
    parts: tuple[Found, ...]
    chunks: tuple[Found, ...]

    def __len__(self) -> int:
        return len(self.roots) + len(self.parts) + len(self.chunks)

    def __iter__(self) -> Iterator[Found]:
        return itertools.chain(self.roots, self.parts, self.chunks)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(found.size for found in self)

    def only(self, chosen: Callable[[Found], bool]) -> Garbage:
        """Return those that are chosen."""
        return Garbage(*(tuple(filter(chosen, kind)) for kind in (self.roots, self.parts, self.chunks)))


def find_garbage(objects: ObjectStore, references: References) -> Garbage:
    """Return the objects that are not among the references. Files not named like an object are left alone.

    Raises
    ------
    StorageError
        A folder cannot be listed, or a manifest not read.
    """
    with durable.storage_errors("look through the objects", objects.folder):
        manifests = [each for each in stored(objects, "manifests") if each.digest not in references.manifests]
        roots = {found for found in manifests if _is_root(found.path)}
        return Garbage(
            roots=tuple(roots),
            parts=tuple(found for found in manifests if found not in roots),
            chunks=tuple(each for each in stored(objects, "chunks") if each.digest not in references.chunks),
        )


def remove(objects: ObjectStore, garbage: Garbage) -> None:
    """Remove objects for good; what goes first is gone durably before the next.

    The chunk objects are listed in staging before their manifests go: whoever comes after a crash can tell them from
    objects of a history that is missing.
    The folders of all manifests are flushed, for a prune that died may have removed some and not flushed that.

    Raises
    ------
    StorageError
        One cannot be removed; it and those after it stay.
    """
    lists = list(objects.staging.glob(f"{REMOVING}*"))
    try:
        if garbage.chunks:
            lists.append(objects.staging / f"{REMOVING}{os.urandom(8).hex()}")
            digests = "\n".join(found.digest for found in garbage.chunks)
            durable.write_durably(lists[-1], digests.encode(), objects.staging)
        for kind in (garbage.roots, garbage.parts):
            for found in kind:
                found.path.unlink(missing_ok=True)
            durable.flush((), (objects.folder / "manifests").glob("??"))
        for found in garbage.chunks:
            found.path.unlink(missing_ok=True)
        durable.flush((), {found.path.parent for found in garbage.chunks})
        for path in lists:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"The object {error.filename or ''} cannot be removed: {error.strerror}.",
            "The checkpoints are pruned, and all others are whole. Prune again to free the rest.",
        ) from error


def being_removed(objects: ObjectStore) -> set[str]:
    """Return the digests of the chunk objects that a prune was removing when it was stopped."""
    return {digest for path in objects.staging.glob(f"{REMOVING}*") for digest in path.read_text().split()}


def stored(objects: ObjectStore, kind: Kind) -> Iterator[Found]:
    """Yield the objects of a kind that are in the store."""
    for shard in list_shards(objects, kind):
        yield from shard.objects


def _is_root(manifest: Path) -> bool:
    try:
        parse_document(manifest.read_bytes(), "manifest")
    except DamagedError:  # a part, or damaged: nobody can use it
        return False
    return True
