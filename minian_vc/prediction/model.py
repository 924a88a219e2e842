"""Stand-ins for xarray's objects: all that loading looks at, without the data."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from minian_vc.prediction.labels import Labels, UnknownLabels, null

__all__ = ["DATA", "Bundle", "Fails", "Unsure", "Variable", "data_variable", "sizes_of"]


class Fails(Exception):  # noqa: N818 (no error of ours: an outcome)
    """Loading would raise an exception of the class named ``error``."""

    def __init__(self, error: str, why: str) -> None:
        super().__init__(error, why)
        self.error = error
        self.why = why


class Unsure(Exception):  # noqa: N818 (no error of ours: an outcome)
    """Metadata alone cannot tell what loading would do."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


DATA = Unsure("only the data could tell")


@dataclass(frozen=True, eq=False)
class Variable:
    """A coordinate or a data variable.

    ``contents`` are a coordinate's values, or what computing them would raise; of data it is :data:`DATA`.
    ``present`` counts the values that come from the disk: the others are padding.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    contents: np.ndarray[Any, Any] | Fails | Unsure = DATA
    present: int = -1
    padded: bool = False

    def __post_init__(self) -> None:
        if self.present < 0:
            object.__setattr__(self, "present", math.prod(self.shape))

    @property
    def size(self) -> int:
        """How many values there are, padding included."""
        return math.prod(self.shape)

    @property
    def sizes(self) -> dict[str, int]:
        """Dimension → size."""
        return dict(zip(self.dims, self.shape, strict=True))

    def values(self) -> np.ndarray[Any, Any]:
        """Return the values, or raise what computing them would."""
        if isinstance(self.contents, Exception):
            raise self.contents
        return self.contents

    @cached_property
    def labels(self) -> Labels:
        """The index made of a coordinate along its own dimension."""
        if isinstance(self.contents, Unsure):
            return UnknownLabels(self.size, self.dtype, self.contents)
        return Labels.of(self.values())

    def reindexed(self, indexers: Mapping[str, np.ndarray[Any, Any]]) -> Variable:
        """Return it at the given positions along some dimensions; -1 is padding, as in xarray's reindexing."""
        along = {dim: indexers[dim] for dim in self.dims if dim in indexers}
        if not along:
            return self
        masked = any((positions < 0).any() for positions in along.values())
        shape = tuple(len(along[dim]) if dim in along else size for dim, size in self.sizes.items())
        return Variable(
            self.dims,
            shape,
            self._promoted() if masked else self.dtype,
            self._taken(along, shape),
            min(self.present, math.prod(shape)),
            self.padded or masked,
        )

    def _promoted(self) -> np.dtype[Any]:
        """Return the dtype that can hold missing values, by xarray's rules."""
        kind = self.dtype.kind
        if kind in "USO":
            return np.dtype(object) if self.size else np.dtype(float)  # nothing to index: the padding alone
        if kind in "iu":
            return np.dtype(np.float32 if self.dtype.itemsize <= 2 else np.float64)
        return np.dtype(float) if kind == "b" else self.dtype.newbyteorder("=")

    def _taken(
        self, along: Mapping[str, np.ndarray[Any, Any]], shape: tuple[int, ...]
    ) -> np.ndarray[Any, Any] | Fails | Unsure:
        if isinstance(self.contents, Exception):
            return self.contents
        values = self.contents
        for axis, dim in enumerate(self.dims):
            if dim not in along:
                continue
            positions = along[dim]
            missing = positions < 0
            if not values.shape[axis]:
                return np.full(shape, np.nan)
            values = np.take(values, np.where(missing, 0, positions), axis=axis)
            if missing.any():
                values = _with_padding(values, axis, missing)
        return values

    def broadcast(self, sizes: Mapping[str, int]) -> Variable:
        """Return it with these dimensions, in their order; new ones repeat the values."""
        shape = tuple(sizes[dim] for dim in sizes)
        contents = self.contents
        if isinstance(contents, np.ndarray):
            axes = [self.dims.index(dim) for dim in sizes if dim in self.dims]
            expanded = contents.transpose(axes)[tuple(slice(None) if d in self.dims else None for d in sizes)]
            contents = np.broadcast_to(expanded, shape)
        factor = math.prod(size for dim, size in sizes.items() if dim not in self.dims)
        return replace(self, dims=tuple(sizes), shape=shape, contents=contents, present=self.present * factor)


def _with_padding(values: np.ndarray[Any, Any], axis: int, missing: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if values.dtype.kind in "iub":
        values = values.astype(float)
    elif values.dtype.kind in "US":
        values = values.astype(object)
    else:
        values = values.copy()
    place = (slice(None),) * axis + (missing,)
    values[place] = null(values.dtype)
    return values


@functools.lru_cache(4096)
def data_variable(dims: tuple[str, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Variable:
    """Return the one data variable of that form: thousands of sessions have the same."""
    return Variable(dims, shape, dtype)


@dataclass(frozen=True, eq=False)
class Bundle:
    """Variables with their coordinates: what a DataArray or a Dataset is to alignment."""

    variables: Mapping[str, Variable]
    coordinates: frozenset[str]
    indexes: Mapping[str, Labels] = field(default_factory=dict)

    @classmethod
    def of(cls, variables: Mapping[str, Variable], coordinates: Iterable[str]) -> Self:
        """Make one with an index for each coordinate along its own dimension."""
        names = frozenset(coordinates)
        indexes = {
            name: variable.labels for name, variable in variables.items() if name in names and variable.dims == (name,)
        }
        return cls(dict(variables), names, indexes)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Dimension → size."""
        return sizes_of(self.variables)

    @property
    def data(self) -> dict[str, Variable]:
        """The variables that are no coordinates."""
        return {name: variable for name, variable in self.variables.items() if name not in self.coordinates}


def sizes_of(variables: Mapping[str, Variable]) -> dict[str, int]:
    """Return the size of each dimension.

    Raises
    ------
    Fails
        Two variables disagree, or a dimension is called like a scalar: xarray's ``ValueError``.
    """
    sizes: dict[str, int] = {}
    scalars = {name for name, variable in variables.items() if not variable.dims}
    for name, variable in variables.items():
        for dim, size in zip(variable.dims, variable.shape, strict=True):
            if dim in scalars:
                raise Fails("ValueError", f"the dimension {dim} is also the name of a scalar variable")
            if sizes.setdefault(dim, size) != size:
                raise Fails("ValueError", f"{name} has {size} along {dim}, another variable has {sizes[dim]}")
    return sizes
