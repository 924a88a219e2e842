"""On a disk that is really full, the old version stays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a small disk may be mounted, in a namespace of its own."""
    folder = tmp_path_factory.mktemp("disk")
    mount = [*UNSHARE, "mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    if shutil.which("unshare") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here without root (unshare --user --mount)")
    return folder


GRID = {"chunks": {"unit_id": -1, "frame": 8 << 10}}


@pytest.mark.parametrize(
    "options", [{}, GRID, {**GRID, "mem_limit": "900kB"}], ids=["as it is", "chunks", "chunks over the disk"]
)
def test_with_ever_more_room_the_old_version_stays_until_the_new_one_fits(options: dict, disk: Path) -> None:
    """Each save says that the disk is full and leaves the old version, or takes place. Nothing is left beside."""
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(here)])}
    command = [*UNSHARE, sys.executable, "-W", "ignore", str(here / "fill_disk.py"), str(disk), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    states = [each["state"] for each in seen]
    assert set(states) == {"old", "new"}
    assert states == sorted(states, reverse=True)
    for each in seen:
        assert bool(each["raised"]) is (each["state"] == "old")
        assert not each["raised"] or ("is as it was" in each["raised"] or "as they were" in each["raised"])
        assert not each["raised"] or "ree some space" in each["raised"], each
        assert not each["left"]
