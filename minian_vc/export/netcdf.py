"""netCDF 4: one coherent Dataset in one file, written chunk by chunk."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minian_vc import durable
from minian_vc.errors import InvalidInputError, StorageError
from minian_vc.export.bundle import Bundle
from minian_vc.export.computing import progress_of_dask
from minian_vc.export.formats import FORMATS
from minian_vc.export.values import refuse_level
from minian_vc.text import size

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write"]

ENGINES = {"netcdf4": ("netCDF4",), "h5netcdf": ("h5netcdf", "h5py")}  # xarray's name: packages; the first there is


def write(bundle: Bundle, path: Path, *, engine: str | None = None, compression: int = 4) -> None:
    """Write arrays as one netCDF 4 file that ``xarray.open_dataset`` and MiniAn's ``open_minian`` open.

    Parameters
    ----------
    bundle : Bundle
        What to write: variables keep their names, dims, dtypes, chunk specs and attributes.
    path : Path
        The file to make.
    engine : {"h5netcdf", "netcdf4"}, optional
        The package that writes; by default the one that is installed.
    compression : int
        zlib's level, 0 (none) to 9. It loses nothing.

    Raises
    ------
    EnvironmentUnfitError
        Neither package is installed.
    InvalidInputError
        There is no such engine or level.
    """
    chosen = _engine(engine)
    refuse_level(compression)
    together = bundle.together.drop_encoding().assign_attrs(bundle.attributes)
    for variable in together.variables.values():
        variable.attrs = {name: _attribute(value) for name, value in variable.attrs.items()}
    encoding = {name: _encoding(variable, compression) for name, variable in together.data_vars.items()}
    if chosen == "h5netcdf":
        _refuse_full_disk(path, together.nbytes)
    with progress_of_dask(f"Writing {path.name}", together.nbytes):
        together.to_netcdf(path, engine=chosen, format="NETCDF4", encoding=encoding)


def _refuse_full_disk(path: Path, nbytes: int) -> None:
    """Refuse what would fill the disk if it did not compress at all: h5py then ends the whole process."""
    free = durable.free_bytes(path.parent)
    if nbytes > free:
        raise StorageError(
            f"{path.name} takes up to {size(nbytes)}, and {size(free)} are free.",
            "Nothing was written. Free some space, or install netCDF4, which needs no more than the file in the end.",
        )


def _engine(wanted: str | None) -> Any:
    if wanted is not None and wanted not in ENGINES:
        raise InvalidInputError(
            f"There is no netCDF engine {wanted!r}.", f"Nothing was written. Give {' or '.join(ENGINES)}."
        )
    for engine, packages in ENGINES.items():
        if wanted in (None, engine) and all(map(importlib.util.find_spec, packages)):
            return engine
    raise FORMATS["netcdf"].needs(wanted or " or ".join(ENGINES))


def _encoding(variable: xr.DataArray, compression: int) -> dict[str, Any]:
    """Return how a variable is stored: cut as it was in zarr, and no value means "missing"."""
    encoding: dict[str, Any] = {}
    if variable.dtype.kind in "fiub" and variable.size:
        chunks = [sizes[0] for sizes in variable.chunks or [(size,) for size in variable.shape]]
        encoding = {"zlib": compression > 0, "complevel": compression, "shuffle": True}
        encoding |= {"chunksizes": tuple(map(max, chunks, [1] * len(chunks)))} if chunks else {}
    return encoding | ({"_FillValue": None} if variable.dtype.kind in "fiu" else {})


def _attribute(value: Any) -> Any:
    """Return an attribute as netCDF can hold it: what it has no type for, as JSON."""
    if hasattr(value, "dtype"):
        return value
    each = value if isinstance(value, list) and value else [value]
    one_kind = all(isinstance(item, str) for item in each) or all(type(item) in (int, float) for item in each)
    return value if one_kind else json.dumps(value)
