"""Dataset folders made by chance: a seed makes one and the same folder everywhere.

What MiniAn does with them must not vary, so no chunk is lost which would be read as uninitialised memory.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from making import (
    Bare,
    consolidate,
    damage,
    edit_array,
    edit_attributes,
    forget,
    make,
    save,
    write,
)

NAMES = ("A", "C", "S", "YrA", "b", "f", "max_proj", "Y_fm_chk", "motion", "unit_score")
DIMS = ("unit_id", "frame", "height", "width")
SHAPES = (
    ("unit_id", "frame"),
    ("unit_id", "height", "width"),
    ("frame", "height", "width"),
    ("height", "width"),
    ("frame",),
    ("unit_id",),
    (),
)
DTYPES = (
    "float64",
    "float32",
    "float16",
    "uint8",
    "uint16",
    "int8",
    "int16",
    "int32",
    "int64",
    "bool",
    "complex64",
    "<U3",
)


@dataclass
class Chance:
    """Random choices of one seed."""

    random: random.Random

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self.random.random() < probability

    def one_of(self, choices: Sequence[Any]) -> Any:
        """Return one of several."""
        return self.random.choice(choices)

    def some_of(self, items: Sequence[Any]) -> list[Any]:
        """Return some of several, at least one, in their order."""
        count = self.random.randint(1, len(items))
        return [items[index] for index in sorted(self.random.sample(range(len(items)), count))]


def random_dataset(seed: int, dataset: Path) -> Path:
    """Make a dataset folder of one to six arrays; return its path."""
    chance = Chance(random.Random(seed))  # noqa: S311
    recording = Recording(chance, disorder=chance.one_of((0.0, 0.2, 0.4, 0.7)))
    names = chance.random.sample(NAMES, chance.one_of((1, 2, 3, 3, 4, 4, 5, 6)))
    folders = [put(chance, recording.array(name), dataset) for name in names]
    spoil(chance, dataset, folders, 0.25)
    return dataset


def random_root(seed: int, root: Path) -> tuple[tuple[str, ...], str]:
    """Make a folder with two to five datasets; return the dims and the pattern to open it by."""
    chance = Chance(random.Random(f"mf {seed}"))  # noqa: S311
    index_dims = chance.one_of((*(("session",),) * 4, *(("animal", "session"),) * 3, ("session", "animal"), ("frame",)))
    disorder = chance.one_of((0.0, 0.1, 0.3, 0.5))
    names = chance.random.sample(NAMES, chance.random.randint(1, 4))
    shapes = {name: chance.one_of(SHAPES) for name in names}
    if index_dims == ("frame",):
        shapes[names[0]] = ("unit_id", "frame")
    dtypes = {name: chance.one_of(DTYPES) for name in names}
    whole = Recording(chance, disorder)
    for number in range(chance.random.randint(2, 5)):
        recording = Recording(chance, disorder) if chance.happens(0.5) else whole
        animal, session = chance.one_of(("m1", "m2")), f"s{number % 4}"
        if chance.happens(disorder / 3):
            session = chance.one_of((number, "s0"))
        recording.scalars, recording.forgotten = {"animal": animal, "session": session}, disorder / 10
        dataset = root / animal / f"session{number}" / chance.one_of(("minian", "minian", "old_minian"))
        here = [name for name in names if name == names[0] or not chance.happens(disorder / 2)]
        folders = []
        for name in here:
            dtype = chance.one_of(DTYPES) if chance.happens(disorder / 2) else dtypes[name]
            array = recording.array(name, shapes[name], dtype)
            folders.append(put(chance, array, dataset))
        spoil(chance, dataset, folders, disorder / 10)
    if chance.happens(0.05):
        (root / "m1" / "minian").mkdir(parents=True, exist_ok=True)
    return index_dims, chance.one_of(("minian$", "^minian$", "minian"))


class Recording:
    """What arrays of one dataset have in common: labels, a session, unit labels; and how often they deviate from it."""

    def __init__(self, chance: Chance, disorder: float) -> None:
        self.chance, self.disorder = chance, disorder
        self.labels = {
            "unit_id": chance.random.sample(range(9), chance.random.randint(1, 6)),
            "frame": list(range(chance.random.randint(2, 8))),
            "height": list(range(chance.random.randint(1, 4))),
            "width": list(range(chance.random.randint(1, 4))),
        }
        if chance.happens(0.6):
            self.labels["unit_id"].sort()
        self.bare = {dim for dim in DIMS if chance.happens(0.04)}
        self.scalars: dict[str, Any] = {"session": chance.one_of(("s1", "1", 1, 1.5))} if chance.happens(0.6) else {}
        self.forgotten = 0.3
        """How often a scalar is on some arrays only."""
        self.curated = chance.one_of((None, None, "int", "float", "text"))

    def array(self, name: str, dims: Sequence[str] | None = None, dtype: str | None = None) -> xr.DataArray:
        """Make one array of the recording."""
        chance = self.chance
        dims = list(chance.one_of(SHAPES) if dims is None else dims)
        if chance.happens(self.disorder / 4):
            chance.random.shuffle(dims)
        dtype = dtype or chance.one_of(DTYPES)
        sizes = {dim: self._labels(dim) for dim in dims}
        array = make(name, dtype, **sizes)
        return array.assign_coords(self._coordinates(array))

    def _labels(self, dim: str) -> Any:
        chance, labels = self.chance, list(self.labels[dim])
        if chance.happens(self.disorder):
            labels = self._changed(labels)
        if dim in self.bare or chance.happens(self.disorder / 10):
            return Bare(len(labels))
        if chance.happens(self.disorder / 5):
            return self._of_other_type(labels)
        return np.array(labels, dtype="int64")

    def _changed(self, labels: list[int]) -> list[int]:
        """Return other labels: a part, another order, shifted, numbered anew, repeated, or none."""
        chance = self.chance
        how = chance.one_of(
            (
                "part",
                "part",
                "part",
                "part",
                "order",
                "order",
                "shifted",
                "anew",
                "longer",
                "longer",
                "repeated",
                "none",
            )
        )
        if how == "part":
            return chance.some_of(labels)
        if how == "order":
            return chance.random.sample(labels, len(labels))
        if how == "shifted":
            return [label + 1 for label in labels]
        if how == "anew":
            return list(range(len(labels)))
        if how == "longer":
            return [*labels, max(labels) + 1, max(labels) + 2]
        return [*labels, labels[0]] if how == "repeated" else []

    def _of_other_type(self, labels: list[int]) -> np.ndarray:
        how = self.chance.one_of(("float", "float", "halves", "nan", "text", "int16", "int16", "date", "duration"))
        if how == "text":
            return np.array([str(label) for label in labels], dtype="<U3")
        if how == "date":
            return np.datetime64("2024-01-01", "ns") + np.array(labels, dtype="timedelta64[s]")
        if how == "duration":
            return np.array(labels, dtype="timedelta64[s]").astype("timedelta64[ns]")
        if how == "int16":
            return np.array(labels, dtype="int16")
        values = np.array(labels, dtype="float64") + (0.5 if how == "halves" else 0.0)
        if how == "nan" and len(values):
            values[-1] = np.nan
        return values

    def _coordinates(self, array: xr.DataArray) -> dict[str, Any]:
        """Return coordinates besides the dims' own: scalars, unit labels, a moment per frame, a number per pixel."""
        chance, coordinates = self.chance, {}
        for name, value in self.scalars.items():
            if not chance.happens(self.forgotten):
                differs = chance.happens(self.disorder / 6)
                coordinates[name] = chance.one_of((value, "s2", 2, np.nan)) if differs else value
        if self.curated and "unit_id" in array.coords and chance.happens(0.6):
            coordinates["unit_labels"] = ("unit_id", self._unit_labels(array.unit_id.values))
        if "frame" in array.coords and chance.happens(0.1):
            moments = np.datetime64("2024-01-01", "ns") + np.arange(array.sizes["frame"]).astype("timedelta64[ms]")
            coordinates["moment"] = ("frame", moments)
        if {"height", "width"} <= set(array.dims) and chance.happens(0.1):
            shape = (array.sizes["height"], array.sizes["width"])
            coordinates["pixel"] = (("height", "width"), np.arange(shape[0] * shape[1]).reshape(shape))
        return coordinates

    def _unit_labels(self, units: np.ndarray) -> np.ndarray:
        """Label each unit by its id, which mostly agrees from array to array."""
        numbers = [int(str(unit)) % 3 if str(unit).isdigit() else -1 for unit in units.tolist()]
        if numbers and self.chance.happens(self.disorder / 4):
            numbers[-1] += 1
        if self.curated == "text":
            return np.array([f"type{number}" for number in numbers], dtype="<U8")
        labels = np.array(numbers, dtype="int64" if self.curated == "int" else "float64")
        if self.curated == "float" and numbers and self.chance.happens(0.5):
            labels[0] = np.nan
        return labels


