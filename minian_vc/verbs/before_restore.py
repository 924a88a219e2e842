"""What lies in the folders that a restore is about to replace: committed first, and named in the operation log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.errors import BusyError, MinianVCError, StorageError
from minian_vc.model import ArrayVersion, Checkpoint, timestamp
from minian_vc.objects import store_object
from minian_vc.provenance import gather
from minian_vc.repository import Repository
from minian_vc.verbs.commit import RESTORE, Request, commit
from minian_vc.verbs.compare import digest_of_reading, read_without_keeping
from minian_vc.verbs.describe import describe_array
from minian_vc.working_folder import WorkingFolder
from minian_vc.zarr_format import stem

__all__ = ["Asked", "Before", "Undoing", "recorded", "save_first"]


@dataclass(frozen=True, slots=True)
class Undoing:
    """That a restore is an undo: of which group of operations, on which checkpoint, and the folders it may touch."""

    checkpoint: str
    group: int
    folders: frozenset[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a restore was asked for: the checkpoint that is brought back (the first, of several), and the words."""

    checkpoint: Checkpoint
    what: str
    undoing: Undoing | None = None


@dataclass(frozen=True, slots=True)
class Before:
    """What lay in the folders that a restore touches, as the log was after the operation ``after``.

    ``saved_as`` is the checkpoint made of what was not recorded.
    """

    after: int
    folders: tuple[str, ...]
    arrays: tuple[ArrayVersion, ...] = ()
    saved_as: Checkpoint | None = None


def save_first(repository: Repository, dataset: DatasetRow, folders: Iterable[str], message: str) -> Before:
    """Commit what would be overwritten, unless all of it is recorded.

    What cannot be read cannot be recorded: it will be kept aside, and named.
    """
    working, touched = repository.working_folder(dataset.path), tuple(sorted(folders))
    with repository.catalog.read() as connection:
        after, _ = queries.last_operation(connection)
    present = working.scan().arrays
    readable = [folder for folder in touched if folder in present and _is_readable(working, folder, present[folder])]
    if not readable:
        return Before(after, touched)
    digests, with_bytes = _read(repository, working, readable)
    saved_as = None
    if not with_bytes.issuperset(digests.values()):
        only = None if len(readable) == len(present) else [stem(folder) for folder in readable]
        done = commit(repository, dataset, Request(message, only=only, provenance=gather(automatic=RESTORE)))
        saved_as = done.checkpoint if done.created else None
        with_bytes = _recorded_manifests(repository, digests.values())
    arrays = [
        _described(repository, working, folder, digest, bytes_kept=digest in with_bytes)
        for folder, digest in digests.items()
        if repository.objects.has("manifests", digest)  # else it changed meanwhile, and will be kept aside
    ]
    return Before(after, touched, tuple(arrays), saved_as)


@contextlib.contextmanager
def recorded(repository: Repository, dataset: DatasetRow, asked: Asked, before: Before) -> Iterator[None]:
    """Record the swap that the block makes, under the lock and after it: what fails leaves no trace in the history, and
    an undo that died is run again and must not find itself done.

    Raises
    ------
    BusyError
        Objects were removed meanwhile, or somebody else did the same undo; nothing was swapped.
    StorageError
        The folder is as asked, but the disk did not take the operation.
    """
    state = Checkpoint(
        dataset=asked.checkpoint.dataset,
        parent=None,
        sequence=0,
        message=f"what lay there before {asked.what}",
        author=repository.author,
        created_at=timestamp(),
        arrays=before.arrays,
        provenance={"folders": list(before.folders)},
    )
    with repository.history() as history:
        if queries.pruned_since(history.connection, before.after):
            raise BusyError("A prune ran meanwhile.", "The folder is as it was. Run the command again.")
        action, undoes, concerned = "restore", None, asked.checkpoint
        if asked.undoing is not None:
            action, undoes, concerned = "undo", asked.undoing.group, repository.checkpoint(asked.undoing.checkpoint)
            if undoes in history.timeline().undone:
                raise BusyError(f"Somebody else did the {asked.what} just now.", "Nothing was changed.")
        yield
        try:
            repository.require_format(3)
            digest = store_object(repository.objects, "checkpoints", state.to_document())
            history.append(action, dataset.path, concerned, before=digest, what=asked.what, undoes=undoes)
        except StorageError as error:
            raise StorageError(
                f"The folder is as asked ({asked.what}), but that could not be recorded: {error.message}",
                "Nothing is lost: what lay there is in the history. Only undo does not know of it.",
            ) from error


def _is_readable(working: WorkingFolder, folder: str, files: Iterable[str]) -> bool:
    try:
        working.describe(folder, files)
    except MinianVCError:
        return False
    return True


def _read(repository: Repository, working: WorkingFolder, folders: Sequence[str]) -> tuple[dict[str, str], set[str]]:
    """Return the manifests of array folders, and which of them are, with their bytes, array versions already."""
    readings = read_without_keeping(working, folders, wait=Request().wait)
    digests = {folder: digest_of_reading(reading) for folder, reading in readings.items()}
    with_bytes = _recorded_manifests(repository, digests.values())
    for folder, reading in readings.items():
        if digests[folder] in with_bytes:
            working.remember(folder, reading, digests[folder], with_bytes=True)
    return digests, with_bytes


def _recorded_manifests(repository: Repository, manifests: Iterable[str]) -> set[str]:
    with repository.catalog.read() as connection:
        return queries.recorded_manifests(connection, manifests)


def _described(
    repository: Repository, working: WorkingFolder, folder: str, manifest: str, *, bytes_kept: bool
) -> ArrayVersion:
    files = repository.stored_files(manifest)
    where = working.path / folder
    return describe_array(repository, where, manifest, files, files.entries, bytes_kept=bytes_kept)
