"""Saving an array onto itself: what MiniAn's save turns into NaN is safe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from conftest import tree
from save_cases import DATASET, traces

from minian_vc import durable, save_minian

CHANGES: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "nothing": lambda c: c,
    "drop units": lambda c: c.isel(unit_id=[0, 2, 5]).chunk({"unit_id": 1}),
    "another order": lambda c: c.isel(unit_id=[5, 0, 3, 1, 2, 4]),
    "labels": lambda c: c.assign_coords(unit_labels=("unit_id", [0, 0, 1, 2, -1, 3])),
    "arithmetic": lambda c: (c * 2 - c.mean("frame")).rename("X"),
    "larger chunks": lambda c: c.chunk({"unit_id": 3, "frame": 25}),
}
GRIDS = {
    "as it is": {},
    "chunks in memory": {"chunks": {"unit_id": -1, "frame": 16}},
    "chunks over the disk": {"chunks": {"unit_id": -1, "frame": 16}, "mem_limit": "4.7kB"},
}


@pytest.fixture(params=["exchange", "two renames"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's exchange of two folders, and without; flushing has tests of its own."""
    monkeypatch.setattr(durable, "flush", lambda *_: None)
    if request.param == "two renames":
        monkeypatch.setattr(durable, "exchange", lambda *_: False)


def read(folder: Path) -> xr.DataArray:
    """Read an array lazily from its folder."""
    return xr.DataArray(
        da.from_zarr(str(folder), component=folder.stem),
        {"unit_id": np.arange(6), "frame": np.arange(50)},
        ("unit_id", "frame"),
        folder.stem,
    )


def assert_saved(saved: xr.DataArray, expected: xr.DataArray, dataset: Path) -> None:
    """What is returned, and what lies in the folder, are the values; nothing is left beside."""
    xr.testing.assert_equal(saved.compute(), expected)
    np.testing.assert_array_equal(da.from_zarr(str(dataset / "X.zarr"), component="X").compute(), expected.values)
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]


@pytest.mark.parametrize("options", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("source", ["returned", "read"])
def test_an_array_read_from_its_own_folder_keeps_its_values(
    source: str, change: Callable[[xr.DataArray], xr.DataArray], options: dict, tmp_path: Path
) -> None:
    """Lazily read, changed, and saved under the same name, twice, as a cell that runs again does."""
    dataset = tmp_path / DATASET
    returned = save_minian(traces(), dataset)
    changed = change(returned if source == "returned" else read(dataset / "X.zarr"))
    expected = changed.compute()
    assert np.isfinite(expected.values).all()
    assert expected.values.std() > 1
    saved = save_minian(changed, dataset, overwrite=True, **options)
    assert_saved(saved, expected, dataset)
    assert_saved(save_minian(saved, dataset, overwrite=True), expected, dataset)


def test_renamed_and_back(tmp_path: Path) -> None:
    """C as C_old, changed, saved as C again: each is read from the other's folder."""
    dataset = tmp_path / DATASET
    first = save_minian(traces(), dataset)
    truth = first.compute()
    kept = save_minian(first.rename("X_old"), dataset)
    doubled = save_minian((kept * 2).rename("X"), dataset, overwrite=True)
    xr.testing.assert_equal(doubled.compute(), truth * 2)
    assert_saved(save_minian(kept.rename("X"), dataset, overwrite=True), truth, dataset)


def test_two_arrays_are_exchanged_by_saving_each_as_the_other(tmp_path: Path) -> None:
    """What was lazily made before the save sees the new folder afterwards: so the second save saves the first's."""
    dataset = tmp_path / DATASET
    first, second = save_minian(traces(), dataset), save_minian((traces() + 1000).rename("Z"), dataset)
    sum_of_both = (first + second).rename("X")
    expected = sum_of_both.compute()
    assert_saved(save_minian(sum_of_both, dataset, overwrite=True), expected, dataset)
    assert (tree(dataset)["Z.zarr/Z/0.0"]) != tree(dataset)["X.zarr/X/0.0"]
