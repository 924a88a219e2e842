"""Arrays of zarr format 2, made with whichever zarr is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr
from numcodecs import Blosc

ZARR_3 = int(zarr.__version__.partition(".")[0]) >= 3


def make_array(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any, fill: Any = 0) -> Any:
    """Make an array that writes every chunk, compressed as MiniAn does."""
    codec = Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE)
    common = {"shape": shape, "chunks": chunks, "dtype": dtype, "fill_value": fill}
    if ZARR_3:
        how = {"zarr_format": 2, "compressors": codec, "config": {"write_empty_chunks": True}}
        return zarr.create_array(store=str(path), **common, **how)
    return zarr.open_array(str(path), mode="w", compressor=codec, **common)
