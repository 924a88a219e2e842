"""The seven real stages of two sessions: recorded, brought back, opened, and accounted for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import STAGES, put_stage, tree
from originals import assert_same, originals

import minian_vc as mvc

SESSIONS = ("session1", "session2")
DATASETS = [f"mouse1/{session}/{folder}" for session in SESSIONS for folder in ("minian", "minian_intermediate")]


@pytest.fixture(scope="module")
def lab(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which each stage of each dataset is committed under its name."""
    root = tmp_path_factory.mktemp("lab")
    mvc.Repository.create(root)
    for dataset in DATASETS:
        for stage in STAGES:
            put_stage(stages, stage, root, dataset)
            mvc.open(root / dataset).commit(f"after {stage}", tag=stage, params={"stage": stage})
    return root


def changing_stages(stages: Path, dataset: str) -> list[str]:
    """The stages whose folder differs from the stage before."""
    trees = [tree(stages / stage / dataset) for stage in STAGES]
    return [stage for i, stage in enumerate(STAGES) if i == 0 or trees[i] != trees[i - 1]]


@pytest.mark.parametrize("dataset", DATASETS)
def test_history_has_one_checkpoint_per_change_and_a_tag_per_stage(stages: Path, lab: Path, dataset: str) -> None:
    """A stage that changes nothing puts its tag on the latest checkpoint instead of making one."""
    expected: list[tuple[str, set[str]]] = []
    changing = changing_stages(stages, dataset)
    for stage in STAGES:
        if stage in changing:
            expected.insert(0, (f"after {stage}", set()))
        expected[0][1].add(stage)
    ds = mvc.open(lab / dataset)
    assert [(entry.message, set(entry.tags)) for entry in ds.history()] == expected
    log = ds.log()
    assert list(log["message"]) == [message for message, _ in expected]
    assert list(log["parent"])[:-1] == list(log["id"])[1:]
    assert log["parent"].isna().tolist() == [False] * (len(expected) - 1) + [True]
    assert log["created_at"].is_monotonic_decreasing
    for stage in changing:
        assert ds.show(stage).provenance["params"] == {"stage": stage}


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_stage_restores_in_place_byte_for_byte(stages: Path, lab: Path, dataset: str, tmp_path: Path) -> None:
    """``restore @tag`` makes the folder exactly what MiniAn left at that stage, in any order."""
    shutil.copytree(lab, tmp_path / "lab")
    ds = mvc.open(tmp_path / "lab" / dataset)
    for stage in (*reversed(STAGES), STAGES[3]):
        ds.restore(f"@{stage}")
        assert tree(ds.path) == tree(stages / stage / dataset), stage


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_stage_restores_elsewhere_byte_for_byte(stages: Path, lab: Path, dataset: str, tmp_path: Path) -> None:
    """``restore @tag to=`` writes the stage into another folder and leaves the dataset and history alone."""
    ds = mvc.open(lab / dataset)
    before = tree(ds.path), [entry.id for entry in ds.history()]
    for stage in STAGES:
        ds.restore(f"@{stage}", to=tmp_path / stage)
        assert tree(tmp_path / stage) == tree(stages / stage / dataset), stage
    assert (tree(ds.path), [entry.id for entry in ds.history()]) == before


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_array_of_every_stage_opens_as_it_was(stages: Path, lab: Path, dataset: str) -> None:
    """Any version opens lazily with the values, dims, coordinates and dtype that it had."""
    ds = mvc.open(lab / dataset)
    for stage in STAGES:
        truth = originals(stages / stage / dataset)
        opened = ds.open(stage, return_dict=True)
        assert opened.keys() == truth.keys()
        for name, array in truth.items():
            one = ds[f"{name}@{stage}"]
            assert one.chunks is not None
            assert one.name == name
            assert_same(one, array)
            assert_same(opened[name], array)


