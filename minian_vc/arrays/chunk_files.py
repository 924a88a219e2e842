"""The chunks of a format 2 array written as files, each by one call: what zarr 2 writes, whatever zarr is installed.

zarr would write the same bytes, each file under another name first and then renamed. Here nobody reads before all is
there, and zarr 3 leaves out chunks that are all fill value, so the codecs are called without it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minian_vc import durable
from minian_vc.zarr_format import chunk_key
from minian_vc.zarr_layout import StoredArray

__all__ = ["ChunkFiles"]

LARGE = 32 << 10  # bytes from which on it pays to start early
SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}  # as .zarray writes them


class ChunkFiles:
    """Takes whole chunks, as an array to be stored into; picklable.

    Parameters
    ----------
    stored : StoredArray
        What its ``.zarray`` says.
    folder : Path
        The group's folder.
    """

    def __init__(self, stored: StoredArray, folder: Path) -> None:
        import numcodecs
        import numpy as np

        self._stored, self._folder, self.dtype = stored, folder, np.dtype(stored.dtype)
        self._codecs = [numcodecs.get_codec(dict(each)) for each in (*stored.filters, stored.compressor) if each]
        self.shape, self.chunks, self.ndim = stored.shape, stored.chunks, len(stored.shape)

    def __setitem__(self, place: tuple[slice, ...], values: Any) -> None:
        """Write one chunk. A large one starts on its way to the disk at once: the flush at the end waits for less."""
        index = tuple(along.start // size for along, size in zip(place, self.chunks, strict=True))
        chunk: Any = self._whole(values)
        for codec in self._codecs:
            chunk = codec.encode(chunk)
        path = self._folder / chunk_key(self._stored, index)
        content = chunk if isinstance(chunk, (bytes, bytearray)) else chunk.tobytes()
        durable.write_file(path, content)
        if len(content) >= LARGE:
            durable.begin_flush(path)

    def _whole(self, values: Any) -> Any:
        """Return a chunk of full size: at the far edges it is stored with what lies beyond."""
        import numpy as np

        values = np.asarray(values, self.dtype, order="C")
        if values.shape == self.chunks:
            return values
        fill = self._stored.fill_value
        whole = np.zeros(self.chunks, self.dtype)
        if fill is not None:
            whole.fill(SPECIAL.get(fill, fill) if isinstance(fill, str) else fill)
        whole[tuple(slice(0, size) for size in values.shape)] = values
        return whole
