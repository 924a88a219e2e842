"""npz: several arrays with their coordinates in one zip file of ``npy`` members, each written in C order by blocks."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from minian_vc.export.blocks import c_order_blocks, reads_per_chunk
from minian_vc.export.bundle import KEY, Bundle
from minian_vc.export.slicing import BUDGET, cheap_to_slice
from minian_vc.export.values import coordinates_of, lazy_arrays, refuse_identity_name, refuse_level
from minian_vc.progress import progress

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["write"]


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
    """Write a lazy array to a member, block by block; a block has a whole chunk at least."""
    import dask
    import numpy as np

    itemsize, chunks = array.dtype.itemsize, array.chunksize
    cut = (array.shape, chunks, itemsize, max(BUDGET, itemsize * math.prod(chunks)))
    _put_header(member, array)
    with cheap_to_slice(array, reads_per_chunk(*cut), scratch) as source, dask.config.set(scheduler="threads"):
        for block in c_order_blocks(*cut):
            values = np.asarray(source[block])
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
