"""What a rule finds, and what it means for the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from minian_vc.facts import DatasetFacts
from minian_vc.findings import Finding, Severity

__all__ = ["GRADES", "Grade", "Judged", "Rule", "judged", "listed", "quoted", "worst_grade"]

Grade = Literal["aligned", "alignable", "contradictory", "unreadable"]
GRADES: tuple[Grade, ...] = ("aligned", "alignable", "contradictory", "unreadable")


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding, and the best grade that a dataset with it can have."""

    finding: Finding
    grade: Grade


Rule = Callable[[DatasetFacts], Iterator[Judged]]


def judged(
    code: str,
    severity: Severity,
    message: str,
    arrays: Iterable[str] = (),
    *,
    dim: str | None = None,
    fix: str = "",
    grade: Grade = "aligned",
) -> Judged:
    """Make a judged finding; without a grade it says nothing about belonging together."""
    return Judged(Finding(code, severity, message, tuple(arrays), dim, fix), grade)


def worst_grade(grades: Iterable[Grade]) -> Grade:
    """Return the worst of some grades; ``aligned`` for none."""
    return max(grades, key=GRADES.index, default="aligned")


def quoted(path: object) -> str:
    """Return a path as a shell takes it, in single quotes."""
    return "'" + str(path).replace("'", "'\\''") + "'"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return names as people list them: the first few, and how many more."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
