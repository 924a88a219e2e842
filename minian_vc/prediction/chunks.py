"""Chunks of a zarr format 2 coordinate decoded as zarr 2.18 decodes them, and what it does with broken ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minian_vc.prediction.model import Fails, Unsure
from minian_vc.prediction.zarr2 import Array
from minian_vc.zarr_format import chunk_grid

__all__ = ["HEADER", "is_cut_off", "read_values"]

HEADER = 16  # bytes of a blosc chunk that say how long it is
BLOSC = 2  # the version that each blosc chunk begins with


def read_values(array: Array, chunks: Sequence[bytes | None]) -> np.ndarray[Any, Any]:
    """Return all values of an array, of whose chunks some may be missing.

    Raises
    ------
    Fails
        What decoding a chunk raises.
    Unsure
        A chunk is missing and has no fill value, or is cut off: the values are whatever lies in memory.
    """
    values = np.zeros(array.shape, array.dtype)
    for index, content in zip(chunk_grid(array), chunks, strict=True):
        place = tuple(
            slice(i * n, min((i + 1) * n, size)) for i, n, size in zip(index, array.chunks, array.shape, strict=True)
        )
        if content is not None:
            wanted = tuple(part.stop - part.start for part in place)
            values[place] = _decode(array, content, wanted)[tuple(slice(n) for n in wanted)]
        elif array.fill_value is None:
            raise Unsure(f"a chunk of {array.path} is missing and there is no fill value: memory decides")
        else:
            try:
                values[place] = array.fill_value
            except (TypeError, ValueError) as error:
                raise Fails(type(error).__name__, f"{array.path} has a fill value that is none: {error}") from None
    return values


def is_cut_off(compressor: Mapping[str, Any] | None, head: bytes, size: int) -> bool:
    """Tell from its header (the first 16 bytes) whether a chunk is shorter than it says."""
    if (compressor or {}).get("id") != "blosc":
        return size == 0
    return len(head) < HEADER or int.from_bytes(head[12:16], "little") > size


def _decode(array: Array, content: bytes, wanted: tuple[int, ...]) -> np.ndarray[Any, Any]:
    if (array.compressor or {}).get("id") == "blosc" and (len(content) < HEADER or content[0] != BLOSC):
        raise Fails("RuntimeError", f"a chunk of {array.path} is no blosc chunk")
    if content and is_cut_off(array.compressor, content[:HEADER], len(content)):
        raise Unsure(f"a chunk of {array.path} is cut off: what is read behind its end, memory decides")
    try:
        decoded = array.codec.decode(content) if array.codec is not None else content
        for codec in reversed(array.filters):
            decoded = codec.decode(decoded)
        flat = decoded if array.dtype.hasobject else np.frombuffer(decoded, np.uint8).view(array.dtype)
        flat = np.asarray(flat).reshape(-1)
        whole = wanted == array.chunks and bool(wanted) and array.codec is not None and not array.filters
        if whole and not array.dtype.hasobject and flat.size < math.prod(wanted):
            raise Unsure(f"a chunk of {array.path} is too short: memory decides the rest")
        return flat.reshape(array.chunks, order=array.order)
    except Unsure:
        raise
    except Exception as error:  # codecs raise anything at all
        raise Fails(type(error).__name__, f"a chunk of {array.path} cannot be decoded: {error}") from None
