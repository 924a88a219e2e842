"""prune and log --manual through the real entry point."""

from __future__ import annotations

from pathlib import Path

import pytest
import running
from conftest import INTERMEDIATE, put_stage, tree
from running import Runner

import minian_vc as mvc
from minian_vc.verbs.commit import Request

run_cli = running.run_cli

MADE = (
    ("stage-01-first-spatial", "A", None),
    ("stage-02-first-temporal", "C, S", None),
    ("stage-03-merge", "A, C", "m"),
)


@pytest.fixture
def lab(stages: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three automatic checkpoints, the last with a tag, and one by hand after them; the current folder is the root."""
    for stage, message, tag in MADE:
        dataset = mvc.open(put_stage(stages, stage, root))
        dataset.record(Request(message, tag, provenance={"automatic": "notebook"}))
    mvc.open(put_stage(stages, "stage-04-second-spatial", root)).commit("by hand")
    monkeypatch.chdir(root)
    return root


def stored(lab: Path) -> int:
    """The bytes of all objects."""
    return sum(path.stat().st_size for path in (lab / ".minian_vc/objects").rglob("*") if path.is_file())


def test_prune_says_what_it_would_do_and_does_it_with_yes(lab: Path, run_cli: Runner) -> None:
    """Dry by default; the line it gives to type does what was said."""
    before, at_first = tree(lab), stored(lab)
    told = run_cli.json("prune", "--automatic", "--grace", "0")
    out = run_cli.ok("prune", "--automatic", "--grace", "0").out
    assert tree(lab) == before
    assert told["dry_run"] is True
    assert (told["dataset"], [each["message"] for each in told["checkpoints"]]) == (INTERMEDIATE, ["C, S", "A"])
    assert "2 checkpoints would be pruned" in out
    assert all(each["id"].removeprefix("blake3:")[:10] in out for each in told["checkpoints"])
    assert out.splitlines()[-1].endswith("minian-vc prune --automatic --grace 0 --yes")
    done = run_cli.json(*out.splitlines()[-1].partition("minian-vc ")[2].split())
    assert {**done, "dry_run": True} == told
    assert at_first - stored(lab) == done["freed_bytes"] > 0
    assert [each["message"] for each in run_cli.json("log")["checkpoints"]] == ["by hand", "A, C"]
    assert "There is nothing to prune." in run_cli.ok("prune", "--automatic", "--grace", "0", "--yes").out


def test_prune_keeps_the_newest_and_repeats_the_path_and_number(
    lab: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--keep-last counts the tagged one too; the line to type names the dataset as it was given."""
    monkeypatch.chdir(lab / "mouse1")
    out = run_cli.ok("prune", INTERMEDIATE, "--automatic", "--keep-last", "2").out
    assert out.splitlines()[-1].endswith(f"minian-vc prune {INTERMEDIATE} --automatic --keep-last 2 --yes")
    done = run_cli.ok("prune", INTERMEDIATE, "--automatic", "--keep-last", "2", "-y").out
    assert "1 checkpoint pruned" in done
    assert [each["message"] for each in run_cli.json("log")["checkpoints"]] == ["by hand", "A, C", "C, S"]


def test_prune_without_a_rule_drops_no_checkpoint(lab: Path, run_cli: Runner) -> None:
    """Only what nothing refers to; numbers that cannot be are usage errors, and change nothing even with --yes."""
    before = tree(lab)
    for wrong in ("--keep-last=-1", "--keep-daily=-1", "--grace=-1", "--keep-last=x"):
        assert run_cli("prune", "--automatic", wrong, "--yes").code == 2
    assert run_cli.json("prune", "--grace", "0", "--yes")["checkpoints"] == []
    assert tree(lab) == before


def test_exit_codes_of_prune(lab: Path, run_cli: Runner, stages: Path) -> None:
    """4 where there is no checkpoint or a pruned one is asked for, 6 where something that remains is damaged."""
    put_stage(stages, "stage-00-init", lab).rename(lab / "new")
    assert run_cli("prune", "new", "--automatic", "--yes").code == 4
    first = run_cli.json("log", INTERMEDIATE)["checkpoints"][-1]["id"].removeprefix("blake3:")[:10]
    run_cli.ok("prune", INTERMEDIATE, "--automatic", "--grace", "0", "--yes")
    gone = run_cli("show", first, "-d", INTERMEDIATE)
    assert (gone.code, "was pruned or undone on" in gone.err) == (4, True)
    latest = mvc.open(lab / INTERMEDIATE).latest
    mvc.Repository.open(lab).objects.path("manifests", latest.arrays[0].manifest).unlink()
    assert run_cli("prune", INTERMEDIATE, "--automatic").code == 6


def test_log_marks_automatic_checkpoints_and_can_leave_them_out(lab: Path, run_cli: Runner) -> None:
    """A column where there are any, the key in JSON, and --manual for those by hand."""
    assert [each["automatic"] for each in run_cli.json("log")["checkpoints"]] == [None, *["notebook"] * 3]
    lines = run_cli.ok("log").out.splitlines()
    assert lines[0].split() == ["checkpoint", "when", "tags", "auto", "arrays", "message"]
    assert ["notebook" in line for line in lines[1:]] == [False, True, True, True]
    by_hand = run_cli.ok("log", "--manual").out.splitlines()
    assert by_hand[0].split() == ["checkpoint", "when", "tags", "arrays", "message"]
    assert len(by_hand) == 2
    assert "by hand" in by_hand[1]
