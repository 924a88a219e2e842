"""The footprints: a table with one row per unit, its id the unit's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minian_vc.errors import InvalidInputError
from minian_vc.export.memory import refuse_beyond_memory
from minian_vc.export.nwb.streaming import streamed

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["MASKS", "fill_pixel_masks", "segmentation", "unit_ids"]

MASKS = ("pixel", "image")
TABLE = "processing/ophys/ImageSegmentation/PlaneSegmentation"
PIXEL = np.dtype([("x", "u4"), ("y", "u4"), ("weight", "f4")])  # the schema's
PIXELS = 1 << 16  # in one HDF5 chunk


def unit_ids(footprints: xr.DataArray) -> list[int]:
    """Return the rows' ids.

    Raises
    ------
    InvalidInputError
        There is no unit, or the ids are no integers, as those of NWB's rows are.
    """
    units = footprints["unit_id"]
    if not units.size or units.dtype.kind not in "iu":
        what = f"ids of type {units.dtype}" if units.size else "no units"
        raise InvalidInputError(
            f"A has {what}; NWB's table has a row per unit, with an integer as its id.", "Nothing was written."
        )
    return [int(unit) for unit in units.values]


def segmentation(footprints: xr.DataArray, plane: Any, masks: str, advance: Callable[[int], None]) -> Any:
    """Return the table of footprints; pixel masks are still empty: see :func:`fill_pixel_masks`.

    Parameters
    ----------
    footprints : xarray.DataArray
        ``A`` with the dims unit_id, width, height: the schema's num_roi, num_x, num_y.
    plane : pynwb.ophys.ImagingPlane
        Where they were seen.
    masks : {"pixel", "image"}
        As lists of pixels with weights, or as images.
    advance : callable
        Is told the bytes read.
    """
    from hdmf.backends.hdf5.h5_utils import H5DataIO
    from hdmf.common import ElementIdentifiers, VectorData, VectorIndex
    from pynwb.ophys import PlaneSegmentation

    ids = unit_ids(footprints)
    if masks == "image":
        columns = [VectorData(name="image_mask", description="Footprints.", data=streamed(footprints, advance))]
    else:
        size = min(PIXELS, footprints.size)
        empty = H5DataIO(np.zeros(0, PIXEL), chunks=(size,), maxshape=(None,), compression="gzip", shuffle=True)
        pixels = VectorData(name="pixel_mask", description="Footprints: pixels that are not 0.", data=empty)
        ends = H5DataIO(np.zeros(len(ids), np.uint64))  # as such: of a plain array HDMF makes uint8
        columns = [pixels, VectorIndex(name="pixel_mask_index", data=ends, target=pixels)]
    return PlaneSegmentation(
        name="PlaneSegmentation",
        description="MiniAn's units (A); a row's id is the unit_id.",
        imaging_plane=plane,
        id=ElementIdentifiers(name="id", data=ids),
        columns=columns,
        colnames=[columns[0].name],
    )


def fill_pixel_masks(path: Path, footprints: xr.DataArray, advance: Callable[[int], None]) -> None:
    """Write the pixel masks into a file, unit by unit: HDMF cannot stream a column of tuples.

    Raises
    ------
    InvalidInputError
        The footprints that are stored in one block do not fit into memory.
    """
    import h5py

    units = footprints.data.chunks[0]
    block = max(units) * footprints[0].nbytes
    refuse_beyond_memory(2 * block, f"A block of {max(units)} footprints", "Save A with chunks of one unit.")
    with h5py.File(path, "r+") as file:
        pixels, ends = file[TABLE]["pixel_mask"], file[TABLE]["pixel_mask_index"]
        unit = 0
        for count in units:
            for image in np.asarray(footprints.data[unit : unit + count]):
                found = _pixels(image)
                start = pixels.shape[0]
                pixels.resize((start + found.size,))
                pixels[start:] = found
                ends[unit] = start + found.size
                unit += 1
                advance(image.nbytes)


def _pixels(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the pixels of an image (width, height) that are not 0, with their weights."""
    x, y = np.nonzero(image)
    found = np.empty(x.size, PIXEL)
    found["x"], found["y"], found["weight"] = x, y, image[x, y]
    return found
