"""Where objects lie, and reading them: what is returned has the digest that was asked for."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Literal

from minian_vc import durable
from minian_vc.errors import DamagedError, StorageError
from minian_vc.fields import is_digest, is_key, list_of
from minian_vc.model import PREFIX, FileEntry, Manifest, digest_of, parse_document

__all__ = ["CHANGED", "KINDS", "MAX_DOCUMENT", "MISSING", "NO_FILE", "Kind", "ObjectStore"]

Kind = Literal["chunks", "manifests", "checkpoints"]
KINDS: tuple[Kind, ...] = ("chunks", "manifests", "checkpoints")

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

    def reuse(self, path: Path, size: int) -> bool:
        """Tell whether an object is in its place and whole, and if so mark it as in use again.

        A rotten object must not become part of a new version, and prune must not take this one for old.
        """
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return False
            if _checked.get(path) != _identity(found) and self.examine(path):
                return False
            os.utime(path)
            if len(_checked) >= REMEMBERED:
                _checked.clear()
            _checked[path] = _identity(path.lstat())
        except OSError:
            return False
        return True

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
        if entry.inline is not None or entry.size <= durable.IN_MEMORY:
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


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _unreadable(path: Path, error: OSError) -> str:
    """Say why something in an object's place cannot be read."""
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(path.lstat().st_mode):
            return NO_FILE
    return f"it cannot be read ({error.strerror})"
