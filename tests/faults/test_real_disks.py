"""What was acknowledged survives a power cut on real file systems, in disk images; where root and loop devices are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cut_images import MKFS
from driving import HERE, NEEDS_LINUX

pytestmark = [NEEDS_LINUX, pytest.mark.many]  # it mounts: nothing for a suite that anybody may run as root
ROOM = 2 << 30  # bytes, for the images and their copies
CUTS = int(os.environ.get("MINIAN_VC_IMAGES", "4"))


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory, where an image is copied in no time."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not Path("/dev/shm").is_dir():  # noqa: S108
        pytest.skip("an image can be mounted by root only, and where there are loop devices")
    if shutil.disk_usage("/dev/shm").free < ROOM:  # noqa: S108
        pytest.skip("there is not enough memory: on a full disk below it, XFS tries again for ever")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def cut_images(memory: Path, system: str, cuts: int, *, flushing: bool) -> list[dict]:
    """Return what came of so many cuts."""
    if shutil.which(MKFS[system][0]) is None:
        pytest.skip(f"{MKFS[system][0]} is not installed")
    paths = [str(HERE), str(HERE.parent), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-W", "ignore", str(HERE / "cut_images.py"), str(memory), system, str(cuts)]
    done = subprocess.run(
        [*command, "yes" if flushing else "no"], capture_output=True, text=True, env=environment, check=False
    )
    if "mount: " in done.stderr:
        pytest.skip(f"no image can be mounted here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("system", MKFS)
def test_what_was_acknowledged_is_on_the_disk(
    system: str, memory: Path, record_property: Callable[[str, object], None]
) -> None:
    """Whole, with its tag and its values; and verify finds nothing."""
    seen = cut_images(memory, system, CUTS, flushing=True)
    assert [case for case in seen if case["wrong"]] == []
    acknowledged = sum(case["acknowledged"] for case in seen)
    assert acknowledged >= CUTS
    record_property("faults", f"power cuts of real {system}: {CUTS}; {acknowledged} commits acknowledged, 0 lost")


def test_without_flushes_it_is_not(memory: Path) -> None:
    """The test of the test."""
    assert any(case["wrong"] for case in cut_images(memory, "ext4", 3, flushing=False))
