"""Old versions as lazy xarray objects, straight from the object store: nothing is restored or copied."""

from __future__ import annotations

import base64
import json
import math
import struct
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minian_vc.arrays.reading import open_zarr_array
from minian_vc.coherence import UNIT, Alignment, align
from minian_vc.errors import ConflictError
from minian_vc.model import ArrayVersion

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LeftOutWarning", "levels_to_caller", "open_array", "open_together"]


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
    import dask.array as da
    import xarray as xr

    variable = open_zarr_array(files, array.variable)
    data = da.from_array(
        variable,
        chunks=tuple(max(1, array.chunks[dim]) for dim in array.dims),
        name=f"{array.name}-{array.manifest.removeprefix('blake3:')[:16]}",
        inline_array=True,
        meta=_empty(variable.dtype, len(array.dims)),
    )
    parent = array.variable.rpartition("/")[0]
    variables: dict[str, xr.Variable] = {array.name: xr.Variable(array.dims, data, _attributes(variable))}
    for coordinate in array.coordinates:
        stored = open_zarr_array(files, f"{parent}/{coordinate.name}".lstrip("/"))
        variables[coordinate.name] = xr.Variable(coordinate.dims, stored[...], _attributes(stored))
    raw = xr.Dataset({array.name: variables.pop(array.name)}, coords=variables)
    return xr.decode_cf(raw)[array.name]


def _empty(dtype: Any, ndim: int) -> Any:
    import numpy as np

    return np.empty((0,) * ndim, dtype=dtype)


def _attributes(stored: Any) -> dict[str, Any]:
    """Return the attributes as xarray's own zarr reader sees them, the fill value among them."""
    attributes = {
        key: value for key, value in dict(stored.attrs).items() if key not in ("_ARRAY_DIMENSIONS", "coordinates")
    }
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

    plan = align(arrays)
    opened = []
    for array in arrays:
        one = open_array(array, files(array))
        if array.name in plan.positions:
            one = one.isel({UNIT: list(plan.positions[array.name])})
        opened.append(one)
    try:
        together = xr.merge(opened, join="exact", compat="no_conflicts", combine_attrs="drop")
    except ValueError as error:  # MergeError and AlignmentError are both
        raise ConflictError(
            f"The arrays do not belong together: {error}",
            "Name the arrays that do (arrays=[…]), or use return_dict=True for each as saved.",
        ) from error
    _say_left_out(together, plan)
    return together


def levels_to_caller() -> int:
    """Return the stacklevel of whoever called into minian_vc: warnings point there."""
    level = 1
    while (sys._getframe(level).f_globals.get("__name__") or "").startswith("minian_vc."):
        level += 1
    return level


def _say_left_out(together: xr.Dataset, plan: Alignment) -> None:
    if plan.left_out:
        together.attrs["left_out"] = json.dumps(plan.left_out)
        what = "; ".join(f"{name} without {', '.join(map(str, ids))}" for name, ids in plan.left_out.items())
        warnings.warn(f"Common units only: {what}.", LeftOutWarning, stacklevel=levels_to_caller())
