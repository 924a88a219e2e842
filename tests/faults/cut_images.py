"""Cut the power of a real file system in a disk image, again and again. Run by test_real_disks.py as root.

A process commits on it. It is stopped at random moments, and what the image holds then, which is what was written to
the disk, is copied: mounted again, it is the disk after a power cut. Nothing is written by itself in between, for no
page is old enough, and the journal waits. Prints what came of each cut as JSON lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from forking import in_child
from scenarios import save

import minian_vc as mvc
from minian_vc import durable
from minian_vc.verbs.commit import Request

MKFS = {"ext4": ["mkfs.ext4", "-q"], "xfs": ["mkfs.xfs", "-q"]}
OPTIONS = {"ext4": "loop,commit=300", "xfs": "loop"}
SIZE = {"ext4": 64 << 20, "xfs": 320 << 20}  # the least that each can be


@contextlib.contextmanager
def mounted(image: Path, place: Path, system: str) -> Iterator[Path]:
    """Mount an image."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", OPTIONS[system], str(image), str(place)], check=True)
    try:
        yield place / "lab"
    finally:
        subprocess.run(["umount", str(place)], check=True)


def commit_for_ever(root: Path, told: int, *, flushing: bool) -> None:
    """Save and commit, and tell what is acknowledged."""
    if not flushing:
        durable.flush = lambda *_: None
        durable.sync_folder = lambda _: None
        os.fsync = lambda _: None
    dataset = mvc.open(root / "m")
    for step in range(1, 10_000):
        save(root, "C", float(step), 9)
        done = dataset.record(Request(f"step {step}", f"tag-{step}", wait=0))
        os.write(told, f"{done.checkpoint.id} tag-{step} {step}\n".encode())


def cut(image: Path, copy: Path, root: Path, chance: random.Random, *, flushing: bool) -> list[list[str]]:
    """Let a process commit for a while, stop it, and copy the image; return what was acknowledged before."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with contextlib.suppress(BaseException):
            commit_for_ever(root, writing, flushing=flushing)
        os._exit(1)
    os.close(writing)
    told, some = b"", chance.randint(1, 4)
    while told.count(b"\n") < some and (more := os.read(reading, 4096)):
        told += more
    time.sleep(chance.uniform(0.0, 0.15))  # somewhere in the next one
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)  # whatever it was writing is written now
    shutil.copyfile(image, copy)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as rest:
        lines = (told + rest.read()).splitlines(keepends=True)
    return [line.decode().split() for line in lines if line.endswith(b"\n")]


def look(root: Path, acknowledged: list[list[str]]) -> str:
    """Return what is not as it was acknowledged."""
    dataset = mvc.open(root / "m")
    tags = {tag: entry.id for entry in dataset.history() for tag in entry.tags}
    for id_, tag, value in acknowledged:
        if tags.get(tag) != id_:
            return f"{tag} was acknowledged and is not there"
        if dataset.open(tag, ["C"], return_dict=True)["C"].values[0, 0] != float(value):
            return f"{tag} has other values"
    report = mvc.verify(root)
    return "" if report.whole else repr(report)


def main(work: str, system: str, cuts: str, flushing: str) -> None:
    """Make an image, and cut it."""
    chance = random.Random(1)  # noqa: S311
    image, copy, place = (Path(work) / name for name in ("disk.img", "copy.img", "disk"))
    acknowledged: list[list[str]] = []
    for number in range(int(cuts)):
        image.unlink(missing_ok=True)
        with image.open("xb") as file:
            file.truncate(SIZE[system])
        subprocess.run([*MKFS[system], str(image)], check=True, capture_output=True)
        with mounted(image, place, system) as root:
            root.mkdir()
            (root / "m").mkdir()
            save(root, "C", 1.0, 9)
            mvc.Repository.create(root)
            acknowledged = cut(image, copy, root, chance, flushing=flushing == "yes")
        with mounted(copy, place, system) as root:
            ended = in_child(lambda tell, root=root, told=acknowledged: tell(look(root, told)))
        wrong = ended.error or ended.told[0]
        print(json.dumps({"cut": number, "acknowledged": len(acknowledged), "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
