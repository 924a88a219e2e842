"""commit: record what lies in the working folder as the dataset's next checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from minian_vc import durable
from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.errors import AlreadyExistsError, BusyError, NotFoundError, StorageError, UnreadableError
from minian_vc.history import History
from minian_vc.model import ArrayVersion, Checkpoint, digest_of, timestamp
from minian_vc.names import check_tag_name, near
from minian_vc.objects import Batch
from minian_vc.repository import Repository
from minian_vc.verbs.describe import describe_array
from minian_vc.working_folder import Reading, Scan, Sink, WorkingFolder, hash_only
from minian_vc.zarr_format import stem

__all__ = ["Commit", "Request", "commit"]

RESERVE = 64 << 20  # bytes of free space a commit leaves alone
TRIES = 5

Choose = Callable[[Scan], list[str]]


@dataclass(frozen=True, slots=True)
class Request:
    """What to record. ``only`` names arrays; the others are taken over from the parent."""

    message: str = ""
    tag: str | None = None
    only: Sequence[str] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    wait: float = 3.0
    announce: Callable[[int, int], None] = lambda *_: None


@dataclass(frozen=True, slots=True)
class Commit:
    """What a commit did. ``created`` is false where nothing had changed."""

    checkpoint: Checkpoint
    created: bool
    stored_bytes: int
    reused_bytes: int
    warnings: tuple[str, ...] = ()


class _HistoryMoved(Exception):  # noqa: N818 (no error: the commit starts over)
    """Somebody recorded a checkpoint while we read, and the folder changed since."""


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
    NotFoundError
        An array named by ``only`` is not there.
    UnreadableError
        There is no array, or one that cannot be read.
    StorageError
        The disk cannot hold it.
    """
    if request.tag is not None:
        check_tag_name(request.tag)
    for _ in range(TRIES):
        head = _latest(repository, dataset)
        _refuse_taken_tag(repository, dataset, request.tag, head)
        try:
            return _attempt(repository, dataset, request, head)
        except _HistoryMoved:
            continue
    raise BusyError(
        f"{dataset.path} kept changing while it was read.", "Nothing was recorded. Commit again later."
    )


def _latest(repository: Repository, dataset: DatasetRow) -> str | None:
    with repository.catalog.read() as connection:
        row = queries.dataset_at(connection, dataset.path)
    return row.latest if row else None


def _refuse_taken_tag(repository: Repository, dataset: DatasetRow, tag: str | None, head: str | None) -> None:
    if tag is None:
        return
    with repository.catalog.read() as connection:
        owner = queries.by_tag(connection, dataset.uid, tag)
    if owner is not None and owner != head:
        raise tag_taken(dataset.path, tag, owner)


def tag_taken(path: str, tag: str, owner: str) -> AlreadyExistsError:
    """Return the error for a tag that names another checkpoint."""
    return AlreadyExistsError(
        f"{path} has a tag {tag!r} already, on checkpoint {owner.removeprefix('blake3:')[:10]}.",
        "Nothing was recorded. Choose another name.",
    )


def _attempt(repository: Repository, dataset: DatasetRow, request: Request, head: str | None) -> Commit:
    working = repository.working_folder(dataset.path)
    policy = repository.config.record_without_bytes

    def choose(scan: Scan) -> list[str]:
        return chosen_folders(working, scan, request.only)

    def keeps_bytes(folder: str) -> bool:
        return stem(folder) not in policy

    parent = repository.checkpoint(head) if head else None
    with repository.objects.batch() as chunks, repository.objects.batch() as manifests:

        def sink(folder: str, key: str) -> Sink:
            is_data = key.startswith(f"{stem(folder)}/")
            return chunks.add_file if keeps_bytes(folder) or not is_data else hash_only

        _refuse_too_large(repository, working, choose, keeps_bytes, request)
        readings = working.read(choose, sink, wait=request.wait, with_bytes=keeps_bytes)
        chunks.publish()
        digests = {folder: _add_manifest(manifests, reading) for folder, reading in readings.items()}
        manifests.publish()
        arrays = {
            folder: _array_version(repository, folder, reading, digests[folder], parent, keeps_bytes(folder))
            for folder, reading in readings.items()
        }
        stored = chunks.stored_bytes + sum(
            _inline_bytes(reading)
            for folder, reading in readings.items()
            if digests[folder] in manifests.added
        )
    with repository.history() as history:
        done = _record(
            history,
            repository,
            dataset,
            request,
            arrays,
            head,
            lambda: working.refuse_changed(choose, readings),
        )
    for folder, reading in readings.items():
        working.remember(folder, reading, digests[folder], with_bytes=keeps_bytes(folder))
    total = sum(array.stored_bytes for array in done.checkpoint.arrays if array.bytes_kept)
    return replace(
        done, stored_bytes=stored, reused_bytes=max(0, total - stored), warnings=_warnings(arrays.values())
    )


