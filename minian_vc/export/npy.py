"""npy: one array in NumPy's own format, filled chunk by chunk through a memory map."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc import durable
from minian_vc.errors import StorageError
from minian_vc.export.bundle import Bundle
from minian_vc.export.computing import progress_of_dask
from minian_vc.export.values import lazy_arrays
from minian_vc.text import size

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["fill", "write"]


def write(bundle: Bundle, path: Path) -> None:
    """Write an array as an ``npy`` file that ``numpy.load`` opens, also with ``mmap_mode="r"``.

    Parameters
    ----------
    bundle : Bundle
        The one array; shape and dtype stay, coordinates have no place.
    path : Path
        The file to make.

    Raises
    ------
    InvalidInputError
        It holds Python objects.
    StorageError
        It does not fit on the disk.
    """
    array = lazy_arrays(bundle)[str(bundle.only.name)]
    with progress_of_dask(f"Writing {path.name}", array.nbytes):
        fill(array, path)


def fill(array: da.Array, path: Path) -> None:
    """Write a lazy array as an ``npy`` file in C order. In memory are only the chunks that are being computed."""
    import dask.array as da
    from numpy.lib.format import open_memmap

    target = open_memmap(path, mode="w+", dtype=array.dtype, shape=array.shape)
    _reserve(path)
    # threads of this process: the workers of a cluster would fill copies of the map
    da.store(array, target, lock=False, scheduler="threads")
    target.flush()


def _reserve(path: Path) -> None:
    """Have the disk keep a mapped file's room: where it is full, writing to a map kills the process."""
    nbytes = path.stat().st_size
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, nbytes)
    elif durable.free_bytes(path.parent) < nbytes:
        raise StorageError(
            f"{path.name} takes {size(nbytes)}, and {size(durable.free_bytes(path.parent))} are free.",
            "Nothing was written. Free some space, then export again.",
        )
