"""Concatenating the datasets of several sessions, as ``open_minian_mf`` does through ``xarray.concat``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from minian_vc.prediction.aligning import align
from minian_vc.prediction.labels import Labels
from minian_vc.prediction.merging import collect, common_dtype, merge_collected, same_values
from minian_vc.prediction.model import Bundle, Fails, Unsure, Variable

__all__ = ["concat", "concat_nested", "key_of"]

Key = tuple[str, ...]


def key_of(bundle: Bundle, index_dims: Sequence[str]) -> Key:
    """Return the text by which ``open_minian_mf`` knows a dataset: equal keys replace one another."""
    parts = []
    for dim in index_dims:
        if dim not in bundle.variables and dim not in bundle.sizes:
            raise Fails("KeyError", f"there is no {dim} coordinate")
        numbered = dim not in bundle.variables  # xarray counts along a dimension without labels
        values = np.arange(bundle.sizes[dim]) if numbered else bundle.variables[dim].values()
        if not values.ndim and values.dtype.kind in "mM":
            raise Fails("TypeError", f"numpy cannot write the date {dim} as text")
        parts.append(np.array_str(values))
    return tuple(parts)


def concat_nested(bundles: Mapping[Key, Bundle], dims: Sequence[str]) -> Bundle:
    """Concatenate along each dimension in turn: the inner ones first, groups in order of their keys."""
    if len(dims) == 1:
        return concat(list(bundles.values()), dims[0])
    groups: dict[str, dict[Key, Bundle]] = {}
    for key, bundle in bundles.items():
        groups.setdefault(key[0], {})[key[1:]] = bundle
    inner = [concat_nested(groups[name], dims[1:]) for name in sorted(groups)]
    return concat(inner, dims[0])


def concat(bundles: Sequence[Bundle], dim: str) -> Bundle:
    """Concatenate along one dimension, made of a scalar coordinate where it is no dimension yet.

    Raises
    ------
    Fails
        ``ValueError`` for coordinates that some lack, ``AlignmentError``, ``MergeError``.
    Unsure
        Only data could tell.
    """
    if not bundles:
        raise Fails("ValueError", "there is nothing to concatenate")
    bundles = align(bundles, "outer", frozenset({dim}))
    coordinates = frozenset().union(*(bundle.coordinates for bundle in bundles))
    data = frozenset().union(*(bundle.data for bundle in bundles))
    if coordinates & data:
        raise Fails("ValueError", f"{', '.join(sorted(coordinates & data))}: a coordinate here, an array there")
    if dim in coordinates | data and not any(dim in bundle.sizes and dim in bundle.coordinates for bundle in bundles):
        bundles = [_expanded(bundle, dim) for bundle in bundles]
    return _Concatenation(bundles, dim, coordinates, data).result()


def _expanded(bundle: Bundle, dim: str) -> Bundle:
    """Turn a scalar coordinate into a dimension of size 1, which comes first in each data variable."""
    if dim in bundle.sizes:
        raise Fails("ValueError", f"the dimension {dim} is there already")
    variables, indexes = {}, dict(bundle.indexes)
    for name, variable in bundle.variables.items():
        if name == dim:
            if variable.dims:
                raise Fails("ValueError", f"{dim} is no scalar")
            variables[name] = variable.broadcast({dim: 1})
            if name in bundle.coordinates:
                indexes[name] = variables[name].labels
        elif name in bundle.coordinates:
            variables[name] = variable
        else:
            variables[name] = variable.broadcast({dim: 1, **variable.sizes})
    return Bundle(variables, bundle.coordinates, indexes)


@dataclass(frozen=True, slots=True)
class _Concatenation:
    bundles: Sequence[Bundle]
    dim: str
    coordinates: frozenset[str]
    data: frozenset[str]

    def result(self) -> Bundle:
        """Concatenate what must be, merge the rest."""
        stacked, equal = self._what_to_stack()
        order = dict.fromkeys(name for bundle in self.bundles for name in bundle.variables)
        rest = {name: e for name, e in collect(self.bundles).items() if name not in stacked | {self.dim}}
        doubts: list[Unsure] = []
        merged, indexes = merge_collected(rest, "equals", doubts, equal)
        if doubts:
            raise doubts[0]
        variables = dict(merged)
        for name in order:
            if name in stacked:
                variables[name], labels = self._stack(name)
                if labels is not None:
                    indexes[name] = labels
        missing = self.coordinates - set(variables)
        if missing:
            raise Fails("ValueError", f"{', '.join(sorted(missing))}: a coordinate in some datasets only")
        return Bundle(variables, self.coordinates, indexes)

    def _what_to_stack(self) -> tuple[set[str], dict[str, bool]]:
        """Return the variables to concatenate: all data, what has the dimension, coordinates that differ."""
        stacked = {self.dim} if any(self.dim in bundle.sizes for bundle in self.bundles) else set()
        for bundle in self.bundles:
            stacked |= {name for name, variable in bundle.variables.items() if self.dim in variable.dims}
            stacked |= set(bundle.data) - set(bundle.sizes)
        equal: dict[str, bool] = {}
        first = self.bundles[0]
        for name in first.variables:
            if name not in first.coordinates or name in stacked:
                continue
            variables = [bundle.variables[name] for bundle in self.bundles if name in bundle.variables]
            if len(variables) == 1:  # xarray looks no further then
                break
            if len(variables) != len(self.bundles):
                raise Fails("ValueError", f"the coordinate {name} is not in all datasets")
            equal[name] = all(_equal(variables[0], other) for other in variables[1:])
            if not equal[name]:
                stacked.add(name)
        return stacked, equal

    def _stack(self, name: str) -> tuple[Variable, Labels | None]:
        having = [bundle for bundle in self.bundles if name in bundle.variables]
        if len(having) < len(self.bundles) and name in self.coordinates:
            raise Fails("ValueError", f"the coordinate {name} is not in all datasets")
        labels = self._labels(name)
        if labels is not None:
            return Variable((self.dim,), (len(labels),), labels.dtype, labels.values()), labels
        lengths = [bundle.sizes.get(self.dim, 1) for bundle in self.bundles]
        sizes = self._sizes(having, name)
        parts = [
            bundle.variables[name].broadcast({**sizes, self.dim: bundle.sizes.get(self.dim, 1)}) for bundle in having
        ]
        together = _joined(parts, self.dim)
        if len(having) == len(self.bundles):
            return together, None
        here = np.repeat([name in bundle.variables for bundle in self.bundles], lengths)
        positions = np.where(here, np.cumsum(here) - 1, -1)
        return together.reindexed({self.dim: positions}), None

    def _labels(self, name: str) -> Labels | None:
        found: list[Labels] = []
        for bundle in self.bundles:
            if name in bundle.indexes:
                found.append(bundle.indexes[name])
            elif name == self.dim:
                if name not in bundle.variables:
                    raise Fails("KeyError", f"there is no {name} coordinate")
                if not bundle.variables[name].dims:
                    found.append(bundle.variables[name].broadcast({name: 1}).labels)
        if found and len(found) < len(self.bundles):
            raise Fails("ValueError", f"{name} has labels in some datasets only")
        try:
            return reduce(Labels.followed_by, found) if found else None
        except TypeError as error:
            raise Fails(type(error).__name__, f"the labels of {name} have no common type") from None

    def _sizes(self, having: Sequence[Bundle], name: str) -> dict[str, int]:
        """Return the dimensions that a variable has anywhere, the concatenated one first if it is new."""
        sizes: dict[str, int] = {}
        for bundle in having:
            sizes |= {dim: bundle.sizes[dim] for dim in bundle.variables[name].dims}
        return sizes if self.dim in sizes else {self.dim: 1, **sizes}


def _equal(first: Variable, other: Variable) -> bool:
    return first.dims == other.dims and first.shape == other.shape and same_values(first, other)


def _joined(parts: Sequence[Variable], dim: str) -> Variable:
    first = parts[0]
    sizes = [{**part.sizes, dim: 0} for part in parts]
    if any(other != sizes[0] for other in sizes):
        raise Fails("ValueError", f"image sizes or frames differ across {dim}")
    axis = first.dims.index(dim)
    shape = list(first.shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    dtype = common_dtype(*(part.dtype for part in parts))
    if dtype.hasobject and any(part.padded and not part.present for part in parts):
        raise Fails("NotImplementedError", "dask cannot cut text into chunks where a session has none of it")
    contents = first.contents
    if all(isinstance(part.contents, np.ndarray) for part in parts):
        contents = np.concatenate([part.values().astype(object) for part in parts], axis=axis)
    return replace(
        first,
        shape=tuple(shape),
        dtype=dtype,
        contents=contents,
        present=sum(part.present for part in parts),
        padded=any(part.padded for part in parts),
    )
