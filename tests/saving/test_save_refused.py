"""What cannot be saved is refused before anything is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from conftest import tree
from save_cases import DATASET, movie, traces

from minian_vc import durable, save_minian, staging
from minian_vc.errors import AlreadyExistsError, InvalidInputError, MinianVCError
from minian_vc.staging import SAVING


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset with X, beside a file and another session."""
    folder = tmp_path / DATASET
    save_minian((traces() + 1).rename("X"), folder)
    (tmp_path / "file").write_text("no folder")
    (folder / "note.zarr").write_text("a file where an array folder would be")
    return folder


def never_computed() -> xr.DataArray:
    """An array whose computing would be a failure of the test."""

    def compute(_: np.ndarray) -> np.ndarray:
        pytest.fail("It was computed.")

    values = da.ones((6, 50), chunks=(1, -1)).map_blocks(compute, dtype=float, meta=np.empty((0, 0)))
    return xr.DataArray(values, {"unit_id": range(6)}, ("unit_id", "frame"), "X")


def cut(*sizes: int) -> xr.DataArray:
    """X with these chunks along unit_id."""
    return never_computed().chunk({"unit_id": sizes})


Make = Callable[[], Any]
REFUSED: dict[str, tuple[Make, dict, type[MinianVCError], str]] = {
    "it is there": (never_computed, {"overwrite": False}, AlreadyExistsError, "overwrite=True"),
    "no name": (lambda: never_computed().rename(None), {}, InvalidInputError, "no name"),
    "a Dataset": (lambda: never_computed().to_dataset(), {}, InvalidInputError, "Dataset"),
    "numpy": (lambda: np.ones(3), {}, InvalidInputError, "ndarray"),
    "a path for a name": (lambda: never_computed().rename("../X"), {}, InvalidInputError, "../X"),
    "a hidden name": (lambda: never_computed().rename(".X"), {}, InvalidInputError, "dot"),
    "an empty name": (lambda: never_computed().rename(""), {}, InvalidInputError, "name"),
    "irregular chunks": (lambda: cut(2, 1, 3), {}, InvalidInputError, "irregularly along unit_id"),
    "growing chunks": (lambda: cut(2, 4), {}, InvalidInputError, "irregularly along unit_id"),
    "no such dim": (never_computed, {"chunks": {"height": 5}}, InvalidInputError, "height"),
    "levels too deep": (never_computed, {"meta_dict": {"animal": -99}}, InvalidInputError, "levels"),
    "levels that are text": (never_computed, {"meta_dict": {"animal": "up"}}, InvalidInputError, "levels"),
    "no memory at all": (
        never_computed,
        {"chunks": {"unit_id": -1, "frame": 7}, "mem_limit": "99B"},
        InvalidInputError,
        "mem_limit",
    ),
    "text for a size": (never_computed, {"chunks": {"frame": "auto"}}, InvalidInputError, "'frame': 'auto'"),
    "None for a size": (never_computed, {"chunks": {"frame": None}}, InvalidInputError, "'frame': None"),
    "half a frame": (never_computed, {"chunks": {"frame": 2.5}}, InvalidInputError, "'frame': 2.5"),
    "one size for all": (never_computed, {"chunks": 5}, InvalidInputError, "chunks=5"),
    "dims that are no text": (never_computed, {"chunks": {None: 5, "unit": 1}}, InvalidInputError, "no dim 'None'"),
    "no limit": (never_computed, {"mem_limit": None}, InvalidInputError, "mem_limit None"),
    "an endless limit": (never_computed, {"mem_limit": float("inf")}, InvalidInputError, "mem_limit inf"),
    "a list for a limit": (never_computed, {"mem_limit": ["1GB"]}, InvalidInputError, "mem_limit"),
    "no size": (never_computed, {"mem_limit": "much"}, InvalidInputError, "much"),
    "objects": (
        lambda: xr.DataArray(np.array([{}, 1], object), dims="unit_id", name="X"),
        {},
        InvalidInputError,
        "X",
    ),
    "tag without recording": (never_computed, {"tag": "one", "record": False}, InvalidInputError, "tag"),
    "recorded before it is computed": (never_computed, {"tag": "one", "compute": False}, InvalidInputError, "compute"),
    "a bad tag": (never_computed, {"tag": "a@b"}, InvalidInputError, "a@b"),
    "a file in its place": (lambda: never_computed().rename("note"), {}, InvalidInputError, "file"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_it_is_refused_before_anything_is_touched(name: str, dataset: Path, tmp_path: Path) -> None:
    """Nothing is computed, nothing written, no repository made; the error says so."""
    make, options, kind, words = REFUSED[name]
    before = tree(tmp_path)
    with pytest.raises(kind) as caught:
        save_minian(make(), dataset, **{"overwrite": True, **options})
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("file", "is a file"),
        (f"{DATASET}/X.zarr", "lies in the array"),
        (f"{DATASET}/X.zarr/X", "lies in the array"),
    ],
)
def test_a_place_that_is_no_dataset_is_refused(where: str, words: str, dataset: Path, tmp_path: Path) -> None:
    """A file, and the inside of an array."""
    before = tree(tmp_path)
    with pytest.raises(InvalidInputError, match=words):
        save_minian(never_computed().rename("Z"), tmp_path / where)
    assert tree(tmp_path) == before


