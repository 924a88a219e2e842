"""Merging aligned bundles: one variable of each name, as ``xarray.merge`` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from minian_vc.prediction.aligning import Join, align
from minian_vc.prediction.labels import Labels, is_null
from minian_vc.prediction.model import Bundle, Fails, Unsure, Variable, sizes_of

__all__ = ["Collected", "agree", "collect", "common_dtype", "common_sizes", "merge", "merge_collected", "same_values"]

Element = tuple[Variable, Labels | None]
Collected = dict[str, list[Element]]
Compat = Literal["no_conflicts", "equals"]


def merge(bundles: Sequence[Bundle], join: Join) -> Bundle:
    """Merge bundles as ``open_minian`` does, on all labels (``outer``) or only on equal ones (``exact``).

    Raises
    ------
    Fails
        ``AlignmentError``, ``MergeError``, ``ValueError``, or what reading a coordinate raises.
    Unsure
        Two arrays have one name, and only their data could tell whether they agree.
    """
    aligned = align(bundles, join)
    doubts: list[Unsure] = []
    try:
        variables, indexes = merge_collected(collect(aligned), "no_conflicts", doubts)
        sizes = sizes_of(variables)
        coordinates = frozenset().union(*(bundle.coordinates for bundle in bundles), set(sizes) & set(variables))
        data = frozenset().union(*(bundle.data for bundle in bundles))
        if coordinates & data:
            raise Fails("MergeError", f"{', '.join(sorted(coordinates & data))}: a coordinate here, an array there")
    except Fails as failure:
        if doubts and failure.error != "MergeError":
            raise doubts[0] from None
        raise
    if doubts:
        raise doubts[0]
    return Bundle(variables, coordinates, indexes)


def collect(bundles: Iterable[Bundle]) -> Collected:
    """Return the variables of each name, with their labels where they are indexes."""
    found: Collected = {}
    for bundle in bundles:
        for name, variable in bundle.variables.items():
            found.setdefault(name, []).append((variable, bundle.indexes.get(name)))
    return found


def merge_collected(
    collected: Mapping[str, Sequence[Element]],
    compat: Compat,
    doubts: list[Unsure],
    known_equal: Mapping[str, bool] | None = None,
) -> tuple[dict[str, Variable], dict[str, Labels]]:
    """Return one variable of each name: an index wins, others must agree.

    What only the data could tell is taken to agree, and told in ``doubts``.
    """
    variables: dict[str, Variable] = {}
    indexes: dict[str, Labels] = {}
    for name, elements in collected.items():
        indexed = [(variable, labels) for variable, labels in elements if labels is not None]
        if indexed:
            variables[name], indexes[name] = indexed[0]
        else:
            equal = (known_equal or {}).get(name)
            variables[name] = _unique(name, [variable for variable, _ in elements], compat, doubts, equal)
    return variables, indexes


def _unique(
    name: str, variables: Sequence[Variable], compat: Compat, doubts: list[Unsure], known: bool | None
) -> Variable:
    first = variables[0]
    known_same = isinstance(first.contents, np.ndarray)  # equal bytes were decoded into one object
    others = [other for other in variables[1:] if not (known_same and other is first)]
    for other in others:
        try:
            equal = known if known is not None else _agree(first, other, compat)
        except Unsure as doubt:
            doubts.append(Unsure(f"{name} is there more than once: {doubt.why}"))
            equal = True
        if not equal:
            raise Fails("MergeError", f"{name} has different values in different arrays")
    if compat == "equals":
        return first
    for other in others:
        first = _filled(first, other)
    return first


def _agree(first: Variable, other: Variable, compat: Compat) -> bool:
    if compat == "equals":
        return first.dims == other.dims and first.shape == other.shape and same_values(first, other)
    return agree(first, other)


def agree(first: Variable, other: Variable) -> bool:
    """Tell whether two variables have no conflict: where both have a value, it is the same.

    Raises
    ------
    Fails
        What reading one of them raises.
    Unsure
        One of them is data.
    """
    sizes = common_sizes(first, other)
    if sizes is None:
        return False
    if not np.prod(list(sizes.values())):  # nothing to compare, but reading may still fail
        for each in (first, other):
            if isinstance(each.contents, Fails):
                raise each.contents
        return True
    a, b = first.broadcast(sizes).values(), other.broadcast(sizes).values()
    return bool(np.all(np.asarray(a == b) | is_null(a) | is_null(b)))


def same_values(first: Variable, other: Variable) -> bool:
    """Tell whether two variables of one shape are equal, missing values included."""
    a, b = first.values(), other.values()
    return bool(np.all(np.asarray(a == b) | (is_null(a) & is_null(b))))


def common_sizes(*variables: Variable) -> dict[str, int] | None:
    """Return the dimensions of all, in order of appearance, or None where sizes differ."""
    sizes: dict[str, int] = {}
    for variable in variables:
        for dim, size in variable.sizes.items():
            if sizes.setdefault(dim, size) != size:
                return None
    return sizes


def _filled(first: Variable, other: Variable) -> Variable:
    """Return the first variable, its gaps filled from the other."""
    sizes = common_sizes(first, other) or {}
    one, two = first.broadcast(sizes), other.broadcast(sizes)
    contents: Any = one.contents
    if isinstance(one.contents, np.ndarray) and isinstance(two.contents, np.ndarray):
        contents = np.where(is_null(one.contents), two.contents, one.contents)
    dtype = common_dtype(one.dtype, two.dtype)
    present = min(one.present + two.present, one.size)
    return Variable(one.dims, one.shape, dtype, contents, present, one.padded and two.padded)


def common_dtype(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that holds all, by xarray's rules: numbers and text become objects."""
    kinds = {dtype.kind for dtype in dtypes}
    text, numbers = kinds & set("SU"), kinds & set("biufcmM")
    if text and (numbers or len(text) > 1):
        return np.dtype(object)
    return np.result_type(*dtypes)
