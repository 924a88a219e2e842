"""A scenario with its past, played in a process of its own as often as one likes."""

from __future__ import annotations

import contextlib
import functools
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import dask.array  # noqa: F401 (all that is heavy before forking, for each child would import it anew)
import distributed  # noqa: F401
import numcodecs  # noqa: F401
import xarray  # noqa: F401
import zarr  # noqa: F401
from forking import in_child
from judging import Expected, expect, judge
from mutants import Mutant
from scenarios import SCENARIOS, Scenario
from steps import Step, Steps

import minian_vc.dataset
import minian_vc.verbs.save  # noqa: F401
from minian_vc.catalog import engine
from minian_vc.objects import stored_files

__all__ = ["Stage", "warm_up"]

T = TypeVar("T")


class Stage:
    """One scenario with its past, and copies of it to play on."""

    def __init__(self, scenario: Scenario, work: Path, mutant: Mutant | None = None) -> None:
        self.scenario, self.mutant = scenario, mutant
        self._base, self.root = work / "base", work / "case"
        self._base.mkdir(parents=True)
        with scenario.settings():
            ended = in_child(lambda tell: tell(expect(scenario, self._base, work)))
            if ended.error:
                raise SystemExit(f"{scenario.name}: {ended.error}")
            self.expected: Expected = ended.told[0]

    def set(self) -> None:
        """Make the past anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._base, self.root, symlinks=True)

    def act(self, steps: Steps, tell: Callable, arm: Callable[[], object] = lambda: None) -> None:
        """Give the command, and tell when it is acknowledged."""
        with self.scenario.settings(), self._changed(), steps.heard():
            arm()
            self.scenario.act(self.root)
            tell("acknowledged")

    def _changed(self) -> contextlib.AbstractContextManager:
        return self.mutant.change() if self.mutant is not None else contextlib.nullcontext()

    def steps(self, without: frozenset[str] | None = None) -> list[Step]:
        """Return the steps of an act that is not disturbed."""
        self.set()
        found: list[Step] = []
        steps = Steps(self.root, found.append, without=self.scenario.without if without is None else without)
        return self.undisturbed(steps, found)

    def undisturbed(self, steps: Steps, found: T) -> T:
        """Act in a child with nothing in its way; return ``found`` as it is there at the end."""

        def act(tell: Callable) -> None:
            self.act(steps, lambda _: None)
            tell(found)

        ended = in_child(act)
        if ended.error:
            raise SystemExit(f"{self.scenario.name}: {ended.error}")
        return ended.told[0]

    def judged(self, *, acknowledged: bool) -> str:
        """Return what is wrong now, if anything is."""

        def ask(_: Callable) -> None:
            with self.scenario.settings():
                judge(self.root, self.expected, acknowledged=acknowledged)

        return in_child(ask).error


def warm_up(work: Path) -> None:
    """Do in this process what each child does, once: what is imported and compiled then, no child need do anew."""
    engine._engine = functools.cache(engine._engine)
    stage = Stage(SCENARIOS["restore"], work)
    stage.set()
    stage.scenario.act(stage.root)
    judge(stage.root, stage.expected, acknowledged=True)
    stored_files._load_manifest.cache_clear()  # what is gone must be missed
    if "zarr.core.sync" in sys.modules:
        sys.modules["zarr.core.sync"].cleanup_resources()  # zarr 3 has threads of its own
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(10)
