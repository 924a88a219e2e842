"""resume: after a kernel restart, the variables of a checkpoint that go together, and chk."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import INTERMEDIATE, STAGES, put_stage

import minian_vc as mvc
from minian_vc import LeftOutWarning
from minian_vc.errors import ConflictError, NotFoundError

CURRENT = {"A", "C", "C_chk", "b", "f", "sn_spatial"}
TEMPORAL = {"S", "YrA", "b0", "c0"}


def resumed(dataset: mvc.Dataset, revision: str, **options: object) -> tuple[dict, list[str]]:
    """Return what resume gives but chk, and what it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = mvc.open(dataset.path).resume(revision, **options)
    found.pop("chk")
    return found, [str(each.message) for each in caught if not isinstance(each.message, LeftOutWarning)]


def assert_on_common_units(found: dict[str, xr.DataArray]) -> None:
    """One set of ids, in one order, in all that have units."""
    units = {tuple(array.unit_id.values.tolist()) for array in found.values() if "unit_id" in array.dims}
    assert len(units) == 1
    assert all(array.chunks is not None for array in found.values())


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_every_stage_gives_the_arrays_that_go_together(stage: str, history: mvc.Dataset, stages: Path) -> None:
    """On common units, lazily, with the values of that stage; no copies of earlier steps."""
    found, _ = resumed(history, stage)
    assert_on_common_units(found)
    assert found.keys() >= CURRENT
    assert not {"A_init", "C_init", "A_mrg", "C_new", "sig_mrg"} & found.keys()
    for name, array in found.items():
        whole = mvc.open(history.path)[f"{name}@{stage}"]
        if "unit_id" in array.dims:
            whole = whole.sel(unit_id=array.unit_id.values)
        xr.testing.assert_equal(array.compute(), whole.compute())
        assert set(array.coords) == set(whole.coords)  # nothing is spread from one array to the others


def test_nothing_is_said_where_all_belong_together(history: mvc.Dataset) -> None:
    """After the first temporal update, S, YrA, b0 and c0 are there too."""
    found, said = resumed(history, STAGES[2])
    assert found.keys() >= CURRENT | TEMPORAL
    assert said == []


def test_after_a_merge_its_result_is_named(history: mvc.Dataset) -> None:
    """A and C are those from before it, and the next step starts from A_mrg and C_mrg."""
    found, said = resumed(history, STAGES[3])
    assert found.keys() >= CURRENT | TEMPORAL
    assert len(said) == 1
    assert "after a merge" in said[0]
    assert "A_mrg" in said[0]
    assert "C_mrg" in said[0]


def test_arrays_from_before_the_merge_are_left_out_and_said_so(history: mvc.Dataset) -> None:
    """After the second spatial update S, YrA, b0 and c0 still count the units as before the merge."""
    found, said = resumed(history, STAGES[4])
    assert found.keys() >= CURRENT
    assert not found.keys() & TEMPORAL
    (left_out,) = said
    assert "from before the last merge" in left_out
    assert all(name in left_out for name in TEMPORAL)


def test_after_the_second_temporal_update_all_are_back(history: mvc.Dataset) -> None:
    """And A, which keeps the dropped unit on the disk, is without it."""
    with pytest.warns(LeftOutWarning, match="A without 0"):
        found = history.resume(STAGES[5])
    assert found.keys() >= CURRENT | TEMPORAL
    assert 0 not in found["A"].unit_id.values


def test_named_arrays_are_given_as_named(history: mvc.Dataset) -> None:
    """Copies too; two numberings are refused; a name that is not there is told."""
    found, _ = resumed(history, STAGES[3], arrays=["A_mrg", "C_mrg"])
    assert set(found) == {"A_mrg", "C_mrg"}
    assert_on_common_units(found)
    with pytest.raises(ConflictError):
        history.resume(STAGES[4], ["A", "S"])
    with pytest.raises(NotFoundError, match="'D'"):
        history.resume(STAGES[4], ["D"])


def test_nothing_on_the_disk_changes(history: mvc.Dataset) -> None:
    """Neither the folder nor the history."""
    before = {path: path.stat().st_mtime_ns for path in history.path.rglob("*")}
    resumed(history, STAGES[1])
    assert {path: path.stat().st_mtime_ns for path in history.path.rglob("*")} == before
    assert len(history.history()) == len(STAGES) - 1


@pytest.fixture
def without_bytes(stages: Path, root: Path) -> mvc.Dataset:
    """A commit of the first stage that keeps no bytes of Y_hw_chk and f."""
    config = mvc.Repository.open(root).config
    config.with_value("record_without_bytes", "Y_hw_chk,f") if hasattr(config, "with_value") else None
    put_stage(stages, STAGES[0], root)
    return mvc.open(root / INTERMEDIATE)


def test_chk_is_what_was_recorded_with_the_checkpoint(history: mvc.Dataset, run: dict) -> None:
    """Without a kernel there is none in the provenance, and it is what the arrays agree on."""
    assert history.resume(STAGES[2])["chk"] == run["sessions"][0]["chk"]


def test_everything_works_when_the_folder_is_gone(history: mvc.Dataset) -> None:
    """All comes from the object store."""
    expected = {name: array.compute() for name, array in resumed(history, STAGES[2])[0].items()}
    shutil.rmtree(history.path)
    found, _ = resumed(history, STAGES[2])
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array.values, expected[name].values)
