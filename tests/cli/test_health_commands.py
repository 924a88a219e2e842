"""verify, repair and rebuild through the real entry point."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import running
from conftest import INTERMEDIATE, put_stage
from running import Runner

import minian_vc as mvc
from minian_vc.objects import ObjectStore

run_cli = running.run_cli


@pytest.fixture
def lab(stages: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two stages of a real run, with tags; the current folder is the root."""
    for stage, tag in (("stage-01-first-spatial", "first"), ("stage-02-first-temporal", "second")):
        mvc.open(put_stage(stages, stage, root)).commit(stage, tag=tag)
    monkeypatch.chdir(root)
    return root


def chunk(lab: Path, revision: str, name: str) -> Path:
    """Where the first chunk object of an array version lies."""
    dataset = mvc.open(lab / INTERMEDIATE)
    manifest = dataset.repository.objects.read_manifest(dataset.show(revision).array(name).manifest)
    entry = next(entry for key, entry in manifest.items() if key.startswith(f"{name}/") and entry.inline is None)
    return dataset.repository.objects.path("chunks", entry.digest)


def test_a_whole_repository(lab: Path, run_cli: Runner) -> None:
    """One line, exit code 0, from any folder, and the same in JSON."""
    for arguments in ((), (str(lab),), (INTERMEDIATE, "--quick")):
        assert run_cli.ok("verify", *arguments).out.count("\n") == 1
        document = run_cli.json("verify", *arguments)
        assert (document["whole"], document["checkpoints"], document["damage"]) == (True, 2, [])
        assert document["repository"] == str(lab / ".minian_vc")
    assert "nothing to repair" in run_cli.ok("repair").out


def test_damage_is_told_and_healed(lab: Path, run_cli: Runner) -> None:
    """Exit code 6, the versions by their tags, and lines to type that do what they say."""
    path = chunk(lab, "second", "C")
    path.write_bytes(b"x")
    told = run_cli("verify")
    assert (told.code, told.err) == (6, "")
    assert str(path) in told.out
    assert "(second): C, C_new" in told.out
    assert told.out.splitlines()[-1] == "To see what can be healed: minian-vc repair"
    document = run_cli("verify", "--json").json
    assert [each["arrays"] for each in document["affected"]] == [["C", "C_new"]]
    assert document["damage"][0]["affects"][0]["tags"] == ["second"]
    dry = run_cli("repair")
    assert dry.code == 6
    assert path.read_bytes() == b"x"
    done = run_cli.ok(*dry.out.splitlines()[-1].partition("To do it: minian-vc ")[2].split())
    assert "1 thing was healed" in done.out
    assert run_cli.json("verify")["whole"]


def test_what_cannot_be_healed_is_told(lab: Path, run_cli: Runner) -> None:
    """Exit code 6 stays, and the versions that are lost are named."""
    chunk(lab, "first", "A").unlink()
    shutil.rmtree(lab / INTERMEDIATE)
    done = run_cli("repair", "--yes", "--quick")
    assert done.code == 6
    assert "Versions that stay damaged:" in done.out
    assert "(first): A" in done.out
    assert "(second): " in done.out
    document = run_cli("repair", "--yes", "--json").json
    assert (document["healed"], document["whole"], len(document["remaining"])) == ([], False, 1)


def test_a_lost_catalog_does_not_stop_them(lab: Path, run_cli: Runner) -> None:
    """No other command works, and the error says which one helps."""
    catalog = lab / ".minian_vc/catalog.sqlite"
    catalog.write_bytes(b"something else" * 1000)
    refused = run_cli("log")
    assert (refused.code, "minian-vc rebuild" in refused.err) == (6, True)
    assert run_cli("verify", "--quick").code == 6
    document = run_cli.json("rebuild")
    assert (document["checkpoints"], Path(document["kept"]).read_bytes()[:9]) == (2, b"something")
    assert [each["tags"] for each in run_cli.json("log")["checkpoints"]] == [["second"], ["first"]]
    assert "was made anew" in run_cli.ok("rebuild").out


def test_where_there_is_no_repository(tmp_path: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 4."""
    monkeypatch.chdir(tmp_path)
    for name in ("verify", "repair", "rebuild"):
        assert run_cli(name).code == 4


def test_a_stopped_verify_says_how_to_go_on(lab: Path, run_cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is no fault; the next run reads the rest."""

    def stop(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "examine", stop)
        stopped = run_cli("verify")
    assert (stopped.code, stopped.out) == (3, "")
    assert "Run the same command again" in stopped.err
    assert run_cli.ok("verify").out
