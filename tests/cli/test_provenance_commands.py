"""Provenance on the command line: commit keeps it, show prints it, diff compares it, log finds by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import running
from conftest import INTERMEDIATE, put_stage
from running import Runner

import minian_vc as mvc
from minian_vc.cli import provenance as text
from minian_vc.verbs.commit import Request

run_cli = running.run_cli

FIRST, SECOND = "stage-01-first-spatial", "stage-02-first-temporal"
CELL = "\n".join(f"line_{i} = {i}" for i in range(45))
PROVENANCE = {
    "minian_vc": "0.1.0",
    "params": {"param_first_temporal": {"p": 1, "sparse_penal": 0.5, "zs_thres": None}, "note": "1"},
    "chk": {"frame": 64, "height": 64},
    "automatic": "cell",
    "code": {"cell": CELL, "number": 12},
    "environment": {
        "python": "3.11.7",
        "platform": "Linux",
        "host": "rig",
        "user": "anna",
        "folder": "/data",
        "packages": {"dask": "4", "minian": "2.0.2", "scipy": "1", "zarr": "2.18.7"},
    },
    "git": {"commit": "9f8e7d", "branch": "main", "dirty": True},
}


@pytest.fixture(scope="module")
def template(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two checkpoints, the second as a notebook records it."""
    root = tmp_path_factory.mktemp("template")
    mvc.Repository.create(root)
    mvc.open(put_stage(stages, FIRST, root)).commit("spatial", tag="first", params={"p": 2, "wnds": [1, 2]})
    mvc.open(put_stage(stages, SECOND, root)).record(Request("temporal", "second", provenance=PROVENANCE))
    return root


