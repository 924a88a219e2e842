"""A notebook's shell with the extension loaded, and a save as MiniAn's: first remove, then write."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from minian_vc.arrays.encoding import encode
from minian_vc.arrays.writing import plan_writing, write_metadata

SETUP = """
import numpy as np
from shells import stock_save, traces
intpath = "./minian_intermediate"
"""


def traces(value: float, units: int = 4, name: str = "C") -> xr.DataArray:
    """Traces of one value."""
    coords = {"unit_id": np.arange(units), "frame": np.arange(10)}
    values = np.full((units, 10), float(value))
    return xr.DataArray(values, coords, ("unit_id", "frame"), name).chunk({"unit_id": 1, "frame": -1})


def stock_save(array: xr.DataArray, dpath: str | Path) -> None:
    """Save as MiniAn does with ``overwrite=True``."""
    folder = Path(dpath) / f"{array.name}.zarr"
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    group = encode(array, {}, None)
    write_metadata(group, folder)
    writing = plan_writing(group.array, folder, folder, 1 << 20)
    writing.finish(writing.compute(True))


class Shell:
    """IPython without a history file; what a cell printed is in ``out`` and ``err``."""

    def __init__(self) -> None:
        self.shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
        self.out = self.err = ""

    def run(self, cell: str) -> Any:
        """Run a cell and return its value; an error in it is raised here."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            result = self.shell.run_cell(cell, store_history=True)
        self.out, self.err = out.getvalue(), err.getvalue()
        result.raise_error()
        return result.result

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]


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
