"""Rules about coordinates: one recording, the same frames, the same picture, labels of one type."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from minian_vc.audit.model import Judged, Rule, judged, listed
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.prediction import Unsure, Variable
from minian_vc.prediction.merging import agree

__all__ = ["RULES"]

UNIT = "unit_id"
RECORDING = ("session", "animal")
LABELS = "unit_labels"
KINDS = {"S": "bytes", "U": "text", "O": "text", "T": "text"}  # others are numbers, of many types


def mixed_recordings(dataset: DatasetFacts) -> Iterator[Judged]:
    """Arrays of different sessions or animals, and scalars that contradict one another in any other way."""
    for name in _names(dataset, scalar=True):
        groups: dict[tuple[str, str], list[str]] = {}
        for array, variable in _having(dataset, name):
            if not isinstance(variable.contents, Exception):
                kind = KINDS.get(variable.dtype.kind, "number")
                groups.setdefault((str(variable.contents), kind), []).append(array.name)
        if len(groups) < 2 or _all_agree([v for _, v in _having(dataset, name)]):
            continue
        shown = "; ".join(f"{value!r} ({kind}) on {listed(arrays)}" for (value, kind), arrays in groups.items())
        code = f"{name}s-mixed" if name in RECORDING else "coordinate-conflict"
        every = [array for arrays in groups.values() for array in arrays]
        fix = f"Keep one {name} in this folder: move the other arrays out, or save them again with the right one."
        yield judged(
            code,
            "error",
            f"{name} is not one: {shown}; open_minian raises MergeError.",
            every,
            dim=name,
            fix=fix,
            grade="contradictory",
        )


def differing_labels(dataset: DatasetFacts) -> Iterator[Judged]:
    """Frames, height or width (any dimension but units) with other sizes or labels."""
    for dim in _dims(dataset):
        having = [(array, array.coordinates[dim]) for array in dataset.readable if _is_index(array, dim)]
        known = [(array, v) for array, v in having if not isinstance(v.contents, Exception)]
        groups = _by_labels(known)
        if dim == UNIT or len(groups) < 2 or _text_and_numbers(variables for _, variables in known):
            continue
        shown = "; ".join(f"{_span(variables)} on {listed(a.name for a in arrays)}" for variables, arrays in groups)
        code = {"frame": "frames-differ", "height": "image-size-differs", "width": "image-size-differs"}.get(
            dim, "labels-differ"
        )
        (_, smallest), (_, others) = sorted(groups, key=lambda group: group[0].size)[:2]
        owner, other = smallest[0].name, others[0].name
        fix = f'{other} = {other}.sel({dim}={owner}.coords["{dim}"].values)'
        yield judged(
            code,
            "error",
            f"{dim} differs: {shown}; open_minian pads with NaN.",
            [a.name for a, _ in known],
            dim=dim,
            fix=fix,
            grade="contradictory",
        )


def label_types(dataset: DatasetFacts) -> Iterator[Judged]:
    """Labels of one dimension as text here and as numbers there, or of two number types."""
    for dim in _dims(dataset):
        having = [(a, a.coordinates[dim]) for a in dataset.readable if _is_index(a, dim)]
        kinds: dict[str, list[str]] = {}
        for array, variable in having:
            kinds.setdefault(KINDS.get(variable.dtype.kind, variable.dtype.name), []).append(array.name)
        if len(kinds) < 2:
            continue
        shown = "; ".join(f"{kind} on {listed(arrays)}" for kind, arrays in kinds.items())
        contradict = _text_and_numbers(v for _, v in having)
        every = [array for arrays in kinds.values() for array in arrays]
        what = f"The labels of {dim} are not of one type: {shown}" + (
            "; open_minian takes them for different labels." if contradict else "."
        )
        fix = f'Save them again with {dim} as int: C = C.assign_coords({dim}=C.coords["{dim}"].astype(int))'
        yield judged(
            "coordinate-dtype-differs",
            "error" if contradict else "info",
            what,
            every,
            dim=dim,
            fix=fix,
            grade="contradictory" if contradict else "aligned",
        )


def missing_labels(dataset: DatasetFacts) -> Iterator[Judged]:
    """Dimensions without labels on some arrays: equal sizes silently adopt the others' labels."""
    for dim in _dims(dataset):
        bare = [a for a in dataset.readable if a.variable and dim in a.variable.dims and not _is_index(a, dim)]
        having = [a for a in dataset.readable if _is_index(a, dim)]
        names = listed(a.name for a in bare)
        sizes = {a.variable.sizes[dim] for a in (*bare, *having) if a.variable}
        if not bare or (not having and dim != UNIT and len(sizes) < 2):
            continue
        if not having and len(sizes) > 1:
            what = f"{names} have no {dim} labels and are not of one size; open_minian raises AlignmentError."
        elif not having:
            what = (
                f"{names} {_has(bare)} no {dim} labels, and no other array has: nobody can say which cells these are."
            )
        elif len(sizes) > 1:
            what = f"{names} {_has(bare)} no {dim} labels and another size; open_minian raises AlignmentError."
        else:
            what = f"{names} {_has(bare)} no {dim} labels; open_minian silently gives the labels of {having[0].name}."
        owner = having[0].name if having else "A"
        fix = f'{bare[0].name} = {bare[0].name}.assign_coords({dim}={owner}.coords["{dim}"])'
        conflict = len(sizes) > 1 or dim == UNIT
        yield judged(
            "coordinate-missing",
            "error" if len(sizes) > 1 else "warning",
            what,
            [a.name for a in bare],
            dim=dim,
            fix=fix,
            grade="contradictory" if conflict else "alignable",
        )


