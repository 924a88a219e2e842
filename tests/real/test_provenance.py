"""Provenance of real checkpoints: every commit says where it was made, and checkpoints are found by parameters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import STAGES, put_stage

import minian_vc as mvc
from minian_vc import environment
from minian_vc.params import MISSING
from minian_vc.verbs.commit import Request

PARAMS = {
    STAGES[0]: {"param_seeds_init": {"wnd_size": 100, "method": "rolling"}},
    STAGES[1]: {"param_first_spatial": {"dl_wnd": 5, "sparse_penal": 0.01}},
    STAGES[2]: {"param_first_temporal": {"p": 1, "sparse_penal": 1, "zs_thres": None}},
    STAGES[3]: None,
    STAGES[4]: {"param_second_spatial": {"dl_wnd": 5, "sparse_penal": 0.005}},
    STAGES[5]: {"param_second_temporal": {"p": 1.0, "sparse_penal": 1, "noise_freq": np.float32(0.25)}, "p": 2},
}


@pytest.fixture(scope="module")
def recorded(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    """Session 1's intermediate folder with a checkpoint per stage and its parameters, for tests that only look."""
    root = tmp_path_factory.mktemp("recorded")
    mvc.Repository.create(root)
    for stage, params in PARAMS.items():
        ds = mvc.open(put_stage(stages, stage, root))
        ds.commit(stage, tag=stage, params=params)
    return ds


def found(ds: mvc.Dataset, **selected: object) -> list[str]:
    """Messages of the checkpoints that are found, newest first."""
    return [entry.message for entry in ds.history(**selected)]


# -- what a commit records ------------------------------------------------------------------------


