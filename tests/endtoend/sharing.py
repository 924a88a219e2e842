"""Make something costly once for all workers of pytest-xdist, which have no fixtures in common."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

PATIENCE = 1800  # seconds; for a worker that died while the others wait for what it makes


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workers of this test run have in common."""
    base = factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder that the first worker to ask fills; the others wait, and fail where it failed."""
    outcome = folder.with_name(f"{folder.name}.outcome")
    try:
        folder.mkdir()
    except FileExistsError:
        _wait_for(outcome)
    else:
        _fill(folder, make, outcome)
    if error := outcome.read_text():
        pytest.fail(f"{folder} could not be made: {error}")
    return folder


def _fill(folder: Path, make: Callable[[Path], None], outcome: Path) -> None:
    error = "interrupted"
    try:
        make(folder)
        error = ""
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
        raise
    finally:
        unseen = outcome.with_suffix(".writing")
        unseen.write_text(error)
        unseen.rename(outcome)


def _wait_for(outcome: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not outcome.exists():
        if time.monotonic() > end:
            pytest.fail(f"{outcome} did not appear within {PATIENCE} s")
        time.sleep(0.2)