def repeated_labels(dataset: DatasetFacts) -> Iterator[Judged]:
    """Labels that occur twice: nothing can be looked up by them."""
    for dim in _dims(dataset):
        twice = [a for a in dataset.readable if _is_index(a, dim) and not _unique(a.coordinates[dim])]
        if twice:
            what = f"{dim} labels occur more than once on {listed(a.name for a in twice)}: they name no single one."
            fix = f'{twice[0].name} = {twice[0].name}.drop_duplicates("{dim}")'
            yield judged(
                "coordinate-duplicated",
                "error",
                what,
                [a.name for a in twice],
                dim=dim,
                fix=fix,
                grade="contradictory",
            )


def partial_coordinates(dataset: DatasetFacts) -> Iterator[Judged]:
    """Coordinates on some arrays only: loading spreads them to all."""
    spread: dict[tuple[str, ...], list[str]] = {}
    for name in _names(dataset, scalar=True) + _names(dataset, scalar=False):
        having = [array for array, _ in _having(dataset, name)]
        dims = set(having[0].coordinates[name].dims)
        lacking = [a.name for a in dataset.readable if a not in having and a.variable and dims <= set(a.variable.dims)]
        if not lacking:
            continue
        if name == LABELS:
            what = f"{name} is on {listed(a.name for a in having)} and not on {listed(lacking)}: loading spreads it."
            fix = f'{lacking[0]} = {lacking[0]}.assign_coords({name}={having[0].name}.coords["{name}"])'
            yield judged("labels-partial", "warning", what, lacking, dim=name, fix=fix)
        else:
            spread.setdefault(tuple(a.name for a in having), []).append(name)
    for owners, names in spread.items():
        what = f"{listed(names)} {'is' if len(names) == 1 else 'are'} on {listed(owners)} only: loading spreads to all."
        yield judged("coordinate-partial", "info", what, owners, dim=names[0])


def conflicting_coordinates(dataset: DatasetFacts) -> Iterator[Judged]:
    """Coordinates along a dimension whose values contradict one another, ``unit_labels`` above all."""
    for name in _names(dataset, scalar=False):
        having = _having(dataset, name)
        by_unit = [_by_unit(array, variable) for array, variable in having]
        if _all_agree([v for _, v in having]) or (all(by_unit) and _agree_by_unit(by_unit)):
            continue
        names = [array.name for array, _ in having]
        what = f"{name} has other values on {listed(names)}; open_minian raises MergeError."
        fix = f'{names[-1]} = {names[-1]}.assign_coords({name}={names[0]}.coords["{name}"])'
        yield judged("coordinate-conflict", "error", what, names, dim=name, fix=fix, grade="contradictory")


RULES: tuple[Rule, ...] = (
    mixed_recordings,
    differing_labels,
    label_types,
    missing_labels,
    repeated_labels,
    partial_coordinates,
    conflicting_coordinates,
)


def _dims(dataset: DatasetFacts) -> list[str]:
    return list(dict.fromkeys(dim for a in dataset.readable if a.variable for dim in a.variable.dims))


def _names(dataset: DatasetFacts, *, scalar: bool) -> list[str]:
    """Return the names of coordinates that are no labels of their own dimension."""
    found = {
        name: None
        for array in dataset.readable
        for name, variable in array.coordinates.items()
        if variable.dims != (name,) and bool(variable.dims) != scalar
    }
    return list(found)


def _having(dataset: DatasetFacts, name: str) -> list[tuple[ArrayFacts, Variable]]:
    found = [(array, array.coordinates[name]) for array in dataset.readable if name in array.coordinates]
    return [(array, variable) for array, variable in found if variable.dims != (name,)]


def _is_index(array: ArrayFacts, dim: str) -> bool:
    variable = array.coordinates.get(dim)
    return variable is not None and variable.dims == (dim,)


def _by_labels(having: Sequence[tuple[ArrayFacts, Variable]]) -> list[tuple[Variable, list[ArrayFacts]]]:
    groups: list[tuple[Variable, list[ArrayFacts]]] = []
    for array, variable in having:
        for known, arrays in groups:
            if known.labels.equal(variable.labels):
                arrays.append(array)
                break
        else:
            groups.append((variable, [array]))
    return groups


def _text_and_numbers(variables: Iterable[Variable]) -> bool:
    return len({KINDS.get(variable.dtype.kind, "number") for variable in variables}) > 1


def _span(variable: Variable) -> str:
    values = variable.values()
    return f"{variable.size} ({values[0]} to {values[-1]})" if variable.size else "none"


def _unique(variable: Variable) -> bool:
    return isinstance(variable.contents, Exception) or variable.labels.are_unique


def _all_agree(variables: Sequence[Variable]) -> bool:
    readable = [variable for variable in variables if not isinstance(variable.contents, Exception)]
    try:
        return all(agree(readable[0], other) for other in readable[1:])
    except Unsure:
        return True


def _by_unit(array: ArrayFacts, variable: Variable) -> dict[object, object] | None:
    units = array.unit_ids
    if variable.dims != (UNIT,) or units is None or isinstance(variable.contents, Exception):
        return None
    return dict(zip(units, variable.contents.tolist(), strict=True))


def _agree_by_unit(found: Sequence[dict[object, object] | None]) -> bool:
    merged: dict[object, object] = {}
    for values in found:
        for unit, value in (values or {}).items():
            if isinstance(value, float) and math.isnan(value):
                continue
            if merged.setdefault(unit, value) != value:
                return False
    return True


def _has(arrays: Sequence[ArrayFacts]) -> str:
    return "has" if len(arrays) == 1 else "have"
