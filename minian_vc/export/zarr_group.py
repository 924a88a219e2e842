"""zarr: one plain group folder with all arrays and their coordinates."""

from __future__ import annotations

import importlib.metadata
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc.arrays.encoding import encode_together
from minian_vc.arrays.writing import write_group
from minian_vc.errors import EnvironmentUnfitError, InvalidInputError
from minian_vc.export.bundle import Bundle
from minian_vc.export.chunk_grids import cut_as_recorded
from minian_vc.export.computing import progress_of_dask

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write"]


def write(bundle: Bundle, path: Path, *, zarr_format: int = 2) -> None:
    """Write arrays as one zarr group that ``xarray.open_zarr`` and every reader of zarr open.

    Parameters
    ----------
    bundle : Bundle
        What to write: arrays keep their names, dims, dtypes and chunk specs. The identity, session and animal are
        attributes of the group.
    path : Path
        The folder to make.
    zarr_format : {2, 3}
        The version of the zarr format. Format 2 is read by all versions of zarr and by most tools of other languages,
        and has consolidated metadata. Format 3 needs zarr 3, here and wherever it is read.

    Raises
    ------
    EnvironmentUnfitError
        Format 3 is asked for, and zarr 3 is not installed.
    InvalidInputError
        There is no such version; or the folder would be called as MiniAn calls that of one of the arrays.
    """
    if path.suffix == ".zarr" and path.stem in bundle.names:
        raise InvalidInputError(
            f"{path.name} is MiniAn's name for {path.stem}'s folder: what it lies in would be taken for a dataset.",
            f"Nothing was written. Call it otherwise, as in {path.stem}-{bundle.identity['checkpoint'][7:17]}.zarr",
        )
    if zarr_format not in (2, 3):
        raise InvalidInputError(f"There is no zarr format {zarr_format!r}.", "Nothing was written. Give 2 or 3.")
    if zarr_format == 3:
        _refuse_old_zarr()
    together = cut_as_recorded(bundle).assign_attrs(bundle.attributes)
    if zarr_format == 3:
        _write_format_3(together, path)
        return
    variables, attributes = encode_together(together, path.name)
    write_group(tuple(variables.values()), attributes, path)


def _refuse_old_zarr() -> None:
    installed = importlib.metadata.version("zarr")
    if int(installed.partition(".")[0]) < 3:
        raise EnvironmentUnfitError(
            f"zarr {installed} is installed, which cannot write zarr format 3.",
            'Nothing was written. Give --zarr-format 2 (zarr_format=2), or pip install "zarr>=3.1.3" without MiniAn.',
        )


def _write_format_3(together: xr.Dataset, path: Path) -> None:
    with warnings.catch_warnings(), progress_of_dask(f"Writing {path.name}", together.nbytes):
        # text coordinates have no lasting type in format 3 yet: that is why session and animal are attributes too
        warnings.filterwarnings("ignore", "The data type .* does not have a Zarr V3 specification")
        # without it, opening warns
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part")
        together.drop_encoding().to_zarr(path, mode="w-", zarr_format=3, consolidated=True)
