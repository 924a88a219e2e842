"""Commit against copying the new bytes and hashing them once. See README.md for what the ratios mean."""

from __future__ import annotations

import filecmp
import os
import shutil
import statistics
import tarfile
from pathlib import Path

from bench_support import (
    KIB,
    MIB,
    copy_tree,
    files_in,
    hash_files,
    interleave,
    ms,
    parser,
    settle,
    table,
    timed,
    walk_and_stat,
    workspace,
    write_array,
)

import minian_vc as mvc
from minian_vc.repository import FOLDER

DATA = Path(__file__).parents[1] / "data" / "minian-stages.tar.xz"
INTERMEDIATE = "mouse1/session1/minian_intermediate"
CHUNK = 512 * KIB


def fresh(folder: Path) -> mvc.Dataset:
    """Open a folder in a repository that has recorded nothing yet."""
    shutil.rmtree(folder.parent / FOLDER, ignore_errors=True)
    return mvc.open(folder, create=True)


def copy_and_hash(source: Path, target: Path) -> dict[str, float]:
    """Time ``cp -r``, bringing the copy to the disk, and hashing it once."""
    settle()
    copied = timed(lambda: copy_tree(source, target))
    synced = timed(settle)
    hashed = timed(lambda: hash_files(files_in(target)))
    shutil.rmtree(target)
    return {
        "cp": copied,
        "cp+hash": copied + hashed,
        "cp+sync": copied + synced,
        "cp+sync+hash": copied + synced + hashed,
    }


def first_commit(folder: Path, repeats: int) -> None:
    """Commit a whole new folder."""

    def plain() -> dict[str, float]:
        return copy_and_hash(folder, folder.parent / "copy")

    def commit() -> dict[str, float]:
        dataset = fresh(folder)
        settle()
        return {"commit": timed(lambda: dataset.commit("all"))}

    found = interleave([plain, commit], repeats)
    rows = [(name, ms(found[name]), found["commit"] / found[name]) for name in found if name != "commit"]
    table(
        "First commit of the whole folder",
        ["against", "takes", "commit/this"],
        [*rows, ("commit", ms(found["commit"]), "")],
    )


def nothing_changed(folder: Path, repeats: int) -> None:
    """Commit again with nothing changed, inside a running Python."""
    dataset = mvc.open(folder)
    before = dataset.commit("all").id
    if dataset.commit().id != before:
        raise SystemExit("Something changed: the measurement is void.")
    found = interleave(
        [
            lambda: {"walk": timed(lambda: walk_and_stat(folder))},
            lambda: {"commit": timed(dataset.commit)},
            lambda: {"status": timed(dataset.status)},
        ],
        4 * repeats,
    )
    rows = [(name, ms(found[name]), found[name] / found["walk"]) for name in ("walk", "commit", "status")]
    table("Nothing changed", ["", "takes", "this/walk+stat"], rows)


def one_percent(folder: Path, repeats: int) -> None:
    """Commit after one chunk in a hundred was written anew."""
    dataset = mvc.open(folder)
    dataset.commit("before")
    chunks = [path for path in files_in(folder) if path.name[0].isdigit()]
    turn = 0

    def change() -> list[Path]:
        nonlocal turn
        turn += 1
        some = chunks[turn % 100 :: 100]
        for path in some:
            path.write_bytes(os.urandom(CHUNK))
        settle()
        return some

    def plain() -> dict[str, float]:
        some = change()
        dataset.commit("what the plain side changed")
        copies = folder.parent / "copies"
        copies.mkdir()

        def copy() -> None:
            for path in some:
                shutil.copyfile(path, copies / path.name)

        settle()
        looked = timed(lambda: walk_and_stat(folder))
        copied = timed(copy)
        synced = timed(settle)
        hashed = timed(lambda: hash_files(files_in(copies)))
        shutil.rmtree(copies)
        return {"walk+cp+hash": looked + copied + hashed, "walk+cp+sync+hash": looked + copied + synced + hashed}

    def commit() -> dict[str, float]:
        change()
        return {"commit": timed(lambda: dataset.commit("one percent"))}

    found = interleave([plain, commit], repeats)
    rows = [(name, ms(found[name]), found["commit"] / found[name]) for name in found if name != "commit"]
    table(
        "One chunk in a hundred changed",
        ["against", "takes", "commit/this"],
        [*rows, ("commit", ms(found["commit"]), "")],
    )


