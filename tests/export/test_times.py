"""Times of frames: from a rate or from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.export.times import times_of

MINISCOPE = "Frame Number,Time Stamp (ms),Buffer Index\n0,-4,0\n1,29,0\n2,62.5,1\n3,96,0\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "timeStamps.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_rate_counts_from_frame_0():
    """Labels, not positions: a recording that was cut still says when it was."""
    np.testing.assert_array_equal(times_of([0, 1, 2], rate=20), [0, 0.05, 0.1])
    np.testing.assert_array_equal(times_of(np.array([40, 60]), rate=20), [2, 3])


def test_the_miniscopes_file_is_read_by_frame_number(tmp_path: Path):
    """In seconds, in the order of the frames, with and without a byte order mark."""
    for text in (MINISCOPE, f"\ufeff{MINISCOPE}", MINISCOPE.replace("\n", "\r\n")):
        path = write(tmp_path, text)
        np.testing.assert_allclose(times_of([3, 0, 2], timestamps=path), [0.096, -0.004, 0.0625], rtol=0, atol=1e-12)


def test_lines_of_seconds(tmp_path: Path):
    """As many as frames: in their order. More: the first is of frame 0."""
    path = write(tmp_path, "0.5\n1.5\n2.5\n\n")
    np.testing.assert_array_equal(times_of([10, 11, 12], timestamps=path), [0.5, 1.5, 2.5])
    np.testing.assert_array_equal(times_of([1, 2], timestamps=str(path)), [1.5, 2.5])


@pytest.mark.parametrize("rate", [0, -20, float("nan"), float("inf")])
def test_no_rate(rate: float):
    """What is no rate is refused."""
    with pytest.raises(InvalidInputError, match="is no rate"):
        times_of([0, 1], rate=rate)


@pytest.mark.parametrize("both", [True, False])
def test_one_of_the_two(tmp_path: Path, both: bool):
    """A rate and a file could differ; neither says nothing."""
    given = {"rate": 20, "timestamps": write(tmp_path, MINISCOPE)} if both else {}
    with pytest.raises(InvalidInputError, match="--rate HZ or --timestamps FILE"):
        times_of([0, 1], **given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINISCOPE, "not of 1 of the 3 that go out; the first is frame 4"),
        ("0.5\n1\n", "has times of 2 frames, and not of 3 of the 3"),
        ("", "has times of 0 frames"),
        ("Frame Number,Time\n0,1\n", "no column 'Time Stamp \\(ms\\)'"),
        ("Frame Number,Time Stamp (ms)\n2,1\n3,\n", "line 3: '' is no time"),
        ("Frame Number,Time Stamp (ms)\n2,1\n3\n", "line 3: '' is no time"),
        ("Frame Number,Time Stamp (ms)\n2,1\n2,3\n", "line 3: frame 2 is there twice"),
        ("0.5\nsoon\n1", "line 2: 'soon' is no time"),
        ("0.5\nnan\n1", "line 2: 'nan' is no time"),
    ],
)
def test_a_file_that_does_not_say_when_is_refused(tmp_path: Path, text: str, said: str):
    """With the line, or with the first frame that it lacks."""
    with pytest.raises(InvalidInputError, match=said):
        times_of([2, 3, 4], timestamps=write(tmp_path, text))


def test_no_file(tmp_path: Path):
    """Another error than a file that cannot be read."""
    with pytest.raises(NotFoundError, match="no file"):
        times_of([0], timestamps=tmp_path / "timeStamps.csv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "binary"):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            times_of([0], timestamps=path)
