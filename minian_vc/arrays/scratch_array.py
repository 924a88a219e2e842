"""An array that is written once, chunk by chunk, read once and thrown away: the same with zarr 2 and zarr 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minian_vc.durable import storage_errors, write_file

__all__ = ["ScratchArray"]

MOST = 2**31 - 1 - 16  # bytes that blosc takes at once


class ScratchArray:
    """Chunks as files in a folder, lightly compressed. It reads and writes like a zarr array, a chunk at a time.

    Parameters
    ----------
    folder : Path
        An existing, empty folder.
    shape, chunks : tuple of int
        Its shape, of one dim or more, and chunk grid.
    dtype : numpy.dtype
        Any but object.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any) -> None:
        from numcodecs import Blosc

        self.folder, self.shape, self.chunks, self.dtype = folder, shape, chunks, dtype
        self._codec = Blosc(cname="lz4", clevel=1, shuffle=Blosc.SHUFFLE)
        with storage_errors("make a folder beside it to write in", folder):
            for first in range(-(-shape[0] // chunks[0])):  # not all in one: some file systems search it in turn
                (folder / str(first)).mkdir()

    def __setitem__(self, place: tuple[slice, ...], block: Any) -> None:
        """Write one whole chunk."""
        import numpy as np

        block = np.ascontiguousarray(block)
        encoded = self._codec.encode(block) if self._is_compressed(block.nbytes) else block.tobytes()
        write_file(self._file(place), encoded)

    def __getitem__(self, place: tuple[slice, ...]) -> Any:
        """Read a part that lies within one chunk."""
        import numpy as np

        starts = [along.start - along.start % size for along, size in zip(place, self.chunks, strict=True)]
        sizes = [min(size, whole - start) for start, size, whole in zip(starts, self.chunks, self.shape, strict=True)]
        encoded = self._file(place).read_bytes()
        is_compressed = self._is_compressed(int(np.prod(sizes)) * self.dtype.itemsize)
        chunk = np.frombuffer(self._codec.decode(encoded) if is_compressed else encoded, self.dtype).reshape(sizes)
        inside = tuple(slice(a.start - start, a.stop - start) for a, start in zip(place, starts, strict=True))
        return chunk[inside]

    def _file(self, place: tuple[slice, ...]) -> Path:
        first, *others = (along.start // size for along, size in zip(place, self.chunks, strict=True))
        return self.folder / str(first) / "-".join(map(str, others or [0]))

    def _is_compressed(self, nbytes: int) -> bool:
        return 0 < nbytes <= MOST
