"""commit: record what lies in the working folder as the dataset's next checkpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from minian_vc import durable, environment, provenance
from minian_vc.arrays.contents import is_all_nan
from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.catalog.recorded import next_sequence
from minian_vc.errors import BusyError, DamagedError, InvalidInputError, NotFoundError, StorageError, UnreadableError
from minian_vc.findings import Finding
from minian_vc.history import Decoded, History
from minian_vc.model import ArrayVersion, Checkpoint, timestamp
from minian_vc.names import check_tag_name, check_text, near
from minian_vc.objects import Batch, store_object
from minian_vc.progress import progress
from minian_vc.redaction import redact
from minian_vc.repository import Repository
from minian_vc.text import number
from minian_vc.timeline import SAVED_FIRST
from minian_vc.verbs.check import audit_versions
from minian_vc.verbs.describe import describe_array
from minian_vc.verbs.tag import refuse_taken_tag
from minian_vc.working_folder import FileStat, FolderFiles, Reading, Scan, Sink, hash_only
from minian_vc.zarr_format import stem

__all__ = ["Commit", "Request", "commit"]

TRIES = 5
RESTORE = "restore"  # what records automatically, beside the notebook
MAX_FINDINGS = 50  # kept with a checkpoint
WARNED = frozenset(
    {"all-nan", "chunks-cut-off", "coordinate-damaged", "folder-reused", "sessions-mixed", "animals-mixed"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """What to record.

    ``message`` may be a function of the names of the arrays that changed.
    ``only`` names arrays; the others are taken over from the parent. ``announce`` is told, before anything is
    written, how many bytes the commit may cost and how many are free. With ``move_tag`` a tag that another
    checkpoint has moves on to the new one. What ``provenance`` has stands instead of what the commit finds, and its
    ``params`` instead of those of the same name.
    """

    message: str | Callable[[Sequence[str]], str] = ""
    tag: str | None = None
    only: Sequence[str] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    wait: float = 3.0
    announce: Callable[[int, int], None] = lambda *_: None
    move_tag: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit did. ``created`` is false where nothing had changed."""

    checkpoint: Checkpoint
    created: bool
    stored_bytes: int = 0
    reused_bytes: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def grade(self) -> str | None:
        """Whether its arrays belong together, as check found when it was recorded; None before check was there."""
        found = self.checkpoint.provenance.get("check")
        return found["grade"] if found else None


class _HistoryMoved(Exception):  # noqa: N818 (no error: the commit starts over)
    """While we read, somebody recorded a checkpoint and the folder changed since, or objects were removed."""


def commit(repository: Repository, dataset: DatasetRow, request: Request) -> Commit:
    """Record the working folder.

    Bytes, manifests, the checkpoint document and the operation are each durable before the next refers
    to them; the catalog's transaction comes last and acknowledges.

    Raises
    ------
    AlreadyExistsError
        The tag names another checkpoint.
    BusyError
        A save is in progress, or another writer holds the catalog.
    InvalidInputError
        A tag that cannot be one, or an empty ``only``.
    NotFoundError
        An array named by ``only`` is not there.
    UnreadableError
        There is no array, or one that cannot be read.
    StorageError
        The disk cannot hold it.
    """
    if request.tag is not None:
        check_tag_name(request.tag)
    if request.only is not None and not request.only:
        raise InvalidInputError("The list of arrays to record (only) is empty.", "Nothing was recorded.")
    if isinstance(request.message, str):
        check_text("message", request.message)
    for _ in range(TRIES):
        attempt = _Attempt(repository, dataset, request)
        try:
            return attempt.run()
        except _HistoryMoved:
            with repository.history():
                pass  # catches up for good: the attempt took that back with all the rest
        except DamagedError:  # what was there when we began may have been pruned
            if not attempt.is_overtaken():
                raise
    raise BusyError(f"{dataset.path} kept changing while it was read.", "Nothing was recorded. Commit again later.")


