"""Values as plain NumPy arrays, without Python objects: what NumPy's and MATLAB's files hold."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError
from minian_vc.export.bundle import KEY

if TYPE_CHECKING:
    import dask.array as da
    import numpy as np
    import xarray as xr

    from minian_vc.export.bundle import Bundle

__all__ = ["coordinates_of", "lazy_arrays", "plain", "refuse_identity_name", "refuse_level"]

PLAIN = "biufcmMSU"  # numpy's letters for what is written without pickling


def lazy_arrays(bundle: Bundle) -> dict[str, da.Array]:
    """Return the arrays by name, lazy.

    Raises
    ------
    InvalidInputError
        One holds Python objects.
    """
    import dask.array as da

    arrays = {name: da.asarray(bundle.together[name].data) for name in bundle.names}
    for name, array in arrays.items():
        _refuse_objects(name, array.dtype)
    return arrays


def coordinates_of(together: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the coordinates by name, sorted, in memory; text as ``<U``.

    Raises
    ------
    InvalidInputError
        One holds Python objects.
    """
    return {name: plain(name, together[name].values) for name in sorted(map(str, together.coords))}


def plain(name: str, values: Any) -> np.ndarray:
    """Return values as NumPy holds them without objects: text is ``<U`` however it was decoded.

    Raises
    ------
    InvalidInputError
        They are Python objects other than text.
    """
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind == "T" or (array.dtype.kind == "O" and all(isinstance(each, str) for each in array.flat)):
        array = array.astype(str)
    _refuse_objects(name, array.dtype)
    return array


def _refuse_objects(name: str, dtype: Any) -> None:
    if dtype.kind not in PLAIN:
        raise InvalidInputError(
            f"{name} holds values of the type {dtype}, for which NumPy's and MATLAB's files have no place.",
            "Nothing was written. Export the other arrays by name, as in C@REV.",
        )


def refuse_identity_name(names: Container[str]) -> None:
    """Refuse an array or coordinate that is called as the identity is.

    Raises
    ------
    InvalidInputError
        There is one.
    """
    if KEY in names:
        raise InvalidInputError(
            f"{KEY} is the name of the identity in the file.", "Nothing was written. Export the other arrays by name."
        )


def refuse_level(compression: Any) -> None:
    """Refuse what is no level of zlib's compression.

    Raises
    ------
    InvalidInputError
        It is not 0 to 9.
    """
    if compression not in range(10):
        raise InvalidInputError(f"{compression!r} is no level of compression.", "Nothing was written. Give 0 to 9.")
