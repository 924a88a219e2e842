"""Lazy arrays given to HDF5 block by block: one block is in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["blocks_of", "streamed"]

Block = tuple[tuple[slice, ...], np.ndarray[Any, Any]]


def blocks_of(array: xr.DataArray) -> Iterator[Block]:
    """Yield a lazy array's blocks as it is chunked: where each lies, and its values."""
    from dask.array.core import slices_from_chunks

    for place in slices_from_chunks(array.data.chunks):
        yield place, np.asarray(array.data[place])


def streamed(array: xr.DataArray, advance: Callable[[int], None]) -> Any:
    """Return what HDMF writes as an HDF5 dataset, compressed and chunked like the lazy array.

    Parameters
    ----------
    array : xarray.DataArray
        Dask-backed, its dims in the file's order.
    advance : callable
        Is told the bytes of each block that was read.
    """
    from hdmf.backends.hdf5.h5_utils import H5DataIO
    from hdmf.data_utils import AbstractDataChunkIterator, DataChunk

    class Blocks(AbstractDataChunkIterator):  # type: ignore[misc]
        dtype = array.dtype
        maxshape = array.shape

        def __init__(self) -> None:
            self._blocks = blocks_of(array)

        def __iter__(self) -> Blocks:
            return self

        def __next__(self) -> Any:
            place, values = next(self._blocks)
            advance(values.nbytes)
            return DataChunk(data=values, selection=place)

        def recommended_chunk_shape(self) -> tuple[int, ...]:
            return tuple(map(max, array.data.chunks))

        def recommended_data_shape(self) -> tuple[int, ...]:
            return tuple(array.shape)

    blocks = Blocks()
    return H5DataIO(blocks, chunks=blocks.recommended_chunk_shape(), compression="gzip", shuffle=True)
