"""npz: several arrays with their coordinates in one zip file of ``npy`` members, each written in C order by blocks."""

from __future__ import annotations

import math
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from minian_vc.export.blocks import c_order_blocks, reads_per_chunk
from minian_vc.export.bundle import KEY, Bundle
from minian_vc.export.npy import fill
from minian_vc.export.values import coordinates_of, lazy_arrays, refuse_identity_name, refuse_level
from minian_vc.progress import progress

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["write"]

BUDGET = 32 << 20  # bytes of a block; more where one chunk has more
TOO_OFTEN = 4  # blocks that need the same chunk: rather is each read once, into a file that is mapped


def write(bundle: Bundle, path: Path, *, compression: int = 4) -> None:
    """Write arrays as an ``npz`` file that ``numpy.load`` opens without pickling.

    Members are the arrays and the coordinates by their names, and the identity as a text under ``minian_vc``.

    Parameters
    ----------
    bundle : Bundle
        What to write; shapes and dtypes stay, text is ``<U``.
    path : Path
        The file to make.
    compression : int
        zlib's level, 0 (none) to 9.

    Raises
    ------
    InvalidInputError
        There is no such level, an array is called ``minian_vc``, or one holds Python objects.
    """
    import numpy as np

    refuse_level(compression)
    small, arrays = coordinates_of(bundle.together), lazy_arrays(bundle)
    refuse_identity_name([*small, *arrays])
    small[KEY] = np.array(bundle.text)
    method = zipfile.ZIP_DEFLATED if compression else zipfile.ZIP_STORED
    with (
        progress(f"Writing {path.name}", bundle.together.nbytes) as advance,
        zipfile.ZipFile(path, "w", method, compresslevel=compression or None) as archive,
    ):
        for name, values in small.items():
            with _member(archive, name) as member:
                _put_header(member, values)
                member.write(_as_bytes(values))
        for name, array in arrays.items():
            with _member(archive, name) as member:
                _put(array, member, path.with_name(f"{path.name}.scratch"), advance)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Begin a member. Given by name, it has zip's earliest time, the same each time."""
    return archive.open(f"{name}.npy", "w", force_zip64=True)


def _put(array: da.Array, member: IO[bytes], scratch: Path, advance: Callable[[int], None]) -> None:
    """Write a lazy array to a member, block by block, or over a file beside where that would read chunks too often."""
    chunks = array.chunksize
    budget = max(BUDGET, array.dtype.itemsize * math.prod(chunks))
    if reads_per_chunk(array.shape, chunks, array.dtype.itemsize, budget) > TOO_OFTEN:
        fill(array, scratch)
        with scratch.open("rb") as file:
            shutil.copyfileobj(file, member, BUDGET)
        scratch.unlink()
        advance(array.nbytes)
        return
    _put_header(member, array)
    for block in c_order_blocks(array.shape, chunks, array.dtype.itemsize, budget):
        values = array[block].compute(scheduler="threads")
        member.write(_as_bytes(values))
        advance(values.nbytes)


def _put_header(member: IO[bytes], array: Any) -> None:
    from numpy.lib import format as npy

    header = {"descr": npy.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(member, header)


def _as_bytes(values: Any) -> Any:
    """Return values in C order as something that a file takes: some dtypes are no buffers."""
    import numpy as np

    return np.ascontiguousarray(values).reshape(-1).view("u1")
