"""What a repository's operations amount to: which are in force, and which checkpoints there are. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from minian_vc.errors import DamagedError
from minian_vc.model import Operation

__all__ = ["SAVED_FIRST", "Timeline"]

SAVED_FIRST = "saved before it was replaced"  # of a commit that a restore or an undo made

UNDOABLE = ("commit", "tag", "prune", "restore")


class Timeline:
    """The fold of operations, in their order, from number 1 on.

    An ``undo`` takes back all operations of one group: what one command did. An ``undo`` of an ``undo`` brings
    them back.

    Attributes
    ----------
    live : tuple of str
        Ids of the checkpoints that there are, in the order in which they were recorded.
    dropped : mapping of str to str
        Ids of the checkpoints that were undone or pruned, with the time of it.
    states : mapping of str to str
        Digests of the documents that say what a working folder held before a restore, with the time of it.
    time : str
        The time of the newest operation: none is older than one before it.
    undone : mapping of int to int
        Numbers of the groups that are taken back, with the number of the ``undo``.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.states: dict[str, str] = {}
        self.undone: dict[int, int] = {}
        self.time = ""
        self._gone: dict[str, str] = {}
        self._recorded: dict[str, None] = {}
        self._groups: dict[int, list[Operation]] = {}
        for operation in operations:
            self.add(operation)

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> Self:
        """Return the fold of some operations."""
        return cls(operations)

    def add(self, operation: Operation) -> None:
        """Add the next operation."""
        self._groups.setdefault(operation.group, []).append(operation)
        self.time = max(self.time, operation.created_at)
        if operation.before is not None:
            self.states[operation.before] = self.time
        if (operation.action == "undo") != (operation.undoes in self._groups):
            raise DamagedError(f"Operation {operation.sequence} takes back {operation.undoes}, which is none.")
        if operation.undoes is not None:
            self._take_back(operation, operation.undoes)
        targets, forward = self.effect(operation)
        for each in targets:
            if each.action == "commit" and forward:
                self._recorded[each.checkpoint] = None
            if (each.action, forward) in (("commit", True), ("prune", False)):
                self._gone.pop(each.checkpoint, None)
            elif each.action in ("commit", "prune"):
                self._gone[each.checkpoint] = self.time

    @property
    def live(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(each for each in self._recorded if each not in self._gone)

    @property
    def dropped(self) -> dict[str, str]:
        """See the class."""
        return dict(self._gone)

    def effect(self, operation: Operation) -> tuple[Sequence[Operation], bool]:
        """Return the operations that one applies (True) or takes back (False): itself, unless it is an ``undo``."""
        found: Sequence[Operation] = [operation]
        forward = True
        while found[0].action == "undo":
            earlier = self._groups.get(found[0].undoes or 0)
            if earlier is None or earlier[0].sequence >= found[0].sequence:
                raise DamagedError(f"Operation {found[0].sequence} takes back one that is not there.")
            found, forward = earlier, not forward
        return found, forward

    def owner_of_tag(self, dataset: str, tag: str) -> Operation | None:
        """Return the last operation in force that gave a tag to a checkpoint that is still there."""
        found = None
        for group in self._groups.values():
            for each in group:
                gave = each.action in ("commit", "tag") and (each.dataset, each.tag) == (dataset, tag)
                if gave and each.group not in self.undone and each.checkpoint not in self._gone:
                    found = each
        return found

    def to_undo(self, dataset: str) -> Iterator[Sequence[Operation]]:
        """Yield what the dataset's commands did that is in force, the newest first.

        What a restore or an undo recorded of uncommitted work is no command: it stays.
        """
        for number, group in reversed(self._groups.items()):
            first = group[0]
            is_command = first.dataset == dataset and first.action in UNDOABLE and not _is_saved_first(first)
            is_pruned = first.action == "commit" and first.checkpoint in self._gone
            if is_command and number not in self.undone and not is_pruned:
                yield group

    def to_redo(self, dataset: str) -> Sequence[Operation]:
        """Return the dataset's last undo that is in force, unless something was done since."""
        for number, group in reversed(self._groups.items()):
            passed_over = group[0].action == "sweep" or _is_saved_first(group[0])
            if group[0].dataset != dataset or passed_over or number in self.undone:
                continue
            if group[0].action != "undo":
                return ()
            if not self.effect(group[0])[1]:
                return group
        return ()

    def _take_back(self, undo: Operation, group: int) -> None:
        """Note which groups are taken back now: the one that is named, and the one that it is about in the end."""
        self.undone[group] = undo.sequence
        targets, forward = self.effect(undo)
        if forward:
            self.undone.pop(targets[0].group, None)
        else:
            self.undone[targets[0].group] = undo.sequence


def _is_saved_first(operation: Operation) -> bool:
    return operation.action == "commit" and operation.what == SAVED_FIRST
