"""Rechunking within a memory limit against the rechunker library, as MiniAn calls it. See README.md."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import dask
import numpy as np
import rechunker
import zarr
from bench_support import MIB, Side, interleave, ms, parser, settle, table, timed, workspace
from numcodecs import Blosc

from minian_vc.arrays.rechunking import rechunk

HEIGHT, WIDTH, FRAMES = 304, 304, 64
BLOCK = 40
CODEC = Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE)


def make(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...]) -> zarr.Array:
    """Make an empty array, compressed as MiniAn does."""
    return zarr.open_array(str(path), mode="w", shape=shape, chunks=chunks, dtype="f4", compressor=CODEC)


def write_movie(path: Path, count: int, kind: str) -> zarr.Array:
    """Write a movie cut by frames: noise, or one that compresses to a third, as a denoised one does."""
    rng = np.random.default_rng(0)
    movie = make(path, (count, HEIGHT, WIDTH), (FRAMES, HEIGHT, WIDTH))
    for start in range(0, count, FRAMES):
        shape = (min(FRAMES, count - start), HEIGHT, WIDTH)
        block = rng.standard_normal(shape) if kind == "noise" else rng.integers(0, 60, shape) + np.arange(WIDTH) // 8
        movie[start : start + FRAMES] = block.astype("f4")
    return movie


def sides(work: Path, source: zarr.Array, chunks: tuple[int, ...], limit: int) -> list[Side]:
    """Return both sides, each from a source on the disk to a new folder."""

    def ours() -> None:
        (work / "scratch").mkdir()
        target = make(work / "target", source.shape, chunks)
        rechunk(source, target, limit, work / "scratch")

    def theirs() -> None:
        rechunker.rechunk(source, chunks, limit, str(work / "target"), temp_store=str(work / "scratch")).execute()

    def side(name: str, action: Callable[[], None]) -> Side:
        def run() -> dict[str, float]:
            settle()
            before = reset_peak()
            seconds = timed(action)
            held = read_status("VmHWM") - before
            target = zarr.open_array(str(work / "target"), mode="r")
            if target.chunks != chunks or not np.array_equal(target[:, :2, :2], source[:, :2, :2]):
                raise SystemExit(f"{name} gave other chunks or values.")
            for folder in ("target", "scratch"):
                shutil.rmtree(work / folder, ignore_errors=True)
            return {name: seconds, f"{name} memory": held / 1000}

        return run

    return [side("ours", ours), side("rechunker", theirs)]


def read_status(field: str) -> float:
    """Return a figure that Linux gives of this process, in kB; NaN elsewhere."""
    status = Path("/proc/self/status")
    return int(status.read_text().partition(f"{field}:")[2].split()[0]) if status.exists() else float("nan")


def reset_peak() -> float:
    """Forget the peak of resident memory; return what is resident now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return read_status("VmRSS")


def main() -> None:
    """Measure each limit in both directions."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--size", type=int, default=500, metavar="MB", help="of the movie (default 500)")
    options.add_argument("--limits", type=int, nargs="+", default=(500, 100), metavar="MB", help="default: 500 100")
    options.add_argument("--movie", choices=("smooth", "noise"), default="smooth")
    args = options.parse_args()
    count = args.size * 10**6 // (4 * HEIGHT * WIDTH)
    frames, blocks = (FRAMES, HEIGHT, WIDTH), (count, BLOCK, BLOCK)
    rows = []
    with workspace(args.where, 5 * args.size * MIB) as work, dask.config.set(scheduler="threads"):
        movie = write_movie(work / "frames", count, args.movie)
        cut = make(work / "blocks", movie.shape, blocks)
        (work / "scratch").mkdir()
        rechunk(movie, cut, 500 * 10**6, work / "scratch")
        (work / "scratch").rmdir()
        for limit in args.limits:
            for name, source, chunks in (("frames to blocks", movie, blocks), ("blocks to frames", cut, frames)):
                both = sides(work, source, chunks, limit * 10**6)
                interleave(both, 1)
                found = interleave(both, args.repeats)
                memory = [f"{found[f'{side} memory']:.0f} MB" for side in ("ours", "rechunker")]
                ratio = found["ours"] / found["rechunker"]
                rows.append([f"{limit} MB, {name}", ratio, ms(found["ours"]), ms(found["rechunker"]), *memory])
    columns = ["limit", "ours/rechunker", "ours", "rechunker", "ours holds", "rechunker holds"]
    table(f"{args.size} MB, {args.movie}, {os.cpu_count()} processors", columns, rows)


if __name__ == "__main__":
    main()
