"""When each frame was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.export.times import times_of

TABLE = "Frame Number,Time Stamp (ms),Buffer Index\r\n0,15,0\r\n1,48,1\r\n2,82,0\r\n3,115,0\r\n\r\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "timeStamps.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize(("given", "says"), [({"rate": "20"}, "no rate in Hz"), ({"timestamps": [0, 1]}, "not a path")])
def test_what_is_no_rate_and_no_path_is_refused(given: dict, says: str) -> None:
    """As text, or as the times themselves."""
    with pytest.raises(InvalidInputError, match=says):
        times_of(np.array([0, 1]), **given)


def test_a_rate_of_frames_that_are_text_is_refused() -> None:
    """There is nothing to divide."""
    with pytest.raises(InvalidInputError, match="no numbers"):
        times_of(np.array(["a", "b"]), 20.0)


@pytest.mark.parametrize(
    "frames",
    [[2, 1, 0, 3], np.array([3, 2, 1, 0], "u2"), [0, 1, 1], [0, np.nan, 2]],
    ids=["mixed", "back", "twice", "NaN"],
)
def test_a_rate_of_frames_that_do_not_rise_is_refused(frames: list[float]) -> None:
    """As with timestamps: out of order, backwards, one of them twice, one without a number."""
    with pytest.raises(InvalidInputError, match="along frame do not rise"):
        times_of(frames, 20.0)


def test_a_rate_counts_the_recordings_frames():
    """Labels are kept where the recording was cut or downsampled: so are the times."""
    np.testing.assert_array_equal(times_of([10, 12, 14], rate=20.0), [0.5, 0.6, 0.7])


def test_a_miniscopes_table_is_read_by_frame_number(tmp_path: Path):
    np.testing.assert_array_equal(times_of([1, 3], timestamps=written(tmp_path, TABLE)), [0.048, 0.115])


def test_seconds_line_by_line(tmp_path: Path):
    """Line n is frame n; a list as long as the frames is theirs, whatever their labels."""
    path = written(tmp_path, "0.5\n1.0\n1.75\n")
    np.testing.assert_array_equal(times_of([0, 2], timestamps=path), [0.5, 1.75])
    np.testing.assert_array_equal(times_of([100, 101, 102], timestamps=path), [0.5, 1.0, 1.75])


@pytest.mark.parametrize("given", [{}, {"rate": 20.0, "timestamps": "a.csv"}], ids=["none", "both"])
def test_one_of_the_two_is_needed(given: dict):
    with pytest.raises(InvalidInputError, match="Give one of the two"):
        times_of([0, 1], **given)


@pytest.mark.parametrize("rate", [0, -20.0, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(rate: float):
    with pytest.raises(InvalidInputError, match="no rate in Hz"):
        times_of([0, 1], rate=rate)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TABLE.replace("2,82,0\r\n", ""), "no time for 1 frames, such as 2"),
        (TABLE.replace("82", "48"), "do not rise"),
        (TABLE.replace("82", "nan"), "do not rise"),
        (TABLE.replace("82", "soon"), "is neither"),
        (TABLE.replace("2,82,0", "2"), "is neither"),
        ("frame,seconds\n0,1\n", "is neither"),
        ("", "no time for 4 frames, such as 0"),
    ],
    ids=["a frame lacks", "twice the same", "NaN", "a word", "a short row", "other columns", "empty"],
)
def test_an_unfit_file_is_refused(text: str, said: str, tmp_path: Path):
    with pytest.raises(InvalidInputError, match=said):
        times_of([0, 1, 2, 3], timestamps=written(tmp_path, text))


def test_a_missing_file_is_said(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"no file .*none\.csv"):
        times_of([0], timestamps=tmp_path / "none.csv")
