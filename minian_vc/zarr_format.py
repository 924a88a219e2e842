"""The zarr formats 2 and 3, read as JSON: what an array folder says of itself. Pure; chunks stay opaque bytes.

References
----------
https://zarr-specs.readthedocs.io/ (v2 and v3 core), https://docs.xarray.dev/en/stable/internals/zarr-encoding-spec.html
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from minian_vc.errors import UnreadableError

__all__ = [
    "EXPORTED",
    "METADATA_NAMES",
    "ArrayFolder",
    "ArrayMetadata",
    "ChunkCount",
    "Grid",
    "chunk_grid",
    "chunk_key",
    "count_chunks",
    "expected_chunks",
    "is_save_in_progress",
    "is_zarr",
    "missing_chunks",
    "read_array_folder",
    "rename_variable",
    "stem",
]

EXPORTED = "minian_vc"  # the attribute of a group that an export wrote
METADATA_NAMES = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})
MAX_DIMS = 64
MAX_BYTES = 1 << 63
_V2_KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
Reader = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class ArrayMetadata:
    """What ``.zarray`` and ``.zattrs`` (format 2) or ``zarr.json`` (format 3) say of one array.

    ``path`` is its place in the array folder (empty if the folder is the array), ``chunks`` what one
    file holds (of a sharded array: the shard), ``dtype`` numpy's name where there is one. ``fill_value``
    is as the JSON has it, and so is the ``compressor`` (format 2 only). Dimensions without names are ``dim_0``,
    ``dim_1`` … as xarray has them.
    """

    path: str
    zarr_format: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    dims: tuple[str, ...]
    fill_value: Any
    itemsize: int | None
    attributes: Mapping[str, Any]
    chunk_prefix: str
    chunk_separator: str
    compressor: Mapping[str, Any] | None = None
    has_filters: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes in memory; variable-length items count as pointers."""
        return math.prod(self.shape) * (self.itemsize or 8)

    @property
    def chunk_nbytes(self) -> int | None:
        """Bytes of one chunk in memory; None where the length varies."""
        return None if self.itemsize is None else math.prod(self.chunks) * self.itemsize


@dataclass(frozen=True, slots=True)
class ArrayFolder:
    """An array folder: its data variable and the coordinates beside it, by name."""

    variable: ArrayMetadata
    coordinates: Mapping[str, ArrayMetadata]


def is_zarr(keys: Collection[str]) -> bool:
    """Tell whether a folder with these files is a zarr array, or a group with an array directly in it.

    A dataset folder that other tools gave a ``.zgroup`` of its own is neither.
    """
    if ".zarray" in keys or "zarr.json" in keys:
        return True
    return ".zgroup" in keys and any(key.count("/") == 1 and key.endswith("/.zarray") for key in keys)


def stem(folder: str) -> str:
    """Return an array folder's name without ``.zarr``."""
    return folder.removesuffix(".zarr")


def is_save_in_progress(file_name: str) -> bool:
    """Tell a temporary file of zarr's own writers, ``<name>.<uuid>.partial``."""
    return file_name.endswith(".partial")


def read_array_folder(stem: str, keys: Collection[str], read: Reader) -> ArrayFolder:
    """Find the variable and the coordinates of an array folder.

    Parameters
    ----------
    stem : str
        The folder's name without ``.zarr``: of several data variables the one of that name is taken,
        else the first, as MiniAn takes it.
    keys : collection of str
        The files in the folder.
    read : callable
        Returns the bytes of a key.

    Raises
    ------
    UnreadableError
        There is no array in it, or its metadata cannot be read.
    """
    arrays = {meta.path: meta for meta in _arrays(keys, read)}
    if not arrays:
        raise UnreadableError("there is no array in it.")
    if stem not in arrays and any(key.startswith(f"{stem}/") for key in keys):
        known = [f"{stem}/.zgroup", f"{stem}/zarr.json"]
        if not any(key in keys for key in known):
            raise UnreadableError(f"{stem} in it has no metadata: its .zarray is missing.")
    coordinate_names = _coordinate_names(arrays)
    data = [path for path in sorted(arrays) if path not in coordinate_names]
    if not data and stem not in arrays:
        raise UnreadableError("there are coordinates in it, but no array that they belong to.")
    variable = arrays[stem if stem in arrays and (stem in data or not data) else data[0]]
    parent = variable.path.rpartition("/")[0]
    beside = {
        meta.path.removeprefix(f"{parent}/"): meta
        for meta in arrays.values()
        if meta.path != variable.path and meta.path.rpartition("/")[0] == parent and meta.path in coordinate_names
    }
    attached = {name: meta for name, meta in beside.items() if set(meta.dims) <= set(variable.dims)}
    return ArrayFolder(variable, dict(sorted(attached.items())))


