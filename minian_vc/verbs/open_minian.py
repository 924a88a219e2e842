"""open_minian: MiniAn's function, checked first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc.errors import InvalidInputError
from minian_vc.verbs.check import check

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["open_minian"]


def open_minian(
    dpath: str | Path, post_process: Callable[..., xr.Dataset] | None = None, return_dict: bool = False
) -> xr.Dataset | dict[str, xr.DataArray]:
    """Open a MiniAn dataset as ``minian.utilities.open_minian`` does, but check it first and never pad silently.

    Parameters
    ----------
    dpath : str or Path
        The dataset folder.
    post_process : callable, optional
        Called as ``post_process(ds, dpath)`` on the dataset, and its result returned. Not with ``return_dict``.
    return_dict : bool
        Return each array as saved, by name, instead of bringing them together.

    Returns
    -------
    xarray.Dataset or dict of str to xarray.DataArray
        Lazy: dask-backed with the stored chunks. As a Dataset, arrays are on their common units, in one order; copies
        of earlier steps (``A_init``, ``C_new``, ``A_mrg``) are left out, and a ``LeftOutWarning`` says what else was.
        Computing an array whose folder was saved again since raises BusyError.

    Raises
    ------
    ConflictError
        The arrays do not belong together: of two sessions, numberings, recordings or crops.
    UnreadableError
        An array cannot be opened.
    NotFoundError
        There is no such folder, or no array in it.
    InvalidInputError
        It is a file: netCDF is not read yet.

    Warns
    -----
    UserWarning
        What was found and is not mended by opening coherently: missing chunks, a save in progress.

    References
    ----------
    The signature is that of ``minian.utilities.open_minian`` in MiniAn 2.0.2.
    """
    if Path(dpath).is_file():
        raise InvalidInputError(f"{dpath} is a file; only folders of arrays can be opened yet.", "Use MiniAn's own.")
    report = check(dpath)
    if return_dict:
        return report.load_each()
    together = report.load()
    return post_process(together, str(dpath)) if post_process is not None else together
