"""undo: take back the last command that changed a dataset's history or folder, or bring it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minian_vc.catalog.queries import DatasetRow
from minian_vc.catalog.recorded import recorded_operations
from minian_vc.errors import DamagedError, NotFoundError
from minian_vc.model import Checkpoint, Operation
from minian_vc.repository import Repository
from minian_vc.text import short
from minian_vc.timeline import Timeline
from minian_vc.verbs.restore import Asked, Restored, Undoing, restore_checkpoint

__all__ = ["LoggedOperation", "Undone", "describe", "logged", "undo"]


@dataclass(frozen=True, slots=True)
class LoggedOperation:
    """An operation as ``log --operations`` shows it; ``undone_by`` is the number of the undo, if it is taken back."""

    sequence: int
    created_at: str
    action: str
    what: str
    checkpoint: str
    tag: str | None
    undone_by: int | None


@dataclass(frozen=True, slots=True, repr=False)
class Undone:
    """What was taken back (or, with ``redo``, brought back): the operations of one command.

    ``restored`` says what became of the working folder, where that was changed.
    """

    operations: tuple[Operation, ...]
    redo: bool
    restored: Restored | None = None

    def __repr__(self) -> str:
        told = [f"{'Brought back' if self.redo else 'Taken back'}: {describe(each)}." for each in self.operations]
        if self.restored is not None:
            told.append(repr(self.restored))
        return "\n".join(told)


def undo(repository: Repository, dataset: DatasetRow, *, redo: bool = False) -> Undone:
    """Take back what the dataset's last command did, as one more operation; with ``redo`` what the last undo took back.

    Raises
    ------
    NotFoundError
        There is nothing, or its bytes were removed since.
    """
    with repository.history() as history:
        group, effects = _chosen(history.timeline(), dataset, redo)
        if group[0].before is None:
            _refuse_if_removed(repository, effects, redo)
            repository.require_format(3)
            concerned = history.read_checkpoint(group[0].checkpoint)
            history.append("undo", dataset.path, concerned, undoes=group[0].group)
            return Undone(tuple(effects), redo)
    state = repository.checkpoint(group[0].before)
    _refuse_missing(repository, state)
    undoing = Undoing(group[0].checkpoint, group[0].group, frozenset(state.provenance.get("folders", ())))
    asked = Asked(state, f"{'redo' if redo else 'undo'} of {describe(effects[0])}", undoing)
    return Undone(tuple(effects), redo, restore_checkpoint(repository, dataset, asked))


def logged(repository: Repository, dataset: DatasetRow, n: int | None = None) -> list[LoggedOperation]:
    """Return the dataset's operations, newest first."""
    with repository.catalog.read() as connection:
        operations = recorded_operations(connection)
    undone = Timeline.of(operations).undone
    found = [each for each in reversed(operations) if each.dataset == dataset.uid]
    return [
        LoggedOperation(
            sequence=each.sequence,
            created_at=each.created_at,
            action=each.action,
            what=describe(each),
            checkpoint=each.checkpoint,
            tag=each.tag,
            undone_by=undone.get(each.group),
        )
        for each in found[:n]
    ]


def describe(operation: Operation) -> str:
    """Say in words what an operation did."""
    checkpoint = short(operation.checkpoint)
    if operation.action == "commit":
        return f"commit {checkpoint}" + (f", tag {operation.tag}" if operation.tag else "")
    if operation.action == "tag":
        return f"tag {operation.tag} on {checkpoint}"
    if operation.action == "prune":
        return f"prune of {checkpoint}"
    if operation.action == "undo":
        return operation.what or f"undo of {operation.undoes}"
    return f"restore of {operation.what}" if operation.action == "restore" else "removal of what nothing refers to"


def _chosen(timeline: Timeline, dataset: DatasetRow, redo: bool) -> tuple[Sequence[Operation], Sequence[Operation]]:
    """Return the group to take back, and the operations that this concerns in the end."""
    group = timeline.to_redo(dataset.uid) if redo else timeline.to_undo(dataset.uid)
    if not group:
        what = "redo: nothing was undone, or something was done since" if redo else "undo"
        raise NotFoundError(f"{dataset.path} has nothing to {what}.", "See: minian-vc log --operations")
    return group, timeline.effect(group[0])[0] if redo else group


def _refuse_if_removed(repository: Repository, effects: Sequence[Operation], redo: bool) -> None:
    """Refuse to bring back checkpoints whose bytes a prune has removed."""
    comes_back = ("commit",) if redo else ("prune",)
    for each in effects:
        if each.action in comes_back:
            _refuse_missing(repository, repository.checkpoint(each.checkpoint))


def _refuse_missing(repository: Repository, checkpoint: Checkpoint) -> None:
    objects = repository.objects
    for array in checkpoint.arrays:
        try:
            entries = objects.read_manifest(array.manifest)
        except DamagedError as error:
            raise _removed(checkpoint) from error
        chunks = (entry for entry in entries.values() if entry.inline is None)
        if array.bytes_kept and not all(objects.has("chunks", entry.digest) for entry in chunks):
            raise _removed(checkpoint)


def _removed(checkpoint: Checkpoint) -> NotFoundError:
    return NotFoundError(
        f"What {short(checkpoint.id)} needs ({checkpoint.message or checkpoint.created_at}) was removed by a prune: "
        "the time of grace is over.",
        "Nothing was changed. See: minian-vc log --operations",
    )
