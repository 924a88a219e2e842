"""A repository to examine, in good surroundings, and what the tests of doctor ask of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import tree
from handmade import write_array

import minian_vc as mvc
from minian_vc.doctor import Diagnosis, environment, examine, filesystem
from minian_vc.findings import Finding, worst
from minian_vc.verbs.commit import Request

GIB = 1 << 30
HERE = Path(__file__).parents[2]


@pytest.fixture
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good environment and a roomy local disk, whatever the tests run on."""
    versions = {"minian_vc": "1", "minian": "2.0.2", **environment.REQUIRED}
    monkeypatch.setattr(environment, "installed", lambda: versions)
    table = tmp_path / "mountinfo"
    table.write_text("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n")
    monkeypatch.setattr(filesystem, "MOUNT_TABLE", table)
    give_space(monkeypatch, free=500 * GIB, total=1000 * GIB)


def give_space(monkeypatch: pytest.MonkeyPatch, free: int, total: int) -> None:
    """Let every disk have so many bytes."""
    usage = shutil.disk_usage(HERE)._replace(free=free, total=total)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two datasets, three checkpoints and a tag: four operations."""
    root = tmp_path_factory.mktemp("template") / "lab"
    root.mkdir()
    mvc.Repository.create(root)
    for session in ("s1", "s2"):
        write_array(root / session / "A.zarr", np.ones(4), ("frame",))
        mvc.open(root / session).record(Request("first", wait=0))
    write_array(root / "s1/b.zarr", np.ones(3), ("frame",))
    mvc.open(root / "s1").record(Request("second", wait=0))
    mvc.open(root / "s1").tag("second")
    return root


@pytest.fixture
def lab(template: Path, tmp_path: Path) -> Path:
    """A copy of the template."""
    return Path(shutil.copytree(template, tmp_path / "lab"))


def look(path: Path) -> Diagnosis:
    """Examine a folder: nothing below it is changed, and nothing but staging is written to, not for a moment."""
    before = tree(path), folder_times(path)
    diagnosis = examine(path)
    assert (tree(path), folder_times(path)) == before
    assert worst(diagnosis.findings["environment"]) == "info"
    return diagnosis


def folder_times(path: Path) -> dict[Path, int]:
    """When something was last made or removed in each folder."""
    folders = (each for each in path.rglob("*") if each.is_dir() and each.name != "staging")
    return {each: each.stat().st_mtime_ns for each in folders}


def codes(diagnosis: Diagnosis, least: str = "warning") -> list[str]:
    """The codes of all findings that are at least so severe."""
    order = ("info", "warning", "error")
    return [each.code for each in diagnosis.all_findings if order.index(each.severity) >= order.index(least)]


def the(diagnosis: Diagnosis, code: str) -> Finding:
    """The one finding of that code, which says what to do."""
    (finding,) = (each for each in diagnosis.all_findings if each.code == code)
    assert finding.message.endswith(".")
    assert finding.fix
    return finding


def mend(finding: Finding, root: Path) -> None:
    """Run what a finding says to run."""
    program = f'minian-vc() {{ "{sys.executable}" -c "from minian_vc.cli import main; main()" "$@"; }}; '
    environ = os.environ | {"PYTHONPATH": str(HERE)}
    subprocess.run(["bash", "-ec", program + finding.fix], cwd=root, env=environ, check=True, capture_output=True)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """The folders that the probes are written in."""
    places: set[Path] = set()
    real = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: places.add(self.parent) or real(self, data))
    return places


def give_device(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """Let a folder be on another device."""
    real = Path.stat

    def stat(self: Path, **options: bool) -> os.stat_result:
        result = real(self, **options)
        if self != folder:
            return result
        fields = list(result)
        fields[2] = number
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "stat", stat)


def fail(number: int) -> Callable[..., None]:
    def raise_it(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return raise_it
