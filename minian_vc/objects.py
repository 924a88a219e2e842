"""The object store: content under its own digest, durable before it is visible.

A :class:`Batch` stages any number of contents, flushes them together, and only then moves them to their
places. Whoever needs an order between objects (chunks, then manifests, then documents) publishes one
batch after another.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import stat
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from blake3 import blake3

from minian_vc import durable
from minian_vc.errors import DamagedError, StorageError
from minian_vc.fields import is_digest, is_key, list_of
from minian_vc.model import PREFIX, FileEntry, Manifest, digest_of, parse_document, to_document

__all__ = [
    "CHANGED",
    "KINDS",
    "MISSING",
    "NO_FILE",
    "REST",
    "SHARD",
    "Batch",
    "Kind",
    "ObjectStore",
    "StoredFiles",
    "manifest_digest",
    "manifest_documents",
]

Kind = Literal["chunks", "manifests", "checkpoints"]
SHARD, REST = re.compile("[0-9a-f]{2}"), re.compile("[0-9a-f]{62}")  # the folder and the name of an object
KINDS: tuple[Kind, ...] = ("chunks", "manifests", "checkpoints")

IN_MEMORY = 16 << 20  # a file up to this size is hashed first and copied only if new
SPLIT_ABOVE = 1024  # entries of a manifest in one document
CUT_BITS = 9  # a part of a split manifest has 512 entries on average
MAX_DOCUMENT = 256 << 20
NOT_AN_OBJECT = (errno.ELOOP, errno.EINVAL, errno.EFBIG, errno.EISDIR, errno.ENXIO, errno.ENOTDIR)
REMEMBERED = 100_000  # objects whose digest was checked, and that are not read again while they stay as they are
HINT = "See which versions that concerns: minian-vc verify. Heal it where there is a copy: minian-vc repair"

MISSING, NO_FILE, CHANGED = "missing", "it is no file", "its bytes do not match its digest"

_checked: dict[Path, tuple[int, int, int]] = {}  # size, mtime_ns and inode of objects whose digest this process checked


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
        if not is_digest(digest):
            raise DamagedError(f"{digest!r} is not a digest.")
        name = digest.removeprefix(PREFIX)
        return self.folder / kind / name[:2] / name[2:]

    def has(self, kind: Kind, digest: str) -> bool:
        """Tell whether the object is there."""
        return self.path(kind, digest).is_file()

    def read(self, kind: Kind, digest: str, most: int | None = None) -> bytes:
        """Return an object's bytes, which are ``most`` at most; by default what a document may be.

        Raises
        ------
        DamagedError
            It is missing or too large, or its bytes do not match its digest.
        """
        path = self.path(kind, digest)
        try:
            content = durable.read_without_links(path, MAX_DOCUMENT if most is None else most)
        except FileNotFoundError:
            raise DamagedError(f"The object {path} is missing.", HINT) from None
        except OSError as error:
            if error.errno in NOT_AN_OBJECT:
                raise DamagedError(f"The object {path} is damaged: {error.strerror}.", HINT) from error
            raise StorageError(f"The object {path} cannot be read: {error.strerror}.", HINT) from error
        if digest_of(content) != digest:
            raise DamagedError(f"The object {path} is damaged: its bytes do not match its digest.", HINT)
        return content

    def examine(self, path: Path) -> str:
        """Read what lies in an object's place and return what is wrong with it, or nothing."""
        try:
            source = durable.open_without_links(path)
        except FileNotFoundError:
            return MISSING
        except OSError as error:
            return _unreadable(path, error)
        try:
            digits, _ = durable.digest_file(source)
        except OSError as error:
            return _unreadable(path, error)
        finally:
            os.close(source)
        if digits == path.parent.name + path.name:
            return ""
        _checked.pop(path, None)
        return CHANGED

    def set_aside(self, path: Path) -> Path:
        """Move what lies in an object's place into the quarantine; return where it is now. It is never removed."""
        place = self.quarantine / path.parts[-3] / (path.parent.name + path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        while os.path.lexists(place):
            place = place.with_name(f"{path.parent.name}{path.name}-{os.urandom(4).hex()}")
        path.rename(place)
        durable.flush((), (place.parent, self.quarantine, self.folder.parent, path.parent))
        return place

    @property
    def quarantine(self) -> Path:
        """The folder for what lay in an object's place and was not that object."""
        return self.folder.parent / "quarantine"

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
        last = max(entries, default="")
        for part in parts:
            more, _ = self.read_manifest_document(part, "manifest_part")
            if min(more, default="") <= last:  # one named a million times is read twice
                raise DamagedError(f"The parts of the manifest {digest} are not in order.")
            entries |= more
            last = max(more)
        return Manifest(entries)

    def read_manifest_document(
        self, digest: str, kind: Literal["manifest", "manifest_part"]
    ) -> tuple[dict[str, FileEntry], list[str]]:
        """Return the entries of one document of a manifest, and the digests of the parts that the root names."""
        document = parse_document(self.read("manifests", digest), kind)
        try:
            entries = {key: FileEntry.from_json(entry) for key, entry in document.get("entries", {}).items()}
            parts = document.get("parts", [])
            if not all(map(is_key, entries)) or not list_of(is_digest)(parts):
                raise ValueError("a key or a part cannot be one")
            return entries, parts
        except (TypeError, ValueError, AttributeError) as error:
            raise DamagedError(f"The manifest {digest} is not whole: {error}.") from error

    def read_file(self, entry: FileEntry) -> bytes:
        """Return the bytes of a file named by a manifest."""
        return self.read("chunks", entry.digest, entry.size) if entry.inline is None else entry.inline

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
        try:
            source = durable.open_without_links(path)
        except FileNotFoundError:
            raise DamagedError(f"The object {path} is missing.", HINT) from None
        except OSError as error:
            raise DamagedError(f"The object {path} is damaged: {error.strerror}.", HINT) from error
        digits = ""
        try:
            with durable.storage_errors("write the restored file", target):
                if os.fstat(source).st_size == entry.size:
                    digits, _ = durable.copy_with_digest(source, target)
        finally:
            os.close(source)
        if PREFIX + digits != entry.digest:
            raise DamagedError(f"The object {path} is damaged: its bytes do not match its digest.", HINT)


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
        try:
            found = target.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return False
            if _checked.get(target) != _identity(found) and self._store.examine(target):
                return False  # a rotten object must not become part of a new version
            os.utime(target)  # in use again: prune must not take it for old
            _remember(target)
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


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _remember(target: Path) -> None:
    if len(_checked) >= REMEMBERED:
        _checked.clear()
    _checked[target] = _identity(target.lstat())


def _unreadable(path: Path, error: OSError) -> str:
    """Say why something in an object's place cannot be read."""
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(path.lstat().st_mode):
            return NO_FILE
    return f"it cannot be read ({error.strerror})"


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
