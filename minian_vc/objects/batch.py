"""Storing: contents are staged, flushed together, and only then moved to their places.

Whoever needs an order between objects (chunks, then manifests, then documents) publishes one batch after another.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from minian_vc import durable
from minian_vc.model import PREFIX, Manifest, digest_of
from minian_vc.objects.manifests import manifest_documents
from minian_vc.objects.store import Kind, ObjectStore

__all__ = ["Batch", "store_object"]


def store_object(store: ObjectStore, kind: Kind, content: bytes) -> str:
    """Store one object durably and return its digest."""
    with Batch(store) as batch:
        digest = batch.add(kind, content)
        batch.publish()
    return digest


class Batch:
    """Contents staged together and made visible together. Methods may be called from several threads.

    What is in the store already is not stored again if its bytes match its digest. What lies in its place and does
    not is moved into the quarantine.

    Attributes
    ----------
    stored_bytes : int
        Bytes of what was new so far.
    added : set of str
        Digests of what was new and given as bytes.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._folder = store.staging / f"batch-{os.urandom(8).hex()}"
        self._staged: dict[Path, Path] = {}
        self._reused: set[Path] = set()
        self._parts: set[Path] = set()
        self._lock = threading.Lock()
        self.stored_bytes = 0
        self.added: set[str] = set()

    def __enter__(self) -> Self:
        with durable.storage_errors("prepare the staging folder", self._store.staging):
            self._folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        durable.discard(self._folder)

    def add(self, kind: Kind, content: bytes) -> str:
        """Stage some bytes, unless an object with that digest is there or staged; return the digest."""
        digest = digest_of(content)
        target = self._store.path(kind, digest)
        if self._is_stored(target, len(content)):
            return digest
        staged = self._new_file()
        with durable.storage_errors("write to the staging folder", staged):
            staged.write_bytes(content)
        self._keep(staged, target, len(content))
        self.added.add(digest)
        return digest

    def add_file(self, source: int) -> tuple[str, int]:
        """Stage a chunk from an open file; return digest and size of the bytes that were staged."""
        if os.fstat(source).st_size <= durable.IN_MEMORY:
            content = durable.read_block(source, durable.IN_MEMORY + 1)
            if len(content) <= durable.IN_MEMORY:
                return self.add("chunks", content), len(content)
            os.lseek(source, 0, os.SEEK_SET)
        staged = self._new_file()
        with durable.storage_errors("copy to the staging folder", staged):
            digits, size = durable.copy_with_digest(source, staged)
        target = self._store.path("chunks", PREFIX + digits)
        if self._is_stored(target, size):
            staged.unlink()
        else:
            self._keep(staged, target, size)
        return PREFIX + digits, size

    def add_manifest(self, manifest: Manifest) -> str:
        """Stage a manifest, split into parts where it is large; return the digest of its root."""
        *parts, root = manifest_documents(manifest)
        self._parts |= {self._store.path("manifests", self.add("manifests", part)) for part in parts}
        return self.add("manifests", root)

    def publish(self) -> None:
        """Flush what is staged, then move it to its places and flush those; parts of manifests before their roots.

        The folders of reused objects are flushed too, and those above: another writer may have just made them, or one
        that was killed.
        """
        staged, self._staged = self._staged, {}
        reused, self._reused = self._reused, set()
        parts = {target: source for target, source in staged.items() if target in self._parts}
        others = {target: source for target, source in staged.items() if target not in parts}
        with durable.storage_errors("store the new objects", self._store.folder):
            durable.flush(staged.values(), ())
            if parts:
                self._move(parts, set())
            self._move(others, reused)

    def _move(self, staged: Mapping[Path, Path], reused: set[Path]) -> None:
        """Move staged files to their places, and flush those and the folders of reused objects."""
        for folder in {target.parent for target in staged}:
            folder.mkdir(parents=True, exist_ok=True)
        for target, source in staged.items():
            if os.path.lexists(target) and self._store.examine(target):
                with contextlib.suppress(FileNotFoundError):  # another writer was faster
                    self._store.set_aside(target)
            source.replace(target)
        touched = {target.parent for target in staged} | reused
        above = {folder.parent for folder in touched}
        durable.flush((), touched | above | {folder.parent for folder in above})

    def _is_stored(self, target: Path, size: int) -> bool:
        with self._lock:
            if target in self._staged:
                return True
        if not self._store.reuse(target, size):
            return False
        with self._lock:
            self._reused.add(target.parent)
        return True

    def _new_file(self) -> Path:
        return self._folder / os.urandom(8).hex()

    def _keep(self, staged: Path, target: Path, size: int) -> None:
        with self._lock:
            if self._staged.setdefault(target, staged) is staged:
                self.stored_bytes += size
                return
        staged.unlink()  # another thread staged the same bytes meanwhile
