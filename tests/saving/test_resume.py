"""resume: after a kernel restart, the variables of a checkpoint that go together, and chk."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import INTERMEDIATE, STAGES, put_stage

import minian_vc as mvc
from minian_vc import LeftOutWarning
from minian_vc.errors import ConflictError, NotFoundError
from minian_vc.verbs.commit import Request

CURRENT = {"A", "C", "C_chk", "b", "f", "sn_spatial"}
TEMPORAL = {"S", "YrA", "b0", "c0"}


@pytest.fixture(scope="module")
def history(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    """Session 1's intermediate folder, committed and tagged at each stage; tests change nothing in it."""
    root = tmp_path_factory.mktemp("lab")
    mvc.Repository.create(root)
    for stage in STAGES[:-1]:
        put_stage(stages, stage, root)
        mvc.open(root / INTERMEDIATE).commit(stage, tag=stage)
    return mvc.open(root / INTERMEDIATE)


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
    """The first stage, recorded without the bytes of f and Y_hw_chk."""
    repository = mvc.Repository.open(root)
    repository.config.with_setting("record_without_bytes", "f,Y_hw_chk").save(
        repository.folder / "config.json", repository.staging
    )
    put_stage(stages, STAGES[0], root)
    dataset = mvc.open(root / INTERMEDIATE)
    dataset.commit()
    return dataset


def test_an_array_without_bytes_is_opened_in_the_folder_while_it_is_unchanged(without_bytes: mvc.Dataset) -> None:
    """Its bytes are there and nowhere else."""
    with pytest.raises(NotFoundError):
        _ = without_bytes["f@latest"]
    found, said = resumed(without_bytes, "latest")
    assert said == []
    for name in ("f", "Y_hw_chk"):
        truth = zarr.open_array(str(without_bytes.path / f"{name}.zarr/{name}"), mode="r")
        np.testing.assert_array_equal(found[name].values, truth[...])


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_an_array_without_bytes_is_left_out_when_the_folder_has_another(how: str, without_bytes: mvc.Dataset) -> None:
    """That is said; the others are there, and naming it is an error."""
    folder = without_bytes.path / "f.zarr"
    if how == "removed":
        shutil.rmtree(folder)
    else:
        mvc.save_minian(xr.DataArray(np.ones(190), dims="frame", name="f").chunk(64), folder.parent, overwrite=True)
    found, said = resumed(without_bytes, "latest")
    assert found.keys() >= {"A", "C", "b", "Y_hw_chk"}
    assert "f" not in found
    (left_out,) = said
    assert left_out.endswith("the folder has others: f.")
    with pytest.raises(NotFoundError, match="without"):
        without_bytes.resume("latest", ["f"])


def test_chk_is_that_of_the_kernel_where_it_was_recorded(dataset: mvc.Dataset, run: dict) -> None:
    """The notebook's own, which may be another than what the arrays agree on."""
    kept = {"frame": 17, "height": 64, "width": 64}
    checkpoint = dataset.record(Request("with chk", provenance={"chk": kept})).checkpoint
    assert dataset.resume(checkpoint.short_id)["chk"] == kept
    assert dataset.chk == run["sessions"][0]["chk"] != kept


def test_chk_is_what_the_arrays_agree_on_where_none_was_recorded(history: mvc.Dataset, run: dict) -> None:
    """Committed by hand there is none in the provenance: it is what the arrays agree on."""
    assert history.resume(STAGES[2])["chk"] == run["sessions"][0]["chk"]


def test_everything_works_when_the_folder_is_gone(history: mvc.Dataset, tmp_path: Path) -> None:
    """All comes from the object store."""
    expected = {name: array.compute() for name, array in resumed(history, STAGES[2])[0].items()}
    shutil.copytree(history.repository.folder, tmp_path / ".minian_vc")
    found, _ = resumed(mvc.open(tmp_path / INTERMEDIATE), STAGES[2])
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array.values, expected[name].values)
