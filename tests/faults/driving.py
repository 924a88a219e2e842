"""Run drive.py, and count what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from scenarios import SCENARIOS

HERE = Path(__file__).parent
NEEDS_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked and looked at through /proc")
GROUPS = {
    name: [each for each in SCENARIOS if each.startswith(first)]
    for name, first in {
        "commit": ("first commit", "commit"),
        "restore": "restore",
        "prune and tag": ("prune", "tag"),
        "undo": ("undo", "redo"),
        "catalog": ("catch", "make", "migrate", "rebuild"),
        "save": "save",
    }.items()
}


def drive(kind: str, names: Sequence[str], count: int, seed: int = 1) -> list[dict]:
    """Return what was seen, case by case."""
    command = [sys.executable, "-W", "ignore", str(HERE / "drive.py"), kind, json.dumps(names), str(count), str(seed)]
    paths = [str(HERE), str(HERE.parent), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def share(variable: str, usual: int, group: str) -> int:
    """Return how many cases of a group are due: the variable says how many there are of all."""
    total = int(os.environ.get(variable, usual))
    return max(1, total * len(GROUPS[group]) // len(SCENARIOS))


def wrong(seen: Sequence[dict]) -> list[dict]:
    """Return the cases in which something was not as it was promised."""
    return [case for case in seen if case["wrong"]]


def told(seen: Sequence[dict]) -> str:
    """Return these as text."""
    return "\n".join(json.dumps(case, indent=1) for case in wrong(seen))