def chosen_folders(working: WorkingFolder, scan: Scan, only: Sequence[str] | None) -> list[str]:
    """Return the folders to read: those of the named arrays, or all.

    Raises
    ------
    NotFoundError
        A named array is not in the folder.
    UnreadableError
        There is no array at all.
    """
    if not scan.arrays:
        raise UnreadableError(
            f"{working.path} has no arrays.",
            "Nothing was recorded. Give the folder that save_minian wrote to.",
        )
    if only is None:
        return list(scan.arrays)
    by_name = {stem(folder): folder for folder in scan.arrays}
    for name in only:
        if name not in by_name:
            raise NotFoundError(f"{working.path} has no array {name!r}.", near(name, by_name))
    return [by_name[name] for name in dict.fromkeys(only)]


def _refuse_too_large(
    repository: Repository,
    working: WorkingFolder,
    choose: Choose,
    keeps_bytes: Callable[[str], bool],
    request: Request,
) -> None:
    """Say what the commit may cost at most, and refuse when the disk cannot hold it."""
    scan = working.scan()
    folders = [folder for folder in choose(scan) if keeps_bytes(folder)]
    cost = sum(working.changed_bytes(folder, scan.arrays[folder]) for folder in folders)
    free = durable.free_bytes(repository.folder)
    request.announce(cost, free)
    if cost > max(0, free - RESERVE):
        raise StorageError(
            f"The commit may need {cost:,} bytes, and {free:,} are free in {repository.folder}.",
            "Nothing was recorded. Free some space, commit --only what matters, or record movies without their "
            "bytes: minian-vc config record_without_bytes varr,Yb",
        )


def _add_manifest(manifests: Batch, reading: Reading) -> str:
    return reading.unchanged or manifests.add_manifest(reading.manifest)  # type: ignore[arg-type]


def _inline_bytes(reading: Reading) -> int:
    entries = reading.manifest.values() if reading.manifest else ()
    return sum(entry.size for entry in entries if entry.inline is not None)


def _array_version(
    repository: Repository,
    folder: str,
    reading: Reading,
    digest: str,
    parent: Checkpoint | None,
    bytes_kept: bool,
) -> ArrayVersion:
    for array in parent.arrays if parent else ():
        if (array.folder, array.manifest, array.bytes_kept) == (folder, digest, bytes_kept):
            return array
    files = repository.stored_files(digest)
    return describe_array(repository, folder, digest, files, files.entries, bytes_kept=bytes_kept)


def _record(
    history: History,
    repository: Repository,
    dataset: DatasetRow,
    request: Request,
    read: Mapping[str, ArrayVersion],
    head: str | None,
    refuse_changed: Callable[[], None],
) -> Commit:
    """Write the checkpoint under the lock, on top of whatever is the latest now."""
    current = queries.dataset_at(history.connection, dataset.path)
    latest = current.latest if current else None
    if latest != head:
        try:
            refuse_changed()  # an older cut must not become the newer checkpoint
        except BusyError:
            raise _HistoryMoved from None
    parent = repository.checkpoint(latest) if latest else None
    taken_over = {a.folder: a for a in parent.arrays} if parent and request.only is not None else {}
    arrays = tuple(array for _, array in sorted({**taken_over, **read}.items()))
    if parent is not None and _same(arrays, parent.arrays):
        return Commit(_tag_latest(history, dataset, parent, request.tag), False, 0, 0)
    checkpoint = Checkpoint(
        dataset=current.uid if current else dataset.uid,
        parent=latest,
        sequence=parent.sequence + 1 if parent else 1,
        message=request.message,
        author=repository.author,
        created_at=timestamp(),
        arrays=arrays,
        provenance=dict(request.provenance),
    )
    document = checkpoint.to_document()
    checkpoint = replace(checkpoint, id=digest_of(document), tags=(request.tag,) if request.tag else ())
    if request.tag is not None:
        owner = queries.by_tag(history.connection, checkpoint.dataset, request.tag)
        if owner is not None:
            raise tag_taken(dataset.path, request.tag, owner)
    repository.objects.put("checkpoints", document)
    history.append("commit", dataset.path, checkpoint, request.tag)
    return Commit(checkpoint, True, 0, 0)


def _same(arrays: Iterable[ArrayVersion], others: Iterable[ArrayVersion]) -> bool:
    """Tell whether the bytes are the same; a better description of them is no change."""

    def key(array: ArrayVersion) -> tuple[str, str, bool]:
        return array.folder, array.manifest, array.bytes_kept

    return sorted(map(key, arrays)) == sorted(map(key, others))


def _tag_latest(history: History, dataset: DatasetRow, latest: Checkpoint, tag: str | None) -> Checkpoint:
    tags = queries.tags(history.connection, latest.dataset).get(latest.id, ())
    if tag is not None and tag not in tags:
        owner = queries.by_tag(history.connection, latest.dataset, tag)
        if owner is not None:
            raise tag_taken(dataset.path, tag, owner)
        history.append("tag", dataset.path, latest, tag)
        tags = (*tags, tag)
    return replace(latest, tags=tags)


def _warnings(arrays: Iterable[ArrayVersion]) -> tuple[str, ...]:
    return tuple(
        f"{array.name} lacks {array.missing_chunks} chunks: they read as its fill value (NaN, or whatever is in memory)."
        for array in arrays
        if array.missing_chunks
    )