def _coordinate_names(arrays: Mapping[str, ArrayMetadata]) -> set[str]:
    """Return the paths of the arrays that xarray takes for coordinates."""
    found = set()
    for path, meta in arrays.items():
        parent, _, name = path.rpartition("/")
        if meta.dims == (name,):
            found.add(path)
        named = meta.attributes.get("coordinates")
        if isinstance(named, str):
            found.update(f"{parent}/{other}".lstrip("/") for other in named.split())
    return found & set(arrays)


def _arrays(keys: Collection[str], read: Reader) -> Iterator[ArrayMetadata]:
    present = set(keys)
    for key in sorted(present):
        if key.rpartition("/")[2] in (".zarray", "zarr.json"):
            try:
                meta = _array(key, present, read)
            except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
                raise UnreadableError(f"{key} is no zarr metadata ({error!r}).") from error
            if meta is not None and (meta.chunk_separator not in (".", "/") or not isinstance(meta.attributes, dict)):
                raise UnreadableError(f"{key} has a chunk separator or attributes that no zarr has.")
            if meta is not None and meta.nbytes >= MAX_BYTES:
                raise UnreadableError(f"{key} describes an array of {meta.nbytes} bytes.")
            if meta is not None:
                yield meta


def _array(key: str, present: Collection[str], read: Reader) -> ArrayMetadata | None:
    """Read one metadata document; a format 3 group is None."""
    path, _, name = key.rpartition("/")
    document = _json(key, read)
    if name == ".zarray":
        attributes = f"{path}/.zattrs".lstrip("/")
        return _format_2(path, document, _json(attributes, read) if attributes in present else {})
    return _format_3(path, document) if document.get("node_type") == "array" else None


def _json(key: str, read: Reader) -> dict[str, Any]:
    try:
        document = json.loads(read(key))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"{key} is not valid JSON ({error}).") from error
    if not isinstance(document, dict):
        raise UnreadableError(f"{key} is not a JSON object.")
    return document


def _format_2(path: str, document: Mapping[str, Any], attributes: Mapping[str, Any]) -> ArrayMetadata:
    where = f"{path}/.zarray".lstrip("/")
    shape = _sizes(where, document, "shape", 0)
    dtype, itemsize = _dtype_2(document.get("dtype"))
    return ArrayMetadata(
        path=path,
        zarr_format=2,
        shape=shape,
        chunks=_chunks(where, document.get("chunks"), shape),
        dtype=dtype,
        dims=_dims(where, attributes.get("_ARRAY_DIMENSIONS"), shape),
        fill_value=document.get("fill_value"),
        itemsize=itemsize,
        attributes=attributes,
        chunk_prefix="",
        chunk_separator=document.get("dimension_separator", "."),
        compressor=document["compressor"] if isinstance(document.get("compressor"), dict) else None,
        has_filters=bool(document.get("filters")),
    )


