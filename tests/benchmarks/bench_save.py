"""save_minian against MiniAn's own, in one run. See README.md.

The two do not promise the same: ours has checked and flushed everything to the disk when it returns (and keeps the old
version until then), MiniAn's has not. So on a disk that is busy with others ours waits and MiniAn's does not;
``--no-flush`` leaves the flush out, and shows what the rest costs.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from bench_support import Side, interleave, ms, parser, settle, table, timed, workspace

from minian_vc import durable, save_minian

BLOCKS = {"chunks": {"frame": -1, "height": 64, "width": 64}}


@dataclass(frozen=True)
class Case:
    """An array to be saved, by its shape and chunks, and how."""

    dims: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str = "f8"
    options: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 1  # as many times the repeats of a large one
    sparse: bool = False  # as footprints are: zero but for a spot


MOVIE = ("frame height width", (1500, 256, 256), (100, -1, -1), "f4")  # 393 MB
CASES = {
    "C 10 x 190": Case("unit_id frame", (10, 190), (1, -1), repeats=7),
    "C 300 x 20,000": Case("unit_id frame", (300, 20_000), (1, -1), repeats=3),
    "A 100 x 256 x 256": Case("unit_id height width", (100, 256, 256), (1, -1, -1), repeats=3, sparse=True),
    "noise, shaped as A": Case("unit_id height width", (100, 256, 256), (1, -1, -1), repeats=3),
    "C_chk": Case(
        "unit_id frame", (300, 20_000), (1, -1), options={"chunks": {"unit_id": -1, "frame": 2000}}, repeats=3
    ),
    "Y_fm_chk": Case(*MOVIE),
    "Y_hw_chk, 500MB": Case(*MOVIE, options={**BLOCKS, "mem_limit": "500MB"}),
    "Y_hw_chk, 100MB": Case(*MOVIE, options={**BLOCKS, "mem_limit": "100MB"}),
}
GRAPHS = ("kept", "computed")


def noise(block: np.ndarray, block_info: Any = None) -> np.ndarray:
    """Return values that compress like a movie's: smooth, with some noise in the low bits."""
    seed = 0 if not block_info else sum(block_info[None]["chunk-location"])
    values = np.random.default_rng(seed).integers(0, 64, block.shape)
    return (values / 16 + np.arange(block.shape[-1]) % 50).astype(block.dtype)


def spots(block: np.ndarray, block_info: Any = None) -> np.ndarray:
    """Return footprints: noise in a spot of 16 x 16 pixels, zero elsewhere."""
    values = np.zeros_like(block)
    values[..., 100:116, 100:116] = noise(block, block_info)[..., 100:116, 100:116]
    return values


def median_of_three(block: np.ndarray) -> np.ndarray:
    """Return a median filter along the last dim: something to compute."""
    return np.median(np.stack([np.roll(block, shift, -1) for shift in (-1, 0, 1)]), axis=0).astype(block.dtype)


def make(case: Case, graph: str) -> xr.DataArray:
    """Return the array: kept in memory as dask chunks, or with a filter to be computed over them."""
    fill = spots if case.sparse else noise
    values = da.zeros(case.shape, chunks=case.chunks, dtype=case.dtype).map_blocks(fill, dtype=case.dtype).persist()
    if graph == "computed":
        values = values.map_blocks(median_of_three, dtype=case.dtype)
    dims = case.dims.split()
    return xr.DataArray(values, {dim: np.arange(n) for dim, n in zip(dims, case.shape, strict=True)}, dims, "X")


def side(name: str, save: Callable[..., Any], array: xr.DataArray, case: Case, work: Path) -> Side:
    """Return one side: save over what the repeat before left."""

    def run() -> dict[str, float]:
        settle()
        return {name: timed(lambda: save(array, str(work / name), overwrite=True, **case.options))}

    return run


def run_case(work: Path, name: str, graph: str, repeats: int) -> list[object]:
    """Measure one case; return its row."""
    from minian.utilities import save_minian as minians

    case = CASES[name]
    array = make(case, graph)
    sides = [side("theirs", minians, array, case, work), side("ours", save_minian, array, case, work)]
    interleave(sides, 1)  # imports, and the folder that is overwritten
    found = interleave(sides, repeats * case.repeats)
    return [name, graph, found["ours"] / found["theirs"], ms(found["theirs"]), ms(found["ours"])]


def main() -> None:
    """Run all cases, with both graphs."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--case", choices=CASES, default=None)
    options.add_argument("--no-flush", action="store_true", help="leave out what MiniAn's does not do")
    args = options.parse_args()
    if args.no_flush:
        durable.flush = lambda *_: None
        durable.begin_flush = lambda *_: None
    warnings.simplefilter("ignore")
    chosen = [name for name in CASES if args.case in (None, name)]
    with workspace(args.where, 4 << 30) as work:
        rows = [run_case(work, name, graph, args.repeats) for name in chosen for graph in GRAPHS]
    load = " ".join(f"{number:.1f}" for number in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    table(f"Saving, load {load}", ["", "graph", "ours/theirs", "theirs", "ours"], rows)


if __name__ == "__main__":
    main()
