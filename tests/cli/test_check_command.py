"""``check`` through the real entry point: what it takes, prints, and exits with; and what ``commit`` says of grades."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import running
from conftest import INTERMEDIATE, put_stage
from running import Outcome, Runner, everything

import minian_vc as mvc

run_cli = running.run_cli

STAGES = {
    "init": "stage-00-init",
    "first": "stage-02-first-temporal",
    "merged": "stage-04-second-spatial",
    "second": "stage-05-second-temporal",
}
FINAL = "stage-06-final"
CONTRACT = {"schema_version", "grade", "findings", "prediction", "input_nbytes"}
ARRAY = {"dims", "shape", "dtype", "padded", "nbytes"}


@pytest.fixture(scope="module")
def template(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one dataset, committed after four of the stages."""
    root = tmp_path_factory.mktemp("template")
    mvc.Repository.create(root)
    for tag, stage in STAGES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            mvc.open(put_stage(stages, stage, root)).commit(tag, tag=tag)
    return root


@pytest.fixture
def lab(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template as the current folder."""
    shutil.copytree(template, tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    return tmp_path / "lab"


@pytest.fixture
def final(stages: Path, tmp_path: Path) -> Path:
    """Two finished sessions of one animal below a folder, without any repository; healthy."""
    for session in ("session1", "session2"):
        put_stage(stages, FINAL, tmp_path / "data", f"mouse1/{session}/minian")
    return tmp_path / "data"


def codes(outcome: Outcome) -> dict[str, str]:
    """Return the findings that a command printed as JSON: code → severity."""
    return {finding["code"]: finding["severity"] for finding in reversed(outcome.json["findings"])}


# -- paths --------------------------------------------------------------------------------------


def test_an_aligned_dataset_exits_with_0(final: Path, run_cli: Runner) -> None:
    """One line of judgement, three ways of loading, nothing on stderr."""
    path = final / "mouse1/session1/minian"
    out = run_cli.ok("check", path).out
    assert out.startswith(f"{path}: aligned")
    assert all(way in out for way in ("open_minian(return_dict=True)", 'join="exact"', "nothing padded"))
    assert run_cli.json("check", path)["grade"] == "aligned"


@pytest.mark.parametrize(
    ("stage", "grade"), [("first", "alignable"), ("merged", "contradictory"), ("second", "alignable")]
)
def test_findings_exit_with_1(stages: Path, run_cli: Runner, stage: str, grade: str) -> None:
    """A warning or an error: 1, in words and in JSON; each finding and its fix are printed."""
    path = stages / STAGES[stage] / INTERMEDIATE
    outcome, document = run_cli("check", path), run_cli("check", path, "--json")
    assert (outcome.code, outcome.err, document.code, document.err) == (1, "", 1, "")
    assert document.json["grade"] == grade
    assert f"{path}: {grade}" in outcome.out
    for finding in document.json["findings"]:
        assert finding["code"] in outcome.out
        assert finding["fix"] in outcome.out


def test_information_alone_exits_with_0(stages: Path, tmp_path: Path, run_cli: Runner) -> None:
    """What is only mentioned is no finding to a script."""
    folder = tmp_path / "minian"
    shutil.copytree(stages / FINAL / "mouse1/session1/minian", folder)
    (folder / "C.zarr").rename(folder / "C_old.zarr")
    outcome = run_cli("check", folder, "--json")
    assert (outcome.code, codes(outcome)) == (0, {"folder-renamed": "info"})


def test_the_json_is_the_contract(stages: Path, run_cli: Runner) -> None:
    """Exactly what others rely on is there, of these types; what is more stands beside it."""
    document = run_cli("check", stages / STAGES["second"] / INTERMEDIATE, "--json").json
    assert set(document) - {"groups"} == CONTRACT
    assert document["schema_version"] == 1
    assert document["grade"] in ("aligned", "alignable", "contradictory", "unreadable")
    for finding in document["findings"]:
        assert set(finding) == {"code", "severity", "arrays", "dim", "message", "fix"}
        assert finding["severity"] in ("info", "warning", "error")
        assert isinstance(finding["arrays"], list)
    assert list(document["prediction"]) == ["return_dict", "merge", "merge_exact"]
    merge = document["prediction"]["merge"]
    assert (merge["status"], merge["error"], merge["why"]) == ("ok", None, [])
    assert set(merge["arrays"]["C"]) >= ARRAY
    C = merge["arrays"]["C"]
    assert (C["dims"], C["dtype"], C["padded"]) == (["unit_id", "frame"], "float64", True)
    assert C["nbytes"] == C["shape"][0] * C["shape"][1] * 8
    exact = document["prediction"]["merge_exact"]
    assert (exact["status"], exact["error"]) == ("error", "AlignmentError")
    assert exact["why"]
    each = document["prediction"]["return_dict"]["arrays"]
    assert document["input_nbytes"] == sum(array["nbytes"] for array in each.values())


def test_several_paths_are_checked_at_once(stages: Path, final: Path, run_cli: Runner) -> None:
    """The worst grade of all, and each with its own report."""
    good, bad = final / "mouse1/session1/minian", stages / STAGES["merged"] / INTERMEDIATE
    outcome = run_cli("check", good, bad, "--json")
    assert outcome.code == 1
    assert (outcome.json["grade"], codes(outcome)["numbering-differs"]) == ("contradictory", "error")
    each = {one["path"]: one for one in outcome.json["datasets"]}
    assert {path: one["grade"] for path, one in each.items()} == {str(good): "aligned", str(bad): "contradictory"}
    assert set(each[str(bad)]) >= {"prediction", "input_nbytes"}
    out = run_cli("check", good, bad).out
    assert f"{good}: aligned" in out
    assert f"{bad}: contradictory" in out
    assert run_cli("check", good, final / "mouse1/session2/minian").code == 0


@pytest.mark.parametrize("here", [INTERMEDIATE, f"{INTERMEDIATE}/C.zarr", ".", "mouse1"])
def test_without_argument_the_current_dataset_is_checked(
    lab: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner, here: str
) -> None:
    """In the dataset, in one of its arrays, or above it where it is the only one."""
    monkeypatch.chdir(lab / here)
    outcome = run_cli("check", "--json")
    assert (outcome.code, outcome.json["grade"]) == (1, "alignable")
    assert "C" in outcome.json["prediction"]["merge"]["arrays"]


def test_without_argument_and_without_repository(final: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner) -> None:
    """In a dataset that nobody records it is checked all the same; elsewhere there is nothing to check."""
    monkeypatch.chdir(final / "mouse1/session1/minian")
    assert run_cli.json("check")["grade"] == "aligned"
    monkeypatch.chdir(final)
    assert run_cli("check").code == 4


def test_a_path_needs_no_repository_and_gets_none(final: Path, run_cli: Runner) -> None:
    """Nothing is written anywhere."""
    before = everything(final)
    run_cli.ok("check", final / "mouse1/session1/minian")
    run_cli("check", final, "--index-dims", "animal,session")
    assert everything(final) == before


def test_nothing_is_written_into_a_repository(lab: Path, run_cli: Runner) -> None:
    """Neither by a look at the folder nor at versions."""
    before = everything(lab)
    for targets in ((), (INTERMEDIATE,), ("@first",), ("C@first", "A@merged")):
        run_cli("check", *targets)
    assert everything(lab) == before


@pytest.mark.parametrize("name", ["nothing", "./nothing", "mouse1/nothing", "no@thing"])
def test_what_is_not_there_exits_with_4(lab: Path, run_cli: Runner, name: str) -> None:
    """A path or a name that there is not, with and without a slash; JSON says the error."""
    outcome = run_cli("check", name, "--json")
    assert outcome.code == 4
    assert outcome.json["error"]["kind"] == "NotFoundError"
    assert outcome.err.startswith("Error: ")


def test_what_is_not_there_outside_of_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner
) -> None:
    """Also 4, and no stack."""
    monkeypatch.chdir(tmp_path)
    for name in ("nothing", "./nothing", "@first"):
        assert run_cli("check", name).code == 4


def test_a_folder_of_datasets_is_no_dataset(final: Path, run_cli: Runner) -> None:
    """Each dataset would be taken for an array: the datasets are named, and how to check them all."""
    for above in (final, final / "mouse1", final / "mouse1/session1"):
        outcome = run_cli("check", above, "--json")
        assert (outcome.code, outcome.json["grade"]) == (1, "unreadable")
        (finding,) = [f for f in outcome.json["findings"] if f["code"] == "not-a-dataset"]
        assert finding["severity"] == "error"
        assert str(final / "mouse1/session1/minian") in finding["message"]
        assert f"minian-vc check '{above}' --index-dims" in finding["fix"] or f"{above} --index-dims" in finding["fix"]
        assert not any(f["fix"].startswith("mv ") for f in outcome.json["findings"])


def test_a_path_with_an_at_sign(stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner) -> None:
    """``m@1`` could be an array at a revision: a usage error says to write ./m@1, which works, as do longer paths."""
    shutil.copytree(stages / FINAL / "mouse1/session1/minian", tmp_path / "m@1")
    monkeypatch.chdir(tmp_path)
    outcome = run_cli("check", "m@1")
    assert outcome.code == 2
    assert "./m@1" in outcome.err
    for path in ("./m@1", tmp_path / "m@1"):
        assert run_cli.json("check", path)["grade"] == "aligned"


def test_an_array_named_like_a_folder_is_the_folder(lab: Path, run_cli: Runner) -> None:
    """A relative path without a slash is a path where there is such a folder."""
    shutil.move(lab / INTERMEDIATE, lab / "C_first")
    outcome = run_cli("check", "C_first", "--json")
    assert "S" in outcome.json["prediction"]["merge"]["arrays"]


# -- recorded versions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "grade", "code"),
    [
        ("init", "aligned", 0),
        ("first", "alignable", 1),
        ("merged", "contradictory", 1),
        ("latest~1", "contradictory", 1),
    ],
)
def test_a_checkpoint_is_checked_by_its_tag(lab: Path, run_cli: Runner, tag: str, grade: str, code: int) -> None:
    """``check @first`` tells of what was recorded; the folder may be gone."""
    shutil.rmtree(lab / INTERMEDIATE)
    outcome = run_cli("check", f"@{tag}", "--json")
    assert (outcome.json["grade"], outcome.code) == (grade, code)
    assert f"@{tag}" in run_cli("check", f"@{tag}").out


def test_versions_of_several_checkpoints_are_checked_together(lab: Path, run_cli: Runner) -> None:
    """C and A of one numbering or of two; with ``-d`` from anywhere."""
    assert run_cli.json("check", "C@first", "S@first")["grade"] == "aligned"
    outcome = run_cli("check", "C@first", "A@merged", "--json")
    assert (outcome.code, outcome.json["grade"]) == (1, "contradictory")
    assert {code for code, severity in codes(outcome).items() if severity != "info"} == {"numbering-differs"}
    assert set(outcome.json["prediction"]["merge"]["arrays"]) == {"C", "A"}
    assert run_cli.json("check", "C@first", "S@first", "-d", INTERMEDIATE)["grade"] == "aligned"


def test_a_version_by_its_alias(lab: Path, run_cli: Runner) -> None:
    """C_first is C@first, as everywhere."""
    assert run_cli.json("check", "C_first") == run_cli.json("check", "C_first")
    assert list(run_cli.json("check", "C_first")["prediction"]["merge"]["arrays"]) == ["C"]


@pytest.mark.parametrize("spec", ["@nothing", "C@nothing", "nothing@first", "latest"])
def test_unknown_versions_exit_with_4(lab: Path, run_cli: Runner, spec: str) -> None:
    """A tag or an array that there is not."""
    assert run_cli("check", spec).code == 4


def test_folders_and_versions_are_not_mixed(lab: Path, run_cli: Runner) -> None:
    """A usage error that says so."""
    outcome = run_cli("check", f"./{INTERMEDIATE}", "@first")
    assert outcome.code == 2
    assert "together" in outcome.err


# -- sessions -----------------------------------------------------------------------------------


def mf(run_cli: Runner, root: Path, *options: str, dims: str = "animal,session") -> Outcome:
    """Check all datasets below a folder; the JSON has one prediction."""
    outcome = run_cli("check", root, "--index-dims", dims, *options, "--json")
    assert list(outcome.json["prediction"]) == ["open_minian_mf"]
    assert set(outcome.json) - {"groups"} == CONTRACT
    return outcome


def test_healthy_sessions(final: Path, run_cli: Runner) -> None:
    """Exit 0: that frames and units differ is information; the result has both sessions."""
    outcome = mf(run_cli, final)
    assert outcome.code == 0
    assert set(codes(outcome).values()) <= {"info"}
    prediction = outcome.json["prediction"]["open_minian_mf"]
    assert (prediction["status"], prediction["error"]) == ("ok", None)
    C = prediction["arrays"]["C"]
    assert set(C) >= ARRAY
    assert dict(zip(C["dims"], C["shape"], strict=True)) | {"unit_id": 0} == {
        "animal": 1, "session": 2, "unit_id": 0, "frame": 228,
    }  # fmt: skip
    assert C["padded"] is True
    assert "open_minian_mf" in run_cli.ok("check", final, "--index-dims", "animal,session").out


def test_the_current_folder_is_the_root_by_default(
    final: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Runner
) -> None:
    """Blanks after the comma do not count."""
    monkeypatch.chdir(final)
    assert run_cli.json("check", "--index-dims", "animal, session")["prediction"]["open_minian_mf"]["status"] == "ok"


def test_a_copied_session_replaces_the_original(final: Path, run_cli: Runner) -> None:
    """Both have one key: an error that names both."""
    shutil.copytree(final / "mouse1/session1", final / "backup/mouse1/session1")
    outcome = mf(run_cli, final)
    assert outcome.code == 1
    assert codes(outcome)["same-key"] == "error"
    message = next(f["message"] for f in outcome.json["findings"] if f["code"] == "same-key")
    for place in ("mouse1/session1/minian", "backup/mouse1/session1/minian"):
        assert str(final / place) in message


def test_sessions_by_too_few_coordinates_replace_one_another(final: Path, run_cli: Runner) -> None:
    """Indexed by animal alone, one of two sessions is lost."""
    assert codes(mf(run_cli, final, dims="animal"))["same-key"] == "error"
    assert "same-key" not in codes(mf(run_cli, final, dims="session"))


def test_a_moved_session_is_told(final: Path, run_cli: Runner) -> None:
    """Its coordinate says session2, its folder is another: a warning, exit 1."""
    (final / "mouse1/session2").rename(final / "mouse1/session9")
    outcome = mf(run_cli, final)
    assert (outcome.code, codes(outcome)["folder-moved"]) == (1, "warning")
    assert "session2" in outcome.out
    assert "session9" in outcome.out


def test_a_missing_session_coordinate_is_told(final: Path, run_cli: Runner) -> None:
    """MiniAn would raise KeyError, and so it is said."""
    for array in (final / "mouse1/session2/minian").glob("*.zarr"):
        shutil.rmtree(array / "session", ignore_errors=True)
        (array / ".zmetadata").unlink(missing_ok=True)
    outcome = mf(run_cli, final)
    assert (outcome.code, codes(outcome)["coordinate-missing"]) == (1, "error")
    assert outcome.json["prediction"]["open_minian_mf"]["error"] == "KeyError"


def test_an_array_missing_in_one_session_is_told(final: Path, run_cli: Runner) -> None:
    """It is named with the session that lacks it."""
    shutil.rmtree(final / "mouse1/session2/minian/S.zarr")
    outcome = mf(run_cli, final)
    assert (outcome.code, codes(outcome)["array-missing"]) == (1, "warning")
    (finding,) = [f for f in outcome.json["findings"] if f["code"] == "array-missing"]
    assert finding["arrays"] == ["S"]
    assert str(final / "mouse1/session2/minian") in finding["message"]
    assert outcome.json["prediction"]["open_minian_mf"]["arrays"]["S"]["padded"] is True


def test_an_old_dataset_beside_the_new_one_is_told(final: Path, run_cli: Runner) -> None:
    """old_minian fits the pattern; ``--pattern`` leaves it out."""
    shutil.copytree(final / "mouse1/session1/minian", final / "mouse1/session1/old_minian")
    outcome = mf(run_cli, final)
    assert (outcome.code, codes(outcome)["dataset-ignored"]) == (1, "warning")
    assert mf(run_cli, final, "--pattern", "^minian$").code == 0


def test_a_broken_session_is_told(final: Path, run_cli: Runner) -> None:
    """One that cannot be opened fails them all."""
    (final / "mouse1/session2/minian/C.zarr/C/.zarray").unlink()
    (final / "mouse1/session2/minian/C.zarr/.zmetadata").unlink(missing_ok=True)
    outcome = mf(run_cli, final)
    assert (outcome.code, outcome.json["grade"]) == (1, "unreadable")
    assert codes(outcome)["dataset-unreadable"] == "error"
    assert outcome.json["prediction"]["open_minian_mf"]["status"] == "error"


@pytest.mark.parametrize(
    "options",
    [
        ("--index-dims", "session", "--pattern", "("),
        ("--index-dims", ""),
        ("--index-dims", ","),
        ("--index-dims", "session", "."),
        ("--index-dims",),
        ("--unknown",),
    ],
)
def test_usage_errors_exit_with_2(final: Path, run_cli: Runner, options: tuple[str, ...]) -> None:
    """A pattern that is none, no dims, two roots, options that there are not."""
    assert run_cli("check", final, *options).code == 2


# -- commit and its grade -----------------------------------------------------------------------


def test_commit_tells_the_grade(stages: Path, root: Path, run_cli: Runner) -> None:
    """A line for people that leads to check, and ``grade`` in JSON; what is aligned needs no line."""
    for tag, stage in STAGES.items():
        folder = put_stage(stages, stage, root)
        expected = run_cli("check", folder, "--json").json["grade"]
        outcome = run_cli("commit", folder, "-t", tag, "--json")
        assert outcome.code == 0
        assert outcome.json["grade"] == expected
        assert run_cli.json("show", tag, "-d", folder)["provenance"]["check"]["grade"] == expected
    assert expected == "alignable"
    out = run_cli("commit", put_stage(stages, STAGES["merged"], root), "-t", "again").out
    assert "contradictory" in out
    assert "minian-vc check @" in out
    assert "aligned" not in run_cli("commit", put_stage(stages, STAGES["init"], root), "-t", "anew").out


def test_the_command_that_commit_prints_works(lab: Path, stages: Path, run_cli: Runner) -> None:
    """``minian-vc check @ID``, as printed, checks that checkpoint."""
    outcome = run_cli("commit", put_stage(stages, STAGES["merged"], lab), "-t", "again")
    command = next(line for line in outcome.out.splitlines() if "minian-vc check" in line).partition("minian-vc ")[2]
    checked = run_cli(*command.rstrip(".").split(), "--json")
    assert (checked.code, checked.json["grade"]) == (1, "contradictory")


def test_the_printed_restore_brings_a_dataset_back(stages: Path, lab: Path, run_cli: Runner) -> None:
    """Missing chunks name the command that heals them: run as printed, the finding is gone."""
    chunk = lab / INTERMEDIATE / "C.zarr/C/0.0"
    chunk.unlink()
    os.utime(chunk.parent, (0, 0))
    for path in (lab / INTERMEDIATE / "C.zarr").rglob("*"):
        os.utime(path, (1e9, 1e9))
    findings = run_cli("check", INTERMEDIATE, "--json").json["findings"]
    (fix,) = [f["fix"] for f in findings if f["code"] == "chunks-missing"]
    assert fix.startswith("minian-vc restore C@latest")
    assert run_cli(*fix.removeprefix("minian-vc ").split(), "--yes").code == 0
    assert "chunks-missing" not in codes(run_cli("check", INTERMEDIATE, "--json"))


def test_check_has_help(run_cli: Runner) -> None:
    """--help tells the forms, the exit code, and the options."""
    out = run_cli.ok("check", "--help").out
    assert all(word in out for word in ("--json", "--index-dims", "--pattern", "SPEC", "exit code"))


def kept(document: dict[str, Any]) -> str:
    """Return a document as text, to compare."""
    return json.dumps(document, sort_keys=True)


def test_the_same_check_says_the_same(stages: Path, run_cli: Runner) -> None:
    """Nothing in the report varies from run to run."""
    path = stages / STAGES["merged"] / INTERMEDIATE
    assert kept(run_cli("check", path, "--json").json) == kept(run_cli("check", path, "--json").json)
