"""check --index-dims against open_minian_mf on the same datasets, where MiniAn is installed. See README.md."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

import numcodecs
import numpy as np
import xarray as xr
from bench_support import KIB, parser, table, timed, workspace

INDEX_DIMS = ["animal", "session"]
FILES = 16 * KIB * 8  # what a dataset's small files take on disk, per array


def build(root: Path, datasets: int, arrays: int) -> None:
    """Save one dataset with the real save_minian, copy it, and give each copy its own session and animal."""
    from minian.utilities import save_minian

    frames, units, pixels = np.arange(200), np.arange(8), np.arange(32)
    along = {"frame": frames, "unit_id": units, "height": pixels, "width": pixels}
    kinds = (("unit_id", "frame"), ("unit_id", "height", "width"), ("height", "width"))
    first = root / "animal000" / "session0000" / "minian"
    for i in range(arrays):
        dims = kinds[i % len(kinds)]
        values = np.ones([len(along[dim]) for dim in dims])
        array = xr.DataArray(values, dims=dims, coords={dim: along[dim] for dim in dims}, name=f"array{i}")
        with quiet():
            save_minian(array.chunk(), str(first), {"session": -1, "animal": -2})
    for number in range(1, datasets):
        folder = root / f"animal{number // 10:03}" / f"session{number:04}" / "minian"
        shutil.copytree(first, folder)
        for name, value in (("session", folder.parent.name), ("animal", folder.parent.parent.name)):
            stored = json.loads((first / "array0.zarr" / name / ".zarray").read_text())
            chunk = np.array(value, stored["dtype"]).tobytes()
            if stored["compressor"] is not None:
                chunk = numcodecs.get_codec(stored["compressor"]).encode(chunk)
            for array in folder.iterdir():
                (array / name / "0").write_bytes(chunk)


@contextlib.contextmanager
def quiet():
    """MiniAn prints and warns; that is its own."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def side(name: str, root: Path) -> dict[str, float]:
    """Run one side in this process; return its seconds, warm, and the growth of its peak memory in bytes."""
    import resource

    import minian_vc as mvc

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def run(where: Path) -> None:
        if name == "check":
            assert mvc.check(where, index_dims=INDEX_DIMS).prediction["open_minian_mf"].status == "ok"
            return
        from minian.utilities import open_minian_mf

        with quiet():
            open_minian_mf(str(where), INDEX_DIMS)

    run(next(root.iterdir()))  # imports are not measured, and one animal's files are warm
    before = peak()
    seconds = timed(lambda: run(root))
    return {"seconds": seconds, "growth": peak() - before}


def measure(name: str, root: Path) -> Mapping[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", name, "--root", str(root)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Build, measure in turns, print ratios."""
    options = parser(__doc__, 1)
    options.add_argument("--datasets", type=int, nargs="+", default=[100, 1000], help="how many (default 100 1000)")
    options.add_argument("--arrays", type=int, default=25, help="arrays of each (default 25)")
    options.add_argument("--side", choices=("check", "minian"), help=argparse.SUPPRESS)
    options.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.side:
        print(json.dumps(side(given.side, given.root)))
        return
    rows, growth = [], []
    for count in given.datasets:
        with (
            workspace(given.where, count * given.arrays * FILES) as folder,
            tempfile.TemporaryDirectory(dir=folder) as lab,
        ):
            build(Path(lab), count, given.arrays)
            for _ in range(given.repeats):
                found = {name: measure(name, Path(lab)) for name in ("check", "minian")}
                growth.append(found["check"]["growth"])
                ratio = found["check"]["seconds"] / found["minian"]["seconds"]
                rows.append(
                    (count, ratio, found["check"]["growth"] / found["minian"]["growth"], growth[-1] / count / KIB)
                )
    columns = ("datasets", "check/open_minian_mf", "memory: check/open_minian_mf", "KiB a dataset")
    table(f"{given.arrays} arrays each", columns, rows)


if __name__ == "__main__":
    main()
