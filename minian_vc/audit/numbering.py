"""Two numberings in one folder: ``unit_merge`` counts the units from 0 again, and equal ids are then other cells.

What tells an array from before the last merge: ids that the merge's result does not have (updates only ever drop
ids), or a checkpoint that held it before the merge was recorded. When files were saved is a hint, no more: copying
and restoring give them new times.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from minian_vc.audit.model import Judged, Rule, judged, listed
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.units import as_runs, in_order, is_earlier_copy, is_merge_result

__all__ = ["RULES", "current"]

UNIT = "unit_id"
Side = Literal["before", "after"]


def current(dataset: DatasetFacts) -> list[ArrayFacts]:
    """Return the readable arrays with units that are meant to go together.

    Not the copies of earlier steps that the notebook leaves in the folder (``A_init``, ``C_new``, ``A_mrg``), nor
    old versions kept under a tag (``C_first_iteration``); all of them, where the user named them one by one.
    """
    having = [array for array in dataset.readable if array.unit_ids is not None]
    if dataset.named:
        return having
    rest = [array for array in having if not is_copy(dataset, array)]
    return rest or having


def is_copy(dataset: DatasetFacts, array: ArrayFacts) -> bool:
    """Tell whether an array is a copy of an earlier step, kept beside the current ones."""
    tags = dataset.history.tags if dataset.history else frozenset()
    names = {other.name for other in dataset.arrays}
    kept = any(array.name.endswith(f"_{tag}") and array.name.removesuffix(f"_{tag}") in names for tag in tags)
    return kept or is_earlier_copy(array.name)


def two_numberings(dataset: DatasetFacts) -> Iterator[Judged]:
    """Arrays of two numberings among those that are meant to go together."""
    yield from _sets_of_two(dataset) or _merged_between(dataset)


def _sets_of_two(dataset: DatasetFacts) -> list[Judged]:
    """Unit sets of which neither holds the other: updates only drop units, so these are two numberings."""
    groups: dict[frozenset[object], list[str]] = {}
    for array in current(dataset):
        groups.setdefault(frozenset(array.unit_ids or ()), []).append(array.name)
    for (first, group), (second, against) in itertools.combinations(groups.items(), 2):
        if first <= second or second <= first or _types(first) != _types(second):
            continue
        what = (
            f"{listed(group)} and {listed(against)} have units of two numberings: {group[0]} alone has "
            f"{_runs(first - second)}, {against[0]} alone {_runs(second - first)}, and updates only drop units. "
            "A merge, or another recording, came between them: equal ids are not the same cells."
        )
        fix = f"Load them apart: minian_vc.check(path).load({group}); which is when: minian-vc units"
        arrays = [*group, *against]
        return [judged("numbering-differs", "error", what, arrays, dim=UNIT, fix=fix, grade="contradictory")]
    return []


def _merged_between(dataset: DatasetFacts) -> Iterator[Judged]:
    """Arrays saved before the last merge beside arrays saved after it, though their ids may be equal."""
    sides = {array.name: _side(dataset, array) for array in current(dataset)}
    before = [name for name, (side, _) in sides.items() if side == "before"]
    after = [name for name, (side, _) in sides.items() if side == "after"]
    if not before or not after:
        return
    certain = any(sides[name][1] for name in before) and any(sides[name][1] for name in after)
    what = f"{listed(before)} {_was(before)} saved before the last merge and {listed(after)} after it"
    if certain:
        what += ": unit_merge numbered the units anew, and equal ids are not the same cells."
        fix = f"Load {listed(after)} alone, or run the update that makes {before[0]} anew."
        arrays = [*before, *after]
        yield judged("numbering-differs", "error", what, arrays, dim=UNIT, fix=fix, grade="contradictory")
    else:
        what += ", as their files' times have it: if so, equal ids are not the same cells."
        fix = "Commit after each step, then the history tells: minian-vc units"
        yield judged("numbering-uncertain", "warning", what, [*before, *after], dim=UNIT, fix=fix)


RULES: tuple[Rule, ...] = (two_numberings,)


def _side(dataset: DatasetFacts, array: ArrayFacts) -> tuple[Side | None, bool]:
    """Return on which side of the last merge an array was saved, and whether that is certain."""
    merges = [a for a in dataset.readable if is_merge_result(a.name) and a.unit_ids is not None]
    if not merges or is_merge_result(array.name):
        return None, False
    merge = max(merges, key=lambda a: (_first_seen(dataset, a), a.saved_ns))
    if set(array.unit_ids or ()) - set(merge.unit_ids or ()):
        return "before", True
    seen, merged = _first_seen(dataset, array), _first_seen(dataset, merge)
    if seen != merged:
        return ("before" if seen < merged else "after"), True
    if 0 in (array.saved_ns, merge.saved_ns) or array.saved_ns == merge.saved_ns:
        return None, False
    return ("before" if array.saved_ns < merge.saved_ns else "after"), False


def _first_seen(dataset: DatasetFacts, array: ArrayFacts) -> float:
    """Return the number of the first checkpoint that has the array as it is; infinity for none yet."""
    first = dataset.history.first_seen if dataset.history else {}
    return first.get(array.manifest or "", float("inf"))


def _runs(units: Iterable[object]) -> str:
    return as_runs(in_order(units))


def _types(units: Iterable[object]) -> set[bool]:
    return {isinstance(unit, str) for unit in units}


def _was(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"
