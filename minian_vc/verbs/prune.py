"""prune: drop automatic checkpoints, and remove the objects that no checkpoint of any dataset refers to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow, LogEntry
from minian_vc.errors import InvalidInputError, NotFoundError, StorageError
from minian_vc.history import History
from minian_vc.model import Operation
from minian_vc.repository import Repository
from minian_vc.sweep import Garbage, References, find_garbage, remove
from minian_vc.text import size

__all__ = ["Pruned", "prunable", "prune_automatic"]

NOTEBOOK = "notebook"  # what a restore recorded of uncommitted work is automatic too, and may be the only copy


@dataclass(frozen=True, slots=True, repr=False)
class Pruned:
    """What a prune dropped and freed, or would (``dry_run``). ``checkpoints`` are the newest first."""

    checkpoints: tuple[LogEntry, ...]
    freed_bytes: int
    freed_objects: int
    dry_run: bool

    def __repr__(self) -> str:
        count, freed = len(self.checkpoints), size(self.freed_bytes)
        what = f"{count} automatic checkpoint{'' if count == 1 else 's'}"
        would = "would be " if self.dry_run else ""
        if not count and not self.freed_objects:
            return "There is nothing to prune."
        if not count:
            return f"No checkpoint to prune; {freed} that nothing refers to {would or 'were '}freed."
        return f"{what} {would}pruned, {'and ' if self.dry_run else ''}{freed} freed."


def prune_automatic(repository: Repository, dataset: DatasetRow, *, keep: int = 0, dry_run: bool = True) -> Pruned:
    """Drop a dataset's automatic checkpoints but the newest ``keep``, the tagged ones and the latest.

    All of it runs under the catalog's lock. Whatever the remaining checkpoints need is read before anything is
    recorded, and objects are removed only after the operations are durable.

    Raises
    ------
    InvalidInputError
        ``keep`` is negative.
    NotFoundError
        The dataset has no checkpoint.
    DamagedError
        A document of a remaining checkpoint is missing or damaged; nothing was changed.
    StorageError
        An object cannot be removed; the checkpoints are pruned.
    """
    if keep < 0:
        raise InvalidInputError(f"{keep} checkpoints cannot be kept.", "Nothing was changed.")
    with repository.history() as history:
        latest = _latest(history, dataset)
        chosen = prunable(queries.log(history.connection, dataset.uid), latest, keep)
        dropped = [repository.checkpoint(entry.id) for entry in reversed(chosen)]
        garbage = _garbage(repository, {entry.id for entry in chosen})
        done = Pruned(chosen, garbage.size, len(garbage), dry_run)
        if dry_run:
            return done
        if dropped or garbage:
            repository.require_format(2)
        for checkpoint in dropped:
            history.append("prune", dataset.path, checkpoint, None)
        if garbage and not dropped:  # a commit under way must know of this too
            history.append("sweep", dataset.path, repository.checkpoint(latest), None)
        problem = _remove(garbage)
    if problem is not None:
        raise problem
    return done


def prunable(entries: Sequence[LogEntry], latest: str, keep: int) -> tuple[LogEntry, ...]:
    """Return the checkpoints to drop out of a history, newest first. Pure."""
    automatic = [entry for entry in entries if entry.automatic == NOTEBOOK]
    return tuple(entry for entry in automatic[keep:] if not entry.tags and entry.id != latest)


def _latest(history: History, dataset: DatasetRow) -> str:
    row = queries.dataset_at(history.connection, dataset.path)
    if row is None or row.latest is None:
        raise NotFoundError(f"{dataset.path} has no checkpoint yet.", f"Make one: minian-vc commit {dataset.path}")
    return row.latest


def _garbage(repository: Repository, dropped: set[str]) -> Garbage:
    """Return the objects that no checkpoint of any dataset refers to, but for the dropped ones."""
    references = References(repository.objects)
    for checkpoint_id in _remaining(operation for operation, _ in repository.operations.after(0, None)):
        if checkpoint_id not in dropped:
            references.add(repository.checkpoint(checkpoint_id))
    return find_garbage(repository.objects, references)


def _remaining(operations: Iterable[Operation]) -> list[str]:
    """Return the ids of all checkpoints that were not pruned: the log decides, the catalog may be lost."""
    found: dict[str, None] = {}
    for operation in operations:
        if operation.action == "commit":
            found[operation.checkpoint] = None
        elif operation.action == "prune":
            found.pop(operation.checkpoint, None)
    return list(found)


def _remove(garbage: Garbage) -> StorageError | None:
    """Remove objects; a failure is returned, for what was recorded before it stays recorded."""
    try:
        remove(garbage)
    except StorageError as problem:
        return problem
    return None
