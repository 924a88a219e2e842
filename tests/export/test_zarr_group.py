"""zarr: one plain group with all arrays, in format 2 or 3."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import tree
from last_stage import LAST, commit_last_stage

import minian_vc as mvc
from minian_vc.arrays.opening import LeftOutWarning
from minian_vc.dataset_folders import datasets_below
from minian_vc.errors import EnvironmentUnfitError, InvalidInputError

ZARR_3 = int(importlib.metadata.version("zarr").split(".")[0]) >= 3
XARRAY_OPENS = ZARR_3 or tuple(map(int, xr.__version__.split(".")[:2])) < (2026, 9)
FORMATS = [2, pytest.param(3, marks=pytest.mark.skipif(not ZARR_3, reason="zarr 3 writes format 3"))]

pytestmark = pytest.mark.filterwarnings("ignore::minian_vc.arrays.opening.LeftOutWarning")


@pytest.fixture(scope="module")
def last(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    return commit_last_stage(stages, tmp_path_factory.mktemp("lab"))


def expected(last: mvc.Dataset, arrays: tuple[str, ...]) -> xr.Dataset:
    return last.open(LAST, arrays=list(arrays))


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_a_group_has_what_the_checkpoint_has(last: mvc.Dataset, tmp_path: Path, zarr_format: int):
    """zarr itself reads equal values, dims, coordinates and the chunk spec, whatever xarray is there."""
    out = tmp_path / "last"
    done = last.export(f"@{LAST}", format="zarr", out=out, zarr_format=zarr_format)
    wanted, group = expected(last, done.arrays), zarr.open_group(out, mode="r")
    assert set(done.arrays) == set(wanted.data_vars)
    assert set(group.array_keys()) == set(wanted.variables)
    for name, variable in wanted.variables.items():
        np.testing.assert_array_equal(group[name][...], variable.values)
        assert group[name].dtype == variable.dtype
    assert group["C_chk"].chunks == wanted["C_chk"].data.chunksize == (8, 64)


@pytest.mark.skipif(not XARRAY_OPENS, reason="this xarray cannot open zarr with this zarr")
@pytest.mark.parametrize("zarr_format", FORMATS)
def test_xarray_opens_it_silently(last: mvc.Dataset, tmp_path: Path, zarr_format: int):
    """Neither a fallback from consolidated metadata nor a type without a specification is warned of."""
    out = tmp_path / "last"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", LeftOutWarning)
        warnings.filterwarnings("ignore", "Left out, for they are copies")
        warnings.simplefilter("ignore", DeprecationWarning)  # of zarr 2 itself
        done = last.export(f"@{LAST}", format="zarr", out=out, zarr_format=zarr_format)
        opened = xr.open_zarr(out).load()
    wanted = expected(last, done.arrays)
    assert len(wanted.data_vars) == 11
    xr.testing.assert_equal(opened, wanted)


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_the_identity_is_in_the_groups_attributes(last: mvc.Dataset, tmp_path: Path, zarr_format: int):
    """With session and animal beside it, and the units that were left out."""
    last.export(f"@{LAST}", format="zarr", out=tmp_path / "last", zarr_format=zarr_format)
    attributes = dict(zarr.open_group(tmp_path / "last", mode="r").attrs)
    identity = json.loads(attributes["minian_vc"])
    assert identity["checkpoint"] == attributes["checkpoint"] == last.find(f"@{LAST}")[0].id
    assert (attributes["session"], attributes["animal"], attributes["tag"]) == ("session1", "mouse1", LAST)
    assert json.loads(attributes["left_out"]) == {"A": [0], "YrA": [0]}


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_exported_twice_it_is_the_same(last: mvc.Dataset, tmp_path: Path, zarr_format: int):
    """Byte for byte; a forced export replaces the first."""
    for name in ("one", "two", "two"):
        last.export(
            f"@{LAST}", format="zarr", out=tmp_path / name, zarr_format=zarr_format, force=(tmp_path / name).exists()
        )
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_format_2_is_the_default(last: mvc.Dataset, tmp_path: Path):
    """It opens everywhere, also where zarr 3 wrote it."""
    last.export("C@latest", format="zarr", out=tmp_path / "C")
    assert json.loads((tmp_path / "C/C/.zarray").read_text())["zarr_format"] == 2
    assert {"C/.zarray", "unit_id/.zarray", ".zattrs"} <= set(
        json.loads((tmp_path / "C/.zmetadata").read_text())["metadata"]
    )


@pytest.mark.skipif(ZARR_3, reason="zarr 3 writes format 3")
def test_format_3_needs_zarr_3(last: mvc.Dataset, tmp_path: Path):
    """The way out is named."""
    with pytest.raises(EnvironmentUnfitError, match="--zarr-format 2"):
        last.export("C@latest", format="zarr", out=tmp_path / "C", zarr_format=3)
    assert not (tmp_path / "C").exists()


def test_there_is_no_format_4(last: mvc.Dataset, tmp_path: Path):
    """Nothing is written."""
    with pytest.raises(InvalidInputError, match="no zarr format 4"):
        last.export("C@latest", format="zarr", out=tmp_path / "C", zarr_format=4)
    assert not (tmp_path / "C").exists()


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_where_units_are_left_out_the_chunk_spec_is_the_recorded_one(root: Path, tmp_path: Path, zarr_format: int):
    """Three units in blocks of two, without the second: dask would have two blocks of one."""
    folder = root / "m/s/minian"
    units, labels = {"unit_id": [1, 2, 3]}, ["good", "bad", "äh"]
    values = np.arange(9.0).reshape(3, 3)
    for name, kept in (("A", [0, 1, 2]), ("C", [0, 2])):
        array = xr.DataArray(values, units, ["unit_id", "frame"], name=name).assign_coords(
            unit_labels=("unit_id", labels)
        )
        mvc.save_minian(array[kept].chunk({"unit_id": 2, "frame": 3}), folder)
    dataset = mvc.open(folder)
    dataset.commit("both", tag="both")
    dataset.export("@both", format="zarr", out=tmp_path / "both", zarr_format=zarr_format)
    group = zarr.open_group(tmp_path / "both", mode="r")
    for name in ("A", "C"):
        assert group[name].chunks == (2, 3)
        np.testing.assert_array_equal(group[name][...], values[[0, 2]])
    assert list(group["unit_id"][...]) == [1, 3]
    assert list(group["unit_labels"][...]) == ["good", "äh"]


@pytest.mark.parametrize("name", ["last", "last.zarr"])
def test_beside_a_dataset_it_is_not_taken_for_one(last: mvc.Dataset, name: str):
    """Nor for an array, which would make a dataset of the folder that holds both."""
    last.export(f"@{LAST}", format="zarr", out=last.path.parent / name)
    assert list(datasets_below(last.repository.root)) == [last.path]
    (finding,) = [each for each in mvc.check(last.path.parent / name).findings if each.code == "not-a-dataset"]
    assert "an export's folder" in finding.message
    assert not shutil.rmtree(last.path.parent / name)
