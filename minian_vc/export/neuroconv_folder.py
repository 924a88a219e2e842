"""What neuroconv's MinianSegmentationInterface needs of a MiniAn folder beyond what MiniAn writes.

It reads dims and unit ids by position, whatever their labels are, and times from a file of the Miniscope's.

References
----------
roiextractors 0.9, ``MinianSegmentationExtractor``; neuroconv 0.10, ``MinianSegmentationInterface``.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError
from minian_vc.export.dims import DIMS, FRAME, IMAGE, UNIT, refuse_other_dims
from minian_vc.export.times import COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

__all__ = ["suited", "write_beside_arrays"]

NEEDED = ("A", "C", "b", "f")
ORIGINAL = "original_unit_id"
SESSION = "session_id"  # its name for the session


def suited(together: xr.Dataset, session: str | None) -> xr.Dataset:
    """Return arrays as neuroconv wants them: MiniAn's order of dims, and units numbered from 0.

    Parameters
    ----------
    together : xarray.Dataset
        Arrays on common units, in one order. Values stay lazy.
    session : str or None
        The session, if all have one.

    Returns
    -------
    xarray.Dataset
        With ``unit_id`` 0, 1, …, n-1, the former ids as the coordinate ``original_unit_id``, and the session as
        ``session_id`` too.

    Raises
    ------
    InvalidInputError
        An array that is needed is missing, or one has other dims.
    """
    lacking = [name for name in NEEDED if name not in together.data_vars]
    if lacking:
        raise InvalidInputError(
            f"neuroconv needs {', '.join(NEEDED)}, and {', '.join(lacking)} is not among what goes out.",
            "Nothing was written. Name them all, or export without --neuroconv.",
        )
    refuse_other_dims(together, DIMS, "neuroconv", "Export without --neuroconv.")
    read = {name: dims for name, dims in DIMS.items() if name in together.data_vars}
    unlabelled = [dim for dim in (UNIT, FRAME, *IMAGE) if dim not in together.coords]
    if unlabelled:
        raise InvalidInputError(
            f"neuroconv needs labels along {', '.join(unlabelled)}, and there are none.",
            "Nothing was written. Export without --neuroconv.",
        )
    ordered = together.assign({name: together[name].transpose(*dims) for name, dims in read.items()})
    return ordered.assign_coords(_coordinates(ordered, session))


def _coordinates(together: xr.Dataset, session: str | None) -> dict[str, Any]:
    import numpy as np

    ids = together[UNIT].values
    known = {SESSION: session} if session is not None and SESSION not in together.coords else {}
    return {UNIT: np.arange(len(ids)), ORIGINAL: (UNIT, ids), **known}


def write_beside_arrays(frames: np.ndarray, times: np.ndarray, folder: Path) -> None:
    """Write what lies beside the array folders: the times, and that the folder is a zarr group.

    Both are files, which MiniAn passes over.
    """
    (folder / ".zgroup").write_text(json.dumps({"zarr_format": 2}), encoding="utf-8")
    with (folder / "timeStamps.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(
            (frame, round(1000 * time, 6)) for frame, time in zip(frames.tolist(), times.tolist(), strict=True)
        )
