"""What a zarr format 2 group is on disk, as MiniAn writes it: metadata documents and chunk grids. Pure.

References
----------
The zarr storage specification, version 2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BLOSC_LZ4", "StoredArray", "guess_chunks", "metadata_files"]

BLOSC_LZ4: Mapping[str, Any] = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
_BASE, _LEAST, _MOST = 256 << 10, 128 << 10, 64 << 20  # bytes of a guessed chunk


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a group, as its ``.zarray`` and ``.zattrs`` describe it.

    ``dtype`` is zarr's text (``<f8``, ``|O``), ``fill_value`` its JSON form, ``compressor`` and ``filters`` the
    codecs' configurations.
    """

    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    fill_value: Any = None
    compressor: Mapping[str, Any] | None = None
    filters: tuple[Mapping[str, Any], ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    chunk_prefix: str = ""
    chunk_separator: str = "."

    def to_document(self) -> dict[str, Any]:
        """Return what ``.zarray`` says."""
        return {
            "zarr_format": 2,
            "shape": list(self.shape),
            "chunks": list(self.chunks),
            "dtype": self.dtype,
            "fill_value": self.fill_value,
            "order": "C",
            "compressor": None if self.compressor is None else dict(self.compressor),
            "filters": [dict(each) for each in self.filters] or None,
        }


def metadata_files(arrays: Iterable[StoredArray], attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the metadata files of a group by key, ``.zmetadata`` among them, with the bytes that zarr 2 writes."""
    documents: dict[str, Any] = {".zgroup": {"zarr_format": 2}, ".zattrs": dict(attributes)}
    for array in arrays:
        documents[f"{array.path}/.zarray"] = array.to_document()
        documents[f"{array.path}/.zattrs"] = dict(array.attributes)
    documents[".zmetadata"] = {"zarr_consolidated_format": 1, "metadata": dict(documents)}
    return {key: _encoded(document) for key, document in documents.items()}


def _encoded(document: Any) -> bytes:
    return json.dumps(document, indent=4, sort_keys=True, ensure_ascii=True, separators=(",", ": ")).encode()


def guess_chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the chunks that zarr 2 gives an array in memory: halved dim after dim, until they are small enough."""
    chunks = [max(1, size) for size in shape]
    if not chunks:
        return ()
    wanted = min(max(_BASE * 2 ** math.log10(math.prod(chunks) * max(1, itemsize) / (1 << 20)), _LEAST), _MOST)
    turn = 0
    while math.prod(chunks) * itemsize >= min(1.5 * wanted, _MOST) and math.prod(chunks) > 1:
        chunks[turn % len(chunks)] = -(-chunks[turn % len(chunks)] // 2)
        turn += 1
    return tuple(chunks)
