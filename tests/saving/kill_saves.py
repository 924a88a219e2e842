"""Kill a save before each of its steps, and tell what is on the disk then, and after the next saves.

Run by test_save_killed.py in a process of its own, which must have no threads when it forks.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import distributed
import numcodecs
import numpy as np
import xarray as xr
import zarr
from save_cases import files
from save_steps import Steps

from minian_vc import durable
from minian_vc.staging import SAVING
from minian_vc.verbs.save import save_minian

LONG_AGO = 1_000_000_000
__all__ = ["distributed", "numcodecs", "zarr"]  # imported before forking, for each child would import them anew


def array(name: str, factor: int) -> xr.DataArray:
    """Two chunks and a coordinate."""
    values = da.from_array(np.arange(1.0, 9.0).reshape(2, 4) * factor, (1, 4))
    return xr.DataArray(values, {"unit_id": [0, 1]}, ("unit_id", "frame"), name)


def in_child(action: Callable[[], object]) -> int:
    """Run it in a forked process; return its exit code, or minus the signal that ended it."""
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Killing:
    """Saves in one dataset, one of them killed."""

    def __init__(self, dataset: Path, options: dict, *, first: bool) -> None:
        self.dataset, self.options = dataset, options
        self.old, self.new, self.newest = (self._leaves(number) for number in (1, 2, 3))
        self.old = {} if first else self.old

    def _save(self, number: int) -> None:
        save_minian(array("X", number), self.dataset, overwrite=True, **self.options)

    def _leaves(self, number: int) -> dict[str, bytes]:
        """Return the files that a save leaves that nobody kills."""
        if in_child(lambda: self._save(number)) != 0:
            raise SystemExit("A save failed that was not disturbed.")
        return files(self.dataset)

    def state(self) -> str:
        """Return which version is there, whole and alone."""
        found = {key: content for key, content in files(self.dataset).items() if key.startswith("X.zarr/")}
        versions = {"gone": {}, "old": self.old, "new": self.new, "newest": self.newest}
        return next((name for name, version in versions.items() if version == found), "neither")

    def steps(self) -> list[str]:
        """Return the steps that a save has which nobody kills."""
        self._restore_old()
        told, steps = self.dataset.parent.parent / "steps", Steps()

        def save_and_tell() -> None:
            with steps.acting(0, lambda: None):
                self._save(2)
            told.write_text(json.dumps(steps.names))

        in_child(save_and_tell)
        return json.loads(told.read_text())

    def _restore_old(self) -> None:
        shutil.rmtree(self.dataset.parent)
        for key, content in self.old.items():
            (self.dataset / key).parent.mkdir(parents=True, exist_ok=True)
            (self.dataset / key).write_bytes(content)
        self.dataset.mkdir(parents=True, exist_ok=True)

    def killed_before(self, step: int) -> dict:
        """Kill a save before a step; return what was seen."""
        self._restore_old()
        steps = Steps()

        def save_and_die() -> None:
            steps.at(step, lambda: os.kill(os.getpid(), signal.SIGKILL))
            self._save(2)

        seen = {"step": step, "ended": in_child(save_and_die), "then": self.state(), "foreign": self.foreign()}
        for note in (self.dataset.parent / SAVING).glob("*/swap-*.json"):
            os.utime(note, (LONG_AGO, LONG_AGO))
        seen["next"] = in_child(self._save_on)
        seen["in the end"] = self.state()
        seen["foreign in the end"] = self.foreign()
        return {**seen, **json.loads((self.dataset.parent.parent / "seen").read_text())}

    def _save_on(self) -> None:
        """Save another array, which tells what has become of the killed save, and then the array itself."""
        save_minian(array("B", 1), self.dataset, overwrite=True)
        left = [path.name for path in self.dataset.parent.iterdir() if path != self.dataset]
        (self.dataset.parent.parent / "seen").write_text(json.dumps({"after other": self.state(), "left": left}))
        self._save(3)

    def foreign(self) -> list[str]:
        """Return what lies in the dataset and is no array."""
        return [path.name for path in self.dataset.iterdir() if path.name not in ("X.zarr", "B.zarr")]


def main(work: str, way: str, options: str, first: str, every: str) -> None:
    """Kill at each step in turn, or at some while it writes; print what was seen as JSON lines."""
    durable.flush = lambda *_: None  # a kill is no power cut
    os.fsync = lambda *_: None
    if way == "two renames":
        durable.exchange = lambda *_: False
    killing = Killing(Path(work) / "session1/minian", json.loads(options), first=first == "first")
    if threading.active_count() != 1:
        raise SystemExit("There are threads: no child of this process can be relied on.")
    steps = killing.steps()
    flush = steps.index("flush")
    for step in range(1, len(steps) + 1):
        if step % int(every) == 0 or step > flush:
            print(json.dumps(killing.killed_before(step)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
