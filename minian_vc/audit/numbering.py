"""Two numberings in one folder: ``unit_merge`` counts the units from 0 again, and equal ids are then other cells.

What tells an array from before the last merge: ids that the merge's result does not have (updates only ever drop
ids), or a checkpoint that held it before the merge was recorded; ``A_init`` and ``C_init`` are before each. When
files were saved is a hint, no more: copying and restoring give them new times.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator

from minian_vc.audit.model import Judged, Rule, judged, listed
from minian_vc.facts import ArrayFacts, DatasetFacts, KnownHistory
from minian_vc.text import as_runs
from minian_vc.units import Numbering, in_order, is_earlier_copy, is_merge_result
from minian_vc.zarr_format import stem

__all__ = ["RULES", "current", "is_kept", "outdated", "unused_merge"]

UNIT = "unit_id"
INITIAL = "_init"
ANY: Numbering = (0, sys.maxsize)  # nobody knows which merge came before


def current(dataset: DatasetFacts) -> list[ArrayFacts]:
    """Return the readable arrays with units that are meant to go together.

    Not the copies of earlier steps that the notebook leaves in the folder (``A_init``, ``C_new``, ``A_mrg``), nor
    old versions kept under a tag (``C_first_iteration``); all of them, where the user named them one by one.
    """
    return [array for array in dataset.readable if array.unit_ids is not None and is_kept(dataset, array)]


def is_kept(dataset: DatasetFacts, array: ArrayFacts) -> bool:
    """Tell whether an array is loaded with the others: no copy of an earlier step, unless there is nothing else."""
    if dataset.named or array.unit_ids is None or not is_copy(dataset, array):
        return True
    return all(is_copy(dataset, other) for other in dataset.readable if other.unit_ids is not None)


def is_copy(dataset: DatasetFacts, array: ArrayFacts) -> bool:
    """Tell whether an array is a copy of an earlier step, kept beside the current ones."""
    tags = dataset.history.tags if dataset.history else frozenset()
    names = {other.name for other in dataset.arrays}
    kept = any(array.name.endswith(f"_{tag}") and array.name.removesuffix(f"_{tag}") in names for tag in tags)
    return kept or is_earlier_copy(array.name)


def two_numberings(dataset: DatasetFacts) -> Iterator[Judged]:
    """Arrays of two numberings among those that are meant to go together."""
    yield from _sets_of_two(dataset) or _merged_between(dataset)


def is_one_numbering(dataset: DatasetFacts) -> bool:
    """Tell whether nothing speaks for certain against one numbering of the current arrays."""
    return not any(each.finding.severity == "error" for each in two_numberings(dataset))


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
            f"{_runs(first - second)}, {against[0]} alone {_runs(second - first)}, and updates only drop units: "
            "a merge, or another recording, came between them, and equal ids are not the same cells."
        )
        fix = f"Load {listed(group)} and {listed(against)} apart; when the numbering changed: minian-vc units"
        arrays = [*group, *against]
        return [judged("numbering-differs", "error", what, arrays, dim=UNIT, fix=fix, grade="contradictory")]
    return []


def outdated(dataset: DatasetFacts) -> list[str]:
    """Return the current arrays that were, for certain, saved before the last merge among them."""
    found = {array.name: _numbering(dataset, array) for array in current(dataset)}
    last = max((numbering[0] for numbering, _ in found.values()), default=0)
    return [name for name, (numbering, certain) in found.items() if certain and numbering[1] < last]


def unused_merge(dataset: DatasetFacts) -> list[str]:
    """Return what a merge made (``A_mrg`` …) that is newer than all current arrays: the next step starts from it."""
    last = max((_numbering(dataset, array)[0][1] for array in current(dataset)), default=0)
    made = [array for array in dataset.readable if array.unit_ids is not None and is_merge_result(array.name)]
    return [array.name for array in made if not dataset.named and _numbering(dataset, array)[0][0] > last]


def _merged_between(dataset: DatasetFacts) -> list[Judged]:
    """Arrays saved before a merge beside arrays saved after it, though their ids may be equal."""
    found = {array.name: _numbering(dataset, array) for array in current(dataset)}
    known = {name: numbering for name, (numbering, _) in found.items()}
    last = max((least for least, _ in known.values()), default=0)
    after = [name for name, numbering in known.items() if numbering[0] == last]
    before = [name for name, numbering in known.items() if numbering[1] < last]
    if not before:
        return []
    arrays = [*before, *after]
    was = "was" if len(before) == 1 else "were"
    what = f"{listed(before)} {was} saved before the last merge and {listed(after)} after it"
    if any(found[name][1] for name in before) and any(found[name][1] for name in after):
        what += ": unit_merge numbered the units anew, and equal ids need not be the same cells."
        fix = f"Load {listed(after)} alone, or run the update that makes {before[0]} anew."
        return [judged("numbering-differs", "error", what, arrays, dim=UNIT, fix=fix, grade="contradictory")]
    what += ", as far as file times and the last checkpoint tell: if so, equal ids are not the same cells."
    fix = "Commit after each step, then the history tells: minian-vc units"
    return [judged("numbering-uncertain", "warning", what, arrays, dim=UNIT, fix=fix)]


RULES: tuple[Rule, ...] = (two_numberings,)


def _numbering(dataset: DatasetFacts, array: ArrayFacts) -> tuple[Numbering, bool]:
    """Return the least and the most merges that may have come before an array, and whether that is certain.

    ``A_init`` and ``C_init`` come before the first: the notebook's A and C are what unit_merge makes of them.
    """
    if stem(array.folder).endswith(INITIAL):
        return (-1, -1), True
    history = dataset.history or KnownHistory()
    if (known := history.numberings.get(array.manifest or "")) is not None:
        return known, True
    merge = max(
        (a for a in dataset.readable if is_merge_result(a.name) and a.unit_ids is not None and not dataset.named),
        key=lambda a: a.saved_ns,
        default=None,
    )
    if merge is None or is_merge_result(array.name):
        return ((history.merges, history.merges) if history.merges else ANY), not history.merges
    recorded = merge.manifest in history.numberings
    merges = history.merges if recorded else history.merges + 1
    if set(array.unit_ids or ()) - set(merge.unit_ids or ()):
        return (merges - 1, merges - 1), True
    if 0 in (array.saved_ns, merge.saved_ns) or array.saved_ns == merge.saved_ns:
        return ANY, True
    return ((merges, merges) if array.saved_ns > merge.saved_ns else (merges - 1, merges - 1)), False


def _runs(units: Iterable[object]) -> str:
    return as_runs(in_order(units))


def _types(units: Iterable[object]) -> set[bool]:
    return {isinstance(unit, str) for unit in units}
