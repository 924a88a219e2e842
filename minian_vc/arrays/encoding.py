"""What becomes of a DataArray on disk: xarray's conventions applied, and laid out as MiniAn's zarr folders are."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError
from minian_vc.zarr_layout import BLOSC_LZ4, StoredArray, guess_chunks

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Encoded", "EncodedGroup", "encode", "encode_together", "grid_of"]

VLEN_TEXT = {"id": "vlen-utf8"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """A variable ready to be stored: how it lies on disk, its dims, and its values as they are stored, lazy or not.

    ``values`` is None where only the rest is wanted.
    """

    stored: StoredArray
    dims: tuple[str, ...]
    values: Any
    is_lazy: bool

    @property
    def name(self) -> str:
        """Its name in the group."""
        return self.stored.path


@dataclass(frozen=True, slots=True)
class EncodedGroup:
    """An array folder to be: the array, its coordinates, and the group's attributes."""

    array: Encoded
    coordinates: tuple[Encoded, ...]
    attributes: Mapping[str, Any]

    def without_values(self) -> EncodedGroup:
        """Return how it lies on disk alone."""
        coordinates = tuple(replace(each, values=None) for each in self.coordinates)
        return replace(self, array=replace(self.array, values=None), coordinates=coordinates)


def encode(var: xr.DataArray, coordinates: Mapping[str, str], cut: Mapping[str, int] | None) -> EncodedGroup:
    """Return what is to be stored of an array.

    Parameters
    ----------
    var : xarray.DataArray
        Named; its values stay lazy.
    coordinates : mapping
        Scalar text coordinates to add, by name.
    cut : mapping of str to int, optional
        The chunk spec to store it with, by dim: 0 and less for the whole dim, dims left out as the array is cut.

    Raises
    ------
    InvalidInputError
        It cannot be stored in zarr: irregular chunks, a type that zarr does not know, a dim that it has not, a chunk
        size that is no whole number.
    """
    name = str(var.name)
    encoded, attributes = encode_together(var.to_dataset().assign_coords(coordinates), name)
    array = encoded.pop(name)
    if cut is not None:
        array = _cut(array, cut)
    return EncodedGroup(array, tuple(encoded.values()), attributes)


def encode_together(dataset: xr.Dataset, what: str) -> tuple[dict[str, Encoded], dict[str, Any]]:
    """Return what is to be stored of arrays that share their coordinates, all in one group.

    Parameters
    ----------
    dataset : xarray.Dataset
        Its values stay lazy.
    what : str
        What errors call it.

    Returns
    -------
    dict of str to Encoded
        Arrays and coordinates by name.
    dict
        The group's attributes.

    Raises
    ------
    InvalidInputError
        It cannot be stored in zarr: irregular chunks, a type that zarr does not know.
    """
    import xarray as xr

    try:
        variables, attributes = xr.conventions.encode_dataset_coordinates(dataset)
        encoded = {str(key): _encode(str(key), variable) for key, variable in variables.items()}
    except InvalidInputError:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:
        raise InvalidInputError(f"{what} cannot be stored in zarr: {error}", "Nothing was saved.") from error
    return encoded, {key: _json(value) for key, value in attributes.items()}


def _encode(name: str, variable: xr.Variable) -> Encoded:
    import xarray as xr

    was, variable = variable.encoding, xr.conventions.encode_cf_variable(variable, name=name)
    attributes = {str(key): _json(value) for key, value in variable.attrs.items()}
    fill_value = attributes.pop("_FillValue", None)
    values, dtype, filters = _as_stored(name, variable)
    stored = StoredArray(
        path=name,
        shape=variable.shape,
        chunks=_chunks(name, variable, values),
        dtype=dtype,
        fill_value=_fill(fill_value),
        compressor=_codec(was, "compressor", BLOSC_LZ4) if variable.ndim else None,
        filters=filters or tuple(_configuration(each) for each in was.get("filters") or () if _is_codec(each)),
        attributes={**attributes, "_ARRAY_DIMENSIONS": list(map(str, variable.dims))},
    )
    return Encoded(stored, tuple(map(str, variable.dims)), values, hasattr(values, "dask"))


