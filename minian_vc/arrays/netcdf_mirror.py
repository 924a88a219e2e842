"""A netCDF file as the MiniAn folder that it would be: kept beside the history, and made anew when the file changes.

MiniAn's users have ``minian.nc`` files. What is versioned are arrays in zarr's format, so the file is laid out as
``save_minian`` would save its variables. The mirror is a cache: whoever removes it loses nothing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc import durable
from minian_vc.arrays.encoding import encode
from minian_vc.arrays.writing import write_group
from minian_vc.errors import BusyError, EnvironmentUnfitError, UnreadableError
from minian_vc.names import check_array_name
from minian_vc.swap import put_in_place

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["is_netcdf", "is_netcdf_name", "mirror"]

MAGIC = (b"\x89HDF", b"CDF\x01", b"CDF\x02", b"CDF\x05")
CHUNK = "32MiB"  # of variables that the file keeps in one piece
SETTLED = 2_000_000_000  # ns after which a change cannot hide behind the same time of change


def is_netcdf(path: Path) -> bool:
    """Tell whether a path is a netCDF file, by its first bytes."""
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(MAGIC)
    except OSError:
        return False


def is_netcdf_name(path: Path) -> bool:
    """Tell whether a path that need not exist is a netCDF file's by its name, and no folder."""
    return path.suffix == ".nc" and not path.is_dir()


def mirror(source: Path, folder: Path, staging: Path) -> Path:
    """Return a folder with one ``<name>.zarr`` per data variable of a netCDF file.

    Parameters
    ----------
    source : Path
        The file. Variables keep names, dims, dtypes (decoded by xarray's conventions), coordinates and attributes, and
        the chunk spec that the file has; one that the file keeps in one piece is cut into chunks of up to 32 MiB.
    folder : Path
        Where the mirror is kept; it is left alone if the file is what it was.
    staging : Path
        A folder on the same volume.

    Raises
    ------
    UnreadableError
        It cannot be opened.
    EnvironmentUnfitError
        No package that reads netCDF is installed.
    BusyError
        It changed while it was read.
    StorageError
        The disk is full or read-only.
    """
    before, note = _stamp(source), folder / "source.json"
    if _read(note) == before:
        return folder / "arrays"
    staged = staging / f"netcdf-{os.urandom(8).hex()}"
    try:
        with durable.storage_errors(f"lay out {source.name}", staging):
            (staged / "arrays").mkdir(parents=True)
            _lay_out(source, staged)
            if _stamp(source) != before:
                raise BusyError(
                    f"{source} changed while it was read.", "Nothing was recorded. Try again when it is whole."
                )
            if abs(time.time_ns() - before["mtime_ns"]) > SETTLED:
                (staged / "source.json").write_text(json.dumps(before))
            durable.flush_tree(staged)
            replaced = put_in_place(staged, folder, staging)
        if replaced is not None:
            durable.remove_tree(replaced)
    finally:
        durable.remove_tree(staged)
    return folder / "arrays"


def _stamp(source: Path) -> dict[str, int]:
    found = source.stat()
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "inode": found.st_ino}


def _read(note: Path) -> dict[str, int] | None:
    """Return what the mirror is of, or None: then it is made anew."""
    try:
        found: dict[str, int] = json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None
    return found


def _lay_out(source: Path, staged: Path) -> None:
    with _opened(source) as opened:
        for name, variable in opened.data_vars.items():
            folder = staged / "arrays" / f"{check_array_name(str(name))}.zarr"
            group = encode(_cut(variable), {}, None)
            write_group((group.array, *group.coordinates), group.attributes, folder)


def _opened(source: Path) -> xr.Dataset:
    import xarray as xr

    if not any(map(importlib.util.find_spec, ("h5netcdf", "netCDF4"))):
        raise EnvironmentUnfitError(
            f"Reading {source} needs h5netcdf or netCDF4.", 'Nothing was changed. pip install "minian_vc[netcdf]"'
        )
    try:
        return xr.open_dataset(source)
    except Exception as error:  # the packages raise anything at all
        raise UnreadableError(
            f"{source} cannot be opened as netCDF: {type(error).__name__}: {error}", "Nothing was changed."
        ) from error


def _cut(variable: xr.DataArray) -> xr.DataArray:
    """Return a variable with dask chunks, those of the file where it has some."""
    stored = variable.encoding.get("chunksizes")
    plain = variable.drop_encoding()
    if not variable.ndim:
        return plain
    if stored:
        return plain.chunk(dict(zip(variable.dims, stored, strict=True)))
    import dask

    with dask.config.set({"array.chunk-size": CHUNK}):
        return plain.chunk("auto")
