"""The formats that are folders, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from last_stage import LAST, commit_last_stage

import minian_vc as mvc
from minian_vc.cli.main import cli


@pytest.fixture(scope="module")
def last(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    return commit_last_stage(stages, tmp_path_factory.mktemp("lab"))


def run(last: mvc.Dataset, *arguments: str | Path) -> Result:
    """Export all of the checkpoint."""
    return CliRunner().invoke(cli, ["export", f"@{LAST}", *map(str, arguments), "-d", str(last.path), "--json"])


def test_a_group_of_a_version_of_the_format(last: mvc.Dataset, tmp_path: Path):
    """--zarr-format is handed on."""
    done = run(last, tmp_path / "last", "--format", "zarr", "--zarr-format", "2")
    assert (done.exit_code, json.loads(done.stdout)["format"]) == (0, "zarr")
    assert (tmp_path / "last/.zmetadata").is_file()
    assert run(last, tmp_path / "other", "--format", "zarr", "--zarr-format", "4").exit_code == 2


def test_a_folder_for_neuroconv(last: mvc.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """--neuroconv, --rate and --timestamps are handed on; a path is meant from where one stands."""
    monkeypatch.chdir(tmp_path)
    Path("stamps.txt").write_text("".join(f"{n / 10}\n" for n in range(190)))
    for name, given in (("rate", ("--rate", "10")), ("file", ("--timestamps", "stamps.txt"))):
        done = run(last, name, "--format", "minian", "--neuroconv", *given)
        assert done.exit_code == 0, done.output
        lines = (tmp_path / name / "timeStamps.csv").read_text().splitlines()
        assert lines[:3] == ["Frame Number,Time Stamp (ms)", "0,0.0", "1,100.0"]
    assert json.loads(done.stdout)["left_out"] == {"A": [0], "YrA": [0]}


def test_an_option_of_another_format_is_refused(last: mvc.Dataset, tmp_path: Path):
    """Nothing is written."""
    with pytest.raises(mvc.errors.InvalidInputError, match="has no option 'neuroconv'"):
        last.export(f"@{LAST}", format="zarr", out=tmp_path / "last", neuroconv=True)
    assert list(tmp_path.iterdir()) == []
