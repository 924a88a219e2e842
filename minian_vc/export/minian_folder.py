"""minian: a MiniAn folder, one zarr group per array, as save_minian writes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc.arrays.encoding import encode
from minian_vc.arrays.writing import write_group
from minian_vc.errors import InvalidInputError
from minian_vc.export import neuroconv_folder
from minian_vc.export.bundle import Bundle
from minian_vc.export.chunk_grids import cut_as_recorded
from minian_vc.export.times import times_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write"]


def write(
    bundle: Bundle,
    path: Path,
    *,
    neuroconv: bool = False,
    rate: float | None = None,
    timestamps: str | Path | None = None,
) -> None:
    """Write arrays as a MiniAn folder, which ``minian.utilities.open_minian`` opens.

    Parameters
    ----------
    bundle : Bundle
        What to write. The identity is among the group attributes of each array folder: MiniAn takes whatever else lies
        in its folder for an array.
    path : Path
        The folder to make.
    neuroconv : bool
        Make it one that neuroconv's ``MinianSegmentationInterface`` opens too: unit ids 0, 1, …, n-1 in one order, with
        those of the checkpoint as the coordinate ``original_unit_id``; ``timeStamps.csv``; a group above all arrays.
    rate : float, optional
        With ``neuroconv``: frames of the recording per second. Frame 0 is at 0 s.
    timestamps : str or Path, optional
        With ``neuroconv``, instead of a rate: a file of timestamps, as in :func:`minian_vc.export.times.times_of`.

    Raises
    ------
    InvalidInputError
        With ``neuroconv``: it lacks A, C, b or f, or one has not MiniAn's dims; there is neither a rate nor
        timestamps, or the file does not have each frame. Without it: there is one of them.
    NotFoundError
        There is no such file of timestamps.
    """
    together = cut_as_recorded(bundle)
    if neuroconv:
        together = neuroconv_folder.suited(together, bundle.identity["session"])
        times = times_of(together["frame"].values, rate, timestamps)
    elif rate is not None or timestamps is not None:
        raise InvalidInputError(
            "A MiniAn folder has no place for times; neuroconv's has.", "Nothing was written. Add --neuroconv."
        )
    path.mkdir()
    attributes = {**together.attrs, **bundle.attributes}
    for name in bundle.names:
        _write_array(together[name], attributes, path / f"{name}.zarr")
    if neuroconv:
        neuroconv_folder.write_beside_arrays(together["frame"].values, times, path)


def _write_array(array: xr.DataArray, attributes: dict[str, str], folder: Path) -> None:
    group = encode(array, {}, None)
    write_group((group.array, *group.coordinates), {**group.attributes, **attributes}, folder)
