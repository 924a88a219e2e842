"""Which units several arrays share, and whether they belong together at all. Pure: metadata in, a plan out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minian_vc.errors import ConflictError
from minian_vc.model import ArrayVersion

__all__ = ["Alignment", "align"]

UNIT = "unit_id"
UnitId = int | str


@dataclass(frozen=True, slots=True)
class Alignment:
    """How to bring arrays together.

    ``units`` are the common units in the order the result has; ``positions`` says, per array that must be
    subset or reordered, where they stand in it; ``left_out`` the units an array has and the result has not.
    """

    units: tuple[UnitId, ...] | None = None
    positions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    left_out: Mapping[str, tuple[UnitId, ...]] = field(default_factory=dict)


def align(arrays: Sequence[ArrayVersion]) -> Alignment:
    """Plan how arrays come together on their common units, in one order, with nothing padded.

    The order is the arrays' own where they all agree, else ascending.

    Raises
    ------
    ConflictError
        Two arrays differ in a dimension other than ``unit_id``, in session or animal, or an array's unit
        ids are missing or not unique.
    """
    _refuse_other_sessions(arrays)
    _refuse_other_dims(arrays)
    sets = {array.name: _unit_ids(array) for array in arrays if UNIT in array.dims}
    if not sets:
        return Alignment()
    shared = set.intersection(*(set(ids) for ids in sets.values()))
    orders = {tuple(unit for unit in ids if unit in shared) for ids in sets.values()}
    common = list(next(iter(orders)))
    if len(orders) > 1:
        common.sort(key=lambda unit: (isinstance(unit, str), unit))
    if not common and any(sets.values()):
        raise _conflict("share no unit_id", list(sets))
    positions, left_out = {}, {}
    for name, ids in sets.items():
        place = {unit: i for i, unit in enumerate(ids)}
        if list(ids) != common:
            positions[name] = tuple(place[unit] for unit in common)
        if dropped := tuple(unit for unit in ids if unit not in shared):
            left_out[name] = dropped
    return Alignment(tuple(common), positions, left_out)


def _unit_ids(array: ArrayVersion) -> tuple[UnitId, ...]:
    ids = array.unit_ids
    if ids is None:
        raise ConflictError(
            f"{array.name} has a unit_id dimension without labels: nobody can say which cells are in it.",
            "Open it alone, or with return_dict=True.",
        )
    if len(set(ids)) != len(ids):
        raise ConflictError(f"{array.name} has a unit_id more than once.", "Open it alone, or with return_dict=True.")
    return ids


def _refuse_other_sessions(arrays: Sequence[ArrayVersion]) -> None:
    for name in ("session", "animal"):
        owners: dict[str, str] = {}
        for array in arrays:
            if (value := getattr(array, name)) is not None:
                owners.setdefault(value, array.name)
        if len(owners) > 1:
            what = ", ".join(f"{array} has {value!r}" for value, array in owners.items())
            raise _conflict(f"are of different {name}s ({what})", list(owners.values()))


def _refuse_other_dims(arrays: Sequence[ArrayVersion]) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    labels: dict[str, tuple[str, str]] = {}
    for array in arrays:
        for dim, size in zip(array.dims, array.shape, strict=True):
            if dim == UNIT:
                continue
            known, owner = sizes.setdefault(dim, (size, array.name))
            if known != size:
                raise _conflict(f"differ in {dim} ({known} and {size})", [owner, array.name])
            coordinate = array.coordinate(dim)
            if coordinate is None:
                continue
            digest, owner = labels.setdefault(dim, (coordinate.values, array.name))
            if digest != coordinate.values:
                raise _conflict(f"have different {dim} coordinates", [owner, array.name])


def _conflict(what: str, names: list[str]) -> ConflictError:
    return ConflictError(
        f"{' and '.join(names)} {what}: together they would be padded with NaN or paired wrongly.",
        "Name the arrays that belong together (arrays=[…]), or use return_dict=True for each as saved.",
    )
