"""Each command through the real entry point: the JSON that others rely on, and what people read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import running
from conftest import INTERMEDIATE, put_stage, tree
from running import Runner

import minian_vc as mvc

run_cli = running.run_cli

FIRST, SECOND = "stage-01-first-spatial", "stage-02-first-temporal"
FINAL = "mouse1/session1/minian"


@pytest.fixture(scope="module")
def template(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one dataset and the checkpoints first and second."""
    root = tmp_path_factory.mktemp("template")
    mvc.Repository.create(root)
    for stage, tag, message in ((FIRST, "first", "spatial"), (SECOND, "second", "temporal")):
        mvc.open(put_stage(stages, stage, root)).commit(message, tag=tag, params={"wave": 6})
    return root


@pytest.fixture
def lab(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template as the current folder."""
    shutil.copytree(template, tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    return tmp_path / "lab"


def touch_values(folder: Path, name: str) -> None:
    """Change one chunk of an array."""
    chunk = next((folder / f"{name}.zarr" / name).glob("0.0"))
    chunk.write_bytes(chunk.read_bytes()[:-1] + bytes([chunk.read_bytes()[-1] ^ 1]))


# -- init, config ---------------------------------------------------------------------------------


def test_init_makes_a_repository_and_names_the_datasets(stages: Path, tmp_path: Path, run_cli: Runner) -> None:
    """init says where the repository is, which datasets lie below it, and what to type next."""
    put_stage(stages, FIRST, tmp_path)
    put_stage(stages, FIRST, tmp_path, FINAL)
    outcome = run_cli.ok("init", tmp_path)
    assert str(tmp_path / ".minian_vc") in outcome.out
    assert "minian-vc commit" in outcome.out
    again = run_cli.json("init", tmp_path)
    assert again["repository"] == str(tmp_path / ".minian_vc")
    assert set(again["datasets"]) == {INTERMEDIATE, FINAL}


def test_init_takes_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner) -> None:
    """Without PATH the repository is made here; a second init changes nothing."""
    monkeypatch.chdir(tmp_path)
    run_cli.ok("init")
    before = (tmp_path / ".minian_vc/config.json").read_bytes()
    run_cli.ok("init", ".")
    assert (tmp_path / ".minian_vc/config.json").read_bytes() == before


def test_config_shows_and_sets(lab: Path, run_cli: Runner) -> None:
    """config shows all settings or one, and keeps what is set."""
    run_cli.ok("config", "record_without_bytes", "varr, Yb")
    run_cli.ok("config", "author", "Ada")
    assert run_cli.json("config")["record_without_bytes"] == ["varr", "Yb"]
    assert "author = Ada" in run_cli.ok("config", "author").out
    assert run_cli.json("config", "author")["author"] == "Ada"
    touch_values(lab / INTERMEDIATE, "C")
    run_cli.ok("commit")
    assert run_cli.json("show")["author"] == "Ada"


# -- commit, log, show, tag -----------------------------------------------------------------------


def test_commit_reports_what_it_recorded_and_cost(stages: Path, root: Path, run_cli: Runner) -> None:
    """id, tag, dataset, arrays, stored and reused bytes; a second commit stores nothing and says so."""
    folder = put_stage(stages, FIRST, root)
    document = run_cli.json("commit", folder, "-t", "first", "-m", "after the update")
    names = sorted(path.stem for path in folder.glob("*.zarr"))
    assert document["id"].startswith("blake3:")
    assert (document["tag"], document["dataset"], document["arrays"]) == ("first", INTERMEDIATE, names)
    assert document["created"] is True
    assert document["stored_bytes"] > 0
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert document["stored_bytes"] + document["reused_bytes"] == total
    again = run_cli.json("commit", folder, "-t", "same")
    assert (again["id"], again["created"], again["stored_bytes"]) == (document["id"], False, 0)
    assert again["reused_bytes"] == total
    assert run_cli.ok("commit", folder).out.count("\n") == 1
    said = run_cli.ok("commit", folder, "-m", "another message").out
    assert "Nothing changed" in said
    assert "was not recorded" in said
    assert run_cli.json("log", folder)["checkpoints"][0]["tags"] == ["first", "same"]


def test_commit_tells_people_the_essentials(lab: Path, run_cli: Runner) -> None:
    """The line has the short id, the tag, the dataset and the number of arrays."""
    touch_values(lab / INTERMEDIATE, "C")
    out = run_cli.ok("commit", "-t", "third", "-m", "changed C").out
    short = run_cli.json("show", "@third")["id"].removeprefix("blake3:")[:10]
    assert all(text in out for text in (short, "third", INTERMEDIATE, "20 arrays", "stored"))


def test_commit_only_takes_the_other_arrays_over(lab: Path, run_cli: Runner) -> None:
    """``--only C,S`` records these two; A is in the checkpoint as it was before."""
    for name in ("A", "C", "S"):
        touch_values(lab / INTERMEDIATE, name) if name != "A" else shutil.rmtree(lab / INTERMEDIATE / "A.zarr")
    run_cli.ok("commit", "--only", "C, S", "-t", "third")
    changes = {c["name"]: c["state"] for c in run_cli.json("diff", "@second", "@third")["arrays"]}
    assert {name for name, state in changes.items() if state != "unchanged"} == {"C", "S"}
    assert "A" in changes
    states = {s["name"]: s["state"] for s in run_cli.json("status")["arrays"]}
    assert (states["A"], states["C"], states["S"]) == ("deleted", "unchanged", "unchanged")


def test_params_are_kept_as_json_or_text(lab: Path, run_cli: Runner) -> None:
    """``--param K=V`` is in show: numbers as numbers, the rest as text, an = in the value too."""
    touch_values(lab / INTERMEDIATE, "C")
    run_cli.ok("commit", "--param", "noise=0.06", "--param", "wnd=[1, 2]", "--param", "note=a=b", "--param", "on=true")
    params = run_cli.json("show")["provenance"]["params"]
    assert params == {"noise": 0.06, "wnd": [1, 2], "note": "a=b", "on": True}
    assert "noise = 0.06" in run_cli.ok("show").out


def test_warnings_go_to_stderr_and_into_json(lab: Path, run_cli: Runner) -> None:
    """A missing chunk is told beside the JSON's warnings, never between them."""
    folder = lab / INTERMEDIATE / "C.zarr"
    meta = json.loads((folder / "C/.zarray").read_text())
    (folder / "C/.zarray").write_text(json.dumps({**meta, "fill_value": 0.5}))
    (folder / "C/3.0").unlink()
    document = run_cli("commit", "--json").json
    assert any("C lacks 1 chunk:" in text for text in document["warnings"])
    (folder / "C/4.0").unlink()
    outcome = run_cli("commit")
    assert outcome.code == 0
    assert "C lacks 2 chunks" in outcome.err


def test_log_is_newest_first(lab: Path, run_cli: Runner) -> None:
    """Each entry has id, tags, message, created_at, parent and arrays; -n cuts, --array selects."""
    entries = run_cli.json("log")["checkpoints"]
    assert [entry["message"] for entry in entries] == ["temporal", "spatial"]
    assert [entry["tags"] for entry in entries] == [["second"], ["first"]]
    assert [entry["parent"] for entry in entries] == [entries[1]["id"], None]
    assert entries[0]["created_at"] > entries[1]["created_at"]
    assert "S" in entries[0]["arrays"]
    assert "S" not in entries[1]["arrays"]
    assert run_cli.json("log", "-n", "1")["checkpoints"] == entries[:1]
    assert run_cli.json("log", INTERMEDIATE)["checkpoints"] == entries
    assert [e["id"] for e in run_cli.json("log", "--array", "S")["checkpoints"]] == [entries[0]["id"]]
    assert [e["id"] for e in run_cli.json("log", "--array", "A_init")["checkpoints"]] == [entries[1]["id"]]
    out = run_cli.ok("log").out
    assert out.index("temporal") < out.index("spatial")
    assert entries[0]["id"].removeprefix("blake3:")[:10] in out


def test_log_of_a_dataset_without_checkpoints(stages: Path, root: Path, run_cli: Runner) -> None:
    """An empty history is no error: it says how to begin."""
    folder = put_stage(stages, FIRST, root)
    assert run_cli.json("log", folder)["checkpoints"] == []
    assert "minian-vc commit" in run_cli.ok("log", folder).out


def test_show_describes_every_array(lab: Path, run_cli: Runner) -> None:
    """The keys that others rely on, with the values that MiniAn saved."""
    document = run_cli.json("show", "@second")
    assert (document["tags"], document["message"]) == (["second"], "temporal")
    assert {"id", "created_at", "parent", "author"} <= document.keys()
    arrays = {array["name"]: array for array in document["arrays"]}
    C = arrays["C"]
    assert (C["dims"], C["shape"], C["dtype"]) == (["unit_id", "frame"], [10, 190], "float64")
    assert C["chunks"] == {"unit_id": 1, "frame": 190}
    assert C["unit_ids"] == [0, 1, 2, 4, 3, 7, 8, 9, 10, 11]
    assert {"unit_id", "frame"} <= C["coords"].keys()
    assert C["nbytes"] == 10 * 190 * 8
    files = [path for path in (lab / INTERMEDIATE / "C.zarr").rglob("*") if path.is_file()]
    assert C["stored_bytes"] == sum(path.stat().st_size for path in files)
    assert {(a["animal"], a["session"]) for a in arrays.values()} == {("mouse1", "session1"), (None, None)}
    assert arrays["max_res"]["unit_ids"] is None
    out = run_cli.ok("show", "@second").out
    assert all(text in out for text in ("second", "temporal", "wave = 6", "unit_id 10 x frame 190", "0-2,4,3,7-11"))


@pytest.mark.parametrize("revision", ["first", "@first", "latest~1", "@second~1", "ID"])
def test_revisions_are_found_by_all_their_names(lab: Path, run_cli: Runner, revision: str) -> None:
    """A tag, latest~N, the beginning of an id, with or without @, name the same checkpoint."""
    expected = run_cli.json("log")["checkpoints"][1]["id"]
    revision = expected.removeprefix("blake3:")[:8] if revision == "ID" else revision
    assert run_cli.json("show", revision)["id"] == expected


def test_tag_names_a_checkpoint(lab: Path, run_cli: Runner) -> None:
    """tag puts a second name on an old or the latest checkpoint; the same again is no error."""
    document = run_cli.json("tag", "good", "@first")
    assert document["tag"] == "good"
    assert set(document["tags"]) == {"first", "good"}
    assert run_cli.json("show", "@good")["id"] == document["id"]
    run_cli.ok("tag", "good", "@first")
    assert "is now called newest" in run_cli.ok("tag", "newest").out
    assert run_cli.json("show", "newest")["message"] == "temporal"


# -- status, diff, chk, units ---------------------------------------------------------------------


def test_status_in_json_and_in_words(lab: Path, run_cli: Runner) -> None:
    """latest and a state per array; people see what changed, or that nothing did."""
    assert "Nothing changed" in run_cli.ok("status").out
    touch_values(lab / INTERMEDIATE, "C")
    document = run_cli.json("status")
    assert document["latest"] == run_cli.json("show")["id"]
    states = {array["name"]: array["state"] for array in document["arrays"]}
    assert states.pop("C") == "modified"
    assert set(states.values()) == {"unchanged"}
    out = run_cli.ok("status").out
    assert "modified" in out
    assert "second" in out


def test_diff_in_json_and_in_words(lab: Path, run_cli: Runner) -> None:
    """State and units per array, between two revisions or with the folder; --exit-code tells scripts."""
    changes = {change["name"]: change for change in run_cli.json("diff", "@first", "@second")["arrays"]}
    assert changes["S"]["state"] == "new"
    assert changes["C"]["state"] == "modified"
    assert set(changes["C"]["units"]) >= {"added", "removed", "changed", "unchanged"}
    assert sorted(changes["C"]["units"]["changed"]) == [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]
    assert changes["max_res"]["units"] is None
    assert changes["A_init"]["units"]["unchanged"] == list(range(12))
    out = run_cli.ok("diff", "@first", "@second").out
    assert all(text in out for text in ("modified", "new", "changed 0-2,4,3,7-11"))
    assert "No differences" in run_cli.ok("diff", "@second").out
    assert run_cli("diff", "@second", "--exit-code").code == 0
    assert run_cli("diff", "@first", "@second", "--exit-code").code == 1
    touch_values(lab / INTERMEDIATE, "S")
    assert run_cli("diff", "@second", "--exit-code", "--json").code == 1
    assert run_cli("diff", "@second").code == 0


def test_chk_is_printed_as_minian_wants_it(lab: Path, run: dict, run_cli: Runner) -> None:
    """chk prints the dictionary that the run had; --json holds the same."""
    expected = run["sessions"][0]["chk"]
    assert run_cli.json("chk")["chk"] == expected
    assert run_cli.ok("chk").out.strip() == f"chk = {expected}"


def test_chk_names_the_array_that_deviates(lab: Path, run: dict, run_cli: Runner) -> None:
    """An array cut otherwise is named, and does not change chk."""
    folder = lab / INTERMEDIATE / "C_chk.zarr/C_chk"
    meta = json.loads((folder / ".zarray").read_text())
    (folder / ".zarray").write_text(json.dumps({**meta, "chunks": [10, 50]}))
    document = run_cli.json("chk")
    assert document["chk"] == run["sessions"][0]["chk"]
    assert document["deviating"] == {"C_chk": {"frame": 50}}
    assert "C_chk deviates: frame=50" in run_cli.ok("chk").out


def test_units_over_the_history(stages: Path, root: Path, run_cli: Runner) -> None:
    """Oldest first: the unit sets and their arrays, which ids disappear, where the numbering starts anew."""
    for stage in ("stage-00-init", FIRST, "stage-03-merge", "stage-04-second-spatial"):
        mvc.open(put_stage(stages, stage, root)).commit(stage, tag=stage)
    rows = run_cli.json("units", root / INTERMEDIATE)["checkpoints"]
    assert rows[0]["tags"] == ["stage-00-init"]
    first = {tuple(each["unit_ids"]): each["arrays"] for each in rows[0]["unit_sets"]}
    assert "C" in first[tuple(range(12))]
    assert rows[1]["disappeared"]["C"] == [5, 6]
    assert "C" in rows[3]["renumbered"]
    out = run_cli.ok("units", root / INTERMEDIATE).out
    assert "12 units 0-11: A, A_init" in out
    assert "disappeared: 5-6 from A, C" in out
    assert "numbering started anew: A" in out


# -- restore --------------------------------------------------------------------------------------


def test_restore_one_array_under_another_name(lab: Path, run_cli: Runner) -> None:
    """``--as`` writes a second array; the JSON says what is where."""
    document = run_cli.json("restore", "C@first", "--as", "C_first_iteration")
    assert (document["arrays"], document["dataset"]) == (["C_first_iteration"], INTERMEDIATE)
    assert document["folder"] == str(lab / INTERMEDIATE)
    assert document["saved_as"] is None
    assert (lab / INTERMEDIATE / "C_first_iteration.zarr/C_first_iteration/.zarray").is_file()


def test_restore_a_checkpoint_in_place(lab: Path, stages: Path, run_cli: Runner) -> None:
    """The folder is the checkpoint's; uncommitted work is named by its checkpoint."""
    touch_values(lab / INTERMEDIATE, "C")
    out = run_cli.ok("restore", "@first", "--yes").out
    assert tree(lab / INTERMEDIATE) == tree(stages / FIRST / INTERMEDIATE)
    saved = run_cli.json("show", "latest")
    assert saved["parent"] == run_cli.json("show", "second")["id"]
    assert saved["id"].removeprefix("blake3:")[:10] in out
    assert "Taken away" in out


def test_restore_elsewhere(lab: Path, stages: Path, tmp_path: Path, run_cli: Runner) -> None:
    """``--to`` takes a path relative to the current folder and leaves the dataset alone."""
    before = tree(lab / INTERMEDIATE)
    document = run_cli.json("restore", "@first", "--to", "../old")
    assert tree(tmp_path / "old") == tree(stages / FIRST / INTERMEDIATE)
    assert Path(document["folder"]).resolve() == tmp_path / "old"
    assert tree(lab / INTERMEDIATE) == before


# -- which dataset --------------------------------------------------------------------------------


@pytest.mark.parametrize("here", [".", "mouse1", INTERMEDIATE, f"{INTERMEDIATE}/C.zarr/C"])
def test_the_only_dataset_and_the_current_one_need_no_path(
    lab: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner, here: str
) -> None:
    """From the root, from above, from inside the dataset and inside one of its arrays it is found."""
    monkeypatch.chdir(lab / here)
    assert run_cli.json("log")["dataset"] == INTERMEDIATE


def test_several_datasets_are_listed(stages: Path, lab: Path, run_cli: Runner) -> None:
    """Where several are possible none is guessed: a usage error lists them as paths that can be typed."""
    run_cli.ok("commit", put_stage(stages, SECOND, lab, FINAL))
    outcome = run_cli("log")
    assert outcome.code == 2
    assert {INTERMEDIATE, FINAL} <= set(outcome.err.split())
    assert run_cli.json("log", "-n1", FINAL)["dataset"] == FINAL
    assert run_cli.json("show", "-d", INTERMEDIATE)["dataset"] == INTERMEDIATE


def test_a_path_may_be_relative_to_the_root(
    stages: Path, lab: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner
) -> None:
    """From anywhere in the repository a dataset can be named by its path below the root."""
    run_cli.ok("commit", put_stage(stages, SECOND, lab, FINAL))
    monkeypatch.chdir(lab / "mouse1")
    assert run_cli.json("log", FINAL)["dataset"] == FINAL
    assert run_cli.json("log", "session1/minian")["dataset"] == FINAL
    shutil.rmtree(lab / FINAL)
    assert run_cli.json("log", FINAL)["dataset"] == FINAL


def test_the_current_dataset_wins_over_others(
    stages: Path, lab: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner
) -> None:
    """In one of several datasets the command means that one, recorded yet or not."""
    monkeypatch.chdir(put_stage(stages, SECOND, lab, FINAL))
    assert run_cli.json("commit", "-t", "here")["dataset"] == FINAL


# -- the program itself ---------------------------------------------------------------------------


def program(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed program in a process of its own."""
    path = Path(sys.executable).with_name(name)
    return subprocess.run([path, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def test_the_installed_program_runs_the_whole_story(stages: Path, tmp_path: Path) -> None:
    """init, commit, log and restore in real processes; stdout of --json is JSON alone."""
    put_stage(stages, FIRST, tmp_path)
    assert program("minian-vc", "init", cwd=tmp_path).returncode == 0
    made = program("mvc", "commit", "-t", "first", "--json", cwd=tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    log = program("minian-vc", "log", "--json", cwd=tmp_path)
    assert json.loads(log.stdout)["checkpoints"][0]["id"] == json.loads(made.stdout)["id"]
    shutil.rmtree(tmp_path / INTERMEDIATE)
    assert program("minian-vc", "restore", "@first", cwd=tmp_path).returncode == 0
    assert tree(tmp_path / INTERMEDIATE) == tree(stages / FIRST / INTERMEDIATE)


def test_the_installed_program_fails_with_its_exit_code(lab: Path) -> None:
    """An error is on stderr with its exit code, and as JSON alone on stdout where that was asked for."""
    failed = program("minian-vc", "show", "@nothing", "--json", cwd=lab)
    assert failed.returncode == 4
    assert json.loads(failed.stdout)["error"]["kind"] == "NotFoundError"
    assert failed.stderr.startswith("Error: ")
    assert program("minian-vc", "nonsense", cwd=lab).returncode == 2


@pytest.mark.parametrize(
    "command", ["init", "commit", "tag", "restore", "config", "status", "log", "show", "diff", "chk", "units", "prune"]
)
def test_every_command_has_help_and_json(run_cli: Runner, command: str) -> None:
    """--help says what a command does and that it has --json."""
    out = run_cli.ok(command, "--help").out
    assert "--json" in out
    assert len(out.splitlines()) > 5
