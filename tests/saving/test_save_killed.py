"""A save that is killed at any step leaves the old version or the new one, and the next save cleans up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

RECHUNKED = {"chunks": {"unit_id": -1, "frame": 2}, "mem_limit": "100B"}  # over the disk


def kill_at_each_step(*arguments: str) -> list[dict]:
    """Return what was seen at each kill."""
    here = Path(__file__).parent
    command = [sys.executable, "-W", "ignore", str(here / "kill_saves.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(here)])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("way", "options", "first", "every", "least"),
    [
        ("exchange", {}, "", 1, 35),
        ("two renames", RECHUNKED, "", 4, 35),  # each step from the flush on; not each that writes
        ("exchange", {}, "first", 4, 8),
    ],
    ids=["exchange", "two renames, rechunked", "nothing before"],
)
def test_a_kill_at_any_step_leaves_the_old_or_the_new(
    way: str, options: dict, first: str, every: int, least: int, tmp_path: Path
) -> None:
    """At once, where the system exchanges folders; elsewhere when the next save has completed the swap. The dataset
    holds nothing of ours, the next saves succeed, and nothing is left beside.
    """
    old = "gone" if first else "old"
    seen = kill_at_each_step(str(tmp_path), way, json.dumps(options), first, str(every))
    assert len(seen) > least
    for each in seen:
        between = [] if way == "exchange" else ["gone"]  # two renames: the note tells the next save
        assert each["ended"] == -9, each
        assert each["then"] in [old, "new", *between], each
        assert each["after other"] in (old, "new"), each
        assert each["then"] in (each["after other"], *between), each
        assert each["foreign"] == each["foreign in the end"] == [], each
        assert each["left"] == [], each
        assert (each["next"], each["in the end"]) == (0, "newest"), each
    states = [each["then"] for each in seen]
    assert states == sorted(states, key=[old, *between, "new"].index)
    assert {old, "new", *between} == set(states)
