"""Peak memory of commit, restore and lazy opening, for a small array and a large one. See README.md."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_support import KIB, MIB, parser, table, workspace, write_array

VERBS = ("commit", "restore", "open", "plain")
REPOSITORY = ".minian_vc"


def peak() -> int:
    """Return this process's peak resident memory in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def run_verb(verb: str, folder: Path) -> None:
    """Do one thing with a dataset whose array is Y."""
    import dask.array as da

    import minian_vc as mvc

    if verb == "plain":
        int(da.from_zarr(str(folder / "Y.zarr"), component="Y").sum(dtype="uint64").compute())
        return
    dataset = mvc.open(folder, create=verb == "commit")
    if verb == "commit":
        dataset.commit("all")
    elif verb == "restore":
        dataset.restore("@latest", to=folder.parent / "restored")
    else:
        int(dataset.open("latest")["Y"].sum(dtype="uint64").compute())


def child(verb: str, folder: Path) -> None:
    """Import and use everything on a tiny dataset first, so that the difference is the array's alone."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as tiny:
        warm = Path(tiny) / "lab" / "minian_intermediate"
        write_array(warm, "Y", 2, 64 * KIB)
        for each in ("commit", verb):
            run_verb(each, warm)
    before = peak()
    run_verb(verb, folder)
    print(json.dumps({"before": before, "peak": peak()}))


def measure(verb: str, folder: Path) -> tuple[int, int]:
    """Run a verb in a process of its own; return what it held before, and how much more at its peak."""
    if verb == "commit":
        shutil.rmtree(folder.parent / REPOSITORY, ignore_errors=True)
    shutil.rmtree(folder.parent / "restored", ignore_errors=True)
    command = [sys.executable, __file__, "--child", verb, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    shutil.rmtree(folder.parent / "restored", ignore_errors=True)
    found = json.loads(done.stdout)
    return found["before"], found["peak"] - found["before"]


def main() -> None:
    """Measure each verb on each size, in turn."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], Path(sys.argv[3]))
        return
    options = parser(__doc__, repeats=3)
    options.add_argument("--size", type=int, nargs=2, default=(100, 2000), metavar="MB", help="default: 100 2000")
    options.add_argument("--chunk", type=int, default=1024, help="KiB of a chunk (default 1024)")
    options.add_argument("--verbs", nargs="+", choices=VERBS, default=VERBS)
    args = options.parse_args()
    check(args)
    with workspace(args.where, int(3.1 * sum(args.size) * MIB)) as work:
        folders = {}
        for size in args.size:
            folders[size] = work / f"lab-{size}" / "minian_intermediate"
            write_array(folders[size], "Y", size * MIB // (args.chunk * KIB), args.chunk * KIB)
        measure("commit", folders[args.size[0]])
        found: dict[tuple[str, int], list[tuple[int, int]]] = {}
        for verb in sorted(args.verbs, key=VERBS.index):  # commit first: the others need its repository
            for _ in range(args.repeats):
                for size, folder in folders.items():
                    if verb not in ("commit", "plain") and not (folder.parent / REPOSITORY).exists():
                        measure("commit", folder)
                    found.setdefault((verb, size), []).append(measure(verb, folder))
    rows = []
    for verb in sorted(args.verbs, key=VERBS.index):
        before, more = {}, {}
        for size in args.size:
            before[size], more[size] = (statistics.median(x) / MIB for x in zip(*found[verb, size], strict=True))
        small, large = args.size
        total = (before[large] + more[large]) / (before[small] + more[small])
        growth = (more[large] - more[small]) / (large - small) * 1000
        sizes = (before[small], more[small], more[large])
        rows.append([verb, *(f"{size:.0f} MiB" for size in sizes), total, f"{growth:.1f} MiB"])
    small, large = args.size
    columns = ["", "before", f"more for {small} MB", f"more for {large} MB", "peak large/small", "growth per GB"]
    table(f"Peak memory, chunks of {args.chunk} KiB", columns, rows)


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be measured."""
    if sys.platform == "win32":
        raise SystemExit("Windows has no getrusage: run this on Linux or macOS.")
    if not 0 < args.size[0] < args.size[1]:
        raise SystemExit("--size takes a smaller and a larger number of MB.")


if __name__ == "__main__":
    main()
