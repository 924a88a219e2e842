"""Array folders written through the installed zarr, whichever major it is."""

from __future__ import annotations

import itertools
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from hypothesis import HealthCheck, settings

ZARR_3 = int(zarr.__version__.split(".")[0]) >= 3
FORMATS = (2, 3) if ZARR_3 else (2,)
LONG_AGO = 1_600_000_000_123_456_789
_moment = itertools.count()

settings.register_profile(
    "minian_vc",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def make_old(folder: Path) -> None:
    """Give every file a modification time long ago, so that nothing need be waited for."""
    moment = LONG_AGO + next(_moment) * 1_000
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, ns=(moment, moment))


def open_group(folder: Path, zarr_format: int = 2) -> Any:
    """Make or open a group."""
    return zarr.open_group(str(folder), mode="a", **({"zarr_format": zarr_format} if ZARR_3 else {}))


def create_array(
    folder: Path,
    path: str,
    dtype: Any,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    *,
    fill_value: Any = 0,
    dims: tuple[str, ...] | None = None,
    zarr_format: int = 2,
) -> Any:
    """Create an array at a path in a folder (empty: the folder itself is the array)."""
    text = dtype is str
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if ZARR_3:
            if path:
                open_group(folder, zarr_format)
            named = {"dimension_names": dims} if dims and zarr_format == 3 else {}
            array = zarr.create_array(
                str(folder),
                name=path or None,
                dtype=dtype,
                shape=shape,
                chunks=chunks or "auto",
                fill_value="" if text else fill_value,
                zarr_format=zarr_format,
                compressors=None,
                **named,
            )
        else:
            from numcodecs import VLenUTF8

            options = {"dtype": object, "object_codec": VLenUTF8()} if text else {"dtype": dtype}
            options |= {"shape": shape, "chunks": chunks or None, "compressor": None}
            options |= {"fill_value": None if text else fill_value}
            if path:
                array = open_group(folder).create_dataset(path, **options)
            else:
                array = zarr.open_array(str(folder), mode="w", **options)
        if dims and zarr_format == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    return array


def write_units(folder: Path, units: tuple[int, ...], values: tuple[float, ...], *, old: bool = True) -> None:
    """Write an array as MiniAn saves it: the folder removed, then one row and one chunk per unit.

    Unit ids are not all 0, for zarr 3 leaves such a chunk out.
    """
    shutil.rmtree(folder, ignore_errors=True)
    name = folder.name.removesuffix(".zarr")
    rows = np.array(values, dtype=float)[:, None] * np.ones((1, 40))
    array = create_array(folder, name, "f8", rows.shape, (1, 40), fill_value=np.nan, dims=("unit_id", "frame"))
    array[...] = rows
    ids = create_array(folder, "unit_id", "i8", (len(units),), (len(units),), fill_value=None, dims=("unit_id",))
    ids[...] = np.array(units, dtype="i8")
    if old:
        make_old(folder)
