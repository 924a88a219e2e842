"""Copies each array folder that MiniAn saves, right after it saved it: what checkpoints are held against.

It runs in the notebook's kernel and knows nothing of minian_vc. A copy's name does not end in ``.zarr``, for such
a folder would be taken for an array of the notebook's.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SAVES, HOOKS = "saves.json", "hooks.json"


@dataclass(frozen=True)
class Save:
    """One call of save_minian: number and source of its cell, what it saved, and the copy of the folder it left."""

    cell: int
    source: str
    dataset: str
    name: str
    copy: str


class Witness:
    """What was saved, in order; a save that MiniAn computes later (``compute=False``) is copied after its cell."""

    def __init__(self, folder: Path, shell: Any) -> None:
        self._folder = folder
        self._shell = shell
        self._late: list[tuple[Path, str]] = []
        self._saves: list[Save] = []
        self._hooks: list[tuple[int, float]] = []
        self._began = 0.0

    @property
    def _inputs(self) -> list[str]:
        return self._shell.history_manager.input_hist_raw

    @property
    def _cell(self) -> int:
        """The running cell's number as the notebook shows it: ``In`` begins with an empty one."""
        return len(self._inputs) - 1

    def saved(self, dataset: Path, name: str, computed: bool) -> None:
        """Note a save and copy its folder."""
        copy = str(self._folder / f"{len(self._saves):03}-{name}")
        self._saves.append(Save(self._cell, self._inputs[-1], str(dataset), name, copy))
        if computed:
            shutil.copytree(dataset / f"{name}.zarr", copy)
        else:
            self._late.append((dataset / f"{name}.zarr", copy))

    def after_cell(self, _: Any) -> None:
        """Copy what was computed after its call. Hooks run in the order in which they are registered."""
        for array, copy in self._late:
            shutil.copytree(array, copy)
        self._late.clear()
        (self._folder / SAVES).write_text(json.dumps([asdict(save) for save in self._saves]))
        self._began = time.perf_counter()

    def after_other_hooks(self, _: Any) -> None:
        """Note how long the hooks took that were registered between the two of here."""
        self._hooks.append((self._cell, time.perf_counter() - self._began))
        (self._folder / HOOKS).write_text(json.dumps(self._hooks))

    def time_hooks(self) -> None:
        """Time from now on the hooks that are registered by now."""
        self._began = time.perf_counter()
        self._shell.events.register("post_run_cell", self.after_other_hooks)


def install(folder: str, shell: Any) -> Witness:
    """Stand behind MiniAn's save_minian before anything imports it."""
    from minian import utilities

    witness = Witness(Path(folder), shell)
    save = utilities.save_minian

    def save_minian(var: Any, dpath: str, *args: Any, **options: Any) -> Any:
        saved = save(var, dpath, *args, **options)
        witness.saved(Path(dpath).resolve(), str(var.name), options.get("compute", True))
        return saved

    utilities.save_minian = save_minian
    shell.events.register("post_run_cell", witness.after_cell)
    return witness


def saves_in(folder: Path) -> list[Save]:
    """Return what was saved, in order."""
    return [Save(**save) for save in json.loads((folder / SAVES).read_text())]


def hook_seconds(folder: Path) -> dict[int, float]:
    """Return for each cell how long the hooks took after it."""
    return dict(json.loads((folder / HOOKS).read_text()))