def test_every_commit_says_where_it_was_made(dataset: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Environment, git and code are in the document, whoever commits: by hand, without anything, or a restore."""
    here = {
        "environment": {"python": "3.11", "packages": {"zarr": "2"}},
        "git": {"commit": "abc", "branch": None, "dirty": True},
        "code": {"cell": "ds.commit()", "number": 3},
    }
    monkeypatch.setattr(environment, "describe", lambda: here)
    first = dataset.commit("by hand", params={"p": 1})
    second_state = dataset.path / "C.zarr/C/0.0"
    second_state.write_bytes(second_state.read_bytes()[::-1])
    second = dataset.record(Request("plain")).checkpoint
    second_state.unlink()
    shutil.copyfile(dataset.path / "C.zarr/C/1.0", second_state)
    third = dataset.restore("C@latest").saved_as
    for checkpoint in (first, second, third):
        assert {key: checkpoint.provenance[key] for key in here} == here
        document = json.loads(dataset.repository.objects.read("checkpoints", checkpoint.id))
        assert document["provenance"] == checkpoint.provenance
    assert first.provenance["params"] == {"p": 1}
    assert third.provenance["automatic"] == "restore"
    assert third.provenance["minian_vc"] == mvc.__version__


def test_the_real_environment_is_recorded(recorded: mvc.Dataset) -> None:
    """The versions of what made these arrays, as JSON."""
    kept = recorded.show().provenance["environment"]
    assert kept["packages"]["xarray"] == xr.__version__
    assert kept["folder"] == str(Path.cwd())


def test_who_calls_may_know_better(dataset: mvc.Dataset) -> None:
    """Code that a caller gives stands instead of what the commit finds."""
    code = {"cell": "x = 1", "number": 7}
    checkpoint = dataset.record(Request("by a notebook", provenance={"code": code})).checkpoint
    assert checkpoint.provenance["code"] == code
    assert "environment" in checkpoint.provenance


def test_a_commit_of_nothing_asks_nobody(dataset: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that changed nothing must cost nothing: git is not started."""
    first = dataset.commit("one")
    monkeypatch.setattr(environment, "describe", lambda: pytest.fail("asked"))
    assert dataset.commit("two") == first
    assert dataset.commit("three", only=["C"]) == first


def test_git_is_not_asked_under_the_lock(dataset: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others can write while the environment is gathered."""
    real = environment.describe

    def describe() -> dict:
        with dataset.repository.catalog.write():
            return real()

    monkeypatch.setattr(environment, "describe", describe)
    dataset.commit("one")
    (dataset.path / "C.zarr/C/0.0").write_bytes((dataset.path / "C.zarr/C/1.0").read_bytes())
    assert dataset.commit("two", only=["C"]).message == "two"


def test_a_script_that_commits_is_named(dataset: mvc.Dataset, tmp_path: Path) -> None:
    """Run as a user would run it; with the command line instead there is no script."""
    script = tmp_path / "analysis.py"
    script.write_text(f"import minian_vc as mvc\nmvc.open({str(dataset.path)!r}).commit('by a script')\n")
    package = Path(mvc.__file__).parents[1]
    subprocess.run([sys.executable, str(script)], check=True, env={"PYTHONPATH": str(package), "PATH": ""})
    assert dataset.show().provenance["code"] == {"script": str(script)}
    (dataset.path / "C.zarr/C/0.0").write_bytes((dataset.path / "C.zarr/C/1.0").read_bytes())
    program = tmp_path / "minian-vc"
    program.write_text("from minian_vc.cli import main; main()")
    command = [sys.executable, str(program), "commit", str(dataset.path), "-m", "by hand"]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(package), "PATH": ""}, stdout=subprocess.DEVNULL)
    assert dataset.show().message == "by hand"
    assert "code" not in dataset.show().provenance


def test_parameters_of_a_notebook_are_kept_without_computing(dataset: mvc.Dataset) -> None:
    """The dictionaries of MiniAn's notebook, with a lazy array among them by mistake."""
    C = mvc.open(dataset.path).commit("first", tag="one") and dataset["C@one"]
    params = {
        "param_load_videos": {"pattern": r"msCam[0-9]+\.avi$", "dtype": np.uint8, "downsample": {"frame": 1}},
        "subset": {"frame": slice(0, None)},
        "C": C,
    }
    (dataset.path / "C.zarr/C/0.0").write_bytes((dataset.path / "C.zarr/C/1.0").read_bytes())
    assert dataset.commit("second", params=params).provenance["params"] == {
        "param_load_videos": {"pattern": r"msCam[0-9]+\.avi$", "dtype": "numpy.uint8", "downsample": {"frame": 1}},
        "subset": {"frame": {"slice": [0, None, None]}},
        "C": "xarray DataArray float64 (unit_id 10, frame 190)",
    }


# -- finding, comparing ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "stages_found"),
    [
        ({"p": 1}, [5, 2]),
        ({"p": 2}, [5]),
        ({"first_temporal.p": 1}, [2]),
        ({"param_second_temporal.p": 1}, [5]),
        ({"p": ...}, [5, 2]),
        ({"dl_wnd": 5}, [4, 1]),
        ({"dl_wnd": 5, "sparse_penal": 0.01}, [1]),
        ({"first_temporal": {"p": 1, "zs_thres": None}}, [2]),
        ({"zs_thres": None}, [2]),
        ({"noise_freq": 0.25}, [5]),
        ({"p": True}, []),
        ({"q": ...}, []),
        ({}, [5, 4, 3, 2, 1, 0]),
    ],
    ids=str,
)
def test_checkpoints_are_found_by_parameters(recorded: mvc.Dataset, params: dict, stages_found: list[int]) -> None:
    """Over the catalog, newest first, with -n after the choice; log is the same as a table."""
    expected = [STAGES[i] for i in stages_found]
    assert found(recorded, params=params) == expected
    assert found(recorded, n=1, params=params) == expected[:1]
    assert recorded.log(params=params)["message"].tolist() == expected


def test_finding_reads_no_documents(recorded: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded.repository, "checkpoint", lambda *_: pytest.fail("read"))
    assert found(recorded, params={"dl_wnd": 5}) == [STAGES[4], STAGES[1]]


def test_array_and_parameters_must_both_hold(recorded: mvc.Dataset) -> None:
    """An array that never was is an error, also where parameters are asked for."""
    assert found(recorded, array="S", params={"p": 1}) == [STAGES[5], STAGES[2]]
    assert found(recorded, array="S", params={"dl_wnd": 5}) == []
    with pytest.raises(mvc.errors.NotFoundError, match="'Q'"):
        recorded.history(array="Q", params={"p": 1})


def test_a_catalog_made_anew_finds_the_same(recorded: mvc.Dataset, tmp_path: Path) -> None:
    """Parameters are in the documents; the catalog only finds them."""
    shutil.copytree(recorded.repository.root, tmp_path / "copy")
    (tmp_path / "copy/.minian_vc/catalog.sqlite").unlink()
    again = mvc.open(tmp_path / "copy" / recorded.name)
    assert found(again, params={"p": 1}) == found(recorded, params={"p": 1}) == [STAGES[5], STAGES[2]]


def test_a_diff_has_the_parameters_that_differ(recorded: mvc.Dataset) -> None:
    """By their paths as they stand in the document; and it says what was compared."""
    diff = recorded.diff(STAGES[2], STAGES[5])
    assert dict(diff.params) == {
        "p": (MISSING, 2),
        "param_first_temporal.p": (1, MISSING),
        "param_first_temporal.sparse_penal": (1, MISSING),
        "param_first_temporal.zs_thres": (None, MISSING),
        "param_second_temporal.noise_freq": (MISSING, 0.25),
        "param_second_temporal.p": (MISSING, 1.0),
        "param_second_temporal.sparse_penal": (MISSING, 1),
    }
    assert (diff.old, diff.new) == tuple(f"{recorded.show(s).short_id} ({s})" for s in (STAGES[2], STAGES[5]))
    assert {change.name for change in diff} >= {"A", "C", "S"}
    assert not recorded.diff(STAGES[2], STAGES[2]).params


def test_the_folder_has_no_parameters(recorded: mvc.Dataset) -> None:
    """Nothing is said of parameters where one side has none to say."""
    diff = recorded.diff(STAGES[2])
    assert (dict(diff.params), diff.new) == ({}, "the working folder")
    assert len(diff)
