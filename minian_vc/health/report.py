"""What verify found, and how it looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minian_vc.text import in_brackets, number, printable, short, size

__all__ = ["Affected", "Damage", "VerifyReport", "affected_versions", "told"]

SHOWN = 20  # damages in a text; JSON has all

KINDS: Mapping[str, str] = {
    "config": "configuration",
    "operation": "operation",
    "checkpoint": "checkpoint document",
    "manifest": "manifest",
    "chunk": "chunk object",
    "catalog": "catalog",
}


@dataclass(frozen=True, slots=True)
class Affected:
    """Array versions that something concerns: a dataset's path, a checkpoint with its tags, and names of its arrays."""

    dataset: str
    checkpoint: str
    tags: tuple[str, ...] = ()
    arrays: tuple[str, ...] = ()

    def __str__(self) -> str:
        arrays = f": {', '.join(self.arrays)}" if self.arrays else ""
        return f"{self.dataset} @{short(self.checkpoint)}{in_brackets(self.tags)}{arrays}"


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not what was recorded.

    Attributes
    ----------
    kind : {"config", "operation", "checkpoint", "manifest", "chunk", "catalog"}
        What it is; ``checkpoint`` is a checkpoint's document, and ``manifest`` one of its parts too.
    path : Path
        Where it lies or should lie.
    problem : str
        What is wrong with it.
    digest : str, optional
        The digest that its bytes should have.
    size : int, optional
        Its size, where that is recorded.
    affects : tuple of Affected
        The array versions that cannot be brought back for that.
    needed_by : {"history", "undo", "nothing", "unknown"}
        What needs it: the checkpoints that there are and the record of them; only what could be undone; nothing; or
        it cannot be known, since documents are damaged.
    """

    kind: str
    path: Path
    problem: str
    digest: str | None = None
    size: int | None = None
    affects: tuple[Affected, ...] = ()
    needed_by: str = "history"

    @property
    def serious(self) -> bool:
        """Whether the history is damaged for it."""
        return self.needed_by == "history"

    def __str__(self) -> str:
        return f"{KINDS[self.kind]} {self.path}: {self.problem}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        return {**asdict(self), "path": str(self.path), "affects": [asdict(each) for each in self.affects]}


@dataclass(frozen=True, slots=True, repr=False)
class VerifyReport:
    """What :func:`minian_vc.verify` found.

    Attributes
    ----------
    repository : Path
        The folder ``.minian_vc``.
    quick : bool
        Whether the chunk objects were not read.
    checkpoints, objects, nbytes : int
        How many checkpoints there are, and how many objects with how many bytes were read (0 if ``quick``).
    damage : tuple of Damage
        What is damaged.
    notes : tuple of str
        What else was seen.
    """

    repository: Path
    quick: bool
    checkpoints: int
    objects: int
    nbytes: int
    damage: tuple[Damage, ...]
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged that a checkpoint, the history or the catalog needs."""
        return not any(each.serious for each in self.damage)

    @property
    def affected(self) -> tuple[Affected, ...]:
        """The array versions that cannot be brought back as they were."""
        return affected_versions(self.damage)

    def __repr__(self) -> str:
        return "\n".join(map(printable, self._told()))

    def _told(self) -> Iterator[str]:
        read = "" if self.quick else f", {number(self.objects, 'object')} read ({size(self.nbytes)})"
        state = "whole" if self.whole else "damaged"
        yield f"{self.repository}: {state} ({number(self.checkpoints, 'checkpoint')}{read})"
        yield from told(self.damage)
        for note in self.notes:
            yield f"  note     {note}"
        if self.affected:
            yield "Affected versions:"
            yield from (f"  {each}" for each in self.affected)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as ``minian-vc verify --json`` prints it."""
        counts = {name: getattr(self, name) for name in ("quick", "whole", "checkpoints", "objects", "nbytes")}
        return {
            "repository": str(self.repository),
            **counts,
            "damage": [each.to_dict() for each in self.damage],
            "affected": [asdict(each) for each in self.affected],
            "notes": list(self.notes),
        }


def told(damage: Iterable[Damage]) -> Iterator[str]:
    """Yield a line per damage, the serious ones first and only so many."""
    ordered = sorted(damage, key=lambda each: not each.serious)
    for each in ordered[:SHOWN]:
        yield f"  {'damaged' if each.serious else 'warning'}  {each}"
    if len(ordered) > SHOWN:
        yield f"  and {len(ordered) - SHOWN} more; --json lists all"


def affected_versions(damage: Iterable[Damage]) -> tuple[Affected, ...]:
    """Return the array versions that serious damages concern, each checkpoint once, in the order of datasets."""
    arrays: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    for each in damage:
        for found in each.affects if each.serious else ():
            arrays.setdefault((found.dataset, found.checkpoint, found.tags), set()).update(found.arrays)
    merged = [Affected(*key, tuple(sorted(names))) for key, names in arrays.items()]
    return tuple(sorted(merged, key=lambda each: each.dataset))
