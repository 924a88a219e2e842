"""Reading stored arrays through zarr, whichever major is installed; coordinates decoded into plain values."""

from __future__ import annotations

import base64
import importlib
import math
from collections.abc import Mapping
from typing import Any

from minian_vc.catalog.record import CoordinateValues
from minian_vc.errors import EnvironmentUnfitError, MinianVCError, UnreadableError

__all__ = ["decode", "open_zarr_array", "plain_values"]

MAX_COORDINATE = 1 << 28  # bytes


def open_zarr_array(files: Mapping[str, bytes], path: str) -> Any:
    """Return a read-only zarr array over stored files, picklable and lazy.

    Raises
    ------
    EnvironmentUnfitError
        The installed zarr cannot read this format (zarr 2 with a format 3 array).
    UnreadableError
        zarr cannot make sense of it.
    """
    import zarr

    major = int(zarr.__version__.partition(".")[0])
    where = f"{path}/zarr.json".lstrip("/")
    if major < 3 and where in files:
        raise EnvironmentUnfitError(
            f"The array {path} has zarr format 3; the installed zarr {zarr.__version__} reads format 2 only.",
            "Open it in an environment with zarr 3. restore works here too.",
        )
    store = importlib.import_module(f"minian_vc.arrays.zarr{2 if major < 3 else 3}_store").make_store(files)
    try:
        return zarr.open_array(store=store, path=path, mode="r")
    except MinianVCError:
        raise
    except Exception as error:  # zarr and codecs raise anything at all on metadata they do not know
        raise UnreadableError(
            f"zarr cannot open the array {path}: {type(error).__name__}: {error}",
            "Nothing was changed.",
        ) from error


def decode(files: Mapping[str, bytes], path: str) -> tuple[str, CoordinateValues]:
    """Return numpy's dtype name and the values of a coordinate as plain JSON values."""
    stored = open_zarr_array(files, path)
    if stored.nbytes > MAX_COORDINATE:  # metadata may say anything: no chunk need be there
        raise UnreadableError(
            f"The coordinate {path} cannot be decoded: it would be {stored.nbytes:,} bytes.",
            "Nothing was changed. Save the array again.",
        )
    try:
        values = stored[...]
    except MinianVCError:
        raise
    except Exception as error:
        raise UnreadableError(
            f"The coordinate {path} cannot be decoded: {type(error).__name__}: {error}",
            "Nothing was changed. Save the array again.",
        ) from error
    return plain_values(values)


def plain_values(values: Any) -> tuple[str, CoordinateValues]:
    """Return dtype and values of a numpy array as JSON can hold them: NaN as ``"nan"``, dates as integers.

    Text is ``str`` however it is stored: zarr 2 and 3 decode it to different dtypes.
    """
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind in "mM":
        return str(array.dtype), array.astype("int64").tolist()
    if array.dtype.kind in "SV":
        return array.dtype.str, _map(lambda item: base64.b64encode(item).decode(), array.tolist())
    if array.dtype.kind == "c":
        return str(array.dtype), _map(str, array.tolist())
    is_text = array.dtype.kind in "UT" or (array.dtype.kind == "O" and all(isinstance(x, str) for x in array.flat))
    return "str" if is_text else str(array.dtype), _map(_plain, array.tolist())


def _map(function: Any, values: Any) -> Any:
    return [_map(function, value) for value in values] if isinstance(values, list) else function(values)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