@pytest.mark.parametrize("dataset", DATASETS)
def test_descriptions_are_those_of_the_originals(stages: Path, lab: Path, dataset: str) -> None:
    """Dims, shape, chunks, unit ids, session and animal of every version are what is on disk."""
    ds = mvc.open(lab / dataset)
    for stage in STAGES:
        checkpoint = ds.show(stage)
        for name, truth in originals(stages / stage / dataset).items():
            array = checkpoint.array(name)
            assert (array.dims, array.shape, array.dtype) == (truth.dims, truth.shape, str(truth.dtype))
            assert {c.name for c in array.coordinates} == set(truth.coords)
            units = tuple(truth.unit_id.values.tolist()) if "unit_id" in truth.coords else None
            assert array.unit_ids == units
            for field in ("session", "animal"):
                expected = str(truth.coords[field].values) if field in truth.coords else None
                assert getattr(array, field) == expected
            files = [path for path in (stages / stage / dataset / f"{name}.zarr").rglob("*") if path.is_file()]
            assert array.stored_bytes == sum(path.stat().st_size for path in files)
            assert array.nbytes == truth.nbytes


def test_session_and_animal_come_from_the_real_arrays(lab: Path) -> None:
    """The final arrays know the session and animal that MiniAn gave them."""
    for session in SESSIONS:
        arrays = mvc.open(lab / f"mouse1/{session}/minian").show().arrays
        assert {(array.animal, array.session) for array in arrays} == {("mouse1", session)}


def test_unit_sets_are_those_the_run_recorded(lab: Path, run: dict) -> None:
    """``show`` and ``units`` give, for each stage, the unit ids that run.json noted in memory."""
    for noted in run["units"]:
        final = noted["array"].startswith("final ")
        folder = "minian" if final else "minian_intermediate"
        name, expected = noted["array"].removeprefix("final "), tuple(noted["unit_id"])
        ds = mvc.open(lab / f"mouse1/{noted['session']}/{folder}")
        checkpoint = ds.show(noted["stage"])
        assert checkpoint.array(name).unit_ids == expected, noted
        entry = next(entry for entry in ds.units() if entry.checkpoint == checkpoint.id)
        assert [ids for ids, arrays in entry.unit_sets if name in arrays] == [expected], noted


def test_units_say_when_ids_disappear_and_when_numbering_starts_anew(lab: Path) -> None:
    """Session 1: two units go at the first spatial update, the merge renumbers, one goes at the second temporal."""
    ds = mvc.open(lab / "mouse1/session1/minian_intermediate")
    entries = {stage: entry for entry in ds.units() for stage in ds.show(entry.checkpoint).tags}
    assert entries["stage-01-first-spatial"].disappeared["C"] == (5, 6)
    assert "C" in entries["stage-04-second-spatial"].renumbered
    assert "C" not in entries["stage-04-second-spatial"].disappeared
    assert entries["stage-05-second-temporal"].disappeared["C"] == (0,)
    assert "A" not in entries["stage-05-second-temporal"].disappeared  # MiniAn keeps it in A on disk
    assert not any(entries[stage].renumbered for stage in STAGES[:4])


@pytest.mark.parametrize("number", [0, 1])
def test_chk_is_recalled_after_a_restart(lab: Path, run: dict, number: int) -> None:
    """A fresh ``mvc.open`` gives the chk that get_optimal_chk made in the kernel that is gone."""
    ds = mvc.open(lab / f"mouse1/{SESSIONS[number]}/minian_intermediate")
    assert ds.chk == run["sessions"][number]["chk"]
    assert ds.chk.deviating == {}


def test_chk_is_recalled_from_history_when_the_folder_is_gone(lab: Path, run: dict, tmp_path: Path) -> None:
    """Without a working folder the latest checkpoint tells chk."""
    shutil.copytree(lab, tmp_path / "lab")
    folder = tmp_path / "lab/mouse1/session1/minian_intermediate"
    shutil.rmtree(folder)
    assert mvc.open(folder).chk == run["sessions"][0]["chk"]
