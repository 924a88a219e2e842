"""Rechunking holds no more memory than its limit, as the system counts it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from zarr_arrays import make_array

SHAPE = (800, 304, 304)  # 296 MB of float32
FRAMES, BLOCKS = (64, 304, 304), (800, 40, 40)
LIMIT = 75 * 10**6
SLACK = 20 * 10**6  # thread stacks, what zarr itself takes

CHILD = """
import json, sys
from pathlib import Path
from minian_vc.arrays.rechunking import rechunk
from zarr_arrays import make_array
import zarr

def memory(field):
    found = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(found[field].split()[0]) * 1024

def reset_peak():
    Path("/proc/self/clear_refs").write_text("5")

work, limit, frames, blocks = Path(sys.argv[1]), int(sys.argv[2]), *map(tuple, json.loads(sys.argv[3]))
scratch = work / "scratch"
scratch.mkdir()
movie = zarr.open_array(str(work / "movie"), mode="r")
small = make_array(work / "small", (64, 40, 40), (1, 40, 40), "f4")
small[...] = 1
rechunk(small, make_array(work / "small-blocks", (64, 40, 40), (64, 4, 4), "f4"), 10**6, scratch)  # imports all
there = make_array(work / "there", movie.shape, blocks, "f4")
back = make_array(work / "back", movie.shape, frames, "f4")
reset_peak()
before = memory("VmRSS")
rechunk(movie, there, limit, scratch)
peaks = [memory("VmHWM") - before]
reset_peak()
rechunk(there, back, limit, scratch)
peaks.append(memory("VmHWM") - before)
is_equal = all((movie[i : i + 64] == back[i : i + 64]).all() for i in range(0, movie.shape[0], 64))
print(json.dumps({"peaks": peaks, "is_equal": bool(is_equal)}))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak since a moment")
def test_four_times_the_limit_goes_through_within_the_limit(tmp_path: Path) -> None:
    """Noise, the worst case: its compressed chunks are as large as the others."""
    movie = make_array(tmp_path / "movie", SHAPE, FRAMES, "f4")
    noise = np.random.default_rng(0).standard_normal(FRAMES, dtype="f4")
    for start in range(0, SHAPE[0], FRAMES[0]):
        movie[start : start + FRAMES[0]] = noise[: SHAPE[0] - start] + start
    command = [sys.executable, "-c", CHILD, str(tmp_path), str(LIMIT), json.dumps([FRAMES, BLOCKS])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    found = json.loads(done.stdout)
    assert found["is_equal"]
    assert max(found["peaks"]) <= LIMIT + SLACK
