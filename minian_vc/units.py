"""Unit sets over a dataset's history: when an id disappears, and when the numbering starts anew. Pure.

MiniAn's ``unit_id`` is a label within one numbering: updates drop ids, and ``unit_merge`` numbers the units
from 0 again. The same id on both sides of a merge is not the same cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ArrayUnits",
    "Numbering",
    "UnitsEntry",
    "are_apart",
    "in_order",
    "is_earlier_copy",
    "is_merge_result",
    "numberings",
    "renumbered_between",
    "unit_history",
]

UnitIds = tuple[int | str, ...]
Numbering = tuple[int, int]  # the least and the most merges that came before
MERGED = "_mrg"  # how MiniAn's notebook names what unit_merge returns
EARLIER = ("_init", "_new", MERGED, "_mrg_chk", "_chk_new")  # and what a step leaves beside the arrays it makes


@dataclass(frozen=True, slots=True)
class ArrayUnits:
    """An array's version (the digest of its manifest) and its unit ids, None where it has no units."""

    manifest: str
    unit_ids: UnitIds | None


@dataclass(frozen=True, slots=True)
class UnitsEntry:
    """The units at one checkpoint.

    ``unit_sets`` pairs each distinct unit set with the arrays that have it; ``disappeared`` gives, per array,
    the ids it no longer has; ``renumbered`` names arrays whose ids are not those of the checkpoint before.
    """

    checkpoint: str
    unit_sets: tuple[tuple[UnitIds, tuple[str, ...]], ...]
    disappeared: Mapping[str, UnitIds]
    renumbered: tuple[str, ...]


def is_merge_result(name: str) -> bool:
    """Tell whether an array is what the notebook saves after ``unit_merge``."""
    return MERGED in name


def is_earlier_copy(name: str) -> bool:
    """Tell whether the notebook leaves an array of that name behind after a step, and does not overwrite it later."""
    return name.endswith(EARLIER) or name in ("sig_mrg", "g")


def in_order(units: Iterable[Any]) -> list[Any]:
    """Return unit ids sorted; those of several types as their texts are."""
    known = list(units)
    try:
        return sorted(known)
    except TypeError:
        return sorted(known, key=str)


def numberings(checkpoints: Iterable[tuple[str, Mapping[str, ArrayUnits]]]) -> tuple[dict[str, Numbering], int]:
    """Tell by how many merges each array version is preceded, and how many merges there were.

    Parameters
    ----------
    checkpoints : iterable
        Each checkpoint's arrays with their units, oldest first.

    Returns
    -------
    dict of str to (int, int)
        Manifest → the least and the most merges before it. What was first recorded together with a merge's result
        may be older or younger than it, unless it has ids that the result lacks: updates only ever drop ids.
    int
        The number of merges.
    """
    found: dict[str, Numbering] = {}
    merges = 0
    for _, arrays in checkpoints:
        new = {
            name: units for name, units in arrays.items() if units.unit_ids is not None and units.manifest not in found
        }
        merged = [set(units.unit_ids or ()) for name, units in new.items() if is_merge_result(name)]
        for name, units in new.items():
            if is_merge_result(name):
                found[units.manifest] = (merges + 1, merges + 1)
            else:
                older = not merged or bool(set(units.unit_ids or ()) - set().union(*merged))
                found[units.manifest] = (merges, merges if older else merges + 1)
        merges += bool(merged)
    return found, merges


def unit_history(checkpoints: Iterable[tuple[str, Mapping[str, ArrayUnits]]]) -> list[UnitsEntry]:
    """Return one entry per checkpoint, oldest first as given.

    An array counts as renumbered when it has ids it did not have before (updates only ever drop ids), or
    when a merge came between its last version and this one.
    """
    checkpoints = list(checkpoints)
    preceded, _ = numberings(checkpoints)
    entries: list[UnitsEntry] = []
    before: dict[str, ArrayUnits] = {}
    for checkpoint, arrays in checkpoints:
        disappeared: dict[str, UnitIds] = {}
        renumbered = []
        for name, now in arrays.items():
            old = before.get(name)
            if old is None or old.manifest == now.manifest or old.unit_ids is None or now.unit_ids is None:
                continue
            apart = are_apart(preceded[old.manifest], preceded[now.manifest])
            if set(now.unit_ids) - set(old.unit_ids) or apart:
                renumbered.append(name)
            elif gone := tuple(unit for unit in old.unit_ids if unit not in set(now.unit_ids)):
                disappeared[name] = gone
        entries.append(UnitsEntry(checkpoint, _grouped(arrays), disappeared, tuple(renumbered)))
        before = {**before, **arrays}
    return entries


def are_apart(one: Numbering, other: Numbering) -> bool:
    """Tell whether a merge certainly lies between two array versions."""
    return one[1] < other[0] or other[1] < one[0]


def _grouped(arrays: Mapping[str, ArrayUnits]) -> tuple[tuple[UnitIds, tuple[str, ...]], ...]:
    groups: dict[UnitIds, list[str]] = {}
    for name, units in arrays.items():
        if units.unit_ids is not None:
            groups.setdefault(units.unit_ids, []).append(name)
    return tuple((ids, tuple(names)) for ids, names in groups.items())


def renumbered_between(entries: Sequence[UnitsEntry], old: str, new: str) -> frozenset[str]:
    """Return the arrays whose numbering started anew after one checkpoint, up to another (in either order)."""
    order = [entry.checkpoint for entry in entries]
    first, last = sorted((order.index(old), order.index(new)))
    return frozenset(name for entry in entries[first + 1 : last + 1] for name in entry.renumbered)
