"""All rules over one dataset: findings, grade, groups."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from minian_vc.audit import chunk_specs, coordinates, folders, numbering, reuse, unit_sets
from minian_vc.audit.model import Grade, Rule, worst_grade
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.findings import Finding, worst_first

__all__ = ["Audit", "audit"]

RULES: tuple[Rule, ...] = (
    *folders.RULES,
    *coordinates.RULES,
    *numbering.RULES,
    *unit_sets.RULES,
    *chunk_specs.RULES,
    *reuse.RULES,
)


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found, worst first, and what it means; ``groups`` are arrays that agree in all."""

    grade: Grade
    findings: tuple[Finding, ...]
    groups: tuple[dict[str, Any], ...] = ()


def audit(dataset: DatasetFacts) -> Audit:
    """Apply all rules to a dataset."""
    dataset = replace(dataset, arrays=tuple(sorted(dataset.arrays, key=lambda array: array.name)))
    found = [each for rule in RULES for each in rule(dataset)]
    findings = worst_first(each.finding for each in found)
    return Audit(worst_grade(each.grade for each in found), findings, _groups(dataset))


def _groups(dataset: DatasetFacts) -> tuple[dict[str, Any], ...]:
    """Return the arrays that agree in session, units, frames, image size and chunk spec, with what they agree in."""
    groups: dict[str, dict[str, Any]] = {}
    for array in dataset.readable:
        common = _in_common(array)
        group = groups.setdefault(repr(common), {"arrays": [], **common})
        group["arrays"].append(array.name)
    return tuple(groups.values())


def _in_common(array: ArrayFacts) -> dict[str, Any]:
    sizes = array.variable.sizes if array.variable else {}
    chunks = dict(zip(array.metadata.dims, array.metadata.chunks, strict=True)) if array.metadata else {}
    return {
        "animal": array.text("animal"),
        "session": array.text("session"),
        "unit_ids": None
        if array.unit_ids is None
        else [u if isinstance(u, int | str) else str(u) for u in array.unit_ids],
        **{dim: sizes.get(dim) for dim in ("frame", "height", "width")},
        "chunks": chunks,
    }
