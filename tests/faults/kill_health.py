"""Run as a program: kill repair and rebuild at each of their steps, and print what each left, a JSON line per kill.

Processes are forked here, where there is one thread.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minian_vc as mvc
from minian_vc import durable, objects
from minian_vc.catalog import backup
from minian_vc.health import rebuild

STEPS: tuple[tuple[Any, str], ...] = (
    (os, "rename"),
    (os, "replace"),
    (os, "link"),
    (os, "unlink"),
    (durable, "flush"),
    (backup, "copy_database"),
    (rebuild, "transfer"),
)
ACTS: dict[str, Callable[[Path], object]] = {
    "repair": lambda root: mvc.repair(root, dry_run=False),
    "rebuild": mvc.rebuild,
}


def arm(last: int) -> None:
    """Let this process kill itself before its step of that number."""
    seen = 0

    def counting(step: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*arguments, **named)

    for module, name in STEPS:
        setattr(module, name, functools.partial(counting, getattr(module, name)))


def run_to(step: int, act: str, root: Path) -> bool:
    """Run an act in a child that is killed at a step; tell whether it came that far."""
    child = os.fork()
    if child == 0:
        try:
            arm(step)
            ACTS[act](root)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def main(act: str, damaged: Path, copies: Path) -> None:
    """Take a fresh copy of the damaged repository for each step."""
    objects.SPLIT_ABOVE, objects.CUT_BITS = 12, 2
    for step in itertools.count(1):
        shutil.copytree(damaged, copies / str(step))
        killed = run_to(step, act, copies / str(step))
        print(json.dumps({"step": step, "killed": killed}), flush=True)
        if not killed:
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
