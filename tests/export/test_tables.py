"""Arrays as tables: whole and by blocks, long and wide; the rows and dtypes are those that pandas gives."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pandas.testing import assert_frame_equal

from minian_vc.errors import InvalidInputError
from minian_vc.export.tables import Long, Wide

RANDOM = np.random.default_rng(5)


def array(dims: dict[str, object], dtype: str = "float64", name: str = "C") -> xr.DataArray:
    """A dask-backed array of random values with these labels; an integer is a size without labels."""
    import dask.array as da

    sizes = tuple(labels if isinstance(labels, int) else len(labels) for labels in dims.values())
    values = (RANDOM.standard_normal(sizes) * 1000).astype(dtype)
    coords = {dim: labels for dim, labels in dims.items() if not isinstance(labels, int)}
    lazy = da.from_array(values, chunks=tuple(max(1, (size + 1) // 2) for size in sizes))
    return xr.DataArray(lazy, coords, tuple(dims), name)


ARRAYS = {
    "unit ids out of order": array({"unit_id": [7, 3, 12], "frame": range(11)}),
    "text labels": array({"unit_id": ["b", "a", "cé"], "frame": range(4)}),
    "text labels as objects": array({"unit_id": np.array(["b", "a"], object), "frame": range(4)}),
    "mixed labels": array({"unit_id": np.array([1, "a", 2.5], object), "frame": range(4)}),
    "small integers": array({"unit_id": np.array([2, 1], "int16"), "frame": np.arange(4.0)}, "uint8"),
    "labels missing": array({"unit_id": [1.0, np.nan, 3.0], "frame": range(4)}),
    "times as labels": array({"frame": pd.date_range("2020", periods=5, freq="s"), "unit_id": [1, 2]}),
    "no labels": array({"unit_id": 3, "frame": 5}, "float32"),
    "one dim": array({"frame": [5, 4, 6, 1]}, name="f"),
    "one dim of text": array({"animal": ["m1", "m2", "m3"]}),
    "three dims": array({"unit_id": [4, 2], "height": range(3), "width": [9, 8, 7, 6, 5]}, name="A"),
    "four dims": array({"a": 2, "b": 3, "c": 2, "d": ["x", "y", "z"]}, "int32"),
    "booleans": array({"unit_id": [1, 2], "frame": 3}, "bool"),
    "no units": array({"unit_id": np.array([], "int64"), "frame": range(4)}),
    "no frames": array({"unit_id": ["a", "b"], "frame": 0}),
    "other coordinates": array({"unit_id": [1, 2], "frame": 3}).assign_coords(
        session="s1", unit_labels=("unit_id", [5, 6]), plane=(("unit_id", "frame"), np.ones((2, 3)))
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("budget", [1, 100, 333, 1 << 20])
def test_long_blocks_are_the_rows_of_pandas(name: str, budget: int):
    """Joined, the blocks are ``to_series().reset_index()``: rows, order, columns, dtypes; each has the same dtypes."""
    one = ARRAYS[name]
    expected = one.to_series().reset_index()
    blocks = list(Long(one).blocks(budget))
    assert_frame_equal(pd.concat(blocks, ignore_index=True), expected, check_exact=True)
    assert_frame_equal(Long(one).whole(), expected, check_exact=True)
    assert all(list(block.dtypes) == list(expected.dtypes) for block in blocks)


def test_long_blocks_keep_to_the_budget():
    """No block takes more than the budget, and there are no more of them than rows of a rectangle need."""
    one = array({"unit_id": range(50), "frame": range(40)})
    sizes = [block.memory_usage(index=False, deep=True).sum() for block in Long(one).blocks(3000)]
    assert max(sizes) <= 3000
    assert len(sizes) == 17  # 125 rows fit: three units of 40 frames


def wide_by_pandas(one: xr.DataArray, other: str) -> pd.DataFrame:
    """The wide table, made another way: by a pivot of pandas in the array's order."""
    series = one.transpose("frame", other).to_series()
    table = series.unstack(other)[one.get_index(other)].reindex(one.get_index("frame"))
    table.columns = pd.Index([str(label) for label in table.columns], dtype=table.columns.astype(str).dtype)
    return table.reset_index()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ARRAYS["unit ids out of order"], "unit_id"),
        (ARRAYS["unit ids out of order"].transpose("frame", "unit_id"), "unit_id"),
        (ARRAYS["text labels"], "unit_id"),
        (ARRAYS["small integers"], "unit_id"),
        (array({"frame": [3, 1, 2, 0], "shift_dim": ["height", "width"]}, "float32"), "shift_dim"),
    ],
    ids=["unit first", "frame first", "text", "small integers", "motion"],
)
@pytest.mark.parametrize("budget", [1, 50, 1 << 20])
def test_wide_blocks_have_a_row_per_frame_and_a_column_per_label(one: xr.DataArray, other: str, budget: int):
    """In the order of frames and labels as they are, with the dtype of the values."""
    expected = wide_by_pandas(one, other)
    blocks = list(Wide(one).blocks(budget))
    assert_frame_equal(pd.concat(blocks, ignore_index=True), expected, check_exact=True, check_column_type=False)
    assert_frame_equal(Wide(one).whole(), expected, check_exact=True, check_column_type=False)
    assert len(blocks) == {1: one.sizes["frame"], 50: len(blocks)}.get(budget, 1)


