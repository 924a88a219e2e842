"""On a disk that is really full, or read-only, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import HERE, NEEDS_LINUX

pytestmark = NEEDS_LINUX
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A folder where a small disk may be mounted, in a namespace of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [*UNSHARE, "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if shutil.which("unshare") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here without root (unshare --user --mount)")
    return folder


@pytest.mark.parametrize(
    ("name", "reserve"), [("commit", "held"), ("restore", "held"), ("prune", "held"), ("prune", "none")]
)
def test_with_ever_more_room_it_is_refused_until_it_succeeds(
    name: str, reserve: str, disk: Path, record_property: Callable[[str, object], None]
) -> None:
    """Each command says what is full and leaves all as it was, or is done. A prune that has the reserve is done however
    full the disk is. On a read-only disk all can be read.
    """
    paths = [str(HERE), str(HERE.parent), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [*UNSHARE, sys.executable, "-W", "ignore", str(HERE / "fill_disk_with_history.py"), str(disk), name]
    command.append(reserve)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    *seen, read_only = [json.loads(line) for line in done.stdout.splitlines()]
    assert [case["wrong"] for case in (*seen, read_only) if case["wrong"]] == []
    refused = [case["refused"] for case in seen if case["refused"]]
    assert bool(refused) is not (name == "prune" and reserve == "held")
    assert len(refused) < len(seen)
    assert all("\n" in text for text in refused)
    held, text = read_only["read-only"]
    assert held
    assert "\n" in text
    record_property(
        "faults",
        f"{name} on a full disk (reserve: {reserve}): {len(refused)} refused, {len(seen) - len(refused)} done; 0 wrong",
    )
