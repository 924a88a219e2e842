"""MiniAn's page on working with variables, its steps in its order, with nothing but the import changed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conftest import INTERMEDIATE, put_stage
from originals import assert_same, original

from minian_vc import open_minian, save_minian

pytestmark = pytest.mark.filterwarnings("ignore::minian_vc.LeftOutWarning")


@pytest.fixture
def intpath(stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run after the first spatial update, in the current folder, as the notebook names it."""
    folder = put_stage(stages, "stage-01-first-spatial", tmp_path)
    monkeypatch.chdir(folder.parent)
    return "./minian_intermediate"


def test_a_version_is_kept_under_another_name(intpath: str, stages: Path) -> None:
    """rename() and save: both versions open afterwards, the old one with the values it had."""
    was = original(stages / "stage-01-first-spatial" / INTERMEDIATE / "C.zarr").compute()
    C = open_minian(intpath)["C"]

    save_minian(C.rename("C_matrix_first_iteration"), intpath)

    C = save_minian((C * 2).rename("C"), intpath, overwrite=True)
    minian_ds = open_minian(intpath)
    A = minian_ds["A"]
    np.testing.assert_array_equal(minian_ds["C_matrix_first_iteration"].values, was.values)
    np.testing.assert_array_equal(minian_ds["C"].values, was.values * 2)
    assert A.unit_id.values.tolist() == C.unit_id.values.tolist()


def test_a_dataset_is_opened_as_a_dict(intpath: str) -> None:
    """return_dict=True gives each array as saved."""
    minian_ds = open_minian(intpath, return_dict=True)
    assert {"A", "C", "b", "f"} <= set(minian_ds)
    for name, array in minian_ds.items():
        assert_same(array, original(Path(intpath) / f"{name}.zarr"))


def test_units_are_dropped_from_one_and_subset_from_the_other(intpath: str) -> None:
    """Saving A with fewer units over itself, and C by A's labels, now and after opening again."""
    minian_ds = open_minian(intpath)
    A_new, C = minian_ds["A"].isel(unit_id=slice(2, None)), minian_ds["C"]
    kept = A_new.compute()

    A = save_minian(A_new.rename("A"), intpath, overwrite=True)
    C = C.sel(unit_id=A.coords["unit_id"].values)

    np.testing.assert_array_equal(A.values, kept.values)
    assert C.unit_id.values.tolist() == kept.unit_id.values.tolist()
    arrays = open_minian(intpath, return_dict=True)
    A = arrays["A"]
    C = arrays["C"]
    C = C.sel(unit_id=A.coords["unit_id"].values)
    np.testing.assert_array_equal(A.values, kept.values)
    assert C.sizes["unit_id"] == A.sizes["unit_id"] == kept.sizes["unit_id"]


def test_a_dataset_is_written_to_other_formats(intpath: str, tmp_path: Path) -> None:
    """netCDF, a long table, CSV and npy, from the arrays as they were opened."""
    minian_ds = open_minian(intpath)[["A", "C", "b", "f"]]
    truth = original(Path(intpath) / "C.zarr").compute()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of netCDF libraries
        minian_ds.to_netcdf("minian_dataset.nc")
        with xr.open_dataset("minian_dataset.nc") as opened:
            np.testing.assert_array_equal(opened["C"].values, truth.values)

    table = minian_ds["C"].rename("C").to_series().reset_index()
    assert list(table.columns) == ["unit_id", "frame", "C"]
    table.to_csv("C.csv")
    again = pd.read_csv("C.csv", index_col=0)
    np.testing.assert_allclose(again["C"].to_numpy(), truth.values.ravel())

    np.save("C.npy", minian_ds["C"].values)
    np.testing.assert_array_equal(np.load("C.npy"), truth.values)