def test_wide_has_the_time_after_the_frame():
    """Second column, in every block the times of its own rows."""
    one, times = ARRAYS["unit ids out of order"], np.arange(11) / 20
    found = pd.concat(Wide(one, times).blocks(80), ignore_index=True)
    assert list(found.columns) == ["frame", "time", "7", "3", "12"]
    assert found["time"].tolist() == times.tolist()
    assert_frame_equal(found.drop(columns="time"), Wide(one).whole())


def test_wide_of_frames_alone_has_one_column():
    """``f`` has the dim frame only: its column has its name."""
    found = Wide(ARRAYS["one dim"]).whole()
    assert list(found.columns) == ["frame", "f"]
    assert found["frame"].tolist() == [5, 4, 6, 1]
    assert found["f"].tolist() == ARRAYS["one dim"].values.tolist()


@pytest.mark.parametrize("form", [Wide, Long])
@pytest.mark.parametrize("dims", [{"unit_id": np.array([], "int64"), "frame": range(4)}, {"unit_id": [3], "frame": 0}])
def test_an_empty_table_has_its_columns(form: type, dims: dict):
    (block,) = form(array(dims)).blocks()
    assert_frame_equal(block, form(array(dims)).whole())
    assert "frame" in block


@pytest.mark.parametrize("dims", [{"unit_id": [1], "height": 2}, {"unit_id": [1], "frame": 2, "height": 2}, {}])
def test_wide_of_other_dims_is_refused(dims: dict):
    """The message names the dims."""
    with pytest.raises(InvalidInputError, match=", ".join(dims) or "none"):
        Wide(array(dims))


@pytest.mark.parametrize("labels", [["frame", "b"], [1, 1], np.array([1, "1"], object)])
def test_wide_with_two_columns_of_one_name_is_refused(labels: object):
    with pytest.raises(InvalidInputError, match="several columns named"):
        Wide(array({"unit_id": labels, "frame": 2}))


def test_long_without_dims_is_refused():
    with pytest.raises(InvalidInputError, match="single value"):
        Long(array({}))


class Made:
    """An array of 10 MB that nobody holds: what is read of it is made."""

    shape, dtype, ndim = (64, 20_000), np.dtype("float64"), 2

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        rows, columns = (np.arange(size)[part] for size, part in zip(self.shape, key, strict=True))
        return rows[:, None] * 1e6 + columns


class OneChunk(Made):
    """The same in one chunk: to read any of it, all is read as stored, and decoded."""

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        stored = super().__getitem__((slice(None), slice(None)))
        decoded = stored.copy()
        return decoded[key].copy()


def made(chunks: tuple[int, int]) -> xr.DataArray:
    """Return it with some chunks."""
    import dask.array as da

    lazy = da.from_array(
        OneChunk() if chunks == Made.shape else Made(),
        chunks=chunks,
        meta=np.empty((0, 0)),
        inline_array=True,
        name="made",
    )
    return xr.DataArray(lazy, {"unit_id": np.arange(64)[::-1]}, ("unit_id", "frame"), "C")


@pytest.mark.parametrize("form", [Long, Wide])
@pytest.mark.parametrize("chunks", [(1, 20_000), (64, 1000)], ids=["a unit", "all units by frames"])
@pytest.mark.parametrize("subset", [False, True], ids=["all", "some units"])
def test_memory_stays_flat_whatever_the_chunks(form: type, chunks: tuple[int, int], subset: bool):
    """Of a table of 10 or 31 MB no more than a few blocks are in memory at a time."""
    one = made(chunks)
    one = one.isel(unit_id=[i for i in range(64) if i % 5]) if subset else one
    rows = 0
    list(form(one[:, :10]).blocks())  # what imports take is not counted
    tracemalloc.start()
    try:
        for block in form(one).blocks(1 << 20):
            rows += len(block)
            del block
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == (one.size if form is Long else 20_000)
    assert peak < 6 << 20


@pytest.mark.parametrize("form", [Long, Wide])
@pytest.mark.parametrize("chunks", [(1, 20_000), (64, 1000), (64, 20_000)])
def test_what_a_whole_table_takes_is_estimated(form: type, chunks: tuple[int, int]):
    """The estimate is not below the peak that is seen, but for what little does not grow, and not above twice of it."""
    table = form(made(chunks))
    list(form(table.array[:, :10]).blocks())
    tracemalloc.start()
    try:
        whole = table.whole()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert table.nbytes == pytest.approx(whole.memory_usage(index=False, deep=True).sum(), rel=0.01)
    assert peak - (1 << 20) <= table.peak <= 2 * peak
