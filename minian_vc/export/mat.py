"""mat: arrays with their coordinates as variables of a MATLAB 5 file, through SciPy. Each array is in memory once."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError
from minian_vc.export.bundle import KEY, Bundle
from minian_vc.export.formats import FORMATS
from minian_vc.export.memory import refuse_beyond_memory
from minian_vc.export.values import coordinates_of, lazy_arrays, refuse_identity_name, refuse_level
from minian_vc.progress import progress
from minian_vc.text import size

if TYPE_CHECKING:
    import numpy as np

__all__ = ["write"]

LIMIT = (2 << 30) - 1024  # bytes of a variable's values; its header counts too
COPIES = {True: 5, False: 2}  # of an array in memory at once, with and without compression; seen in SciPy
WAY_OUT = "Export it as netcdf, which MATLAB reads with ncread or h5read, or as npy."
HEADER = b"MATLAB 5.0 MAT-file, Created by: minian_vc".ljust(116)  # SciPy's own tells the time
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_WORDS = (
    "break case catch classdef continue else elseif end for function global if otherwise parfor persistent return "
    "spmd switch try while"
)


def write(bundle: Bundle, path: Path, *, compression: int = 1) -> None:
    """Write arrays as a MATLAB 5 file that MATLAB, Octave and ``scipy.io.loadmat`` open.

    Variables are the arrays and the coordinates by their names, and the identity as JSON text under ``minian_vc``.

    Parameters
    ----------
    bundle : Bundle
        What to write. Dims stay in their order: ``A`` is unit by height by width. What has one dim becomes a column,
        several texts a cell array, times text.
    path : Path
        The file to make.
    compression : int
        0 for none; 1 to 9 for zlib, whose level SciPy chooses.

    Raises
    ------
    EnvironmentUnfitError
        SciPy is not installed.
    InvalidInputError
        A name is none for MATLAB, an array has more than 2 GB or does not fit in memory, a dtype has no place, or
        there is no such level of compression.
    """
    if importlib.util.find_spec("scipy") is None:
        raise FORMATS["mat"].needs("scipy")
    from scipy.io import savemat

    refuse_level(compression)
    small = {name: _for_matlab(name, values) for name, values in coordinates_of(bundle.together).items()}
    arrays = lazy_arrays(bundle)
    refuse_identity_name([*small, *arrays])
    _refuse_names([*small, *arrays])
    for name, array in arrays.items():
        if array.dtype.kind not in "biufc":
            raise InvalidInputError(f"{name} holds {array.dtype}, not numbers.", f"Nothing was written. {WAY_OUT}")
        _refuse_above_limit(name, array.nbytes)
        refuse_beyond_memory(COPIES[compression > 0] * array.nbytes, f"{name} as a MATLAB array", WAY_OUT)
    small[KEY] = bundle.text
    how = {"do_compression": compression > 0, "oned_as": "column"}
    with progress(f"Writing {path.name}", bundle.together.nbytes) as advance, path.open("wb") as file:
        savemat(file, small, **how)
        for name, array in arrays.items():
            savemat(file, {name: array.compute(scheduler="threads")}, **how)  # continues the file
            advance(array.nbytes)
        file.seek(0)
        file.write(HEADER)


def _for_matlab(name: str, values: np.ndarray) -> Any:
    """Return a coordinate's values as MATLAB has them: one text as text, several as a cell array."""
    import numpy as np

    if values.dtype.kind == "M":
        values = np.datetime_as_string(values)
    if values.dtype.kind not in "biufcU":
        raise InvalidInputError(
            f"{name} holds {values.dtype}, which MATLAB has not.", f"Nothing was written. {WAY_OUT}"
        )
    if values.dtype.kind != "U":
        return values
    return values.astype(object) if values.ndim else values.item()


def _refuse_names(names: Iterable[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name) or name in _WORDS.split():
            raise InvalidInputError(
                f"MATLAB can have no variable {name!r}: a name has a letter first, then letters, digits and "
                "underscores, 63 characters at most, and is no keyword.",
                "Nothing was written. Export the others by name, as in C@REV; or npz or netcdf.",
            )


def _refuse_above_limit(name: str, nbytes: int) -> None:
    if nbytes > LIMIT:
        raise InvalidInputError(
            f"{name} has {size(nbytes)}, and MATLAB's format holds 2 GB per variable.",
            f"Nothing was written. {WAY_OUT}",
        )
