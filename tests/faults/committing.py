"""A process that commits an array of its own again and again.

Run as ``committing.py DATASET ARRAY COMMITS``. It begins at a line on stdin, and prints the id of each checkpoint as
soon as it is acknowledged, with its tag and the value that was saved.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

import minian_vc as mvc
from minian_vc.verbs.commit import Request

LONG_AGO = 1_600_000_000_123_456_789
FRAMES = 40


def save(dataset: Path, name: str, value: float) -> None:
    """Write the one chunk of an array that ``write_units`` made, old at once, so that nothing need be waited for."""
    chunk = dataset / f"{name}.zarr" / name / "0.0"
    chunk.write_bytes(np.full(FRAMES, value).tobytes())
    moment = LONG_AGO + int(value) * 1_000
    os.utime(chunk, ns=(moment, moment))


def commit_again_and_again(dataset: Path, name: str, commits: int) -> None:
    """Save and commit, so often."""
    opened = mvc.open(dataset)
    for step in range(2, commits + 2):  # the array is all 1 when it begins
        save(dataset, name, float(step))
        done = opened.record(Request(f"{name} {step}", f"{name}-{step}", [name], wait=60.0))
        print(f"{done.checkpoint.id} {name}-{step} {step}", flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    commit_again_and_again(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
