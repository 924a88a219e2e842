"""prune: drop checkpoints, and remove the objects that no checkpoint of any dataset has needed for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from minian_vc import reserve
from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow, LogEntry
from minian_vc.durable import file_system_now
from minian_vc.errors import DamagedError, EnvironmentUnfitError, InvalidInputError, NotFoundError, StorageError
from minian_vc.history import History
from minian_vc.model import Checkpoint
from minian_vc.objects import Found, ObjectStore
from minian_vc.repository import Repository
from minian_vc.sweep import Garbage, References, being_removed, find_garbage, remove
from minian_vc.text import size
from minian_vc.timeline import Timeline
from minian_vc.verbs.retention import Retention

__all__ = ["Pruned", "prune"]

DAY = 86_400.0
CLOCKS_APART = 300.0  # seconds
FEW = 32  # objects that may all be leftovers


@dataclass(frozen=True, slots=True, repr=False)
class Pruned:
    """What a prune dropped and freed, or would (``dry_run``). ``checkpoints`` are the newest first.

    ``waiting_bytes`` are in objects that nothing but an undo needs: a prune will free them when they are
    ``grace_days`` old.
    """

    checkpoints: tuple[LogEntry, ...]
    freed_bytes: int
    freed_objects: int
    waiting_bytes: int
    grace_days: float
    dry_run: bool

    def __repr__(self) -> str:
        would = "would be " if self.dry_run else ""
        if not self.checkpoints and not self.freed_objects and not self.waiting_bytes:
            return "There is nothing to prune."
        told = []
        if self.checkpoints:
            count = len(self.checkpoints)
            told.append(f"{count} checkpoint{'' if count == 1 else 's'} {would}pruned.")
        told.append(f"{size(self.freed_bytes)} {would}freed now.")
        if self.waiting_bytes:
            why = (
                f"for {self.grace_days:g} days, so that it can be undone; a prune after that frees them"
                if self.grace_days
                else "for now: an undo in another dataset may need them"
            )
            told.append(f"{size(self.waiting_bytes)} stay {why}.")
        return " ".join(told)


def prune(
    repository: Repository,
    dataset: DatasetRow,
    rules: Retention,
    *,
    grace_days: float | None = None,
    leftovers: bool = False,
    dry_run: bool = True,
) -> Pruned:
    """Drop checkpoints of a dataset, and remove what has not been needed for the time of grace.

    All of it runs under the catalog's lock. Whatever the remaining checkpoints need is read before anything is
    recorded, and objects are removed only after the operations are durable.

    Parameters
    ----------
    rules : Retention
        Which checkpoints to keep.
    grace_days : float, optional
        For how many days what was dropped can be brought back; the repository's setting by default.
    leftovers : bool
        Remove objects of which no history is known even if they are more than half of all.

    Raises
    ------
    InvalidInputError
        The time of grace is negative.
    NotFoundError
        The dataset has no checkpoint.
    DamagedError
        A document of a remaining checkpoint is missing or damaged, or history seems to be missing; nothing was changed.
    EnvironmentUnfitError
        The clock cannot be right; nothing was changed.
    StorageError
        An object cannot be removed; the checkpoints are pruned.
    """
    grace = repository.config.grace_days if grace_days is None else grace_days
    if not grace >= 0:
        raise InvalidInputError(f"{grace} days of grace cannot be.", "Nothing was changed.")
    room = contextlib.nullcontext() if dry_run else reserve.given_up_if_full(repository.folder)
    with room, repository.history() as history:
        latest = _newest(history, dataset)
        chosen = rules.to_drop(queries.log(history.connection, dataset.uid), latest)
        dropped = [repository.checkpoint(entry.id) for entry in reversed(chosen)]
        garbage = _Garbage(repository, dataset, {checkpoint.id for checkpoint in dropped}, grace * DAY)
        if not leftovers:
            garbage.refuse_if_history_is_missing()
        done = Pruned(chosen, garbage.now.size, len(garbage.now), garbage.waiting.size, grace, dry_run)
        if dry_run:
            return done
        if chosen or garbage.now:
            repository.require_format(3)
        _record(history, dataset, dropped, repository.checkpoint(latest) if garbage.now else None)
        problem = _remove(repository.objects, garbage.now)
    if problem is not None:
        raise problem
    return done


def _record(history: History, dataset: DatasetRow, dropped: Sequence[Checkpoint], swept: Checkpoint | None) -> None:
    """Record what is dropped; and, for a commit under way, that objects are removed."""
    first = 0  # a group is called by its first operation
    for checkpoint in dropped:
        number = history.append("prune", dataset.path, checkpoint, group=first)
        first = first or number
    if swept is not None and not dropped:
        history.append("sweep", dataset.path, swept)


def _newest(history: History, dataset: DatasetRow) -> str:
    """Return the dataset's latest checkpoint; where all are undone, the newest of those."""
    row = queries.dataset_at(history.connection, dataset.path)
    newest = None if row is None else row.latest or queries.newest_ever(history.connection, row.uid)
    if newest is None:
        raise NotFoundError(f"{dataset.path} has no checkpoint yet.", f"Make one: minian-vc commit {dataset.path}")
    return newest


