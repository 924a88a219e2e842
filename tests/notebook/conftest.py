"""A notebook with the extension loaded, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shells import SETUP, Shell

import minian_vc as mvc


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where the notebook lies."""
    home = tmp_path / "animal" / "session"
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def notebook(folder: Path) -> Iterator[Shell]:
    """A shell with the extension loaded."""
    shell = Shell()
    shell.run("%load_ext minian_vc")
    shell.run(SETUP)
    yield shell
    shell.run("%unload_ext minian_vc")


@pytest.fixture
def dataset(folder: Path) -> mvc.Dataset:
    """The dataset that the notebook saves to; to be asked for after the first save."""
    mvc.Repository.create(folder)
    return mvc.open(folder / "minian_intermediate", create=True)
