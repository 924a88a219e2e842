"""The object store: content under its own digest, durable before it is visible.

A :class:`Batch` stages any number of contents, flushes them together, and only then moves them to their
places. Whoever needs an order between objects (chunks, then manifests, then documents) publishes one
batch after another.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from blake3 import blake3

from minian_vc import durable
from minian_vc.errors import DamagedError, StorageError
from minian_vc.model import PREFIX, FileEntry, Manifest, digest_of, parse_document, to_document

__all__ = ["Batch", "Kind", "ObjectStore", "StoredFiles", "manifest_digest", "manifest_documents"]

Kind = Literal["chunks", "manifests", "checkpoints"]

IN_MEMORY = 16 << 20  # a file up to this size is hashed first and copied only if new
SPLIT_ABOVE = 1024  # entries of a manifest in one document
CUT_BITS = 9  # a part of a split manifest has 512 entries on average
MAX_DOCUMENT = 256 << 20


class ObjectStore:
    """Objects below one folder.

    Parameters
    ----------
    folder : Path
        ``.minian_vc/objects``.
    staging : Path
        A folder on the same volume for what is not yet visible.
    """

    def __init__(self, folder: Path, staging: Path) -> None:
        self.folder = folder
        self.staging = staging

    def path(self, kind: Kind, digest: str) -> Path:
        """Return where an object lies or would lie."""
        name = digest.removeprefix(PREFIX)
        if len(name) != 64 or not name.isalnum():
            raise DamagedError(f"{digest!r} is not a digest.")
        return self.folder / kind / name[:2] / name[2:]

    def has(self, kind: Kind, digest: str) -> bool:
        """Tell whether the object is there."""
        return self.path(kind, digest).is_file()

    def read(self, kind: Kind, digest: str) -> bytes:
        """Return an object's bytes.

        Raises
        ------
        DamagedError
            It is missing, or its bytes do not match its digest.
        """
        path = self.path(kind, digest)
        hint = "Restore .minian_vc from a backup. The working folder is unchanged."
        try:
            if kind != "chunks" and path.stat().st_size > MAX_DOCUMENT:
                raise DamagedError(f"The object {path} is too large for a document.", hint)
            content = path.read_bytes()
        except FileNotFoundError:
            raise DamagedError(f"The object {path} is missing.", hint) from None
        except OSError as error:
            raise StorageError(f"The object {path} cannot be read: {error.strerror}.", hint) from error
        if digest_of(content) != digest:
            raise DamagedError(f"The object {path} is damaged: its bytes do not match its digest.", hint)
        return content

    def batch(self) -> Batch:
        """Return a new batch; use it as a context manager."""
        return Batch(self)

    def put(self, kind: Kind, content: bytes) -> str:
        """Store one object durably and return its digest."""
        with self.batch() as batch:
            digest = batch.add(kind, content)
            batch.publish()
        return digest

    def read_manifest(self, digest: str) -> Manifest:
        """Return a manifest, its parts put together."""
        entries, parts = self.read_manifest_document(digest, "manifest")
        for part in parts:
            entries |= self.read_manifest_document(part, "manifest_part")[0]
        return Manifest(entries)

    def read_manifest_document(
        self, digest: str, kind: Literal["manifest", "manifest_part"]
    ) -> tuple[dict[str, FileEntry], list[str]]:
        """Return the entries of one document of a manifest, and the digests of the parts that the root names."""
        document = parse_document(self.read("manifests", digest), kind)
        try:
            entries = {key: FileEntry.from_json(entry) for key, entry in document.get("entries", {}).items()}
            return entries, list(document.get("parts", ()))
        except (TypeError, ValueError, AttributeError) as error:
            raise DamagedError(f"The manifest {digest} is not whole: {error}.") from error

    def read_file(self, entry: FileEntry) -> bytes:
        """Return the bytes of a file named by a manifest."""
        return self.read("chunks", entry.digest) if entry.inline is None else entry.inline

    def write_file(self, entry: FileEntry, target: Path) -> None:
        """Write a new file with the bytes of a manifest's entry, checked against their digest.

        Raises
        ------
        DamagedError
            The object is missing or does not match its digest.
        """
        if entry.inline is not None or entry.size <= IN_MEMORY:
            content = self.read_file(entry)
            with durable.storage_errors("write the restored file", target), target.open("xb") as file:
                file.write(content)
            return
        path = self.path("chunks", entry.digest)
        hint = "Nothing was changed in the working folder."
        try:
            source = durable.open_without_links(path)
        except FileNotFoundError:
            raise DamagedError(f"The object {path} is missing.", hint) from None
        try:
            with durable.storage_errors("write the restored file", target):
                digits, _ = durable.copy_with_digest(source, target)
        finally:
            os.close(source)
        if PREFIX + digits != entry.digest:
            raise DamagedError(f"The object {path} is damaged: its bytes do not match its digest.", hint)


class Batch:
    """Contents staged together and made visible together. Methods may be called from several threads.

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
        if os.fstat(source).st_size <= IN_MEMORY:
            content = durable.read_block(source, IN_MEMORY + 1)
            if len(content) <= IN_MEMORY:
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
        for part in parts:
            self.add("manifests", part)
        return self.add("manifests", root)

    def publish(self) -> None:
        """Flush what is staged, then move it to its places and flush those.

        The folders of reused objects are flushed too, and those above: another writer may have just made them, or one
        that was killed.
        """
        staged, self._staged = self._staged, {}
        reused, self._reused = self._reused, set()
        with durable.storage_errors("store the new objects", self._store.folder):
            durable.flush(staged.values(), ())
            for folder in {target.parent for target in staged}:
                folder.mkdir(parents=True, exist_ok=True)
            for target, source in staged.items():
                source.replace(target)
            touched = {target.parent for target in staged} | reused
            above = {folder.parent for folder in touched}
            durable.flush((), touched | above | {folder.parent for folder in above})

    def _is_stored(self, target: Path, size: int) -> bool:
        with self._lock:
            if target in self._staged:
                return True
        try:
            if target.stat().st_size != size:
                return False  # a torn object is written anew
            os.utime(target)  # in use again: prune must not take it for old
        except OSError:
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


