"""An array comes into another chunk grid with every value, whatever the grids, and leaves nothing behind."""

from __future__ import annotations

import math
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr_arrays import make_array

from minian_vc.arrays import rechunking
from minian_vc.arrays import scratch_array as scratch_arrays
from minian_vc.arrays.rechunking import rechunk
from minian_vc.arrays.scratch_array import ScratchArray
from minian_vc.errors import InvalidInputError
from minian_vc.rechunk_plan import needed, plan

PLENTY = 10**9
# shape, source and target chunks, and a limit (for 4 bytes an element) within which it takes two steps, of two threads
TWO_STEPS = (120, 50, 40), (5, 50, 40), (120, 9, 11), 400_000


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rechunking.os, "cpu_count", lambda: 4)


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Return random values of a dtype; NaN and infinity among floats."""
    rng = np.random.default_rng(7)
    found = rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    if found.dtype.kind == "f" and found.ndim:
        found.reshape(-1)[::5] = np.nan
        found.reshape(-1)[1::7] = -np.inf
    return found


def filled(path: Path, data: np.ndarray, chunks: tuple[int, ...]):
    array = make_array(path, data.shape, chunks, data.dtype)
    if data.size:
        array[...] = data
    return array


def steps_within(shape, itemsize, source, target, limit) -> int:
    return len(plan(shape, itemsize, source, target, int(limit * rechunking.USED), exceed=True))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "<i2", ">i4", "int64", "float32", "float64", "<M8[ns]"])
@pytest.mark.parametrize("steps", [1, 2])
def test_values_of_any_dtype_survive_one_step_and_two(tmp_path: Path, scratch: Path, dtype: str, steps: int) -> None:
    shape, before, after, limit = TWO_STEPS
    data = values(shape, dtype)
    limit = PLENTY if steps == 1 else limit * data.dtype.itemsize // 4
    assert steps_within(shape, data.dtype.itemsize, before, after, limit) == steps
    target = make_array(tmp_path / "target", shape, after, dtype)
    rechunk(filled(tmp_path / "source", data, before), target, limit, scratch)
    np.testing.assert_array_equal(target[...], data)
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("shape", "before", "after"),
    [
        ((), (), ()),
        ((0,), (3,), (4,)),
        ((5, 0, 3), (2, 1, 3), (5, 1, 1)),
        ((1,), (1,), (1,)),
        ((10,), (64,), (3,)),
        ((10,), (3,), (64,)),
        ((17, 13), (17, 13), (1, 13)),
        ((17, 13), (1, 13), (17, 13)),
        ((17, 13), (4, 5), (4, 5)),
        ((23, 19, 11), (5, 19, 11), (23, 7, 4)),
        ((3, 4, 5, 6), (2, 3, 2, 4), (3, 1, 4, 5)),
    ],
)
def test_shapes_and_grids_at_the_edge(tmp_path: Path, scratch: Path, shape, before, after) -> None:
    data = values(shape, "float32")
    least = needed(shape, 4, before, after)
    for name, limit in (("roomy", PLENTY), ("tight", math.ceil(least / rechunking.USED))):
        target = make_array(tmp_path / name, shape, after, "float32")
        rechunk(filled(tmp_path / f"source-{name}", data, before), target, limit, scratch)
        np.testing.assert_array_equal(target[...], data)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_values_survive_any_grids_and_limits(drawn: st.DataObject) -> None:
    ndim = drawn.draw(st.integers(1, 3))
    shape, before, after = (
        tuple(drawn.draw(st.lists(st.integers(1, 12), min_size=ndim, max_size=ndim))) for _ in "123"
    )
    limit = needed(shape, 2, before, after) * drawn.draw(st.integers(10, 50)) // 8 + 1
    data = values(shape, "int16")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        target = make_array(Path(folder) / "target", shape, after, "int16", fill=0)
        rechunk(filled(Path(folder) / "source", data, before), target, limit, scratch)
        np.testing.assert_array_equal(target[...], data)
        assert not list(scratch.iterdir())


@pytest.mark.parametrize("limit", [PLENTY, TWO_STEPS[-1]])
def test_every_chunk_is_written_also_where_all_is_fill_value(tmp_path: Path, scratch: Path, limit: int) -> None:
    shape, before, after, _ = TWO_STEPS
    source = make_array(tmp_path / "source", shape, before, "float32")  # no chunk at all: reads as fill value
    target = make_array(tmp_path / "target", shape, after, "float32")
    rechunk(source, target, limit, scratch)
    chunks = [path for path in (tmp_path / "target").iterdir() if not path.name.startswith(".")]
    assert len(chunks) == math.prod(-(-size // chunk) for size, chunk in zip(shape, after, strict=True))


@pytest.mark.parametrize("limit", [PLENTY, TWO_STEPS[-1]])
def test_progress_adds_up_to_the_bytes_of_the_array(tmp_path: Path, scratch: Path, limit: int) -> None:
    shape, before, after, _ = TWO_STEPS
    data, told = values(shape, "float32"), []
    source, target = filled(tmp_path / "source", data, before), make_array(tmp_path / "target", shape, after, "float32")
    rechunk(source, target, limit, scratch, advance=told.append)
    assert sum(told) == data.nbytes
    assert min(told) >= 0


class Spied:
    """A zarr array that counts how many parts are read or written at once, and may fail at one of them."""

    def __init__(self, array, fail_at: int | None = None) -> None:
        self.shape, self.chunks, self.dtype = array.shape, array.chunks, array.dtype
        self.array, self.fail_at, self.lock = array, fail_at, threading.Lock()
        self.seconds = 0.0  # of each call
        self.calls = self.now = self.most = 0
        self.parts: list[tuple[slice, ...]] = []

    def __getitem__(self, place):
        return self._do(place, lambda: self.array[place])

    def __setitem__(self, place, block) -> None:
        self._do(place, lambda: self.array.__setitem__(place, block))

    def _do(self, place, action):
        with self.lock:
            self.calls += 1
            self.now += 1
            self.most = max(self.most, self.now)
            self.parts.append(place)
            is_bad = self.calls == self.fail_at
            is_late = self.fail_at and self.calls > self.fail_at
        try:
            if is_bad:
                raise OSError("the disk is gone")
            # late: so that what goes on regardless is not mistaken for what was under way
            time.sleep(0.05 if is_late else self.seconds)
            return action()
        finally:
            with self.lock:
                self.now -= 1


@pytest.mark.parametrize("limit", [PLENTY, TWO_STEPS[-1]])
def test_no_call_touches_more_than_one_chunk(tmp_path: Path, scratch: Path, limit: int) -> None:
    """zarr 3 would hold several decoded ones at once."""
    shape, before, after, _ = TWO_STEPS
    source = Spied(filled(tmp_path / "source", values(shape, "float32"), before))
    target = Spied(make_array(tmp_path / "target", shape, after, "float32"))
    rechunk(source, target, limit, scratch)
    for spied in (source, target):
        assert spied.parts
        for part in spied.parts:
            assert all(a.start // size == (a.stop - 1) // size for a, size in zip(part, spied.chunks, strict=True))
    assert len({tuple((a.start, a.stop) for a in part) for part in target.parts}) == len(target.parts)


@pytest.mark.parametrize("cpus", [1, 8])
def test_no_more_threads_than_processors_and_four(tmp_path: Path, scratch: Path, monkeypatch, cpus: int) -> None:
    monkeypatch.setattr(rechunking.os, "cpu_count", lambda: cpus)
    shape, before, after = (40, 5), (1, 5), (2, 5)
    source = Spied(filled(tmp_path / "source", values(shape, "float32"), before))
    target = Spied(make_array(tmp_path / "target", shape, after, "float32"))
    source.seconds = target.seconds = 0.01
    rechunk(source, target, PLENTY, scratch)
    assert max(source.most, target.most) <= min(cpus, 4)


@pytest.mark.parametrize("limit", [PLENTY, TWO_STEPS[-1], TWO_STEPS[-1] // 2])
@pytest.mark.parametrize("side", ["source", "target"])
def test_an_error_is_raised_as_it_was_ends_the_work_and_leaves_no_scratch(
    tmp_path: Path, scratch: Path, limit: int, side: str
) -> None:
    shape, before, after, _ = TWO_STEPS
    source = Spied(filled(tmp_path / "source", values(shape, "float32"), before))
    target = Spied(make_array(tmp_path / "target", shape, after, "float32"))
    failing = source if side == "source" else target
    failing.fail_at = 3
    running = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone"):
        rechunk(source, target, limit, scratch)
    assert failing.calls < 20  # those under way, not the other hundred
    assert not list(scratch.iterdir())
    assert threading.active_count() <= running + rechunking.MOST_THREADS  # zarr 3 keeps some of its own


def test_an_error_in_one_lane_ends_the_others(tmp_path: Path, scratch: Path) -> None:
    shape, chunks = (100, 5), (1, 5)  # as many regions as chunks, shared among lanes
    (step,) = plan(shape, 4, chunks, chunks, PLENTY, threads=4)
    assert step.lanes == 4
    source = Spied(filled(tmp_path / "source", values(shape, "float32"), chunks), fail_at=3)
    with pytest.raises(OSError, match="the disk is gone"):
        rechunk(source, make_array(tmp_path / "target", shape, chunks, "float32"), PLENTY, scratch)
    assert source.calls < 50


def test_an_error_in_the_progress_ends_the_work_too(tmp_path: Path, scratch: Path) -> None:
    shape, before, after, limit = TWO_STEPS
    source, target = (make_array(tmp_path / str(grid), shape, grid, "float32") for grid in (before, after))

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rechunk(source, target, limit, scratch, advance=interrupt)
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(("shape", "dtype"), [((6, 5), "float32"), ((5, 6), "float64")])
def test_arrays_that_differ_are_refused(tmp_path: Path, scratch: Path, shape, dtype) -> None:
    source, target = (
        make_array(tmp_path / "a", (5, 6), (5, 1), "float32"),
        make_array(tmp_path / "b", shape, (1, 5), dtype),
    )
    with pytest.raises(InvalidInputError, match="cannot be rechunked"):
        rechunk(source, target, PLENTY, scratch)


def test_a_chunk_beyond_the_limit_is_refused_and_one_within_it_is_not(tmp_path: Path, scratch: Path) -> None:
    data = values((100, 100), "float64")
    source = filled(tmp_path / "source", data, (100, 100))
    target = make_array(tmp_path / "target", data.shape, (10, 100), "float64")
    with pytest.raises(InvalidInputError, match=r"[\d,]+ bytes are needed") as raised:
        rechunk(source, target, data.nbytes - 1, scratch)
    assert "mem_limit" in raised.value.hint
    assert not np.any(target[...])
    rechunk(source, target, data.nbytes, scratch)
    np.testing.assert_array_equal(target[...], data)


@pytest.mark.parametrize("most", [10, scratch_arrays.MOST])
def test_a_scratch_array_gives_back_its_chunks_also_those_too_large_for_blosc(
    tmp_path: Path, monkeypatch, most
) -> None:
    monkeypatch.setattr(scratch_arrays, "MOST", most)
    array, data = ScratchArray(tmp_path, (5, 7), (2, 4), np.dtype("int16")), values((5, 7), "int16")
    for place in [np.s_[i : i + 2, j : j + 4] for i in (0, 2, 4) for j in (0, 4)]:
        clipped = tuple(slice(a.start, min(a.stop, size)) for a, size in zip(place, (5, 7), strict=True))
        array[clipped] = data[clipped]
    np.testing.assert_array_equal(array[4:5, 5:7], data[4:5, 5:7])
    np.testing.assert_array_equal(array[2:4, 1:3], data[2:4, 1:3])
    assert ((tmp_path / "1" / "0").read_bytes() == data[2:4, :4].tobytes()) == (most == 10)
