"""Array folders written by hand: zarr format 2, not compressed, no zarr needed."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minian_vc.model import ArrayVersion, Coordinate, FileEntry, Manifest, canonical_json, digest_of

LONG_AGO = 1_700_000_000_123_456_789
_age = itertools.count()


def write_array(
    folder: Path,
    values: Any,
    dims: tuple[str, ...],
    *,
    chunks: tuple[int, ...] | None = None,
    coords: Mapping[str, Any] | None = None,
    fill_value: Any = 0,
    name: str | None = None,
    fresh: bool = False,
) -> Path:
    """Write an array and its coordinates as xarray would; its files are old unless ``fresh``.

    A coordinate along another dimension than its own is given with its dims: ``(("unit_id",), values)``.
    """
    name = name or folder.name.removesuffix(".zarr")
    write_file(folder / ".zgroup", json.dumps({"zarr_format": 2}).encode())
    _write_variable(folder / name, np.asarray(values), dims, chunks, fill_value)
    named = []
    for other, content in (coords or {}).items():
        of_dims, data = content if isinstance(content, tuple) else ((other,) if np.ndim(content) else (), content)
        _write_variable(folder / other, np.asarray(data), of_dims, None, None)
        if of_dims != (other,):
            named.append(other)
    names = " ".join(named)
    if names:
        attributes = folder / name / ".zattrs"
        write_file(attributes, json.dumps({**json.loads(attributes.read_text()), "coordinates": names}).encode())
    if not fresh:
        make_old(folder)
    return folder


def _write_variable(folder: Path, values: np.ndarray, dims: tuple[str, ...], chunks: Any, fill_value: Any) -> None:
    chunks = chunks or tuple(max(size, 1) for size in values.shape)
    document = {
        "zarr_format": 2,
        "shape": list(values.shape),
        "chunks": list(chunks),
        "dtype": values.dtype.str,
        "fill_value": fill_value,
        "compressor": None,
        "filters": None,
        "order": "C",
    }
    write_file(folder / ".zarray", json.dumps(document).encode())
    write_file(folder / ".zattrs", json.dumps({"_ARRAY_DIMENSIONS": list(dims)}).encode())
    if 0 in values.shape:
        return
    counts = [-(-size // chunk) for size, chunk in zip(values.shape, chunks, strict=True)]
    for index in itertools.product(*map(range, counts)):
        block = np.zeros(chunks, values.dtype)
        part = values[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))]
        block[tuple(slice(n) for n in part.shape)] = part
        write_file(folder / (".".join(map(str, index)) or "0"), block.tobytes())


def write_file(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_units(folder: Path, units: Any, values: Any, **options: Any) -> Path:
    """Write an array of one row per unit, one chunk each, as MiniAn chunks its footprints."""
    values = np.asarray(values, dtype=float)
    coords = {"unit_id": np.asarray(units), **options.pop("coords", {})}
    chunks = (1, values.shape[1])
    return write_array(folder, values, ("unit_id", "frame"), chunks=chunks, coords=coords, **options)


def make_old(path: Path) -> None:
    """Give every file a modification time long ago, another one each time."""
    moment = LONG_AGO + next(_age) * 1_000
    for each in [path, *path.rglob("*")]:
        if not each.is_symlink():
            os.utime(each, ns=(moment, moment))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by key, to read metadata from."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def version(name: str = "A", **changes: Any) -> ArrayVersion:
    """Return an array version with everything made up but what is given."""
    units = changes.get("unit_ids", (0, 1, 2))
    dims = changes.get("dims", ("unit_id", "frame") if units is not None else ("frame",))
    sizes = {"unit_id": len(units or ()), "frame": 5}
    shape = changes.get("shape", tuple(sizes.get(dim, 4) for dim in dims))
    made_up = {
        "name": name,
        "folder": f"{name}.zarr",
        "variable": name,
        "zarr_format": 2,
        "dims": dims,
        "shape": shape,
        "dtype": "float64",
        "chunks": {dim: 1 if dim == "unit_id" else size for dim, size in zip(dims, shape, strict=True)},
        "coordinates": (),
        "unit_ids": units,
        "animal": "mouse1",
        "session": "session1",
        "manifest": digest_of(name.encode()),
        "nbytes": 120,
        "stored_bytes": 99,
    }
    return ArrayVersion(**{**made_up, **changes})


def coordinate(name: str, values: Any) -> Coordinate:
    """Return a coordinate along its own dimension whose digests are those of its values."""
    digest = digest_of(canonical_json(list(values)))
    return Coordinate(name, (name,), (len(values),), "int64", digest, digest)


def manifest_of(folder: Path) -> Manifest:
    """Return the manifest of a folder, every file inside it."""
    return Manifest({key: FileEntry.of(content) for key, content in files_of(folder).items()})
