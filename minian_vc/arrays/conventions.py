"""xarray's decoding of coordinates by the CF conventions: masks, times, scales."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

__all__ = ["decode_cf"]


def decode_cf(dims: tuple[str, ...], values: Any, attributes: Mapping[str, Any]) -> Any:
    """Return the values of a coordinate as xarray decodes them.

    Parameters
    ----------
    dims : tuple of str
        Its dimensions.
    values : numpy.ndarray
        Its values as stored.
    attributes : mapping
        Its attributes: ``units``, ``_FillValue``, ``scale_factor`` and the like.

    Returns
    -------
    numpy.ndarray
    """
    import xarray as xr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stored = xr.Variable(dims, values, dict(attributes))
        return xr.conventions.decode_cf_variable("coordinate", stored).values
