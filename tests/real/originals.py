"""The truth the tests compare with: arrays read without minian_vc, and small arrays written byte by byte."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
import zarr

ZARR_3 = not zarr.__version__.startswith("2.")


def original(folder: Path) -> xr.DataArray:
    """Read an array folder independently: by xarray, or by zarr alone where xarray's zarr side is broken."""
    name = folder.name.removesuffix(".zarr")
    try:
        return xr.open_zarr(folder, consolidated=False, chunks={})[name]
    except TypeError:  # xarray 2026.9 with zarr 2.18: open_group() got an unexpected keyword argument
        pass
    group = zarr.open_group(str(folder), mode="r")
    arrays = {key: (tuple(array.attrs["_ARRAY_DIMENSIONS"]), array[...]) for key, array in group.arrays()}
    dims, values = arrays.pop(name)
    return xr.DataArray(values, arrays, dims, name)


def originals(folder: Path) -> dict[str, xr.DataArray]:
    """Read every array of a dataset folder independently."""
    return {path.name.removesuffix(".zarr"): original(path) for path in sorted(folder.glob("*.zarr"))}


def assert_same(opened: xr.DataArray, truth: xr.DataArray) -> None:
    """Values, dims, coordinates and dtypes are equal."""
    assert opened.dims == truth.dims
    assert opened.dtype == truth.dtype
    assert set(opened.coords) == set(truth.coords)
    np.testing.assert_array_equal(opened.values, truth.values, strict=True)
    for name, coordinate in truth.coords.items():
        assert opened.coords[name].dims == coordinate.dims
        same_kind = opened.coords[name].dtype.kind == coordinate.dtype.kind
        assert same_kind or {opened.coords[name].dtype.kind, coordinate.dtype.kind} <= set("UTO")
        np.testing.assert_array_equal(opened.coords[name].values, coordinate.values)


def write_array(
    dataset: Path,
    name: str,
    values: np.ndarray,
    dims: tuple[str, ...],
    *,
    chunks: tuple[int, ...] | None = None,
    coords: Mapping[str, object] = {},
    fill_value: object = None,
    zarr_format: int = 2,
) -> Path:
    """Write ``name.zarr`` as MiniAn lays it out, uncompressed, with no zarr library at all."""
    folder = dataset / f"{name}.zarr"
    folder.mkdir(parents=True)
    _json(folder, ".zgroup", {"zarr_format": 2}) if zarr_format == 2 else _json(
        folder, "zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}}
    )
    scalars = " ".join(key for key, value in coords.items() if np.ndim(value) == 0)
    extra = {"coordinates": scalars} if scalars else {}
    write = _write_2 if zarr_format == 2 else _write_3
    write(folder / name, values, dims, chunks or values.shape, fill_value, extra)
    for key, value in coords.items():
        coordinate = np.asarray(value)
        in_one_chunk = tuple(max(size, 1) for size in coordinate.shape)
        write(folder / key, coordinate, (key,) if coordinate.ndim else (), in_one_chunk, None, {})
    return folder


def _write_2(folder: Path, values: np.ndarray, dims: tuple, chunks: tuple, fill: object, attributes: dict) -> None:
    meta = {"zarr_format": 2, "shape": values.shape, "chunks": chunks, "dtype": values.dtype.str, "order": "C"}
    _json(folder, ".zarray", {**meta, "fill_value": fill, "compressor": None, "filters": None})
    _json(folder, ".zattrs", {"_ARRAY_DIMENSIONS": dims, **attributes})
    for index, chunk in _chunks(values, chunks):
        (folder / (".".join(map(str, index)) or "0")).write_bytes(chunk)


def _write_3(folder: Path, values: np.ndarray, dims: tuple, chunks: tuple, fill: object, attributes: dict) -> None:
    meta = {"zarr_format": 3, "node_type": "array", "shape": values.shape, "data_type": values.dtype.name}
    grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    keys = {"name": "default", "configuration": {"separator": "/"}}
    rest = {"chunk_grid": grid, "chunk_key_encoding": keys, "codecs": codecs, "dimension_names": dims}
    fill = (0.0 if values.dtype.kind == "f" else 0) if fill is None else fill
    _json(folder, "zarr.json", {**meta, **rest, "fill_value": fill, "attributes": attributes})
    for index, chunk in _chunks(values, chunks):
        path = folder.joinpath("c", *map(str, index))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chunk)


def _chunks(values: np.ndarray, chunks: tuple[int, ...]):
    counts = [-(-size // chunk) for size, chunk in zip(values.shape, chunks, strict=True)]
    for index in itertools.product(*map(range, counts)):
        part = values[tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, chunks, strict=True))]
        whole = np.zeros(chunks, values.dtype)
        whole[tuple(slice(n) for n in part.shape)] = part
        yield index, whole.tobytes()


def _json(folder: Path, name: str, document: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(document))


def touched_long_ago(folder: Path) -> Path:
    """Date every file below a folder an hour back: no save can be running."""
    then = time.time() - 3600
    for path in folder.rglob("*"):
        os.utime(path, (then, then))
    return folder