class _Attempt:
    """One pass: read, store, describe, record. It starts over if history moved on and the folder with it."""

    def __init__(self, repository: Repository, dataset: DatasetRow, request: Request) -> None:
        self.repository = repository
        self.dataset = dataset
        self.request = request
        self.working = repository.working_folder(dataset.path)
        self.decoded: Decoded = {}
        self.shown = contextlib.ExitStack()
        self.advance: Callable[[int], None] | None = None
        with repository.catalog.read() as connection:
            row = queries.dataset_at(connection, dataset.path)
            self.began_after, _ = queries.last_operation(connection)
            self.head = row.latest if row else None
            self._refuse_taken_tag(connection, allowed=self.head)
        self.parent = repository.checkpoint(self.head) if self.head else None

    def is_overtaken(self) -> bool:
        """Tell whether objects were removed since the beginning, once whoever removes them is done."""
        with self.repository.history() as history:
            return queries.pruned_since(history.connection, self.began_after)

    def run(self) -> Commit:
        objects = self.repository.objects
        with Batch(objects) as chunks, Batch(objects) as manifests, self.shown:
            readings = self.working.read(
                self._choose,
                lambda *key: self._sink(chunks, *key),
                wait=self.request.wait,
                with_bytes=self._keeps_bytes,
                before=self._before,
            )
            digests = {folder: _add_manifest(manifests, reading) for folder, reading in readings.items()}
            arrays = {folder: self._array_version(folder, digests[folder], readings[folder]) for folder in readings}
            chunks.publish()
            manifests.publish()
            stored = chunks.stored_bytes + sum(
                _inline_bytes(reading) for folder, reading in readings.items() if digests[folder] in manifests.added
            )
        if self.parent is None or not _same(self._with_taken_over(self.parent, arrays), self.parent.arrays):
            _ = self._found  # git may take a while, and others wait for the lock
        with self.repository.history() as history:
            done = self._record(history, arrays, readings)
        for folder, reading in readings.items():
            self.working.remember(folder, reading, digests[folder], with_bytes=self._keeps_bytes(folder))
        total = sum(array.stored_bytes for array in done.checkpoint.arrays if array.bytes_kept)
        reused = max(0, total - stored)
        return replace(done, stored_bytes=stored, reused_bytes=reused, warnings=_warnings(done, arrays))

    # -- reading -------------------------------------------------------------------------------

    def _choose(self, scan: Scan) -> list[str]:
        """Return the folders to read: those of the named arrays, or all."""
        if not scan.arrays:
            raise UnreadableError(
                f"{self.working.path} has no arrays.",
                "Nothing was recorded. Give the folder that save_minian wrote to.",
            )
        if self.request.only is None:
            return list(scan.arrays)
        by_name = {stem(folder): folder for folder in scan.arrays}
        for name in self.request.only:
            if name not in by_name:
                raise NotFoundError(f"{self.working.path} has no array {name!r}.", near(name, by_name))
        return [by_name[name] for name in dict.fromkeys(self.request.only)]

    def _keeps_bytes(self, folder: str) -> bool:
        return stem(folder) not in self.repository.config.record_without_bytes

    def _sink(self, chunks: Batch, folder: str, key: str) -> Sink:
        """Return where a file's bytes go; of an array without bytes, coordinates are still kept."""
        is_data = key.startswith(f"{stem(folder)}/")
        taker = chunks.add_file if self._keeps_bytes(folder) or not is_data else hash_only

        def sink(source: int) -> tuple[str, int]:
            digest, size = taker(source)
            if self.advance is not None:
                self.advance(size)
            return digest, size

        return sink

    def _before(self, files: Mapping[str, Mapping[str, FileStat]]) -> None:
        """Refuse what the disk cannot hold, and show progress from here on (asked again while a save is waited for)."""
        self._refuse_too_large(files)
        if self.advance is None:
            total = sum(self.working.records.changed_bytes(folder, files[folder]) for folder in files)
            self.advance = self.shown.enter_context(progress("Recording", total))

    def _refuse_too_large(self, files: Mapping[str, Mapping[str, FileStat]]) -> None:
        """Say what the commit may cost at most, and refuse when the disk cannot hold it."""
        kept = [folder for folder in files if self._keeps_bytes(folder)]
        cost = sum(self.working.records.changed_bytes(folder, files[folder]) for folder in kept)
        free = durable.free_bytes(self.repository.folder)
        self.request.announce(cost, free)
        if cost > free - durable.reserve(self.repository.folder):
            raise StorageError(
                f"The commit may need {cost:,} bytes, and {free:,} are free in {self.repository.folder}.",
                "Nothing was recorded. Free some space, commit --only what matters, or record movies without "
                "their bytes: minian-vc config record_without_bytes varr,Yb",
            )

    def _array_version(self, folder: str, digest: str, reading: Reading) -> ArrayVersion:
        keeps_bytes = self._keeps_bytes(folder)
        for array in self.parent.arrays if self.parent else ():
            if (array.folder, array.manifest, array.bytes_kept) == (folder, digest, keeps_bytes):
                return array
        where = self.working.path / folder
        manifest = reading.manifest or self.repository.objects.read_manifest(digest)
        files = FolderFiles(where, manifest)
        return describe_array(
            self.repository, where, digest, files, manifest, bytes_kept=keeps_bytes, decoded=self.decoded
        )

    # -- recording -----------------------------------------------------------------------------

    @cached_property
    def _found(self) -> dict[str, Any]:
        return {**environment.describe(), **provenance.what_the_source_knows()}

    def _with_taken_over(self, parent: Checkpoint | None, read: Mapping[str, ArrayVersion]) -> tuple[ArrayVersion, ...]:
        """Return the arrays of the checkpoint to be: those that were read, and with ``only`` the parent's others."""
        taken_over = {a.folder: a for a in parent.arrays} if parent and self.request.only is not None else {}
        return tuple(array for _, array in sorted({**taken_over, **read}.items()))

    def _record(self, history: History, read: Mapping[str, ArrayVersion], readings: Mapping[str, Reading]) -> Commit:
        """Write the checkpoint under the lock, on top of whatever is the latest now."""
        if queries.pruned_since(history.connection, self.began_after):
            raise _HistoryMoved  # an object that was there, and so was not stored again, may be gone
        self.dataset = dataset = queries.dataset_at(history.connection, self.dataset.path) or self.dataset
        latest = dataset.latest
        if queries.moved_since(history.connection, dataset.uid, self.began_after):
            try:
                self.working.refuse_changed(self._choose, readings)  # an older cut must not become the newer checkpoint
            except BusyError:
                raise _HistoryMoved from None
        self._refuse_taken_tag(history.connection, allowed=latest)
        parent = self.repository.checkpoint(latest) if latest else None
        arrays = self._with_taken_over(parent, read)
        if parent is not None and _same(arrays, parent.arrays):
            return Commit(self._tag_latest(history, parent), created=False)
        self._refuse_taken_tag(history.connection, allowed=None)
        checkpoint = Checkpoint(
            dataset=dataset.uid,
            parent=latest,
            sequence=next_sequence(history.connection, dataset.uid),
            message=self._message(arrays, parent),
            author=self.repository.author,
            created_at=timestamp(),
            arrays=arrays,
            provenance=provenance.together(self._found, self.request.provenance)
            | {"check": self._check(arrays, parent)},
        )
        document = checkpoint.to_document()
        tags = (self.request.tag,) if self.request.tag else ()
        checkpoint = Checkpoint.from_document(document, tags)  # as it will be read ever after
        store_object(self.repository.objects, "checkpoints", document)
        what = SAVED_FIRST if checkpoint.provenance.get("automatic") == RESTORE else None
        history.append("commit", self.dataset.path, checkpoint, self.request.tag, self.decoded, what=what)
        return Commit(checkpoint, created=True)

    def _message(self, arrays: Sequence[ArrayVersion], parent: Checkpoint | None) -> str:
        if isinstance(self.request.message, str):
            return redact(self.request.message)
        before = {array.name: array.manifest for array in parent.arrays} if parent else {}
        changed = [array.name for array in arrays if before.get(array.name) != array.manifest]
        return redact(self.request.message(changed))

    def _refuse_taken_tag(self, connection: Connection, *, allowed: str | None) -> None:
        """Refuse a tag that another checkpoint has, or make ready for it to move."""
        if not self.request.move_tag:
            refuse_taken_tag(connection, self.dataset, self.request.tag, allowed=allowed)
        elif self.request.tag is not None and queries.by_tag(connection, self.dataset.uid, self.request.tag):
            self.repository.require_format(2)

    def _check(self, arrays: Sequence[ArrayVersion], parent: Checkpoint | None) -> dict[str, Any]:
        """Return grade and findings of what is recorded, as the checkpoint keeps them."""
        found = audit_versions(self.repository, self.dataset, arrays, parent.arrays if parent else ())
        new = {a.manifest for a in arrays} - {a.manifest for a in (parent.arrays if parent else ())}
        empty = [a.name for a in arrays if a.manifest in new and self._is_all_nan(a)]
        findings = [finding.to_json() for finding in found.findings]
        if empty:
            findings.insert(0, _all_nan(empty).to_json())
        return {"grade": found.grade, "findings": findings[:MAX_FINDINGS]}

    def _is_all_nan(self, array: ArrayVersion) -> bool:
        return array.bytes_kept and is_all_nan(array, self.repository.stored_files(array.manifest))

    def _tag_latest(self, history: History, latest: Checkpoint) -> Checkpoint:
        tags = queries.tags(history.connection, latest.dataset).get(latest.id, ())
        if self.request.tag is not None and self.request.tag not in tags:
            history.append("tag", self.dataset.path, latest, self.request.tag)
            tags = (*tags, self.request.tag)
        return replace(latest, tags=tags)


