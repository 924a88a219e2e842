"""What the last commit saw of each working file: unchanged files cost a stat.

The record may be lost or damaged at any time; then files are hashed again.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minian_vc import durable
from minian_vc.errors import MinianVCError
from minian_vc.model import PREFIX, FileEntry, canonical_json, digest_of
from minian_vc.objects import ObjectStore
from minian_vc.working_folder.scan import FileStat, granularity

__all__ = ["Records"]

MAX_RECORD = 1 << 30  # bytes


@dataclass(frozen=True, slots=True)
class _Record:
    manifest: str
    recorded_ns: int
    with_bytes: bool
    files: Mapping[str, FileStat]


class Records:
    """The records of one dataset, a file per array folder.

    Parameters
    ----------
    folder : Path
        Where they lie, below ``.minian_vc/working``.
    store : ObjectStore
        For the manifests that they name.
    """

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self._folder = folder
        self._store = store

    def clean_manifest(self, folder: str, stats: Mapping[str, FileStat], *, with_bytes: bool) -> str | None:
        """Return the manifest digest recorded for exactly these files, if nothing can have changed since."""
        record = self._record(folder)
        if record is None or record.with_bytes < with_bytes or record.files != stats:
            return None
        if any(_racy(s, record.recorded_ns) for s in stats.values()):
            return None
        return record.manifest if self._store.has("manifests", record.manifest) else None

    def remember(
        self, folder: str, files: Mapping[str, FileStat], recorded_ns: int, manifest: str, *, with_bytes: bool
    ) -> None:
        """Record that a folder's files, as they were at that time, are a manifest's."""
        document = {"manifest": manifest, "recorded_ns": recorded_ns, "with_bytes": with_bytes, "files": dict(files)}
        body = canonical_json(document)
        path = self._path(folder)
        temporary = path.with_suffix(f".{os.urandom(4).hex()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(digest_of(body).encode() + b"\n" + body)
            temporary.replace(path)
        except OSError:  # only speed is lost
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)

    def changed_bytes(self, folder: str, stats: Mapping[str, FileStat]) -> int:
        """Return the bytes of the files that may have changed since the last commit."""
        record = self._record(folder)
        known = record.files if record else {}
        return sum(s[0] for key, s in stats.items() if known.get(key) != s)

    def manifest_of(self, folder: str, files: Mapping[str, FileStat], *, with_bytes: bool = True) -> str | None:
        """Return the manifest recorded, with its bytes, for these files (timestamps taken at their word)."""
        record = self._record(folder)
        if record is None or record.with_bytes < with_bytes or record.files != files:
            return None
        return record.manifest

    def refresh(self, folder: str, files: Mapping[str, FileStat]) -> None:
        """Renew the record of files whose ctime alone moved (a second name of theirs came or went)."""
        record = self._record(folder)
        if record is None or files.keys() != record.files.keys():
            return
        if all(
            (s[0], s[1], s[3]) == (r[0], r[1], r[3]) for s, r in zip(files.values(), record.files.values(), strict=True)
        ):
            self.remember(folder, files, record.recorded_ns, record.manifest, with_bytes=record.with_bytes)

    def known_entries(self, folder: str, stats: Mapping[str, FileStat], *, with_bytes: bool) -> dict[str, FileEntry]:
        """Return the manifest entries of files that cannot have changed since the last commit."""
        record = self._record(folder)
        if record is None or record.with_bytes < with_bytes:
            return {}
        try:
            manifest = self._store.read_manifest(record.manifest)
        except MinianVCError:
            return {}
        return {
            key: manifest[key]
            for key, s in stats.items()
            if record.files.get(key) == s and key in manifest and not _racy(s, record.recorded_ns)
        }

    def _record(self, folder: str) -> _Record | None:
        try:
            content = durable.read_without_links(self._path(folder), MAX_RECORD)
            digest, _, body = content.partition(b"\n")
            if digest_of(body).encode() != digest:
                return None
            document = json.loads(body)
            files = {key: (s[0], s[1], s[2], s[3]) for key, s in document.pop("files").items()}
            return _Record(**document, files=files)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _path(self, folder: str) -> Path:
        return self._folder / f"{digest_of(folder.encode()).removeprefix(PREFIX)[:32]}.json"


def _racy(s: FileStat, recorded_ns: int) -> bool:
    return s[1] + granularity(s[1]) >= recorded_ns
