"""Fixtures that all tests share: real MiniAn output, and a repository to record it in."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest

import minian_vc as mvc

DATA = Path(__file__).parent / "data" / "minian-stages.tar.xz"
STAGES = (
    "stage-00-init",
    "stage-01-first-spatial",
    "stage-02-first-temporal",
    "stage-03-merge",
    "stage-04-second-spatial",
    "stage-05-second-temporal",
    "stage-06-final",
)
INTERMEDIATE = "mouse1/session1/minian_intermediate"


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked real run; read-only by convention: tests copy what they change."""
    folder = tmp_path_factory.mktemp("stages")
    with tarfile.open(DATA) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def run(stages: Path) -> dict:
    """What the run recorded about itself: chk, unit sets per stage."""
    return json.loads((stages / "run.json").read_text())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a repository and no dataset yet."""
    folder = tmp_path / "lab"
    folder.mkdir()
    mvc.Repository.create(folder)
    return folder


def put_stage(stages: Path, stage: str, root: Path, dataset: str = INTERMEDIATE) -> Path:
    """Make the dataset folder exactly what MiniAn left at a stage."""
    target = root / dataset
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(stages / stage / dataset, target)
    return target


@pytest.fixture
def dataset(stages: Path, root: Path) -> mvc.Dataset:
    """Session 1's intermediate folder after the first temporal update, not committed yet."""
    put_stage(stages, "stage-02-first-temporal", root)
    return mvc.open(root / INTERMEDIATE)


@pytest.fixture
def history(stages: Path, root: Path) -> mvc.Dataset:
    """Session 1's intermediate folder, committed and tagged at each stage but the last (which changes nothing)."""
    for stage in STAGES[:-1]:
        put_stage(stages, stage, root)
        dataset = mvc.open(root / INTERMEDIATE)
        dataset.commit(stage, tag=stage)
    return dataset


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes, and empty folders as None."""
    found: dict[str, bytes | None] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file():
            found[name] = path.read_bytes()
        elif not any(path.iterdir()):
            found[f"{name}/"] = None
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults were made, and what came of them."""
    for report in terminalreporter.getreports("passed"):
        for name, told in report.user_properties:
            if name == "faults" and report.when == "call":
                terminalreporter.write_line(f"faults: {told}")
