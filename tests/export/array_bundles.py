"""Bundles made by hand: lazy arrays whose chunks are computed on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from conftest import INTERMEDIATE, put_stage

import minian_vc as mvc
from minian_vc.export.bundle import Bundle

TAGS = ("stage-02-first-temporal", "stage-05-second-temporal")

IDENTITY = {
    "checkpoint": "blake3:00",
    "tags": ["nach der ersten Änderung"],
    "message": "☃",
    "session": "session1",
    "animal": "mouse1",
    "arrays": {},
}


def record(stages: Path, root: Path) -> mvc.Dataset:
    """Return session 1's dataset with two stages in its history."""
    mvc.Repository.create(root)
    for stage in TAGS:
        put_stage(stages, stage, root)
        dataset = mvc.open(root / INTERMEDIATE)
        dataset.commit(stage, tag=stage)
    return dataset


def bundle_of(arrays: dict[str, Any], **coords: Any) -> Bundle:
    """Return a bundle of ``name=(dims, values)``."""
    return Bundle(xr.Dataset(arrays, coords=coords), IDENTITY)


def counted(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any = "f8") -> da.Array:
    """Return a lazy array whose values tell where they are in C order; no chunk is in memory before it is asked for."""

    def block(block_info: Any = None) -> np.ndarray:
        where = block_info[None]["array-location"]
        index = np.ogrid[tuple(slice(start, end) for start, end in where)]
        strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
        places = sum(each * stride for each, stride in zip(index, strides, strict=True))
        return np.asarray(places).astype(dtype)

    grid = da.core.normalize_chunks(chunks, shape)
    return da.map_blocks(block, chunks=grid, dtype=dtype, meta=np.empty((0,) * len(shape), dtype))


def expected(shape: tuple[int, ...], dtype: Any = "f8") -> np.ndarray:
    """Return what :func:`counted` computes."""
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def everything() -> Bundle:
    """Return a bundle with each kind of value, dim and coordinate that must go out."""
    rng = np.random.default_rng(1)
    whole = rng.integers(-9, 9, (3, 5)).astype("i8")
    return bundle_of(
        {
            "C": (("unit_id", "frame"), da.from_array(rng.standard_normal((3, 5)), chunks=(1, 5))),
            "S": (("unit_id", "frame"), da.from_array(rng.standard_normal((3, 5)).astype("f4"), chunks=(3, 2))),
            "movie": (("frame", "height"), da.from_array(rng.integers(0, 255, (5, 4)).astype("u1"), chunks=(2, 4))),
            "motion": (("unit_id", "frame"), da.from_array(whole, chunks=(2, 2))),
            "mask": (("unit_id", "height"), da.from_array(rng.random((3, 4)) > 0.5, chunks=(1, 4))),
            "bare": (("sample", "height"), da.from_array(rng.standard_normal((2, 4)), chunks=(2, 3))),
            "level": ((), da.from_array(np.array(1.5), chunks=())),
            "none": (("empty", "frame"), da.zeros((0, 5), chunks=(1, 5))),
        },
        unit_id=[2, 7, 9],
        frame=[0.0, 0.5, 1.0, 1.5, 2.0],
        height=["oben", "mitte", "größer", ""],
        kept=("unit_id", [True, False, True]),
        session="session1",
        animal=np.array("Mäuschen", dtype=object),
        rate=30.0,
    )
