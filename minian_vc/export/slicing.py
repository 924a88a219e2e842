"""Arrays that are read block by block, where the blocks lie across the chunks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minian_vc.export.npy import fill

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["BUDGET", "cheap_to_slice"]

BUDGET = 32 << 20  # bytes of a block
TOO_OFTEN = 4  # blocks that need the same chunk: rather is each read once, into a file that is mapped


@contextlib.contextmanager
def cheap_to_slice(array: da.Array, reads: float, scratch: Path) -> Iterator[Any]:
    """Give an array whose blocks can be read without reading its chunks again and again.

    Parameters
    ----------
    array : dask.array.Array
        Lazy.
    reads : float
        How many blocks need the same chunk: :func:`~minian_vc.export.blocks.reads_per_chunk`.
    scratch : Path
        A file to make for it, in the stage folder. When the block ends, it is gone.

    Yields
    ------
    dask.array.Array or numpy.ndarray
        The array itself where that is cheap or where it holds Python objects, else a map of a file with its values.
    """
    import numpy as np

    if reads <= TOO_OFTEN or array.dtype.hasobject:
        yield array
        return
    try:
        fill(array, scratch)
        yield np.load(scratch, mmap_mode="r")
    finally:
        with contextlib.suppress(PermissionError):  # Windows, while a block is still in use: it goes with the stage
            scratch.unlink(missing_ok=True)
