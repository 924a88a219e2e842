"""netCDF 4: one coherent Dataset in one file, written chunk by chunk."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError
from minian_vc.export.bundle import Bundle
from minian_vc.export.computing import progress_of_dask
from minian_vc.export.formats import FORMATS

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write"]

ENGINES = {"h5netcdf": ("h5netcdf", "h5py"), "netcdf4": ("netCDF4",)}  # xarray's name: packages; the first there is


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
    if compression not in range(10):
        raise InvalidInputError(f"{compression!r} is no level of compression.", "Nothing was written. Give 0 to 9.")
    together = bundle.together.drop_encoding().assign_attrs(bundle.attributes)
    for variable in together.variables.values():
        variable.attrs = {name: _attribute(value) for name, value in variable.attrs.items()}
    encoding = {name: _encoding(variable, compression) for name, variable in together.data_vars.items()}
    with progress_of_dask(f"Writing {path.name}", together.nbytes):
        together.to_netcdf(path, engine=chosen, format="NETCDF4", encoding=encoding)


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
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return value
    return value if hasattr(value, "dtype") else json.dumps(value)
