"""When each frame was: seconds, from a rate or from a file of timestamps."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["times_of"]

NUMBER, MILLISECONDS = "Frame Number", "Time Stamp (ms)"  # the Miniscope software's columns
NOTHING = "Nothing was written."


def times_of(
    frames: Sequence[int] | np.ndarray, rate: float | None = None, timestamps: str | os.PathLike[str] | None = None
) -> np.ndarray:
    """Return the time of each frame.

    Parameters
    ----------
    frames : sequence of int
        The frames' labels, from 0 on: values of the coordinate ``frame``.
    rate : float, optional
        Frames in a second. Frame n is at n / rate.
    timestamps : str or Path, optional
        A file of timestamps: the Miniscope's ``timeStamps.csv``, whose columns ``Frame Number`` and
        ``Time Stamp (ms)`` are read, or one number of seconds on each line. Such lines are one for each of ``frames``,
        in their order; if there are more, the first is of frame 0.

    Returns
    -------
    numpy.ndarray
        Seconds, float64, one for each of ``frames``.

    Raises
    ------
    InvalidInputError
        Both or neither of the two are given, the rate is not above 0, or the file does not say when each frame was.
    NotFoundError
        There is no such file.
    """
    import numpy as np

    if (rate is None) == (timestamps is None):
        raise InvalidInputError(
            "The times of frames come from a rate or from a file: one of the two.",
            f"{NOTHING} Give --rate HZ or --timestamps FILE (rate=, timestamps=).",
        )
    labels = np.asarray(frames)
    if timestamps is None:
        return labels / _checked(rate)
    path = Path(timestamps)
    lines = _lines(path)
    if lines and NUMBER in (name.strip() for name in next(csv.reader(lines[:1]))):
        return _by_number(labels.tolist(), _table(lines, path), path)
    seconds = [_number(line, path, at) for at, line in enumerate(lines, 1)]
    if len(seconds) == len(labels):
        return np.array(seconds, dtype=float)
    return _by_number(labels.tolist(), dict(enumerate(seconds)), path)


def _checked(rate: float | None) -> float:
    if rate is None or not (math.isfinite(rate) and rate > 0):
        raise InvalidInputError(f"{rate!r} is no rate.", f"{NOTHING} Give frames in a second, such as 30.")
    return rate


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}.", f"{NOTHING} Check the path.") from None
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} cannot be read: {error}", f"{NOTHING} Give a file of timestamps.") from error
    return text.rstrip().splitlines()


def _table(lines: list[str], path: Path) -> dict[float, float]:
    rows = csv.reader(lines)
    header = [name.strip() for name in next(rows)]
    if MILLISECONDS not in header:
        raise InvalidInputError(f"{path} has no column {MILLISECONDS!r}.", f"{NOTHING} It has {', '.join(header)}.")
    number, milliseconds = header.index(NUMBER), header.index(MILLISECONDS)
    found: dict[float, float] = {}
    for at, row in enumerate(rows, 2):
        cells = [row[column] if column < len(row) else "" for column in (number, milliseconds)]
        label, time = (_number(cell, path, at) for cell in cells)
        if label in found:
            raise InvalidInputError(f"{path}, line {at}: frame {label:g} is there twice.", f"{NOTHING} Mend the file.")
        found[label] = time / 1000
    return found


def _number(text: str, path: Path, line: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInputError(
            f"{path}, line {line}: {text!r} is no time.",
            f"{NOTHING} A file of timestamps has the columns {NUMBER!r} and {MILLISECONDS!r}, or seconds, one a line.",
        )
    return value


def _by_number(labels: list[int], known: dict[int, float] | dict[float, float], path: Path) -> np.ndarray:
    import numpy as np

    lacking = [label for label in labels if label not in known]
    if lacking:
        raise InvalidInputError(
            f"{path} has times of {len(known)} frames, and not of {len(lacking)} of the {len(labels)} that go out; "
            f"the first is frame {lacking[0]}.",
            f"{NOTHING} Give the file of this session, with a time for each frame.",
        )
    return np.array([known[label] for label in labels], dtype=float)
