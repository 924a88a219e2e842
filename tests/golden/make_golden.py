"""Make a small repository with everything that the format has, and pack it as a golden one.

    python tests/golden/make_golden.py tests/data/golden-format-3.tar.xz

It runs with any version of minian_vc, and leaves out what that cannot do. A golden repository is never made again: a
later version that cannot read it is wrong.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from handmade import write_array, write_units

import minian_vc as mvc
from minian_vc.verbs.commit import Request

FRAMES = 64


def save(dataset: Path, name: str, *rows: float, units: tuple[int, ...] | None = None) -> None:
    """Save an array of units, as large as a chunk object has to be."""
    shutil.rmtree(dataset / f"{name}.zarr", ignore_errors=True)
    values = np.repeat(np.array(rows, float)[:, None], FRAMES, axis=1)
    coords = {"frame": np.arange(FRAMES), "animal": "mouse1", "session": "session1"}
    write_units(dataset / f"{name}.zarr", units or tuple(range(len(rows))), values, coords=coords)


def save_wide(dataset: Path, value: float) -> None:
    """Save an array with so many chunks that its manifest is split."""
    shutil.rmtree(dataset / "motion.zarr", ignore_errors=True)
    values = np.arange(1100, dtype=float)
    values[0] = value
    write_array(dataset / "motion.zarr", values, ("shift",), chunks=(1,))


def record(dataset: mvc.Dataset, message: str, tag: str | None = None, **options: object) -> None:
    """Commit, with parameters."""
    provenance = {"params": {"p": 1, "name": "Anna's µ <b>"}, **options.pop("provenance", {})}
    dataset.record(Request(message, tag, provenance=provenance, wait=0, **options))


def make(root: Path) -> None:
    """Record a history with all kinds of operations."""
    mvc.Repository.create(root)
    folder = root / "mouse1/session1/minian_intermediate"
    save(folder, "A", 1, 2, 3)
    save(folder, "C", 4, 5, 6)
    save_wide(folder, 0.5)
    dataset = mvc.open(folder)
    dataset.repository.configure("author", "Anna")
    record(dataset, "the first", "first")
    save(folder, "C", 7, 5, 6)
    record(dataset, "an automatic one", provenance={"automatic": "notebook"})
    save(folder, "C", 8, 9, units=(0, 5))
    save(folder, "movie", 1)
    dataset.repository.configure("record_without_bytes", "movie")
    record(dataset, "after a merge", "second")
    dataset.tag("also", "first")
    save_wide(folder, 1.5)
    record(dataset, "moves a tag", "also", move_tag=True)
    other = root / "mouse1/session2/minian_intermediate"
    save(other, "A", 1, 2, 3)
    record(mvc.open(other), "the other session", "first")
    save(folder, "C", 10, 9, units=(0, 5))
    dataset.restore("@first")
    dataset.restore("C@second", as_="C_second")
    dataset.prune(automatic=True, dry_run=False)
    if hasattr(dataset, "undo"):
        for redo in (False, True, False):
            dataset.undo(redo=redo)
        save(folder, "C", 11, 9, units=(0, 5))
        record(dataset, "taken back", "gone")
        dataset.undo()


def told(root: Path) -> dict:
    """Say what the repository holds, as the version that made it reads it."""
    found = {}
    for row in mvc.Repository.open(root).datasets():
        dataset = mvc.open(root / row.path)
        found[row.path] = [
            {
                "id": entry.id,
                "tags": entry.tags,
                "message": entry.message,
                "created_at": entry.created_at,
                "parent": entry.parent,
                "arrays": {
                    name: {
                        "values": array.values.tolist(),
                        "coords": {k: v.values.tolist() for k, v in array.coords.items()},
                    }
                    for name, array in dataset.open(entry.id, return_dict=True).items()
                },
            }
            for entry in dataset.history()
        ]
    return found


def main(target: str) -> None:
    """Make it in a temporary folder and pack it."""
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "lab"
        root.mkdir()
        make(root)
        (Path(work) / "told.json").write_text(json.dumps(told(root)))
        shutil.rmtree(root / ".minian_vc/working", ignore_errors=True)
        (root / ".minian_vc/reserve").unlink(missing_ok=True)
        with tarfile.open(target, "w:xz") as archive:
            for path in sorted(Path(work).iterdir()):
                archive.add(path, path.name)


if __name__ == "__main__":
    main(sys.argv[1])
