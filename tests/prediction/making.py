"""Building dataset folders as MiniAn leaves them, and spoiling files in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from oracle import minian, quiet

META = {"session": -1, "animal": -2}
"""Where the notebook's save_minian takes the session's and the animal's name from."""


class Bare(int):
    """The size of a dim which has no coordinate."""


def values(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return small numbers of a dtype, the same at every call."""
    numbers = np.arange(int(np.prod(shape)), dtype="int64").reshape(shape) % 100
    if dtype is object:
        return np.array([f"text{number}" for number in numbers.ravel()], dtype=object).reshape(shape)
    if np.dtype(dtype).kind == "U":
        return numbers.astype(str).astype(dtype)
    if np.dtype(dtype).kind == "b":
        return numbers % 2 == 0
    return numbers.astype(dtype)


def make(name: str, dtype: Any = "float64", *, coords: dict[str, Any] | None = None, **dims: Any) -> xr.DataArray:
    """Make an array: each dim is given by its size (labels from 0), a ``Bare`` size (no labels), or its labels."""
    sizes, labels = {}, {}
    for dim, given in dims.items():
        sizes[dim] = int(given) if isinstance(given, int) else len(given)
        if not isinstance(given, Bare):
            labels[dim] = np.arange(given) if isinstance(given, int) else np.asarray(given)
    data = values(tuple(sizes.values()), dtype)
    return xr.DataArray(data, dims=tuple(dims), coords={**labels, **(coords or {})}, name=name)


def traces(name: str = "C", units: Any = 5, frames: Any = 8, dtype: Any = "float64", **coords: Any) -> xr.DataArray:
    """Make an array over units and frames, such as C and S."""
    return make(name, dtype, unit_id=units, frame=frames, coords=coords)


def footprints(
    name: str = "A", units: Any = 5, height: Any = 3, width: Any = 4, dtype: Any = "float64", **coords: Any
) -> xr.DataArray:
    """Make an array over units and pixels, such as A."""
    return make(name, dtype, unit_id=units, height=height, width=width, coords=coords)


def movie(
    name: str = "Y", frames: Any = 8, height: Any = 3, width: Any = 4, dtype: Any = "uint8", **coords: Any
) -> xr.DataArray:
    """Make an array over frames and pixels, such as Y_fm_chk."""
    return make(name, dtype, frame=frames, height=height, width=width, coords=coords)


def image(
    name: str = "max_proj", height: Any = 3, width: Any = 4, dtype: Any = "float64", **coords: Any
) -> xr.DataArray:
    """Make an array over pixels, such as max_proj and b."""
    return make(name, dtype, height=height, width=width, coords=coords)


def save(array: xr.DataArray, dataset: Path, *, meta: dict[str, int] | None = None, **options: Any) -> Path:
    """Save an array with the real save_minian, as the notebook does; return the array's folder."""
    with quiet():
        minian().save_minian(array, str(dataset), meta_dict=meta, overwrite=True, **options)
    return dataset / f"{array.name}.zarr"


def write(array: xr.DataArray | xr.Dataset, folder: Path, **options: Any) -> Path:
    """Write an array or a dataset with plain xarray into a folder of any name."""
    dataset = array.to_dataset() if isinstance(array, xr.DataArray) else array
    folder.parent.mkdir(parents=True, exist_ok=True)
    with quiet():
        dataset.to_zarr(str(folder), zarr_format=2, **options)
    return folder


def consolidate(folder: Path) -> None:
    """Make .zmetadata anew from the files as they are."""
    with quiet():
        zarr.consolidate_metadata(str(folder))


def forget(folder: Path) -> None:
    """Remove .zmetadata, as tools do that do not consolidate."""
    (folder / ".zmetadata").unlink()


def edit(path: Path, **changes: Any) -> None:
    """Change entries of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_array(folder: Path, name: str, **changes: Any) -> None:
    """Change entries of an array's .zarray, in .zmetadata too."""
    edit(folder / name / ".zarray", **changes)
    consolidate(folder)


def edit_attributes(folder: Path, name: str, **changes: Any) -> None:
    """Change an array's attributes, in .zmetadata too."""
    edit(folder / name / ".zattrs", **changes)
    consolidate(folder)


def chunks_of(folder: Path) -> list[Path]:
    """Return the chunk files of an array, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".z"))


DAMAGES = ("missing", "empty", "garbage", "zeros", "truncated", "list", "object")
"""Ways to spoil a file; there is also "text", which is like "garbage" but readable."""


def damage(path: Path, how: str) -> None:
    """Spoil one file in one of the ways of ``DAMAGES``, or as "text"."""
    if how == "missing":
        path.unlink()
        return
    content = path.read_bytes()
    spoilt = {
        "empty": b"",
        "garbage": b"\x93\xff\x00" * (1 + len(content) // 3),
        "text": b"not what was here",
        "zeros": b"\0" * len(content),
        "truncated": content[: len(content) // 2],
        "list": b"[]",
        "object": b"{}",
    }
    path.write_bytes(spoilt[how])


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
