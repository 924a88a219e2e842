"""The time of each frame: from a frame rate, or from a file with a time per frame."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["times_at_rate", "times_from_file"]

COLUMN = "Time Stamp (ms)"  # in the timeStamps.csv of the Miniscope software


def times_at_rate(frames: pd.Index, rate: float) -> Any:
    """Return frame number / rate: 0 is where the recording begins, also when the array's first frame is another.

    Parameters
    ----------
    frames : pandas.Index
        The frame numbers.
    rate : float
        Frames per second.

    Returns
    -------
    numpy.ndarray
        float64, in seconds.

    Raises
    ------
    InvalidInputError
        The rate is not a positive number, or the frames are not numbers.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise InvalidInputError(f"{rate} is no frame rate.", "Nothing was written. Give frames per second, as in 20.")
    if frames.dtype.kind not in "iuf":
        raise InvalidInputError(
            f"The frames are no numbers ({frames.dtype}), so a rate gives no time.",
            "Nothing was written. Leave it out.",
        )
    return frames.to_numpy() / rate


def times_from_file(count: int, path: Path) -> Any:
    """Return the times in a file, one per frame in order.

    Parameters
    ----------
    count : int
        How many frames there are.
    path : Path
        A CSV with a column ``Time Stamp (ms)``, such as the Miniscope software's ``timeStamps.csv``; or a text file
        with one number per line, in seconds.

    Returns
    -------
    numpy.ndarray
        float64, in seconds.

    Raises
    ------
    NotFoundError
        There is no such file.
    InvalidInputError
        It has another number of times, or something that is no time.
    """
    import numpy as np

    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", "Nothing was written. Check the path.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(map(str.strip, row))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _not_understood(path, str(error)) from error
    header = [cell.strip().lower() for cell in rows[0][1]] if rows else []
    if COLUMN.lower() in header:
        at, per_second, rows = header.index(COLUMN.lower()), 1000, rows[1:]
    elif len(header) > 1:
        raise _not_understood(path, f"it has several columns, and none is called {COLUMN!r}")
    else:
        at, per_second = 0, 1
    if len(rows) != count:
        raise InvalidInputError(
            f"{path} has {len(rows)} times, and the array {count} frames.",
            "Nothing was written. Give a file with one time for each frame of the array, in order.",
        )
    return np.array([_number(path, number, row, at) for number, row in rows], dtype=float) / per_second


def _number(path: Path, line: int, row: list[str], at: int) -> float:
    try:
        found = float(row[at])
    except (ValueError, IndexError):
        found = math.nan
    if not math.isfinite(found):
        raise _not_understood(path, f"row {line} has no number as its time: {','.join(row)[:80]!r}")
    return found


def _not_understood(path: Path, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"The times in {path} cannot be read: {why}.",
        f"Nothing was written. Give a CSV with a column {COLUMN!r}, or one number per line in seconds.",
    )
