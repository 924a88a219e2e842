"""Histories to prune, and an independent look at what must be in the object store."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from handmade import write_array, write_units

import minian_vc as mvc
from minian_vc.model import Checkpoint
from minian_vc.objects import stored_files
from minian_vc.verbs.commit import Request

FRAMES = 64  # a row is 512 bytes: a chunk object, not kept inside the manifest
CHUNKS = 24
AUTOMATIC = {"automatic": "notebook"}


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each manifest from the disk, as a new process would: one that is gone must be missed."""
    monkeypatch.setattr("minian_vc.objects.stored_files._load_manifest", stored_files._load_manifest.__wrapped__)


def save(folder: Path, name: str, *rows: float, units: tuple | None = None, animal: str = "m1") -> None:
    """Save an array as MiniAn does: the old folder goes, the new one has a row per unit. 0 would open as NaN."""
    shutil.rmtree(folder / f"{name}.zarr", ignore_errors=True)
    values = np.repeat(np.array(rows, float)[:, None], FRAMES, axis=1)
    coords = {"frame": np.arange(FRAMES), "animal": animal}
    write_units(folder / f"{name}.zarr", range(len(rows)) if units is None else units, values, coords=coords)


def record(dataset: mvc.Dataset, message: str, tag: str | None = None, **provenance: str) -> Checkpoint:
    """Commit by hand, or as what ``automatic=`` says."""
    done = dataset.record(Request(message, tag, provenance=provenance, wait=0))
    assert done.created
    return done.checkpoint


def step(dataset: mvc.Dataset, message: str, *rows: float, tag: str | None = None, by_hand: bool = False) -> Checkpoint:
    """Save C and record it: what one cell of a notebook does."""
    save(dataset.path, "C", *rows)
    return record(dataset, message, tag, **({} if by_hand else AUTOMATIC))


def notebook(root: Path, name: str = "m") -> mvc.Dataset:
    """A history of by hand, automatic and tagged checkpoints. C differs in each, in row 0 only; A never does.

    auto 1 and auto 3 can be pruned: auto 2 has a tag, auto 4 is the latest.
    """
    folder = root / name
    save(folder, "A", 7, 8)
    dataset = mvc.open(folder, create=True)
    step(dataset, "begin", 6, 9, tag="begin", by_hand=True)
    for number, tag in ((1, None), (2, "good"), (3, None)):
        step(dataset, f"auto {number}", number, 9, tag=tag)
    step(dataset, "by hand", 5, 9, by_hand=True)
    step(dataset, "auto 4", 4, 9)
    return dataset


C_OF = {"begin": 6.0, "auto 1": 1.0, "auto 2": 2.0, "auto 3": 3.0, "by hand": 5.0, "auto 4": 4.0}


def messages(dataset: mvc.Dataset) -> list[str]:
    """What the log shows, oldest first."""
    return [entry.message for entry in reversed(dataset.history())]


def assert_whole(dataset: mvc.Dataset) -> None:
    """Every array of every checkpoint opens, and C has the values that were saved."""
    for entry in dataset.history():
        arrays = dataset.open(entry.id, return_dict=True)
        assert {name: array.values.shape for name, array in arrays.items()} == dict.fromkeys(arrays, (2, FRAMES))
        if entry.message in C_OF:
            assert arrays["C"].values[:, 0].tolist() == [C_OF[entry.message], 9.0], entry.message
            assert arrays["A"].values[:, 0].tolist() == [7.0, 8.0]


def objects(root: Path, kind: str) -> set[str]:
    """The digests of the objects that are there."""
    folder = root / ".minian_vc/objects" / kind
    return {path.parent.name + path.name for path in folder.glob("??/*") if len(path.name) == 62}


def needed(root: Path, *datasets: mvc.Dataset) -> tuple[set[str], set[str]]:
    """The manifests and chunk objects that the checkpoints in the log refer to, read from the JSON itself."""
    manifests: set[str] = set()
    chunks: set[str] = set()

    def read(kind: str, digest: str) -> dict:
        name = digest.removeprefix("blake3:")
        return json.loads((root / ".minian_vc/objects" / kind / name[:2] / name[2:]).read_bytes())

    for dataset in datasets:
        for entry in dataset.history():
            for array in read("checkpoints", entry.id)["arrays"]:
                root_document = read("manifests", array["manifest"])
                for digest in (array["manifest"], *root_document["parts"]):
                    manifests.add(digest.removeprefix("blake3:"))
                    entries = read("manifests", digest)["entries"].values()
                    chunks |= {each[0].removeprefix("blake3:") for each in entries if len(each) == 2}
    return manifests, chunks


def assert_nothing_left_over(root: Path, *datasets: mvc.Dataset) -> None:
    """The store holds what the remaining checkpoints need, and nothing else."""
    assert (objects(root, "manifests"), objects(root, "chunks")) == needed(root, *datasets)


def dump(root: Path) -> list[str]:
    """Everything in the catalog, as SQL."""
    with closing(sqlite3.connect(root / ".minian_vc/catalog.sqlite")) as connection:
        return list(connection.iterdump())


def rebuilt(root: Path) -> list[str]:
    """Delete the catalog, open the repository, and return what is in the catalog then."""
    (root / ".minian_vc/catalog.sqlite").unlink()
    mvc.Repository.open(root)
    return dump(root)


def operations(root: Path) -> list[str]:
    """The actions in the operation log."""
    log = sorted((root / ".minian_vc/operations").iterdir())
    return [json.loads(path.read_bytes())["action"] for path in log]


def split_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let manifests be split that have few entries, as those of long recordings are."""
    monkeypatch.setattr("minian_vc.objects.manifests.SPLIT_ABOVE", CHUNKS // 2)
    monkeypatch.setattr("minian_vc.objects.manifests.CUT_BITS", 2)


def write_wide(folder: Path, value: float) -> None:
    """Save an array of more chunks than one manifest document then holds; only the first depends on the value."""
    shutil.rmtree(folder, ignore_errors=True)
    values = np.arange(CHUNKS * FRAMES, dtype=float)
    values[:FRAMES] = value
    write_array(folder, values, ("frame",), chunks=(FRAMES,))
