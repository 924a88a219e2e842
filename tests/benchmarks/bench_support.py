"""What the benchmarks share: synthetic arrays written as bytes, interleaved timing, small tables. No zarr here."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from blake3 import blake3

KIB, MIB = 1 << 10, 1 << 20
Side = Callable[[], Mapping[str, float]]  # one repeat: name of a measurement → seconds


def parser(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--repeats", type=int, default=repeats, help=f"repeats of each side (default {repeats})")
    made.add_argument("--where", type=Path, default=None, help="a folder on the disk to measure (default: temporary)")
    return made


@contextlib.contextmanager
def workspace(where: Path | None, need: int) -> Iterator[Path]:
    """Make a folder that is removed at the end, whatever happens; refuse if the disk has not ``need`` bytes."""
    free = shutil.disk_usage(where or tempfile.gettempdir()).free
    if free < need + (1 << 30):
        raise SystemExit(f"This needs {need / MIB:,.0f} MiB and 1 GiB to spare; {free / MIB:,.0f} MiB are free.")
    with tempfile.TemporaryDirectory(prefix="mvc-bench-", dir=where, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def interleave(sides: Sequence[Side], repeats: int) -> dict[str, float]:
    """Run the sides in turn, the first one another at each repeat; return the median of each measurement."""
    found: dict[str, list[float]] = {}
    for repeat in range(repeats):
        turn = repeat % len(sides)
        for side in (*sides[turn:], *sides[:turn]):
            for name, seconds in side().items():
                found.setdefault(name, []).append(seconds)
    return {name: statistics.median(values) for name, values in found.items()}


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; floats as ratios with two decimals."""
    text = [list(columns)] + [[f"{x:.2f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    print(f"\n{title}")
    for row in text:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  " + "  ".join(cells).rstrip(), flush=True)


def ms(seconds: float) -> str:
    """Return a time in milliseconds."""
    return f"{seconds * 1000:,.1f} ms"


def settle() -> None:
    """Write out what earlier steps left dirty, so that no side pays for another."""
    if hasattr(os, "sync"):
        os.sync()


def copy_tree(source: Path, target: Path) -> None:
    """``cp -r`` where there is one."""
    if os.name == "nt":
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        subprocess.run(["cp", "-r", str(source), str(target)], check=True)


def hash_files(files: Sequence[Path]) -> None:
    """Hash files once, in one thread."""
    for file in files:
        blake3(file.read_bytes()).digest()


def walk_and_stat(folder: Path) -> None:
    """Stat every file the plain way."""
    for root, _, names in os.walk(folder):
        for name in names:
            os.stat(f"{root}/{name}")  # noqa: PTH116 (the cheapest way is the yardstick)


def files_in(folder: Path) -> list[Path]:
    """Return all files below a folder."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def write_array(
    dataset: Path,
    name: str,
    chunks: int,
    chunk_bytes: int,
    *,
    encode: Callable[[bytes], bytes] | None = None,
    compressor: dict | None = None,
    content: Callable[[int, int], bytes] = lambda _, size: os.urandom(size),
) -> Path:
    """Write a uint8 array in zarr format 2, as MiniAn lays it out, one chunk in memory at a time.

    Parameters
    ----------
    chunks, chunk_bytes : int
        How many chunks along ``frame``, and the size of each before ``encode``.
    encode, compressor : callable, dict, optional
        How a chunk is stored, and how ``.zarray`` says so.
    content : callable
        Number and size of a chunk → its bytes; random by default.
    """
    folder = dataset / f"{name}.zarr"
    (folder / name).mkdir(parents=True)
    width = 1024 if chunk_bytes % 1024 == 0 else 1
    rows = chunk_bytes // width
    array = {
        "chunks": [rows, width],
        "compressor": compressor,
        "dtype": "|u1",
        "fill_value": None,
        "filters": None,
        "order": "C",
        "shape": [rows * chunks, width],
        "zarr_format": 2,
    }
    group, attributes = {"zarr_format": 2}, {"_ARRAY_DIMENSIONS": ["frame", "width"]}
    documents = {".zgroup": group, ".zattrs": {}, f"{name}/.zarray": array, f"{name}/.zattrs": attributes}
    documents[".zmetadata"] = {"metadata": dict(documents), "zarr_consolidated_format": 1}
    for key, document in documents.items():
        (folder / key).write_text(json.dumps(document, indent=4))
    for number in range(chunks):
        block = content(number, chunk_bytes)
        (folder / name / f"{number}.0").write_bytes(encode(block) if encode else block)
    return folder
