"""The traces: one series per array, (frame, unit), all over the same rows and the same times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minian_vc.export.nwb.streaming import streamed
from minian_vc.export.times import times_of

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SERIES", "add_traces", "timing"]

SERIES = {  # MiniAn's name: the series', and what it is
    "C": ("Denoised", "Calcium traces (C), denoised by MiniAn."),
    "S": ("Deconvolved", "Deconvolved activity (S)."),
    "b0": ("Baseline", "The baseline of each unit's calcium trace (b0)."),
}
DECIMALS = 9  # steps that agree to the nanosecond are regular


def timing(frames: Any, rate: float | None, timestamps: str | Path | None) -> dict[str, Any]:
    """Return a series' times as pynwb takes them: a starting time and a rate where steps are equal, else timestamps.

    Parameters
    ----------
    frames : array of int, shape (frame,)
        The labels of the ``frame`` coordinate.
    rate : float, optional
        Frames of the recording per second.
    timestamps : str or Path, optional
        A file; see :func:`~minian_vc.export.times.times_of`, also for what is raised.
    """
    times = times_of(frames, rate, timestamps)
    steps = np.diff(frames if rate is not None else np.round(times, DECIMALS + 3))
    equal = np.unique(np.round(steps, DECIMALS)).size == 1
    if rate is not None and (equal or len(times) == 1):
        return {"starting_time": float(times[0]), "rate": rate / (float(steps[0]) if equal else 1.0)}
    if equal:
        return {"starting_time": float(times[0]), "rate": (len(times) - 1) / float(times[-1] - times[0])}
    return {"timestamps": times}


def add_traces(
    module: Any, together: xr.Dataset, table: Any, when: Mapping[str, Any], advance: Callable[[int], None]
) -> None:
    """Add the traces that there are to a processing module, as ``Fluorescence``.

    Parameters
    ----------
    module : pynwb.ProcessingModule
        Holds the table already.
    together : xarray.Dataset
        Lazy: those of ``C``, ``S`` and ``b0`` that there are, on the table's units.
    table : pynwb.ophys.PlaneSegmentation
        The units.
    when : mapping
        What :func:`timing` gives.
    advance : callable
        Is told the bytes read.
    """
    from pynwb.ophys import Fluorescence, RoiResponseSeries

    traces = Fluorescence(name="Fluorescence")
    module.add(traces)
    rows = table.create_roi_table_region(
        region=list(range(together.sizes["unit_id"])), description="All units, as in the table."
    )
    first = None
    for name, (title, what) in SERIES.items():
        if name not in together:
            continue
        times = {"timestamps": first} if first is not None and "timestamps" in when else when  # kept once
        data = streamed(together[name].transpose("frame", "unit_id"), advance)
        series = RoiResponseSeries(name=title, description=what, data=data, unit="a.u.", rois=rows, **times)
        traces.add_roi_response_series(series)
        first = first or series