def _add_manifest(manifests: Batch, reading: Reading) -> str:
    if reading.manifest is None:
        return reading.unchanged or ""
    return manifests.add_manifest(reading.manifest)


def _inline_bytes(reading: Reading) -> int:
    entries = reading.manifest.values() if reading.manifest is not None else ()
    return sum(entry.size for entry in entries if entry.inline is not None)


def _same(arrays: Iterable[ArrayVersion], others: Iterable[ArrayVersion]) -> bool:
    """Tell whether the bytes are the same; a better description of them is no change."""

    def key(array: ArrayVersion) -> tuple[str, str, bool]:
        return array.folder, array.manifest, array.bytes_kept

    return sorted(map(key, arrays)) == sorted(map(key, others))


def _all_nan(names: Sequence[str]) -> Finding:
    what = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} all NaN: saved onto itself, or killed."
    return Finding("all-nan", "error", what, tuple(names), fix=f"minian-vc log --array {names[0]}")


def _warnings(done: Commit, read: Mapping[str, ArrayVersion]) -> tuple[str, ...]:
    """Return what is wrong with what was just recorded: missing chunks, and what check found."""
    missing = [
        f"{array.name} lacks {number(array.missing_chunks, 'chunk')}: it reads as NaN there, or as anything."
        for array in read.values()
        if array.missing_chunks
    ]
    findings = done.checkpoint.provenance.get("check", {}).get("findings", []) if done.created else []
    return (*missing, *(finding["message"] for finding in findings if finding["code"] in WARNED))