def _as_stored(name: str, variable: xr.Variable) -> tuple[Any, str, tuple[Mapping[str, Any], ...]]:
    """Return the values, zarr's text for their dtype and the filters it needs."""
    import numpy as np

    kind = variable.dtype.kind
    if kind in "OT":
        values = np.asarray(variable.values, dtype=object)
        if not all(isinstance(item, str) for item in values.flat):
            raise InvalidInputError(
                f"{name} holds Python objects that are not text; zarr has no type for them.",
                "Nothing was saved. Convert it, as with .astype(float), or drop the coordinate.",
            )
        return values, "|O", (VLEN_TEXT,)
    values = variable.data if variable.chunks else variable.values
    return values, np.dtype(variable.dtype).str, ()


def _chunks(name: str, variable: xr.Variable, values: Any) -> tuple[int, ...]:
    """Return the chunk grid: the dask chunks, which must be regular, or zarr's guess for an array in memory."""
    if not variable.chunks:
        return guess_chunks(variable.shape, values.dtype.itemsize)
    for dim, sizes in zip(variable.dims, variable.chunks, strict=True):
        if len(set(sizes[:-1])) > 1 or sizes[0] < sizes[-1]:
            raise InvalidInputError(
                f"{name} is cut irregularly along {dim}: {', '.join(map(str, sizes[:8]))}"
                f"{', …' if len(sizes) > 8 else ''}; zarr's chunks all have one size, but for the last.",
                f"Nothing was saved. Cut it first: var.chunk({{{str(dim)!r}: {max(sizes)}}})",
            )
    return grid_of(variable.chunks)


def grid_of(chunks: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the chunk grid of regular dask chunks; a dim without elements has chunks of one."""
    return tuple(max(1, sizes[0]) for sizes in chunks)


def _cut(array: Encoded, cut: Mapping[str, int]) -> Encoded:
    """Return the array with another chunk grid, laid out as rechunker leaves it: default codec, no fill value.

    A fill value that masks values is kept: without it they would be read as numbers.
    """
    if not isinstance(cut, Mapping):
        raise InvalidInputError(f"chunks={cut!r} is no mapping of dim to size.", 'Nothing was saved. {"frame": 500}')
    unknown = sorted(map(str, set(cut) - set(array.dims)))
    if unknown:
        raise InvalidInputError(
            f"{array.name} has no dim {unknown[0]!r}; chunks= may name {', '.join(array.dims)}.", "Nothing was saved."
        )
    grid = dict(zip(array.dims, array.stored.chunks, strict=True))
    sizes = dict(zip(array.dims, array.stored.shape, strict=True))
    for dim, given in cut.items():
        size = _size(dim, given)
        grid[dim] = max(1, sizes[dim] if size <= 0 else min(size, sizes[dim]))
    fill = None if array.stored.fill_value == "NaN" else array.stored.fill_value
    stored = replace(array.stored, chunks=tuple(grid.values()), fill_value=fill, compressor=BLOSC_LZ4, filters=())
    return replace(array, stored=stored)


def _size(dim: str, given: Any) -> int:
    try:
        return operator.index(given)
    except TypeError:
        raise InvalidInputError(
            f"chunks={{{dim!r}: {given!r}}} is no number of elements.",
            "Nothing was saved. Give a whole number; -1 for the whole dim.",
        ) from None


def _codec(encoding: Mapping[str, Any], name: str, default: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the codec that the array was read with, where it is one of format 2, else the default."""
    several = encoding.get(f"{name}s", default)  # as zarr 3 has them
    if (name in encoding and encoding[name] is None) or not several:
        return None
    found = encoding.get(name)
    if found is None:
        found = next((each for each in several if _is_codec(each)), None)
    return _configuration(found) if _is_codec(found) else default


def _is_codec(codec: Any) -> bool:
    return hasattr(codec, "get_config") and hasattr(codec, "codec_id")


def _configuration(codec: Any) -> Mapping[str, Any]:
    configuration: Mapping[str, Any] = codec.get_config()
    return configuration


def _json(value: Any) -> Any:
    """Return an attribute as JSON can hold it: numpy values as Python's."""
    return value.tolist() if hasattr(value, "tolist") else value


def _fill(value: Any) -> Any:
    """Return a fill value as ``.zarray`` writes it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value
