"""zarr format 2 metadata as zarr 2.18 reads it, with its errors.

What is true of an array folder is :mod:`minian_vc.zarr_format`'s to tell; this is what MiniAn's zarr makes of it.
"""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from minian_vc.prediction.model import Fails

__all__ = ["Array", "Documents", "group_documents", "members", "parse"]

Documents = Mapping[str, Any]  # key → bytes, or what the consolidated metadata hold of it


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """An array of a group: its ``.zarray``, decoded."""

    path: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: Any
    order: Literal["C", "F"]
    chunk_separator: str
    compressor: Mapping[str, Any] | None
    codec: Any
    filters: tuple[Any, ...]

    @property
    def chunk_prefix(self) -> str:
        """What each chunk's key begins with: nothing, in format 2."""
        return ""

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def form(self) -> tuple[Any, ...]:
        """All that its values depend on beside the chunks, hashable."""
        codecs = (id(self.codec), *map(id, self.filters))  # equal ones are one object while any of them lives
        return (
            self.shape,
            self.chunks,
            self.dtype.str,
            repr(self.fill_value),
            self.order,
            self.chunk_separator,
            codecs,
        )

    @classmethod
    def load(cls, documents: Documents, path: str) -> Array:
        """Read the array at a path of a group.

        Raises
        ------
        Fails
            What zarr raises on metadata that it cannot read.
        """
        key = f"{path}/.zarray"
        document = parse(documents[key], key)
        if document.get("zarr_format") != 2:
            raise Fails("MetadataError", f"{key} has zarr_format {document.get('zarr_format')}")
        try:
            dtype = np.dtype(_descr(document["dtype"]))
            if dtype.hasobject:
                _codec(document["filters"][0])
            fill_value = _fill_value(document["fill_value"], dtype)
            shape, chunks = tuple(document["shape"]), tuple(document["chunks"])
            compressor, order, filters = document["compressor"], document["order"], document["filters"] or ()
        except Exception as error:  # zarr calls all of it one name
            raise Fails("MetadataError", f"{key} cannot be decoded: {error!r}") from None
        if not all(isinstance(size, int) for size in shape):
            raise Fails("TypeError", f"{key} has a shape of other than whole numbers")
        if any(size < 0 for size in shape):
            raise Fails("ValueError", f"{key} has a negative shape")
        try:
            codec = None if compressor is None else _codec(compressor)
            coders = tuple(map(_codec, filters))
        except Exception as error:
            raise Fails(type(error).__name__, f"{key} names a codec that cannot be had: {error}") from None
        separator = str(document.get("dimension_separator") or ".")
        return cls(path, shape, chunks, dtype, fill_value, order, separator, compressor, codec, coders)


def parse(content: Any, key: str) -> dict[str, Any]:
    """Return a metadata document; consolidated ones are parsed already."""
    if isinstance(content, bytes):
        try:
            content = json.loads(content.decode())
        except (ValueError, RecursionError) as error:
            raise Fails(type(error).__name__, f"{key} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise Fails("AttributeError", f"{key} is not a JSON object")
    return content


def group_documents(files: Mapping[str, bytes]) -> Documents:
    """Return the metadata of a group: consolidated where that can be read, else the files themselves.

    Raises
    ------
    Fails
        There is no group here, or its metadata are broken.
    """
    documents = _consolidated(files)
    if documents is not None:
        if ".zarray" in documents:
            raise Fails("AttributeError", "the consolidated metadata describe an array where a group should be")
        if ".zgroup" not in documents:
            raise Fails("PathNotFoundError", "the consolidated metadata lack .zgroup")
    else:
        documents = files
        if ".zarray" in files:
            raise Fails("ContainsArrayError", "there is an array where a group should be")
        if ".zgroup" not in files:
            raise Fails("FileNotFoundError", "there is no zarr group in it")
    group = parse(documents[".zgroup"], ".zgroup")
    if group.get("zarr_format") != 2:
        raise Fails("MetadataError", f".zgroup has zarr_format {group.get('zarr_format')}")
    return documents


def _consolidated(files: Mapping[str, bytes]) -> Documents | None:
    """Return the content of ``.zmetadata``; None where it is missing or no JSON, and MiniAn reads on without."""
    if ".zmetadata" not in files:
        return None
    try:
        document = json.loads(files[".zmetadata"].decode())
    except ValueError:
        return None
    except RecursionError:
        raise Fails("RecursionError", ".zmetadata is nested too deeply") from None
    if not isinstance(document, dict):
        raise Fails("AttributeError", ".zmetadata is not a JSON object")
    if document.get("zarr_consolidated_format") != 1:
        raise Fails("MetadataError", ".zmetadata has no known format")
    metadata = document.get("metadata")
    return metadata if isinstance(metadata, dict) else None


def members(documents: Documents) -> Iterator[str]:
    """Yield the names of arrays and groups in a group, sorted."""
    for name in sorted({sys.intern(key.partition("/")[0]) for key in documents if "/" in key}):
        if not name or "\\" in name:  # zarr takes it for a slash, and finds nothing there
            continue
        if name in (".", ".."):
            raise Fails("ValueError", f"{name} is no name of an array")
        if f"{name}/.zarray" in documents or f"{name}/.zgroup" in documents:
            yield name


def _descr(dtype: Any) -> Any:
    if isinstance(dtype, list):
        return [tuple(_descr(part) for part in field) for field in dtype]
    return dtype


def _codec(config: Mapping[str, Any]) -> Any:
    from numcodecs import get_codec

    try:
        return _known_codec(tuple(config.items()))
    except (TypeError, AttributeError):  # nested, or no mapping: numcodecs may make something of it, or an error
        return get_codec(config)


@functools.lru_cache(256)
def _known_codec(config: tuple[tuple[str, Any], ...]) -> Any:
    from numcodecs import get_codec

    return get_codec(dict(config))


def _fill_value(value: Any, dtype: np.dtype[Any]) -> Any:
    if value is None or dtype.kind in "UV":
        return value
    if dtype.kind == "f" and value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    if dtype.kind == "c":
        parts = [_fill_value(part, np.dtype(float)) for part in value]
        return np.array(parts[0] + 1j * parts[1], dtype)[()]
    return np.array(value, dtype)[()]
