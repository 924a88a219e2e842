"""Opening and computing a stored version against the plain folder, and importing. See README.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dask
import dask.array as da
import numpy as np
from bench_support import KIB, MIB, Side, interleave, ms, parser, table, timed, workspace, write_array
from numcodecs import Blosc

import minian_vc as mvc
from minian_vc.objects import stored_files

CASES = {  # name: (chunks, bytes of a chunk, compressed)
    "many small": (2000, 16 * KIB, False),
    "many small, blosc": (2000, 16 * KIB, True),
    "MiniAn's frames, blosc": (200, 1 * MIB, True),
    "few large": (8, 32 * MIB, False),
    "few large, blosc": (8, 32 * MIB, True),
}
IMPORTS = {
    "python alone": "pass",
    "import minian_vc": "import minian_vc",
    "minian_vc.open": "import minian_vc; minian_vc.open",
    "minian_vc.cli": "import minian_vc.cli",
    "import zarr": "import zarr",
    "import xarray": "import xarray",
}


def smooth(number: int, size: int) -> bytes:
    """Return bytes that compress to about half, as a movie does."""
    noise = np.random.default_rng(number).integers(0, 16, size, dtype="u1")
    return (noise + np.arange(size, dtype="u4") // 1024 % 64).astype("u1").tobytes()


def write_case(dataset: Path, case: str) -> None:
    """Write the case's array as Y."""
    chunks, size, compressed = CASES[case]
    if compressed:
        codec = Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE)
        write_array(dataset, "Y", chunks, size, encode=codec.encode, compressor=codec.get_config(), content=smooth)
    else:
        write_array(dataset, "Y", chunks, size)


def sides(dataset: mvc.Dataset) -> list[Side]:
    """Return both sides: open, then compute the mean of everything."""

    def measure(name: str, open_it: Callable[[], da.Array]) -> dict[str, float]:
        opened: list[da.Array] = []
        first = timed(lambda: opened.append(open_it()))
        computed = timed(lambda: opened[0].mean().compute())
        return {f"{name} open": first, f"{name} compute": computed, f"{name} both": first + computed}

    def plain() -> dict[str, float]:
        return measure("plain", lambda: da.from_zarr(str(dataset.path / "Y.zarr"), component="Y"))

    def stored() -> dict[str, float]:
        stored_files._load_manifest.cache_clear()  # as in a new process
        return measure("stored", lambda: dataset["Y@latest"].data)

    return [plain, stored]


def run_case(work: Path, case: str, repeats: int) -> list[object]:
    """Measure one case on the threaded scheduler; return its row."""
    dataset = mvc.open(work / case.replace(" ", "-").replace(",", "") / "minian_intermediate", create=True)
    write_case(dataset.path, case)
    dataset.commit("all")
    plain = da.from_zarr(str(dataset.path / "Y.zarr"), component="Y")
    stored = dataset["Y@latest"].data
    if plain.chunks != stored.chunks or plain.sum().compute() != stored.sum().compute():
        raise SystemExit("Both sides should give the same chunks and values.")
    found = interleave(sides(dataset), repeats)
    parts = ("open", "compute", "both")
    return [
        case,
        CASES[case][0],
        *(found[f"stored {part}"] / found[f"plain {part}"] for part in parts),
        *(ms(found[f"{side} {part}"]) for part in parts[:2] for side in ("plain", "stored")),
    ]


def imports(repeats: int) -> None:
    """Time imports, each in a new process, with .pyc files written before."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def side(name: str) -> Side:
        def run() -> None:
            subprocess.run([sys.executable, "-c", IMPORTS[name]], check=True, env=environment)

        return lambda: {name: timed(run)}

    all_sides = [side(name) for name in IMPORTS]
    interleave(all_sides, 1)
    found = interleave(all_sides, repeats)
    empty, heavy = found["python alone"], found["import xarray"]
    rows = [
        [name, ms(found[name]), ms(found[name] - empty), (found[name] - empty) / (heavy - empty)] for name in IMPORTS
    ]
    table("Imports, each in a new process", ["", "whole process", "import alone", "this/import xarray"], rows)


def main() -> None:
    """Run all parts."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--case", choices=(*CASES, "imports"), default=None)
    args = options.parse_args()
    chosen = [case for case in CASES if args.case in (None, case)]
    if chosen:
        with workspace(args.where, 3 << 30) as work, dask.config.set(scheduler="threads"):
            rows = [run_case(work, case, args.repeats) for case in chosen]
        columns = ["stored/plain", "chunks", "open", "compute", "both"]
        times = ["plain open", "stored open", "plain compute", "stored compute"]
        table("An old version against the plain folder", [*columns, *times], rows)
    if args.case in (None, "imports"):
        imports(args.repeats)


if __name__ == "__main__":
    main()
