"""Old versions as lazy xarray objects, straight from the object store: nothing is restored or copied."""

from __future__ import annotations

import base64
import json
import math
import os
import struct
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minian_vc.arrays.encoding import EncodedGroup
from minian_vc.arrays.reading import open_zarr_array
from minian_vc.coherence import UNIT, Alignment, align
from minian_vc.errors import ConflictError
from minian_vc.model import ArrayVersion

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LeftOutWarning", "levels_to_caller", "open_array", "open_saved", "open_side_by_side", "open_together"]

_ZARR_ONLY = ("_ARRAY_DIMENSIONS", "coordinates")


class LeftOutWarning(UserWarning):
    """Some units are in one array and not in another, and were left out of the result."""


def open_array(array: ArrayVersion, files: Mapping[str, bytes]) -> xr.DataArray:
    """Open one array version.

    Parameters
    ----------
    array : ArrayVersion
        What to open.
    files : mapping of str to bytes
        Its files by key; picklable, for workers open them anew.

    Returns
    -------
    xarray.DataArray
        Dims, shape, dtype and attributes as saved; dask-backed, one dask chunk per stored chunk; coordinates
        in memory. Picklable: a worker needs only to see the repository's folder.
    """
    import xarray as xr

    variable = open_zarr_array(files, array.variable)
    chunks = tuple(array.chunks[dim] for dim in array.dims)
    data = _lazy(variable, chunks, f"{array.name}-{array.manifest.removeprefix('blake3:')[:16]}")
    parent = array.variable.rpartition("/")[0]
    coordinates = {}
    for coordinate in array.coordinates:
        stored = open_zarr_array(files, f"{parent}/{coordinate.name}".lstrip("/"))
        coordinates[coordinate.name] = xr.Variable(coordinate.dims, stored[...], _attributes(stored))
    return _decoded(array.name, xr.Variable(array.dims, data, _attributes(variable)), coordinates)


def open_saved(group: EncodedGroup, files: Mapping[str, bytes]) -> xr.DataArray:
    """Open an array folder that was just written, from its files.

    Returns
    -------
    xarray.DataArray
        As :func:`open_array`, for as long as the folder is not saved again. Its dask name is new: a cluster that
        keeps the values of an older array folder of that path does not take them for this one's.
    """
    import xarray as xr

    variables = {}
    for each in (group.array, *group.coordinates):
        stored = open_zarr_array(files, each.name)
        is_lazy = each is group.array or each.is_lazy
        new_name = f"{each.name}-{os.urandom(8).hex()}"
        values = _lazy(stored, each.stored.chunks, new_name) if is_lazy else stored[...]
        variables[each.name] = xr.Variable(each.dims, values, _attributes(stored))
    return _decoded(group.array.name, variables.pop(group.array.name), variables)


def _lazy(stored: Any, chunks: tuple[int, ...], name: str) -> Any:
    """Return a dask array over a stored one, with its chunks."""
    import dask.array as da
    import numpy as np

    plain = np.dtype(stored.dtype.str)  # zarr 3 says "<" where numpy says native, and netCDF4 warns of that
    meta = np.empty((0,) * len(stored.shape), dtype=plain)
    return da.from_array(stored, chunks=tuple(max(1, n) for n in chunks), name=name, inline_array=True, meta=meta)


def _decoded(name: str, variable: xr.Variable, coordinates: Mapping[str, xr.Variable]) -> xr.DataArray:
    """Return a stored array with its coordinates, decoded by xarray's conventions."""
    import xarray as xr

    if variable.attrs.get("dtype") == "bool":  # xarray's own decoding would leave dask
        attributes = {key: value for key, value in variable.attrs.items() if key != "dtype"}
        variable = xr.Variable(variable.dims, variable.data.astype(bool), attributes)
    if not variable.dtype.isnative:  # nor here
        variable = variable.astype(variable.dtype.newbyteorder("="))
    return xr.decode_cf(xr.Dataset({name: variable}, coords=coordinates))[name]


def _attributes(stored: Any) -> dict[str, Any]:
    """Return the attributes as xarray's own zarr reader sees them, the fill value among them."""
    attributes = {key: value for key, value in dict(stored.attrs).items() if key not in _ZARR_ONLY}
    if getattr(getattr(stored, "metadata", None), "zarr_format", 2) == 3:
        fill = attributes.pop("_FillValue", None)
        if isinstance(fill, str) and stored.dtype.kind == "f":
            fill = struct.unpack("<d", base64.b64decode(fill))[0]
    else:
        fill = stored.fill_value
    if fill is not None and not (isinstance(fill, float) and math.isnan(fill)):
        attributes["_FillValue"] = fill
    return attributes


def open_together(arrays: Sequence[ArrayVersion], files: Callable[[ArrayVersion], Mapping[str, bytes]]) -> xr.Dataset:
    """Open several array versions on their common units, in one order, nothing padded.

    Returns
    -------
    xarray.Dataset
        Lazy. What was left out is in the attribute ``left_out`` (JSON: array → unit ids) and in a
        :class:`LeftOutWarning`.

    Raises
    ------
    ConflictError
        They do not belong together.
    """
    import xarray as xr

    opened, plan = _on_common_units(arrays, files)
    try:
        each = [one.to_dataset() for one in opened]  # of arrays, xarray would take the attributes for the Dataset's
        together = xr.merge(each, join="exact", compat="no_conflicts", combine_attrs="drop_conflicts")
    except ValueError as error:  # MergeError and AlignmentError are both
        raise ConflictError(
            f"The arrays do not belong together: {error}",
            "Name the arrays that do (arrays=[…]), or use return_dict=True for each as saved.",
        ) from error
    if plan.left_out:
        together.attrs["left_out"] = json.dumps(plan.left_out)
    _warn_of_left_out(plan)
    return together


def open_side_by_side(
    arrays: Sequence[ArrayVersion], files: Callable[[ArrayVersion], Mapping[str, bytes]]
) -> dict[str, xr.DataArray]:
    """Open several array versions on their common units, in one order, each with its own coordinates only.

    Raises
    ------
    ConflictError
        They have no common units, or unit ids that are not unique.
    """
    opened, plan = _on_common_units(arrays, files)
    _warn_of_left_out(plan)
    return {array.name: one for array, one in zip(arrays, opened, strict=True)}


def _on_common_units(
    arrays: Sequence[ArrayVersion], files: Callable[[ArrayVersion], Mapping[str, bytes]]
) -> tuple[list[xr.DataArray], Alignment]:
    plan = align(arrays)
    opened = []
    for array in arrays:
        one = open_array(array, files(array))
        if array.name in plan.positions:
            one = one.isel({UNIT: list(plan.positions[array.name])})
        opened.append(one)
    return opened, plan


def levels_to_caller() -> int:
    """Return the stacklevel of whoever called into minian_vc: warnings point there."""
    level = 1
    while (sys._getframe(level).f_globals.get("__name__") or "").startswith("minian_vc."):
        level += 1
    return level


def _warn_of_left_out(plan: Alignment) -> None:
    if plan.left_out:
        what = "; ".join(f"{name} without {', '.join(map(str, ids))}" for name, ids in plan.left_out.items())
        warnings.warn(f"Common units only: {what}.", LeftOutWarning, stacklevel=levels_to_caller())
