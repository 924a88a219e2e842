"""Opening one array folder, as ``open_minian`` does: ``xarray.open_zarr``, then the first array's data."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minian_vc.prediction import zarr2
from minian_vc.prediction.chunks import read_values
from minian_vc.prediction.model import Bundle, Fails, Unsure, Variable, data_variable, sizes_of
from minian_vc.prediction.zarr2 import Array, Documents
from minian_vc.zarr_format import count_chunks, expected_chunks

__all__ = ["DecodeCF", "open_folder"]

DIMS = "_ARRAY_DIMENSIONS"
CF = frozenset({"_FillValue", "missing_value", "scale_factor", "add_offset", "units", "_Unsigned", "dtype"})
CACHED = 4096
MAX_CHUNKS, MAX_BYTES = 100_000, 1 << 30  # a coordinate beyond these is none
MAX_CACHED = 1 << 20

DecodeCF = Callable[[tuple[str, ...], Any, Mapping[str, Any]], Any]
"""Decodes dims, values and attributes by the CF conventions: xarray's, handed in."""

Hinder = Callable[[str], None]
"""Raises what stands in the way of opening a key's file by its path."""


def open_folder(files: Mapping[str, bytes], decode_cf: DecodeCF, hinder: Hinder = lambda _: None) -> Bundle:
    """Return what ``open_minian`` has in hand after opening an array folder: one array and its coordinates.

    Parameters
    ----------
    files : mapping of str to bytes
        The folder's files. Metadata and coordinate chunks are read, data chunks never.
    decode_cf : callable
        Decodes a coordinate whose attributes ask for it.
    hinder : callable
        Raises what the path of a file does to MiniAn's file layer, if anything.

    Raises
    ------
    Fails
        What opening raises.
    """
    hinder("")
    documents = zarr2.group_documents(files)
    arrays = _arrays(documents)
    attributes = {name: _attributes(documents, name) for name in arrays}
    dims = {name: _dims(array, attributes[name]) for name, array in arrays.items()}
    named = _coordinate_names(attributes, _root_attributes(documents)) & arrays.keys()
    coordinates = {name for name in arrays if name in named or dims[name] == (name,)}
    variables = {name: data_variable(dims[name], array.shape, array.dtype) for name, array in arrays.items()}
    sizes_of(variables)  # xarray makes one dataset of the folder, and refuses sizes that differ
    indexed = {name for name in coordinates if dims[name] == (name,)}
    for name in arrays:
        if name not in coordinates:
            _refuse_times(arrays[name], dims[name], attributes[name], decode_cf)
            continue
        variables[name] = _coordinate(arrays[name], dims[name], attributes[name], files, decode_cf)
        contents = variables[name].contents
        if name in indexed and isinstance(contents, Fails):
            raise contents
    data = next((name for name in arrays if name not in coordinates), None)
    if data is None:
        raise Fails("IndexError", "there is no array in it")
    if _are_characters(variables, data):
        raise Fails("ValueError", f"{data} is made of single characters, which xarray puts together to text")
    hinder(f"{data}/.zarray")
    variables[data] = _with_real_data(variables[data], files, data)
    attached = {n: variables[n] for n in arrays if n in coordinates and set(dims[n]) <= set(dims[data])}
    return Bundle.of({**attached, data: variables[data]}, attached)


def _arrays(documents: Documents) -> dict[str, Array]:
    found = {}
    for name in zarr2.members(documents):
        if f"{name}/.zarray" in documents:
            found[name] = Array.load(documents, name)
        else:
            zarr2.parse(documents[f"{name}/.zgroup"], f"{name}/.zgroup")
    return found


def _attributes(documents: Documents, name: str) -> Mapping[str, Any]:
    key = f"{name}/.zattrs"
    if key not in documents:
        return {}
    try:
        return zarr2.parse(documents[key], key)
    except Fails as failure:
        if failure.error != "AttributeError":
            raise
        raise Fails("TypeError", failure.why) from None


def _root_attributes(documents: Documents) -> Mapping[str, Any]:
    return zarr2.parse(documents[".zattrs"], ".zattrs") if ".zattrs" in documents else {}


