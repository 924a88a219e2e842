"""What changed between two sets of array versions. Pure: descriptions and manifests in, changes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

from minian_vc.looks import changes as looks
from minian_vc.model import ArrayVersion, Manifest
from minian_vc.zarr_format import ArrayMetadata, read_array_folder

__all__ = ["ArrayChange", "Diff", "UnitChanges", "compare", "same_units_by_chunk"]

UNIT = "unit_id"
UnitIds = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class UnitChanges:
    """Which units are new, gone, changed in their values, and the same."""

    added: UnitIds = ()
    removed: UnitIds = ()
    changed: UnitIds = ()
    unchanged: UnitIds = ()
    renumbered: bool = False


@dataclass(frozen=True, slots=True)
class ArrayChange:
    """What became of one array: ``state`` is new, modified, unchanged or deleted; ``fields`` what differs
    in its description (old, new); ``units`` is None for an array without units.
    """

    name: str
    state: str
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    units: UnitChanges | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Diff(Sequence[ArrayChange]):
    """What differs between two sides: a sequence of its array changes, by name, that knows the rest as well.

    ``old`` and ``new`` say what was compared. ``params`` has the parameters that differ, as dotted path → (old, new);
    :data:`minian_vc.params.MISSING`, printed as —, stands where a side has none of that name.
    """

    changes: tuple[ArrayChange, ...]
    old: str = ""
    new: str = ""
    params: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    @overload
    def __getitem__(self, index: int) -> ArrayChange: ...
    @overload
    def __getitem__(self, index: slice) -> list[ArrayChange]: ...
    def __getitem__(self, index: int | slice) -> ArrayChange | list[ArrayChange]:
        return list(self.changes[index]) if isinstance(index, slice) else self.changes[index]

    def __len__(self) -> int:
        return len(self.changes)

    def __eq__(self, other: object) -> bool:
        """Compare with another diff by all it has, with a list or tuple by the array changes."""
        if isinstance(other, Diff):
            mine, others = ((d.changes, d.old, d.new, dict(d.params)) for d in (self, other))
            return mine == others
        return list(self.changes) == list(other) if isinstance(other, (list, tuple)) else NotImplemented

    def __repr__(self) -> str:
        return looks.text(self.changes, self.params, self.old, self.new)

    def _repr_html_(self) -> str:
        return looks.html(self.changes, self.params, self.old, self.new)


DecideUnits = Callable[[ArrayVersion, ArrayVersion], UnitChanges]


def compare(old: Iterable[ArrayVersion], new: Iterable[ArrayVersion], decide_units: DecideUnits) -> list[ArrayChange]:
    """Compare two sets of array versions by name.

    ``decide_units`` is asked for arrays with units whose bytes differ.
    """
    before, after = {a.name: a for a in old}, {a.name: a for a in new}
    changes = []
    for name in sorted(before | after):
        was, now = before.get(name), after.get(name)
        if was is None and now is not None:
            changes.append(ArrayChange(name, "new", units=_all(now, "added")))
        elif now is None and was is not None:
            changes.append(ArrayChange(name, "deleted", units=_all(was, "removed")))
        elif was is not None and now is not None and was.manifest == now.manifest:
            changes.append(ArrayChange(name, "unchanged", units=_all(now, "unchanged")))
        elif was is not None and now is not None:
            both = was.unit_ids is not None and now.unit_ids is not None
            units = decide_units(was, now) if both else None
            changes.append(ArrayChange(name, "modified", _fields(was, now), units))
    return changes


def _all(array: ArrayVersion, kind: str) -> UnitChanges | None:
    return None if array.unit_ids is None else replace(UnitChanges(), **{kind: array.unit_ids})  # type: ignore[arg-type]


def _fields(was: ArrayVersion, now: ArrayVersion) -> dict[str, tuple[Any, Any]]:
    found: dict[str, tuple[Any, Any]] = {}
    for name in ("dims", "shape", "dtype", "chunks", "animal", "session"):
        if getattr(was, name) != getattr(now, name):
            found[name] = (getattr(was, name), getattr(now, name))
    old, new = ({c.name: c.values for c in array.coordinates} for array in (was, now))
    moved = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if moved:
        found["coords"] = sorted(old.keys() & set(moved)), sorted(new.keys() & set(moved))
    return found


def same_units_by_chunk(was: ArrayVersion, old: Manifest, now: ArrayVersion, new: Manifest) -> frozenset[int | str]:
    """Return the common units whose chunks are the same bytes on both sides.

    Equal bytes always mean equal values; of the other units nothing is said. Where a chunk is not one
    unit, or the two are encoded differently, no unit is returned.
    """
    first, second = _metadata(was, old), _metadata(now, new)
    if first is None or second is None or was.unit_ids is None or now.unit_ids is None:
        return frozenset()
    if was.chunks.get(UNIT) != 1 or _encoding(was, old, first) != _encoding(now, new, second):
        return frozenset()
    before, after = (
        _by_position(first, old, was.dims.index(UNIT)),
        _by_position(second, new, now.dims.index(UNIT)),
    )
    place = {unit: i for i, unit in enumerate(was.unit_ids)}
    return frozenset(
        unit
        for i, unit in enumerate(now.unit_ids)
        if unit in place and before.get(place[unit]) == after.get(i) and after.get(i)
    )


def _metadata(array: ArrayVersion, manifest: Manifest) -> ArrayMetadata | None:
    def read(key: str) -> bytes:
        return manifest[key].inline or b""

    return read_array_folder(array.variable.rpartition("/")[2], manifest, read).variable


def _encoding(array: ArrayVersion, manifest: Manifest, meta: ArrayMetadata) -> Any:
    """Return what must be equal for equal chunk bytes to mean equal values: all metadata but the unit count."""
    name = "zarr.json" if meta.zarr_format == 3 else ".zarray"
    document = json.loads(manifest[f"{meta.path}/{name}".lstrip("/")].inline or b"{}")
    document.pop("attributes", None)
    document["shape"] = [size for dim, size in zip(array.dims, array.shape, strict=True) if dim != UNIT]
    return array.dims, document, _coordinates(array)


def _coordinates(array: ArrayVersion) -> list[tuple[str, str]]:
    """Return the coordinates that say which frame or pixel a value belongs to."""
    return [(c.name, c.values) for c in array.coordinates if c.dims and UNIT not in c.dims]


def _by_position(meta: ArrayMetadata, manifest: Manifest, axis: int) -> dict[int, tuple[tuple[str, str], ...]]:
    """Return, by position along an axis, the other chunk indices there and their digests."""
    found: dict[int, list[tuple[str, str]]] = {}
    prefix = f"{meta.path}/{meta.chunk_prefix}".lstrip("/")
    for key, entry in manifest.items():
        numbers = key.removeprefix(prefix).split(meta.chunk_separator) if key.startswith(prefix) else []
        if len(numbers) == len(meta.shape) and all(number.isdigit() for number in numbers):
            position = int(numbers.pop(axis))
            found.setdefault(position, []).append((".".join(numbers), entry.digest))
    return {position: tuple(sorted(chunks)) for position, chunks in found.items()}
