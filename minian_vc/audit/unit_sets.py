"""Rules about unit sets within one numbering: subsets, orders, and the copies of earlier steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from minian_vc.audit.model import Grade, Judged, Rule, judged, listed
from minian_vc.audit.numbering import current, is_copy, is_one_numbering
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.findings import Severity
from minian_vc.text import as_runs
from minian_vc.units import in_order

__all__ = ["RULES"]

UNIT = "unit_id"


def subsets(dataset: DatasetFacts) -> Iterator[Judged]:
    """Some arrays have units that others dropped: A as the notebook leaves it."""
    arrays = current(dataset)
    if not arrays or not is_one_numbering(dataset):
        return
    least = _with_fewest(arrays)
    common = set(least.unit_ids or ())
    fewer = [a.name for a in arrays if set(a.unit_ids or ()) == common]
    larger: dict[frozenset[Any], list[str]] = {}
    for array in arrays:
        if set(array.unit_ids or ()) > common:
            larger.setdefault(frozenset(set(array.unit_ids or ()) - common), []).append(array.name)
    for extra, names in larger.items():
        has, units = ("has" if len(names) == 1 else "have"), ("unit" if len(extra) == 1 else "units")
        what = (
            f"{listed(names)} still {has} {len(extra)} {units} that {listed(fewer)} dropped "
            f"({as_runs(in_order(extra))}); open_minian pads {listed(fewer)} with NaN."
        )
        fix = f'{names[0]} = {names[0]}.sel(unit_id={least.name}.coords["unit_id"].values)'
        grade: Grade = "alignable" if common else "contradictory"
        severity: Severity = "warning" if common else "error"
        yield judged("units-differ", severity, what, [*names, *fewer], dim=UNIT, fix=fix, grade=grade)


def orders(dataset: DatasetFacts) -> Iterator[Judged]:
    """The same units in another order: who pairs by position pairs the wrong cells."""
    arrays = [array for array in current(dataset) if array.unit_ids]
    if not arrays or not is_one_numbering(dataset):
        return
    least = _with_fewest(arrays)
    common = set(least.unit_ids or ())
    by_order: dict[tuple[Any, ...], list[str]] = {}
    for array in arrays:
        if shared := tuple(unit for unit in array.unit_ids or () if unit in common):
            by_order.setdefault(shared, []).append(array.name)
    if len(by_order) > 1:
        shown = "; ".join(f"{listed(names)}: {as_runs(units)}" for units, names in by_order.items())
        what = f"The units are not in one order ({shown}); by position they would be paired wrongly."
        other = next(names[0] for names in by_order.values() if least.name not in names)
        fix = f'{other} = {other}.sel(unit_id={least.name}.coords["unit_id"].values)'
        every = [name for names in by_order.values() for name in names]
        yield judged("order-differs", "warning", what, every, dim=UNIT, fix=fix, grade="alignable")


def earlier_copies(dataset: DatasetFacts) -> Iterator[Judged]:
    """Copies of earlier steps with other units than today's arrays; they belong to no fault, but not together."""
    kept = current(dataset)
    others = {a.unit_ids for a in kept}
    copies = [
        a.name
        for a in dataset.readable
        if a.unit_ids is not None and a not in kept and is_copy(dataset, a) and others - {a.unit_ids}
    ]
    if copies:
        what = (
            f"{listed(copies)} are of earlier steps and have other units, or another numbering, than "
            f"{listed(a.name for a in kept)}; open_minian pads all to the union."
        )
        fix = "Load what belongs together: minian_vc.check(path).load()"
        yield judged("earlier-copies", "info", what, copies, dim=UNIT, fix=fix, grade="alignable")


def _with_fewest(arrays: Sequence[ArrayFacts]) -> ArrayFacts:
    return min(arrays, key=lambda array: len(array.unit_ids or ()))


RULES: tuple[Rule, ...] = (subsets, orders, earlier_copies)