def put(chance: Chance, array: xr.DataArray, dataset: Path) -> Path:
    """Write an array into a dataset, mostly with plain xarray, which is what save_minian calls."""
    if chance.happens(0.1) and array.ndim and 0 not in array.shape:
        chunks = {array.dims[0]: min(2, array.shape[0]), **dict.fromkeys(array.dims[1:], -1)}
        return save(array.chunk({array.dims[0]: 1}), dataset, chunks=chunks)
    if chance.happens(0.1):
        return save(array, dataset)
    return write(array, dataset / f"{array.name}.zarr", consolidated=not chance.happens(0.15))


def spoil(chance: Chance, dataset: Path, folders: list[Path], probability: float) -> None:
    """Perhaps do one bad thing to a dataset folder."""
    if chance.happens(probability):
        chance.one_of(SPOILERS)(chance, dataset, chance.one_of(folders))


def _foreign_folder(chance: Chance, dataset: Path, folder: Path) -> None:
    (dataset / chance.one_of(("figures", ".ipynb_checkpoints", "zz", "0"))).mkdir()


def _empty_group(chance: Chance, dataset: Path, folder: Path) -> None:
    zarr.open_group(str(dataset / chance.one_of(("group", "aa", "zz"))), mode="w")


def _bare_array(chance: Chance, dataset: Path, folder: Path) -> None:
    zarr.open_array(str(dataset / "8f0e3c60-0000-4000-8000-000000000000"), mode="w", shape=3, dtype="f8")