@pytest.fixture
def lab(template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template as the current folder, for tests that only look."""
    monkeypatch.chdir(template)
    return template


def messages(document: dict) -> list[str]:
    """Which checkpoints log found."""
    return [entry["message"] for entry in document["checkpoints"]]


# -- show -----------------------------------------------------------------------------------------


def test_show_prints_all_of_it(lab: Path, run_cli: Runner) -> None:
    """Parameters aligned, chk, the cell cut after 40 lines, environment and git; JSON has the whole."""
    out = run_cli.ok("show", "@second").out
    shown = out[out.index("params") : out.index("\narray ")]
    cell = [f"    line_{i} = {i}" for i in range(40)]
    assert shown.splitlines() == [
        "params     note                              = '1'",
        "           param_first_temporal.p            = 1",
        "           param_first_temporal.sparse_penal = 0.5",
        "           param_first_temporal.zs_thres     = None",
        "chk        frame=64, height=64",
        "automatic  cell",
        "cell       [12]",
        *cell,
        "    … 5 more lines: --json has them",
        "made with  minian_vc 0.1.0, Python 3.11.7 on Linux, anna@rig in /data",
        "packages   minian 2.0.2, zarr 2.18.7, dask 4, 1 more: --json has them",
        "git        9f8e7d on main, with changes that are not committed",
    ]
    kept = run_cli.json("show", "@second")["provenance"]
    assert {key: kept[key] for key in PROVENANCE} == PROVENANCE


def test_show_of_a_checkpoint_by_hand(lab: Path, run_cli: Runner) -> None:
    """No cell, no chk; where it was made is there all the same."""
    out = run_cli.ok("show", "@first").out
    assert "params     p    = 2\n           wnds = [1, 2]\n" in out
    assert f" in {Path.cwd()}" not in out  # it was made elsewhere
    assert "made with  minian_vc" in out
    assert "packages   " in out


@pytest.mark.parametrize(
    ("git", "line"),
    [
        ({"commit": "9f8e7d", "branch": None, "dirty": False}, "git        9f8e7d"),
        ({"commit": "9f8e7d", "branch": "a/b", "dirty": None}, "git        9f8e7d on a/b, perhaps with changes"),
    ],
)
def test_git_is_one_line(git: dict, line: str) -> None:
    assert list(text.describe({"git": git})) == [line]


@pytest.mark.parametrize(
    "provenance",
    [{}, {"params": None}, {"params": {}}, {"code": {"else": 1}}, {"automatic": None}, {"check": {"grade": "aligned"}}],
    ids=str,
)
def test_what_was_not_recorded_has_no_line(provenance: dict) -> None:
    """Checkpoints of older programs, or of newer ones that know more."""
    assert list(text.describe(provenance)) == []


def test_an_old_checkpoint_shows_the_program_only() -> None:
    assert list(text.describe({"minian_vc": "0.1.0", "environment": {}})) == ["made with  minian_vc 0.1.0"]
    assert list(text.describe({"environment": {"python": "3.11"}})) == ["made with  minian_vc, Python 3.11 on ?, ?@?"]


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    """Escape sequences in a cell, a parameter or a path are shown, not sent."""
    evil = "\x1b[31m\x07"
    kept = {
        "params": {evil: evil, "long": "x" * 500},
        "code": {"cell": f"\tprint('{evil}')", "number": None},
        "git": {"commit": evil, "branch": evil},
        "automatic": f"a\nb{evil}",
    }
    lines = list(text.describe(kept))
    assert all(line.isprintable() for line in lines)
    assert "cell       [ ]" in lines
    assert "            print('\\x1b[31m\\x07')" in lines
    assert max(map(len, lines)) < 330


# -- diff -----------------------------------------------------------------------------------------


def test_diff_compares_the_parameters(lab: Path, run_cli: Runner) -> None:
    """A table after the arrays, a dash where a side has none; in JSON that is no key, and null is a value."""
    assert run_cli.json("diff", "@first", "@second")["params"] == {
        "note": {"new": "1"},
        "p": {"old": 2},
        "param_first_temporal.p": {"new": 1},
        "param_first_temporal.sparse_penal": {"new": 0.5},
        "param_first_temporal.zs_thres": {"new": None},
        "wnds": {"old": [1, 2]},
    }
    out = run_cli.ok("diff", "@first", "@second").out
    assert [line.split() for line in out[out.index("param ") :].splitlines()] == [
        ["param", "old", "new"],
        ["note", "—", "'1'"],
        ["p", "2", "—"],
        ["param_first_temporal.p", "—", "1"],
        ["param_first_temporal.sparse_penal", "—", "0.5"],
        ["param_first_temporal.zs_thres", "—", "None"],
        ["wnds", "[1,", "2]", "—"],
    ]


def test_diff_with_equal_parameters_or_the_folder_has_no_table(lab: Path, run_cli: Runner) -> None:
    """The key is there and empty."""
    assert "param" not in run_cli.ok("diff", "@second", "@second").out
    assert run_cli.json("diff", "@first")["params"] == run_cli.json("diff", "@first", "@first")["params"] == {}


def test_the_exit_code_of_diff_is_about_arrays(stages: Path, root: Path, run_cli: Runner) -> None:
    """Only arrays decide: the question it answers is whether the data are the same."""
    ds = mvc.open(put_stage(stages, FIRST, root))
    ds.commit("one", tag="one", params={"p": 1})
    put_stage(stages, SECOND, root)
    ds.commit("two", tag="two", params={"p": 1})
    put_stage(stages, FIRST, root)
    ds.commit("three", tag="three", params={"p": 2})
    assert run_cli("diff", "@one", "@three", "-d", ds.path, "--exit-code").code == 0
    assert "p" in run_cli.json("diff", "@one", "@three", "-d", ds.path)["params"]
    assert run_cli("diff", "@one", "@two", "-d", ds.path, "--exit-code").code == 1


# -- log, commit ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["p=1"], ["temporal"]),
        (["p=1.0"], ["temporal"]),
        (["p=2"], ["spatial"]),
        (["p"], ["temporal", "spatial"]),
        (["p", "wnds=[1,2]"], ["spatial"]),
        (["p=1", "wnds"], []),
        (["first_temporal.p=1", "zs_thres=None"], ["temporal"]),
        (["zs_thres=null"], ["temporal"]),
        (["param_first_temporal"], ["temporal"]),
        (["note=1"], []),
        (['note="1"'], ["temporal"]),
        (["p=true"], []),
    ],
    ids=str,
)
def test_log_finds_by_parameter(lab: Path, run_cli: Runner, given: list[str], found: list[str]) -> None:
    """Several must all hold; a name alone is enough to be there; people are told when there is none."""
    options = [option for text in given for option in ("--param", text)]
    assert messages(run_cli.json("log", *options)) == found
    assert messages(run_cli.json("log", "-n", "1", *options)) == found[:1]
    out = run_cli.ok("log", *options).out
    assert all(message in out for message in found)
    assert ("has no such checkpoint" in out) == (not found)


@pytest.mark.parametrize("given", [["=1"], [""], ["p=1", "p=2"]], ids=str)
def test_a_parameter_that_cannot_be_meant_is_refused(lab: Path, run_cli: Runner, given: list[str]) -> None:
    outcome = run_cli("log", *[option for text in given for option in ("--param", text)])
    assert (outcome.code, outcome.out) == (2, "")
    assert "--param" in outcome.err


def test_what_commit_keeps_log_finds(
    template: Path, tmp_path: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both read a value in the same way, and secrets are kept nowhere."""
    lab = Path(shutil.copytree(template, tmp_path / "lab"))
    monkeypatch.chdir(lab)
    chunk = lab / INTERMEDIATE / "C.zarr/C/0.0"
    chunk.write_bytes(chunk.with_name("1.0").read_bytes())
    values = ["a=None", "b=[1, 2]", "c=text", "d=NaN", "e=False", "url=db://u:hunter2@h", "token=hunter2"]
    run_cli.ok("commit", "-m", "third", *[option for text in values for option in ("--param", text)])
    for value in values:
        assert messages(run_cli.json("log", "--param", value)) == ["third"], value
    files = [path.read_bytes() for path in (lab / ".minian_vc").rglob("*") if path.is_file()]
    assert not any(b"hunter2" in content for content in files)
