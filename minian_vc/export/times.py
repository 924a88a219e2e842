"""When each frame was: from the recording's rate, or from its list of timestamps."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from minian_vc.errors import InvalidInputError, NotFoundError

__all__ = ["COLUMNS", "times_of"]

COLUMNS = ("Frame Number", "Time Stamp (ms)")  # of a miniscope's timeStamps.csv


def times_of(frames: Any, rate: float | None = None, timestamps: str | Path | None = None) -> np.ndarray[Any, Any]:
    """Return when each frame was, in seconds.

    Parameters
    ----------
    frames : array of int, shape (frame,)
        The labels of the ``frame`` coordinate: numbers of the recording's frames, from 0.
    rate : float, optional
        Frames of the recording per second. Of a recording that was downsampled in time, this is the camera's rate.
    timestamps : str or Path, optional
        A CSV file with the columns ``Frame Number`` and ``Time Stamp (ms)``, as the Miniscope software writes
        ``timeStamps.csv``; or a text file with one number of seconds per line: line by line for frames 0, 1, 2, …,
        or for ``frames`` if it has as many lines.

    Returns
    -------
    numpy.ndarray
        Seconds: float64 of shape (frame,), strictly rising.

    Raises
    ------
    InvalidInputError
        Not exactly one of the two is given; the rate is not positive, or the frames do not rise; or the file is not of
        these kinds, lacks a frame or does not rise.
    NotFoundError
        There is no such file.
    """
    frames = np.asarray(frames)
    if (rate is None) == (timestamps is None):
        raise InvalidInputError("Times come of a rate or of timestamps.", "Nothing was written. Give one of the two.")
    if rate is not None:
        if not (isinstance(rate, (int, float)) and np.isfinite(rate) and rate > 0):
            raise InvalidInputError(f"{rate!r} is no rate in Hz.", "Nothing was written. Give a number above 0.")
        if frames.dtype.kind not in "iuf":
            raise InvalidInputError(
                f"The frames are no numbers ({frames.dtype}): a rate gives no times.", "Nothing was written."
            )
        times = np.asarray(frames / rate, dtype=float)
        if not np.all(np.diff(times) > 0):
            raise InvalidInputError(
                "The labels along frame do not rise: a rate gives no times in order.",
                "Nothing was written. Times are for frames in the order of the recording, each once.",
            )
        return times
    if not isinstance(timestamps, (str, Path)):
        raise InvalidInputError(
            f"timestamps is a {type(timestamps).__name__}, not a path.", "Nothing was written. Give a file's path."
        )
    path = Path(timestamps)
    known = _recorded(path, frames)
    missing = [frame for frame in frames.tolist() if frame not in known]
    if missing:
        raise _unfit(path, f"has no time for {len(missing)} frames, such as {missing[0]}")
    times = np.array([known[frame] for frame in frames.tolist()], dtype=float)
    if not np.all(np.diff(times) > 0):
        raise _unfit(path, "has times that do not rise from frame to frame")
    return times


def _recorded(path: Path, frames: np.ndarray[Any, Any]) -> dict[Any, float]:
    """Return a file's times in seconds by frame."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}.", "Nothing was written. Check the path.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _unfit(path, f"cannot be read: {error}") from error
    rows = [row for row in csv.reader(lines) if any(map(str.strip, row))]
    header = [name.strip() for name in rows[0]] if rows else []
    try:
        if set(COLUMNS) <= set(header):
            frame, time = map(header.index, COLUMNS)
            return {int(row[frame]): float(row[time]) / 1000 for row in rows[1:]}
        seconds = [float(value) for (value,) in rows]
    except (ValueError, IndexError):
        raise _unfit(path, "is neither a table of frames and milliseconds nor one number of seconds per line") from None
    return dict(zip(frames.tolist() if len(seconds) == len(frames) else range(len(seconds)), seconds, strict=True))


def _unfit(path: Path, what: str) -> InvalidInputError:
    wanted = f"Give a CSV file with the columns {COLUMNS[0]!r} and {COLUMNS[1]!r}, or one number of seconds per line."
    return InvalidInputError(f"{path} {what}.", f"Nothing was written. {wanted}")