class StoredFiles(Mapping[str, bytes]):
    """The files of one stored array folder, read from the objects when asked for. Picklable.

    Parameters
    ----------
    folder : Path
        The object store's folder.
    manifest : str
        Digest of the array's manifest.
    """

    def __init__(self, folder: Path, manifest: str) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def entries(self) -> Manifest:
        """The manifest; loaded once per process."""
        return _load_manifest(self.folder, self.manifest)

    def __getitem__(self, key: str) -> bytes:
        return ObjectStore(self.folder, self.folder).read_file(self.entries[key])

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __iter__(self) -> Iterator[str]:
        return (key for key in self.entries if not key.endswith("/"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredFiles):
            return NotImplemented
        return (self.folder, self.manifest) == (other.folder, other.manifest)

    def __hash__(self) -> int:
        return hash((self.folder, self.manifest))


@functools.lru_cache(maxsize=256)
def _load_manifest(folder: Path, digest: str) -> Manifest:
    return ObjectStore(folder, folder).read_manifest(digest)


def manifest_documents(manifest: Manifest) -> list[bytes]:
    """Return the documents a manifest is stored as: its parts, then the root whose digest names it."""
    parts: list[bytes] = []
    entries = {key: entry.to_json() for key, entry in manifest.items()}
    if len(entries) > SPLIT_ABOVE:
        parts = [to_document("manifest_part", {"entries": part}) for part in _cut(entries)]
        entries = {}
    root = {"entries": entries, "parts": [digest_of(part) for part in parts]}
    return [*parts, to_document("manifest", root)]


def manifest_digest(manifest: Manifest) -> str:
    """Return the digest a manifest has or would have in the store."""
    return digest_of(manifest_documents(manifest)[-1])


def _cut(entries: dict[str, list[object]]) -> Iterator[dict[str, list[object]]]:
    """Cut sorted entries after each key whose own digest begins with ``CUT_BITS`` zero bits.

    The cuts depend on the keys alone: a changed chunk changes one part, not those after it.
    """
    part: dict[str, list[object]] = {}
    for key, entry in entries.items():
        part[key] = entry
        if int.from_bytes(blake3(key.encode()).digest(2)) >> (16 - CUT_BITS) == 0:
            yield part
            part = {}
    if part:
        yield part