class _Garbage:
    """The objects that no checkpoint of any dataset refers to, but for the dropped ones.

    What operations younger than the grace need to be undone waits, and so does what is younger itself.
    """

    def __init__(self, repository: Repository, dataset: DatasetRow, dropped: set[str], grace: float) -> None:
        self._repository = repository
        operations = [operation for operation, _ in repository.operations.after(0, None)]
        timeline = Timeline.of(operations)
        repository.refuse_lost_log({*timeline.live, *timeline.dropped, *timeline.states}, len(operations))
        now = _now(repository, timeline.time if grace else "")
        needed, spared, self._known = (References(repository.objects) for _ in range(3))
        for checkpoint_id in timeline.live:
            if checkpoint_id not in dropped:
                needed.add(repository.checkpoint(checkpoint_id))
        since = {digest: _seconds(when) for digest, when in {**timeline.states, **timeline.dropped}.items()}
        for digest, when in {**since, **dict.fromkeys(dropped, now)}.items():
            with contextlib.suppress(DamagedError):  # nobody can bring that one back
                checkpoint = repository.checkpoint(digest)
                is_own = checkpoint.dataset == dataset.uid
                self._known.add_what_is_there(checkpoint)
                if now - when < (grace if is_own else max(grace, repository.config.grace_days * DAY)):
                    spared.add_what_is_there(checkpoint)
        self._known.chunks |= being_removed(repository.objects)
        everything = find_garbage(repository.objects, needed)

        def waits(found: Found) -> bool:
            young = now - found.used_ns / 1e9 < grace and found.digest not in self._known
            return young or found.digest in spared

        self.waiting = everything.only(waits)
        self.now = everything.only(lambda found: not waits(found))
        self._kept = len(needed.manifests) + len(needed.chunks)

    def refuse_if_history_is_missing(self) -> None:
        """Refuse to remove what no checkpoint ever needed, if that is more than half of all: history may be lost."""
        unknown = sum(found.digest not in self._known for found in self.now)
        total = self._kept + len(self.now) + len(self.waiting)
        if unknown > max(FEW, total / 2):
            raise DamagedError(
                f"{unknown:,} of {total:,} objects in {self._repository.folder} belong to no checkpoint that the "
                "operation log knows: it looks as if history were missing.",
                "Nothing was removed. See: minian-vc verify. If a large commit was stopped: minian-vc prune "
                "--leftovers",
            )


def _now(repository: Repository, newest: str) -> float:
    """Return the time in seconds, after refusing a clock that cannot be right if there is a grace to be measured."""
    now = datetime.now(UTC).timestamp()
    if not newest:
        return now
    there, recorded = file_system_now(repository.staging) / 1e9, _seconds(newest)
    for what, apart in (("the newest operation", recorded - now), ("the file system", abs(there - now))):
        if apart > CLOCKS_APART:
            raise EnvironmentUnfitError(
                f"The clocks of this computer and of {what} in {repository.folder} are {apart / 60:.0f} minutes apart.",
                "Nothing was removed, for nobody can tell what is old. Set the clock; or, to free at once what this "
                "dataset dropped, whatever its age: minian-vc prune --grace 0",
            )
    return now


def _seconds(when: str) -> float:
    return datetime.fromisoformat(when).timestamp()


def _remove(objects: ObjectStore, garbage: Garbage) -> StorageError | None:
    """Remove objects; a failure is returned, for what was recorded before it stays recorded."""
    try:
        remove(objects, garbage)
    except StorageError as problem:
        return problem
    return None
