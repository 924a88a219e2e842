"""One NWB file: footprints, traces, the summary image and what was recorded."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError
from minian_vc.export.bundle import Bundle
from minian_vc.export.dims import refuse_other_dims
from minian_vc.export.formats import FORMATS
from minian_vc.export.nwb.metadata import read_metadata
from minian_vc.export.nwb.segmentation import MASKS, fill_pixel_masks, segmentation, unit_ids
from minian_vc.export.nwb.session import new_file, new_plane
from minian_vc.export.nwb.traces import SERIES, add_traces, timing
from minian_vc.progress import progress

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write"]


def write(
    bundle: Bundle,
    path: Path,
    *,
    metadata: str | Path | None = None,
    masks: str = "pixel",
    rate: float | None = None,
    timestamps: str | Path | None = None,
) -> None:
    """Write footprints and traces as one NWB file, block by block.

    Parameters
    ----------
    bundle : Bundle
        ``A`` and at least one of ``C``, ``S`` and ``b0``; ``max_proj`` too, if it is there.
    path : Path
        The file to make; it ends in ``.nwb``.
    metadata : str or Path
        The YAML of what MiniAn does not know, filled in.
    masks : {"pixel", "image"}
        Footprints as lists of (x, y, weight), weights as float32; or as images (width, height), values as stored.
    rate : float, optional
        Frames of the recording per second (Hz). By default the YAML's, if there is one.
    timestamps : str or Path, optional
        Instead: a file of the frames' times; see :func:`~minian_vc.export.times.times_of`.

    Raises
    ------
    EnvironmentUnfitError
        pynwb or PyYAML is not installed.
    InvalidInputError
        ``A`` or the traces are missing, an array has not MiniAn's dims, a required field of the YAML is empty, frames
        or times do not rise, or a value cannot be.
    NotFoundError
        There is no such YAML or file of timestamps.
    """
    if importlib.util.find_spec("pynwb") is None:
        raise FORMATS["nwb"].needs("pynwb")
    from pynwb import NWBHDF5IO
    from pynwb.ophys import ImageSegmentation

    if masks not in MASKS:
        raise InvalidInputError(f"There are no {masks!r} masks.", f"Nothing was written. Give {' or '.join(MASKS)}.")
    if path.suffix != ".nwb":
        raise InvalidInputError(
            f"{path.name} does not end in .nwb.", "Nothing was written. DANDI knows NWB files by it."
        )
    _refuse_without(bundle)
    refuse_other_dims(bundle.together, ("A", *SERIES, "max_proj"), "NWB", "Name the others, or take another format.")
    values = read_metadata(metadata)
    rate = _rate(values, rate, timestamps)
    when = timing(bundle.together["frame"].values, rate, timestamps)
    footprints = bundle.together["A"].transpose("unit_id", "width", "height")
    unit_ids(footprints)
    with progress(f"Writing {path.name}", bundle.together.nbytes) as advance:
        file = new_file(bundle, values, [masks, when])
        table = segmentation(footprints, new_plane(file, values, rate), masks, advance)
        module = file.create_processing_module("ophys", "Units found by MiniAn: footprints and traces.")
        module.add(ImageSegmentation(plane_segmentations=[table]))
        add_traces(module, bundle.together, table, when, advance)
        _add_summary(module, bundle.together)
        with NWBHDF5IO(str(path), mode="w") as io:
            io.write(file)
        if masks == "pixel":
            fill_pixel_masks(path, footprints, advance)


def _refuse_without(bundle: Bundle) -> None:
    lacking = [] if "A" in bundle.names else ["A (the footprints)"]
    if not set(SERIES) & set(bundle.names):
        lacking.append(f"one of {', '.join(SERIES)} (the traces)")
    if lacking:
        raise InvalidInputError(
            f"NWB needs {' and '.join(lacking)}, and {', '.join(bundle.names)} are to go out.",
            "Nothing was written. Name the arrays, as in A@REV C@REV, or the whole checkpoint, as in @REV.",
        )


def _rate(values: Mapping[str, Any], rate: float | None, timestamps: str | Path | None) -> float | None:
    """Return the rate that is given, or else the YAML's; None with timestamps."""
    if rate is not None or timestamps is not None:
        return None if rate is None else float(rate)
    if "rate" not in values:
        how = "Give --rate HZ or --timestamps FILE, or fill in rate in the YAML."
        raise InvalidInputError("NWB needs to know when each frame was.", f"Nothing was written. {how}")
    return float(values["rate"])


def _add_summary(module: Any, together: xr.Dataset) -> None:
    """Add the maximum projection, if it is there, oriented as the masks are."""
    from pynwb.base import Images
    from pynwb.image import GrayscaleImage

    if "max_proj" not in together:
        return
    pixels = together["max_proj"].transpose("width", "height").values
    image = GrayscaleImage(name="max_proj", description="Maximum over all frames, (width, height).", data=pixels)
    module.add(Images(name="SegmentationImages", description="Summary images.", images=[image]))
