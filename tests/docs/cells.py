"""Running the pages' notebook cells, as a notebook's kernel does."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import minian_vc

EXTENSION = "minian_vc"


class Notebook:
    """A kernel. A cell returns what it printed and the value of its last line, which IPython shows."""

    def __init__(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        self._shell = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
        self._shell.ast_node_interactivity = "last_expr"

    def run(self, cell: str) -> str:
        """Run a cell; an error that it raises is raised here."""
        said = io.StringIO()
        with _minian(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            result = self._shell.run_cell(cell, store_history=True)
        result.raise_error()
        return re.sub(r"^Out\[\d+\]: \n?", "", said.getvalue(), flags=re.M)

    def close(self) -> None:
        """End the kernel: nothing that it heard is heard any more."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            self._shell.run_cell(f"%unload_ext {EXTENSION}")


@contextlib.contextmanager
def _minian() -> Iterator[None]:
    """Play ``minian.utilities`` where MiniAn is not installed."""
    if importlib.util.find_spec("minian") is not None:
        yield
        return
    played = types.ModuleType("minian.utilities")
    played.save_minian = _save_minian  # type: ignore[attr-defined]
    sys.modules["minian.utilities"] = played
    try:
        yield
    finally:
        del sys.modules["minian.utilities"]


def _save_minian(var: Any, dpath: str, meta_dict: Any = None, overwrite: bool = False, **how: Any) -> Any:
    """Remove what is there, then save, as MiniAn's does."""
    folder = Path(dpath) / f"{var.name}.zarr"
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    return minian_vc.save_minian(var, dpath, meta_dict, **how)
