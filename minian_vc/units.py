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
    "UnitsEntry",
    "as_runs",
    "in_order",
    "is_earlier_copy",
    "is_merge_result",
    "renumbered_between",
    "unit_history",
]

UnitIds = tuple[int | str, ...]
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


def as_runs(units: Sequence[int | str], most: int = 12) -> str:
    """Return unit ids as people read them: runs as a–b, long lists cut."""
    runs: list[list[int | str]] = []
    for unit in units:
        last = runs[-1][-1] if runs else None
        if isinstance(unit, int) and isinstance(last, int) and unit == last + 1:
            runs[-1] = [runs[-1][0], unit]
        else:
            runs.append([unit])
    parts = ["-".join(map(str, run)) for run in runs]
    return ",".join(parts[:most]) + (f",… ({len(units)} units)" if len(parts) > most else "")


def unit_history(checkpoints: Iterable[tuple[str, Mapping[str, ArrayUnits]]]) -> list[UnitsEntry]:
    """Return one entry per checkpoint, oldest first as given.

    An array counts as renumbered when it has ids it did not have before (updates only ever drop ids), or
    when a merge result was saved since its last version.
    """
    entries: list[UnitsEntry] = []
    before: dict[str, ArrayUnits] = {}
    version_at: dict[str, int] = {}
    merged_at = -1
    for step, (checkpoint, arrays) in enumerate(checkpoints):
        new = [
            name for name, units in arrays.items() if before.get(name, ArrayUnits("", None)).manifest != units.manifest
        ]
        if step and any(is_merge_result(name) for name in new):
            merged_at = step
        disappeared: dict[str, UnitIds] = {}
        renumbered = []
        for name in new:
            old, ids = before.get(name, ArrayUnits("", None)).unit_ids, arrays[name].unit_ids
            if old is not None and ids is not None:
                if set(ids) - set(old) or merged_at > version_at[name]:
                    renumbered.append(name)
                elif gone := tuple(unit for unit in old if unit not in set(ids)):
                    disappeared[name] = gone
            version_at[name] = step
        entries.append(UnitsEntry(checkpoint, _grouped(arrays), disappeared, tuple(renumbered)))
        before = {**before, **arrays}
    return entries


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