def _format_3(path: str, document: Mapping[str, Any]) -> ArrayMetadata:
    where = f"{path}/zarr.json".lstrip("/")
    shape = _sizes(where, document, "shape", 0)
    grid = document["chunk_grid"]["configuration"]["chunk_shape"]
    encoding = document["chunk_key_encoding"]
    data_type = document["data_type"]
    default = encoding.get("name", "default") == "default"
    separator = encoding.get("configuration", {}).get("separator", "/" if default else ".")
    dtype, itemsize = _dtype_3(data_type)
    return ArrayMetadata(
        path=path,
        zarr_format=3,
        shape=shape,
        chunks=_chunks(where, grid, shape),
        dtype=dtype,
        dims=_dims(where, document.get("dimension_names"), shape),
        fill_value=document.get("fill_value"),
        itemsize=itemsize,
        attributes=document.get("attributes", {}),
        chunk_prefix=f"c{separator}" if default and shape else ("c" if default else ""),
        chunk_separator=separator,
    )


def _sizes(where: str, document: Mapping[str, Any], name: str, least: int) -> tuple[int, ...]:
    sizes = document.get(name)
    good = isinstance(sizes, list) and len(sizes) <= MAX_DIMS
    if not good or not all(type(size) is int and least <= size < MAX_BYTES for size in sizes or []):
        raise UnreadableError(f"{where}: {name} is {sizes!r}, not a list of sizes.")
    return tuple(sizes or [])


