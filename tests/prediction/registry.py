"""The form of a built case, and how a function becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """A folder to build, and how it is to be opened.

    ``varies`` says why what MiniAn does may differ from one run to the next; empty where it may not.
    ``index_dims`` is empty where the folder is one dataset.
    """

    name: str
    text: str
    function: Callable[..., Path | None]
    varies: str = ""
    index_dims: tuple[str, ...] = ()
    pattern: str = "minian$"

    def build(self, parent: Path, stages: Path) -> Path:
        """Build the case below an empty folder; return the path that is to be opened.

        That is the path the function was given, unless it returns another.
        """
        path = parent / "mouse1" if self.index_dims else parent / "mouse1" / "session1" / "minian"
        path.parent.mkdir(parents=True, exist_ok=True)
        takes_stages = len(inspect.signature(self.function).parameters) == 2
        return self.function(path, *([stages] if takes_stages else [])) or path


class Registry(dict[str, Case]):
    """Cases by name; calling it registers a function."""

    def __call__(self, function: Callable[..., Path | None] | None = None, /, *, name: str = "", **fields: Any) -> Any:
        """Register a function under its own name or another; it may stand as a decorator, with fields or without."""
        if function is None:
            return lambda later: self(later, name=name, **fields)
        name = name or function.__name__
        if name in self:
            raise ValueError(f"two cases named {name}")
        self[name] = Case(name, inspect.getdoc(function) or "", function, **fields)
        return function


CASES = Registry()
"""Folders that are one dataset."""

MF_CASES = Registry()
"""Folders with datasets below."""