def _plain_file(chance: Chance, dataset: Path, folder: Path) -> None:
    (dataset / "timeStamps.csv").write_text("0,0\n")


def _renamed(chance: Chance, dataset: Path, folder: Path) -> None:
    folder.rename(dataset / chance.one_of(("old", f"{folder.name}.bak", "S2.zarr")))


def _copied(chance: Chance, dataset: Path, folder: Path) -> None:
    shutil.copytree(folder, dataset / "copy.zarr")


def _metadata_gone(chance: Chance, dataset: Path, folder: Path) -> None:
    if (folder / ".zmetadata").exists():
        forget(folder)


def _json_spoilt(chance: Chance, dataset: Path, folder: Path) -> None:
    files = sorted(path for path in folder.rglob(".z*") if path.is_file())
    damage(chance.one_of(files), chance.one_of(("missing", "empty", "garbage", "text", "truncated", "list", "object")))


def _data_chunk_gone(chance: Chance, dataset: Path, folder: Path) -> None:
    for path in sorted((folder / folder.name.removesuffix(".zarr")).glob("[0-9]*"))[:1]:
        damage(path, chance.one_of(("missing", "empty", "garbage")))


def _coordinate_masked(chance: Chance, dataset: Path, folder: Path) -> None:
    names = [
        path.name for path in sorted(folder.iterdir()) if path.name in ("unit_id", "frame", "height", "unit_labels")
    ]
    if names:
        name = chance.one_of(names)
        kind = np.dtype(zarr.open_array(str(folder / name), mode="r").dtype).kind
        if kind in "if":
            edit_array(folder, name, fill_value=chance.one_of((0, 1, 5)))


def _attribute_added(chance: Chance, dataset: Path, folder: Path) -> None:
    names = [path.parent.name for path in sorted(folder.glob("*/.zattrs"))]
    changes = chance.one_of(({"scale_factor": 2.0}, {"add_offset": 1}, {"long_name": "x"}, {"coordinates": "absent"}))
    edit_attributes(folder, chance.one_of(names), **changes)


def _coordinate_lost(chance: Chance, dataset: Path, folder: Path) -> None:
    for name in ("unit_id", "frame"):
        if (folder / name).is_dir() and (folder / ".zmetadata").exists():
            shutil.rmtree(folder / name)
            consolidate(folder)
            return


SPOILERS: tuple[Callable[[Chance, Path, Path], None], ...] = (
    _foreign_folder,
    _empty_group,
    _bare_array,
    _plain_file,
    _renamed,
    _copied,
    _metadata_gone,
    _json_spoilt,
    _data_chunk_gone,
    _coordinate_masked,
    _attribute_added,
    _coordinate_lost,
)
