"""A small history with everything in it, what needs which of its files, and the ways in which a file gets damaged."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from unit.handmade import write_array, write_units

import minian_vc as mvc
from minian_vc.objects import manifests, stored_files
from minian_vc.verbs.commit import Request

FRAMES = 48  # a row is 384 bytes: a chunk object, not kept inside the manifest
CHUNKS = 12
Version = tuple[str, str, str]  # dataset, checkpoint, array


@dataclass
class Lab:
    """A folder with a repository, and the truth about it."""

    root: Path
    needs: dict[str, set[Version]] = field(default_factory=dict)  # an object's digest → the versions that need it
    contents: dict[Version, dict[str, bytes]] = field(default_factory=dict)
    dump: list[str] = field(default_factory=list)
    dropped: str = ""

    @property
    def folder(self) -> Path:
        """Its ``.minian_vc``."""
        return self.root / ".minian_vc"

    @property
    def catalog(self) -> Path:
        """Its catalog."""
        return self.folder / "catalog.sqlite"

    def object(self, kind: str, digest: str) -> Path:
        """Where an object lies."""
        name = digest.removeprefix("blake3:")
        return self.folder / "objects" / kind / name[:2] / name[2:]

    def copy(self, to: Path) -> Lab:
        """The same, elsewhere: to be damaged."""
        shutil.copytree(self.root, to)
        return Lab(to, self.needs, self.contents, self.dump, self.dropped)


def build(root: Path, patch: pytest.MonkeyPatch) -> Lab:
    """Two datasets that share an array; tags, one of them moved; a checkpoint dropped, and one undone.

    W has a split manifest. All that the latest checkpoints hold still lies in the working folders.
    """
    patch.setattr(manifests, "SPLIT_ABOVE", CHUNKS)
    patch.setattr(manifests, "CUT_BITS", 2)
    root.mkdir()
    mvc.Repository.create(root)
    one, other = root / "m", root / "n"
    for step, value in enumerate((1.0, 2.0, 3.0)):
        save(one, value)
        automatic = {"automatic": "notebook"} if step == 1 else {}
        mvc.open(one).record(Request(f"step {step}", "moving", provenance=automatic, wait=0, move_tag=True))
        if step == 0:
            shutil.copytree(one / "A.zarr", other / "A.zarr")
            mvc.open(other).record(Request("of n", "only", wait=0))
    mvc.open(one).prune(automatic=True, dry_run=False)
    mvc.open(one).tag("good", "latest~1")
    write_array(other / "b.zarr", np.arange(FRAMES, dtype=float), ("frame",))
    mvc.open(other).record(Request("undone", wait=0))
    mvc.open(other).undo()
    shutil.rmtree(other / "b.zarr")
    lab = Lab(root)
    lab.dump = dump(lab.catalog)
    _learn(lab)
    return lab


def save(folder: Path, value: float) -> None:
    """Save A, which never changes, C, which does, and W, whose first chunk does."""
    frames = {"frame": np.arange(FRAMES)}
    write_units(folder / "A.zarr", (0, 1), np.full((2, FRAMES), 7.0), coords=frames)
    shutil.rmtree(folder / "C.zarr", ignore_errors=True)
    write_units(folder / "C.zarr", (0, 1), np.full((2, FRAMES), [[value], [9.0]]), coords=frames)
    shutil.rmtree(folder / "W.zarr", ignore_errors=True)
    wide = np.arange(CHUNKS * FRAMES, dtype=float)
    wide[:FRAMES] = value
    write_array(folder / "W.zarr", wide, ("frame",), chunks=(FRAMES,))


def _learn(lab: Lab) -> None:
    """Read from the JSON itself which versions need which objects, and what their files are."""
    for name in ("m", "n"):
        dataset = mvc.open(lab.root / name)
        for entry in dataset.history():
            for array in json.loads(lab.object("checkpoints", entry.id).read_bytes())["arrays"]:
                version = (name, entry.id, array["name"])
                root = json.loads(lab.object("manifests", array["manifest"]).read_bytes())
                parts = [json.loads(lab.object("manifests", part).read_bytes()) for part in root["parts"]]
                found = [each for document in (root, *parts) for each in document["entries"].values()]
                for digest in (array["manifest"], *root["parts"], *(each[0] for each in found if len(each) == 2)):
                    lab.needs.setdefault(digest, set()).add(version)
                lab.contents[version] = dict(dataset.repository.stored_files(array["manifest"]))
    for path in sorted((lab.folder / "operations").iterdir()):
        operation = json.loads(path.read_bytes())
        lab.dropped = operation["checkpoint"] if operation["action"] == "prune" else lab.dropped


def dump(catalog: Path) -> list[str]:
    """Everything in a catalog, as SQL."""
    with closing(sqlite3.connect(catalog)) as connection:
        return list(connection.iterdump())


def assert_all_there(lab: Lab) -> None:
    """Every version opens with the right bytes, and the catalog is what it was."""
    stored_files._load_manifest.cache_clear()
    seen = set()
    for name in ("m", "n"):
        dataset = mvc.open(lab.root / name)
        for entry in dataset.history():
            for array in dataset.show(entry.id).arrays:
                seen.add(version := (name, entry.id, array.name))
                assert dict(dataset.repository.stored_files(array.manifest)) == lab.contents[version]
    assert seen == lab.contents.keys()
    assert dump(lab.catalog) == lab.dump


# -- damages ----------------------------------------------------------------------------------


def flip(path: Path, place: float) -> None:
    """Turn one bit over, at a place from 0 to 1 of the file."""
    content = bytearray(path.read_bytes())
    at = min(int(place * len(content)), len(content) - 1)
    content[at] ^= 1 << (at % 8)
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Cut a file off."""
    os.truncate(path, path.stat().st_size // 2)


def lengthen(path: Path) -> None:
    """Add a byte."""
    path.write_bytes(path.read_bytes() + b"\0")


def swap(path: Path) -> None:
    """Exchange a file with one beside it, or in the folder beside its own."""
    around = path.parent if path.parent.name == "operations" else path.parents[1]
    other = next(
        each for each in sorted(around.rglob("*")) if each.is_file() and each.read_bytes() != path.read_bytes()
    )
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


def link(path: Path) -> None:
    """Let a link to the same bytes lie there."""
    moved = path.with_name(f"{path.name}.elsewhere")
    path.rename(moved)
    path.symlink_to(moved)


def folder(path: Path) -> None:
    """Let a folder lie there, and something in it."""
    path.unlink()
    path.mkdir()
    (path / "file").write_bytes(b"content")


DAMAGES: Mapping[str, Callable[[Path], None]] = {
    "first bit": lambda path: flip(path, 0.0),
    "bit in the middle": lambda path: flip(path, 0.5),
    "last bit": lambda path: flip(path, 1.0),
    "truncated": truncate,
    "lengthened": lengthen,
    "emptied": lambda path: os.truncate(path, 0),
    "swapped": swap,
    "deleted": Path.unlink,
    "a link": link,
    "a folder": folder,
}
SAME_SIZE = {"first bit", "bit in the middle", "last bit"}  # and a swap, where the other has the same size
