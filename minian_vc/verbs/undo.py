"""undo: take back the last command that changed a dataset's history or folder, or bring it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minian_vc import reserve
from minian_vc.catalog.queries import DatasetRow
from minian_vc.catalog.recorded import recorded_operations
from minian_vc.errors import DamagedError, NotFoundError
from minian_vc.model import Checkpoint, Operation
from minian_vc.repository import Repository
from minian_vc.text import short
from minian_vc.timeline import Timeline
from minian_vc.verbs.before_restore import Asked, Undoing
from minian_vc.verbs.restore import Restored, restore_checkpoint

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

    ``restored`` says what became of the working folder, where that was changed; ``passed_over`` which newer operations
    were left alone, for a prune freed what they need.
    """

    operations: tuple[Operation, ...]
    redo: bool
    grace_days: float
    restored: Restored | None = None
    passed_over: tuple[int, ...] = ()

    def __repr__(self) -> str:
        told = []
        if self.passed_over:
            numbers = ", ".join(map(str, self.passed_over))
            told.append(f"What a prune freed cannot be brought back; passed over: operation {numbers}.")
        told += [f"{'Brought back' if self.redo else 'Taken back'}: {describe(each)}." for each in self.operations]
        if self.restored is not None:
            told.append(repr(self.restored))
        elif not self.redo and self.operations[0].action == "commit":
            told.append(
                "The folder is as it was; its arrays are not committed. Until something else is done, and for "
                f"{self.grace_days:g} days, it can be brought back: minian-vc undo --redo"
            )
        return "\n".join(told)


def undo(repository: Repository, dataset: DatasetRow, *, redo: bool = False, number: int | None = None) -> Undone:
    """Take back what the dataset's last command did, as one more operation; with ``redo`` what the last undo took back.

    Parameters
    ----------
    redo : bool
        Bring back instead.
    number : int, optional
        Of a prune: that one is taken back, whatever was done since.

    Raises
    ------
    NotFoundError
        There is nothing, or its bytes were removed since.
    """
    with reserve.given_up_if_full(repository.folder), repository.history() as history:
        timeline = history.timeline()
        passed_over: tuple[int, ...] = ()
        if redo:
            group = _to_redo(repository, timeline, dataset)
        else:
            group, passed_over = _to_undo(repository, timeline, dataset, number)
        effects = timeline.effect(group[0])[0] if redo else group
        if group[0].before is None:
            repository.require_format(3)
            concerned = history.read_checkpoint(group[0].checkpoint)
            history.append("undo", dataset.path, concerned, undoes=group[0].group, what=_words(effects, redo))
            return Undone(tuple(effects), redo, repository.config.grace_days, passed_over=passed_over)
    state = repository.checkpoint(group[0].before)
    undoing = Undoing(group[0].checkpoint, group[0].group, frozenset(state.provenance.get("folders", ())))
    asked = Asked(state, _words(effects, redo), undoing)
    restored = restore_checkpoint(repository, dataset, asked)
    return Undone(tuple(effects), redo, repository.config.grace_days, restored, passed_over)


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
        tag, what = (
            (f", tag {operation.tag}" if operation.tag else ""),
            (f", {operation.what}" if operation.what else ""),
        )
        return f"commit {checkpoint}{tag}{what}"
    if operation.action == "tag":
        return f"tag {operation.tag} on {checkpoint}"
    if operation.action == "prune":
        return f"prune of {checkpoint}"
    if operation.action == "undo":
        return operation.what or "undo"
    return f"restore of {operation.what}" if operation.action == "restore" else "removal of what nothing refers to"


def _words(effects: Sequence[Operation], redo: bool) -> str:
    more = f" and {len(effects) - 1} more" if len(effects) > 1 else ""
    return f"{'redo' if redo else 'undo'} of {describe(effects[0])}{more}"


def _to_undo(
    repository: Repository, timeline: Timeline, dataset: DatasetRow, number: int | None
) -> tuple[Sequence[Operation], tuple[int, ...]]:
    """Return the newest group that can be taken back, and the numbers of those that were freed for good since."""
    groups = list(timeline.to_undo(dataset.uid))
    if number is not None:
        groups = [
            group for group in groups if group[0].action == "prune" and number in [each.sequence for each in group]
        ]
    passed_over: list[int] = []
    for group in groups:
        needed = [group[0].before] if group[0].before else [e.checkpoint for e in group if e.action == "prune"]
        removed = next((each for each in needed if _is_removed(repository, each)), None)
        if removed is None:
            return group, tuple(passed_over)
        if number is not None:
            raise _removed(repository.checkpoint(removed))
        passed_over.append(group[0].sequence)
    what = f"{dataset.path} has nothing to undo." if number is None else f"Operation {number} is no prune in force."
    raise NotFoundError(what, "Nothing was changed. See: minian-vc log --operations")


def _to_redo(repository: Repository, timeline: Timeline, dataset: DatasetRow) -> Sequence[Operation]:
    group = timeline.to_redo(dataset.uid)
    if not group:
        what = "nothing was undone, or something was done since"
        raise NotFoundError(f"{dataset.path} has nothing to redo: {what}.", "See: minian-vc log --operations")
    commits = [each.checkpoint for each in timeline.effect(group[0])[0] if each.action == "commit"]
    for needed in [group[0].before] if group[0].before else commits:
        if _is_removed(repository, needed):
            raise _removed(repository.checkpoint(needed))
    return group


def _is_removed(repository: Repository, checkpoint_id: str) -> bool:
    """Tell whether a prune removed what a checkpoint needs that is in the history no more."""
    objects = repository.objects
    try:
        for array in repository.checkpoint(checkpoint_id).arrays:
            entries = objects.read_manifest(array.manifest).values()
            chunks = [entry.digest for entry in entries if entry.inline is None and array.bytes_kept]
            if not all(objects.has("chunks", digest) for digest in chunks):
                return True
    except DamagedError:
        return True
    return False


def _removed(checkpoint: Checkpoint) -> NotFoundError:
    return NotFoundError(
        f"What {short(checkpoint.id)} needs ({checkpoint.message or checkpoint.created_at}) was freed by a prune.",
        "Nothing was changed. See: minian-vc log --operations",
    )