def _dims(array: Array, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    if DIMS not in attributes:
        raise Fails("KeyError", f"{array.path} does not say its dimensions: {DIMS} is missing in its .zattrs")
    try:
        dims = tuple(attributes[DIMS])
    except TypeError as error:
        raise Fails("TypeError", f"{array.path} does not say its dimensions: {error}") from None
    if not len(dims) == len(array.shape) == len(array.chunks):
        raise Fails("ValueError", f"{array.path} has {len(array.shape)} dimensions and names {len(dims)}")
    if not all(isinstance(dim, str | int | float | None) for dim in dims):
        raise Fails("TypeError", f"{array.path} has a dimension whose name is no text")
    return dims


def _coordinate_names(attributes: Mapping[str, Mapping[str, Any]], root: Mapping[str, Any]) -> set[str]:
    named: list[str] = []
    for name, each in attributes.items():
        text = each.get("coordinates", "")
        if not isinstance(text, str):
            raise Fails("AttributeError", f"the attribute coordinates of {name} is no text")
        named += text.split()
    whole = root.get("coordinates")
    return {*named, *(whole.split() if isinstance(whole, str) else ())}


def _are_characters(variables: Mapping[str, Variable], name: str) -> bool:
    variable = variables[name]
    last = variable.dims[-1:]
    if variable.dtype.str != "|S1" or not last or last[0] in variables:
        return False
    return all(each.dtype.kind == "S" and each.dims[-1:] == last for each in variables.values() if last[0] in each.dims)


def _with_real_data(variable: Variable, files: Mapping[str, bytes], name: str) -> Variable:
    """Return the array as its own ``.zarray`` has it: MiniAn puts that in the place of what xarray opened."""
    if f"{name}/.zarray" not in files:
        raise Fails("TypeError", f"{name} has no .zarray: its shape is not known")
    real = Array.load(files, name)
    if not all(isinstance(chunk, int) for chunk in real.chunks):
        raise Fails("ValueError", f"{name} has chunks of other than whole numbers")
    if any(chunk == 0 < size for chunk, size in zip(real.chunks, real.shape, strict=False)):
        raise Fails("ZeroDivisionError", f"{name} has chunks of size 0")
    if real.shape != variable.shape:
        raise Fails("ValueError", f"{name} has shape {real.shape}, and .zmetadata says {variable.shape}")
    return data_variable(variable.dims, real.shape, real.dtype)


def _refuse_times(array: Array, dims: tuple[str, ...], attributes: Mapping[str, Any], decode_cf: DecodeCF) -> None:
    """Raise what xarray does where data are said to be times and cannot be."""
    if " since " in str(attributes.get("units", "")):
        _by_cf(array, dims, np.zeros((1,) * len(dims), array.dtype), attributes, decode_cf)


# -- coordinates ------------------------------------------------------------------------------


def _coordinate(
    array: Array,
    dims: tuple[str, ...],
    attributes: Mapping[str, Any],
    files: Mapping[str, bytes],
    decode_cf: DecodeCF,
) -> Variable:
    """Return a coordinate with its values; equal bytes are decoded once."""
    odd = _odd_chunks(array)
    if odd is not None:
        return Variable(dims, array.shape, array.dtype, odd)
    if count_chunks(array) > MAX_CHUNKS or array.nbytes > MAX_BYTES:
        return Variable(dims, array.shape, array.dtype, Unsure(f"{array.path} is too large for a coordinate"))
    others = {name: value for name, value in attributes.items() if name != DIMS}
    asked = json.dumps(others, sort_keys=True) if others else "{}"
    chunks = tuple(files.get(key) for key in expected_chunks(array))
    coordinate = _Coordinate(array, dims, asked, chunks)
    large = sum(len(chunk or b"") for chunk in chunks) > MAX_CACHED
    return (_decoded.__wrapped__ if large else _decoded)(coordinate, decode_cf)


def _odd_chunks(array: Array) -> Fails | None:
    """Return what reading a coordinate with impossible chunks raises."""
    if not all(isinstance(chunk, int) for chunk in array.chunks):
        return Fails("TypeError", f"{array.path} has chunks of other than whole numbers")
    if 0 in array.chunks and 0 not in array.shape:
        return Fails("ZeroDivisionError", f"{array.path} has chunks of size 0")
    if any(chunk < 0 for chunk in array.chunks):
        return Fails("ValueError", f"{array.path} has chunks of negative size")
    return None


class _Coordinate:
    """What a coordinate's values depend on: the key under which they are kept."""

    def __init__(self, array: Array, dims: tuple[str, ...], attributes: str, chunks: tuple[bytes | None, ...]) -> None:
        self.array, self.dims, self.attributes, self.chunks = array, dims, attributes, chunks
        self._key = (array.path, dims, array.form, attributes, chunks)
        self._hash = hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Coordinate) and self._key == other._key

    def __hash__(self) -> int:
        return self._hash


@functools.lru_cache(CACHED)
def _decoded(coordinate: _Coordinate, decode_cf: DecodeCF) -> Variable:
    array, dims = coordinate.array, coordinate.dims
    attributes = json.loads(coordinate.attributes)
    try:
        values = read_values(array, coordinate.chunks)
    except (Fails, Unsure) as problem:
        return Variable(dims, array.shape, array.dtype, problem)
    fill = array.fill_value
    asked = CF & attributes.keys()
    if fill is not None:
        attributes["_FillValue"] = fill
        if array.dtype.kind != "f" or not np.isnan(fill):  # NaN masks nothing
            asked |= {"_FillValue"}
    if asked:
        values = _by_cf(array, dims, values, attributes, decode_cf)
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return Variable(dims, array.shape, native.dtype, native)


def _by_cf(array: Array, dims: tuple[str, ...], values: Any, attributes: Mapping[str, Any], decode_cf: DecodeCF) -> Any:
    try:
        return np.asarray(decode_cf(dims, values, {k: v for k, v in attributes.items() if k != DIMS}))
    except Exception as error:  # whatever xarray raises is the outcome
        raise Fails(type(error).__name__, f"{array.path} cannot be decoded: {error}") from None