def _chunks(where: str, chunks: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    if chunks is False:  # zarr 2 writes this for one chunk over all
        return shape
    sizes = _sizes(where, {"chunks": chunks}, "chunks", 0)
    if len(sizes) != len(shape):
        raise UnreadableError(f"{where}: chunks {sizes} do not fit shape {shape}.")
    return sizes


def _dims(where: str, names: Any, shape: tuple[int, ...]) -> tuple[str, ...]:
    if not names:
        return tuple(f"dim_{i}" for i in range(len(shape)))
    if not isinstance(names, list) or len(names) != len(shape):
        raise UnreadableError(f"{where}: dimensions {names!r} do not fit shape {shape}.")
    return tuple(str(name) if name is not None else f"dim_{i}" for i, name in enumerate(names))


def _dtype_2(text: Any) -> tuple[str, int | None]:
    """Return numpy's name and the item size of a format 2 dtype such as ``<f8``."""
    if not isinstance(text, str) or len(text) < 2:
        return json.dumps(text), None
    kind, size = text[1], text[2:].partition("[")[0]
    if not size.isdigit():
        return ("object" if kind == "O" else text), None
    items = int(size) * (4 if kind == "U" else 1)
    if kind in "mM":
        unit = text[2:].partition("[")[2]
        return f"{'timedelta64' if kind == 'm' else 'datetime64'}[{unit}", items
    if kind not in _V2_KINDS:
        return text, items
    return ("bool" if kind == "b" else f"{_V2_KINDS[kind]}{items * 8}"), items


def _dtype_3(data_type: Any) -> tuple[str, int | None]:
    """Return numpy's name and the item size of a format 3 data type, a name or an object with one."""
    if isinstance(data_type, str):
        bits = data_type.lstrip("abcdefghijklmnopqrstuvwxyz_")
        return data_type, 1 if data_type == "bool" else (int(bits) // 8 if bits.isdigit() else None)
    if not isinstance(data_type, dict):
        return json.dumps(data_type), None
    name, settings = data_type.get("name"), data_type.get("configuration", {})
    length = settings.get("length_bytes")
    if name == "fixed_length_utf32" and length:
        return f"<U{length // 4}", length
    if name in ("numpy.datetime64", "numpy.timedelta64"):
        return f"{name.removeprefix('numpy.')}[{settings.get('unit')}]", 8
    return str(name), length


class Grid(Protocol):
    """What the chunks of an array are called depends on."""

    @property
    def path(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def chunks(self) -> tuple[int, ...]: ...
    @property
    def chunk_prefix(self) -> str: ...
    @property
    def chunk_separator(self) -> str: ...


def chunk_key(meta: Grid, index: tuple[int, ...]) -> str:
    """Return the key, within the array folder, of the chunk at that place of the grid."""
    numbers = meta.chunk_separator.join(map(str, index))
    name = meta.chunk_prefix + (numbers or ("" if meta.chunk_prefix else "0"))
    return f"{meta.path}/{name}".lstrip("/")


def chunk_grid(meta: Grid) -> Iterator[tuple[int, ...]]:
    """Yield the place of each chunk that a completely written array has."""
    counts = (math.ceil(size / max(chunk, 1)) for size, chunk in zip(meta.shape, meta.chunks, strict=True))
    return itertools.product(*map(range, counts))


def expected_chunks(meta: Grid) -> Iterator[str]:
    """Yield the key of each chunk a completely written array has."""
    return (chunk_key(meta, index) for index in chunk_grid(meta))


def count_chunks(meta: Grid) -> int:
    """Return how many chunks a completely written array has."""
    sizes = zip(meta.shape, meta.chunks, strict=True)
    return math.prod(math.ceil(size / max(chunk, 1)) for size, chunk in sizes)


class ChunkCount:
    """Counts which of an array's expected chunks are there, from keys that may come little by little."""

    def __init__(self, meta: ArrayMetadata) -> None:
        self._meta = meta
        self._under = f"{meta.path}/" if meta.path else ""
        self._files = 0
        self._chunks = 0

    def add(self, keys: Iterable[str]) -> None:
        """Count some keys of the array folder, each given once."""
        for key in keys:
            if key.startswith(self._under) and key.rpartition("/")[2] not in METADATA_NAMES:
                self._files += 1
                self._chunks += _is_expected(self._meta, key)

    @property
    def missing(self) -> int:
        """The number of expected chunks that are not there."""
        total = count_chunks(self._meta)
        if total > 10 * self._files + 1000:  # absurd or nearly empty: the grid may be made up
            return total - self._files
        return total - self._chunks


def _is_expected(meta: Grid, key: str) -> bool:
    """Tell whether a key is that of a chunk on the array's grid."""
    name = key.removeprefix(f"{meta.path}/" if meta.path else "").removeprefix(meta.chunk_prefix)
    try:
        index = tuple(map(int, name.split(meta.chunk_separator))) if meta.shape else ()
    except ValueError:
        return False
    if len(index) != len(meta.shape) or key != chunk_key(meta, index):
        return False
    return all(0 <= i * max(chunk, 1) < size for i, size, chunk in zip(index, meta.shape, meta.chunks, strict=True))


def missing_chunks(meta: ArrayMetadata, keys: Collection[str]) -> int:
    """Count the expected chunks that are not there; the work is bounded by the files that are."""
    counted = ChunkCount(meta)
    counted.add(keys)
    return counted.missing


def rename_variable(files: Mapping[str, bytes], old: str, new: str) -> dict[str, bytes]:
    """Return the metadata documents of an array folder as they read once ``old`` is called ``new``.

    ``files`` are the metadata documents by their old keys. A consolidated copy is made anew from the
    documents themselves, for a stale one would give wrong values under the new name too.
    """
    renamed = {
        (f"{new}/{key[len(old) + 1 :]}" if key.startswith(f"{old}/") else key): content
        for key, content in files.items()
    }
    if ".zmetadata" in renamed:
        parts = {k: json.loads(v) for k, v in sorted(renamed.items()) if k != ".zmetadata"}
        consolidated = {"metadata": parts, "zarr_consolidated_format": 1}
        renamed[".zmetadata"] = json.dumps(consolidated, indent=4).encode()
    root = json.loads(renamed.get("zarr.json", b"{}"))
    if root.get("consolidated_metadata"):
        root["consolidated_metadata"]["metadata"] = {
            key.removesuffix("/zarr.json"): json.loads(content)
            for key, content in sorted(renamed.items())
            if key.endswith("/zarr.json")
        }
        renamed["zarr.json"] = json.dumps(root, indent=2).encode()
    return renamed