def test_a_link_is_not_replaced(dataset: Path, tmp_path: Path) -> None:
    """A link to an array elsewhere would be exchanged for a folder."""
    (dataset / "L.zarr").symlink_to(dataset / "X.zarr")
    before = tree(tmp_path)
    with pytest.raises(InvalidInputError, match="link"):
        save_minian(never_computed().rename("L"), dataset, overwrite=True)
    assert tree(tmp_path) == before
    assert (dataset / "L.zarr").is_symlink()


def test_a_dataset_behind_a_link_is_written_where_it_lies(dataset: Path, tmp_path: Path) -> None:
    """Levels are taken from the path as it was written, as MiniAn does; the folder beside is beside the real one."""
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/minian").symlink_to(dataset, target_is_directory=True)
    saved = save_minian(traces().rename("Z"), tmp_path / "linked/minian", {"session": -1})
    assert saved.session == "linked"
    assert (dataset / "Z.zarr/Z/0.0").is_file()
    assert [path.name for path in (tmp_path / "linked").iterdir()] == ["minian"]
    assert [path.name for path in dataset.parent.iterdir()] == ["minian"]


def test_another_volume_is_refused(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be exchanged in one step is refused before it is computed."""
    real, before = Path.stat, tree(tmp_path)

    def stat(self: Path, **options: Any) -> Any:
        found = real(self, **options)
        fields = list(found)
        fields[2] += self == dataset
        return type(found)(fields)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(MinianVCError, match="another volume"):
        save_minian(never_computed(), dataset, overwrite=True)
    monkeypatch.undo()
    assert tree(tmp_path) == before


def test_overwrite_false_holds_when_a_killed_swap_is_completed(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """X is away between the two renames of a killed save; it is brought back, and then it is in the way."""
    monkeypatch.setattr(durable, "flush", lambda *_: None)
    before = tree(dataset / "X.zarr")
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    stage = dataset.parent / SAVING / f"{staging._host()}-{gone.stdout.strip()}-0123456789ab"
    durable.link_tree(dataset / "X.zarr", stage / "X.zarr")
    (dataset / "X.zarr").rename(stage / "X.zarr.old")
    names = {"live": dataset / "X.zarr", "staged": stage / "X.zarr", "aside": stage / "X.zarr.old"}
    (stage / "swap-0123456789abcdef.json").write_text(json.dumps({key: str(path) for key, path in names.items()}))
    with pytest.raises(AlreadyExistsError):
        save_minian(movie("u1"), dataset)
    assert tree(dataset / "X.zarr") == before
    assert [path.name for path in dataset.parent.iterdir()] == ["minian"]