def same_tree(one: Path, other: Path) -> bool:
    """Tell whether two array folders hold the same files."""
    names = [sorted(path.relative_to(root) for path in files_in(root)) for root in (one, other)]
    return names[0] == names[1] and all(filecmp.cmp(one / n, other / n, shallow=False) for n in names[0])


def move_to(stage: Path, folder: Path) -> list[str]:
    """Make the folder what a stage left: arrays that differ are written whole, as save_minian does."""
    wanted = {path.name for path in stage.iterdir()}
    for path in folder.iterdir():
        if path.name not in wanted:
            shutil.rmtree(path)
    changed = [n for n in sorted(wanted) if not (folder / n).exists() or not same_tree(stage / n, folder / n)]
    for name in changed:
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(stage / name, folder / name, copy_function=shutil.copyfile)
    return changed


def stages(work: Path, repeats: int) -> None:
    """Commit the seven stages of a real run one after another."""
    with tarfile.open(DATA) as archive:
        archive.extractall(work / "stages", filter="data")
    sources = sorted((work / "stages").glob(f"stage-*/{INTERMEDIATE}"))
    times: dict[str, list[dict[str, float]]] = {}
    sizes: dict[str, int] = {}
    for _ in range(repeats):
        folder = work / "lab" / "minian_intermediate"
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.mkdir(parents=True)
        dataset = mvc.open(folder, create=True)
        for source in sources:
            stage = source.parents[2].name
            changed = move_to(source, folder)
            sizes[stage] = sum(len(files_in(folder / name)) for name in changed)
            new = work / "new"
            new.mkdir()
            for name in changed:
                copy_tree(folder / name, new / name)
            found = {f"new {k}": v for k, v in copy_and_hash(new, work / "copy").items()}
            shutil.rmtree(new)
            found |= {f"all {k}": v for k, v in copy_and_hash(folder, work / "copy").items()}
            settle()
            found["commit"] = timed(lambda dataset=dataset, stage=stage: dataset.commit(stage, tag=stage))
            times.setdefault(stage, []).append(found)
    rows = []
    for stage, runs in times.items():
        median = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        against = ("all cp", "all cp+sync+hash", "new cp+hash", "new cp+sync+hash")
        ratios = [median["commit"] / median[name] if sizes[stage] or name[:3] == "all" else "-" for name in against]
        rows.append([stage, sizes[stage], ms(median["commit"]), *ratios])
    columns = ["stage", "new files", "commit", "/cp -r all", "/cp+sync+hash all", "/cp+hash new", "/cp+sync+hash new"]
    table("The seven stages of a real run", columns, rows)


def main() -> None:
    """Run all parts."""
    options = parser(__doc__, repeats=5)
    options.add_argument("--chunks", type=int, default=2000, help="chunks of 512 KiB (default 2000: 1 GB)")
    options.add_argument("--only", choices=("first", "nothing", "percent", "stages"), default=None)
    args = options.parse_args()
    with workspace(args.where, 4 * args.chunks * CHUNK) as work:
        folder = work / "synthetic" / "minian_intermediate"
        if args.only != "stages":
            print(f"{args.chunks} chunks, {args.chunks * CHUNK / MIB:,.0f} MiB")
            write_array(folder, "Y", args.chunks, CHUNK)
            mvc.open(folder, create=True)
        if args.only in (None, "first"):
            first_commit(folder, args.repeats)
        if args.only in (None, "nothing"):
            nothing_changed(folder, args.repeats)
        if args.only in (None, "percent"):
            one_percent(folder, args.repeats)
        if args.only in (None, "stages"):
            stages(work, args.repeats)


if __name__ == "__main__":
    main()
