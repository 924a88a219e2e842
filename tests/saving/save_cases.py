"""Arrays to be saved, the same in every environment, and what tells two saved folders apart."""

from __future__ import annotations

import base64
import json
import lzma
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import numcodecs
import numpy as np
import pandas as pd
import xarray as xr

GOLDEN = Path(__file__).parents[1] / "data" / "minian-saves.json.xz"
DATASET = "mouse1/session1/minian"
LEVELS = {"session": -1, "animal": -2}
UNITS, FRAMES, SIDE = 6, 50, 12


@dataclass(frozen=True)
class Case:
    """A call of save_minian. ``raw``: MiniAn's returns what is stored, not what it means, where the two differ."""

    make: Callable[[], xr.DataArray]
    options: Mapping[str, Any] = field(default_factory=dict)
    raw: bool = False

    @property
    def is_rechunked(self) -> bool:
        """Whether the call has ``chunks=``."""
        return "chunks" in self.options


def numbers(*shape: int, dtype: Any = "f8") -> np.ndarray:
    """Values that compress badly and are the same on every machine."""
    count = np.arange(int(np.prod(shape)), dtype="i8").reshape(shape)
    return ((count * 7919 % 1009) / 8).astype(dtype)


def lazy(dims: str, chunks: Mapping[str, int], dtype: Any = "f8", **coords: Any) -> xr.DataArray:
    """A lazy array X over some of the pipeline's dims, with coordinates that count."""
    sizes = {"unit_id": UNITS, "frame": FRAMES, "height": SIDE, "width": SIDE}
    names = dims.split()
    values = da.from_array(numbers(*(sizes[d] for d in names), dtype=dtype), tuple(chunks.get(d, -1) for d in names))
    counted = {d: np.arange(sizes[d]) for d in names}
    return xr.DataArray(values, {**counted, **coords}, names, "X")


def footprints() -> xr.DataArray:
    """A."""
    return lazy("unit_id height width", {"unit_id": 1})


def traces(**coords: Any) -> xr.DataArray:
    """C."""
    return lazy("unit_id frame", {"unit_id": 1}, **coords)


def movie(dtype: str) -> xr.DataArray:
    """A movie cut by frames."""
    return lazy("frame height width", {"frame": 16}, dtype)


def in_memory(values: Any, *dims: str, attrs: Mapping[str, Any] = {}, **coords: Any) -> xr.DataArray:
    """An array without dask."""
    return xr.DataArray(values, coords, dims, "X", attrs)


def encoded(array: xr.DataArray, coordinate: str | None = None, **encoding: Any) -> xr.DataArray:
    """Give the array, or one of its coordinates, an encoding, as one that was read from a file has."""
    (array if coordinate is None else array[coordinate]).encoding.update(encoding)
    return array


def reordered() -> xr.DataArray:
    """C as update_temporal leaves it: some units gone, the others in another order."""
    return traces().sel(unit_id=[4, 1, 0]).chunk({"unit_id": 1})


def masked() -> xr.DataArray:
    """Scaled integers in which one value is missing."""
    values = numbers(UNITS, FRAMES, dtype="i2") / 2
    values[1, 3] = np.nan
    array = xr.DataArray(values, {}, ("unit_id", "frame"), "X").chunk({"unit_id": 1})
    return encoded(array, dtype=np.dtype("i2"), scale_factor=0.5, _FillValue=-1)


def second_shift() -> xr.DataArray:
    """Motion, with text for the labels of its shift_dim."""
    values = da.from_array(numbers(FRAMES, 2), (16, -1))
    coords = {"frame": np.arange(FRAMES), "shift_dim": ["height", "width"]}
    return xr.DataArray(values, coords, ("frame", "shift_dim"), "X")


BY_UNIT = {"chunks": {"unit_id": 1, "frame": -1}}
BY_FRAMES = {"chunks": {"unit_id": -1, "frame": 16}}
BY_PIXELS = {"chunks": {"frame": -1, "height": 5, "width": 5}, "mem_limit": "100MB"}
FINAL = {"meta_dict": LEVELS}
LOSES_GAP = "scaled with a gap"  # with MiniAn's chunks=
DELTA = numcodecs.Delta(dtype="<f8")

PIPELINE = {
    "varr": Case(lambda: movie("u1")),
    "Y_fm_chk": Case(lambda: movie("f4")),
    "Y_hw_chk": Case(lambda: movie("f4"), BY_PIXELS),
    "motion": Case(second_shift, FINAL),
    "max_proj": Case(lambda: movie("f4").max("frame"), FINAL),
    "A_init": Case(footprints),
    "A with chunks": Case(
        lambda: lazy("unit_id height width", {"height": 5}), {"chunks": {"unit_id": 1, "height": -1, "width": -1}}
    ),
    "C": Case(traces),
    "C_init with chunks": Case(lambda: lazy("unit_id frame", {"frame": 16}), BY_UNIT),
    "C_chk": Case(traces, {**BY_FRAMES, "mem_limit": "100MB"}),
    "C_new": Case(reordered),
    "YrA as it is cut": Case(traces, BY_UNIT),
    "b": Case(lambda: lazy("height width", {})),
    "f": Case(lambda: lazy("frame", {"frame": 16})),
    "final C": Case(traces, FINAL),
    "final C with labels": Case(lambda: traces(unit_labels=("unit_id", np.arange(UNITS) // 2 - 1)), FINAL),
}
ODD = {
    "0-d": Case(lambda: in_memory(3.5)),
    "0-d lazy": Case(lambda: traces().sum()),
    "bool": Case(lambda: traces() > 60, raw=True),
    "bool in memory": Case(lambda: in_memory([True, False], "unit_id"), raw=True),
    "int32": Case(lambda: lazy("frame", {"frame": 16}, "i4")),
    "uint16 big endian": Case(lambda: in_memory(numbers(5, dtype=">u2"), "frame"), raw=True),
    "complex": Case(lambda: lazy("frame", {"frame": 16}, "c16")),
    "float16": Case(lambda: lazy("frame", {"frame": 16}, "f2")),
    "text units": Case(lambda: in_memory(numbers(3), "unit_id", unit_id=["a", "bé", "c"])),
    "object text units": Case(lambda: in_memory(numbers(3), "unit_id", unit_id=np.array(["a", "bé", "c"], object))),
    "text": Case(lambda: in_memory(np.array(["x", "yy"]), "unit_id")),
    "dates": Case(lambda: in_memory(numbers(3), "frame", frame=pd.date_range("2020-01-01", periods=3, freq="s"))),
    "date values": Case(lambda: in_memory(pd.date_range("2020-01-01", periods=3).values, "frame"), raw=True),
    "timedelta": Case(lambda: in_memory(np.arange(3).astype("m8[s]"), "frame"), raw=True),
    "no units": Case(lambda: traces()[:0]),
    "lazy coordinate": Case(lambda: traces(norm=("unit_id", da.from_array(numbers(UNITS), 2)))),
    "scalar coordinates": Case(lambda: traces(session="s1", day=3, ratio=0.5)),
    "float frames": Case(lambda: in_memory(numbers(3), "frame", frame=[0.0, 0.5, np.nan])),
    "attributes": Case(
        lambda: in_memory(
            numbers(3), "frame", attrs={"a": np.float64(3), "b": np.arange(2), "c": "µ", "d": [1, None], "e": True}
        )
    ),
    "big in memory": Case(lambda: in_memory(np.arange(160_000.0).reshape(400, 400) % 7, "frame", "unit_id")),
    "chunks beyond the size": Case(traces, {"chunks": {"unit_id": 100, "frame": 16}}),
    "chunks of some dims": Case(traces, {"chunks": {"frame": 16}}),
    "NaN everywhere": Case(lambda: traces() * np.nan),
    "zeros by pixels": Case(lambda: movie("u1") * 0, BY_PIXELS),
    "not compressed": Case(lambda: encoded(traces(), compressor=None)),
    "zstd": Case(lambda: encoded(traces(), compressor=numcodecs.Zstd(3))),
    "zstd, then chunks": Case(lambda: encoded(traces(), compressor=numcodecs.Zstd(3)), BY_FRAMES),
    "a filter": Case(lambda: encoded(traces(), filters=[DELTA])),
    "a filter, then chunks": Case(lambda: encoded(traces(), filters=[DELTA]), BY_FRAMES),
    "an old chunk grid": Case(lambda: encoded(traces(), chunks=(4, 7), preferred_chunks={"unit_id": 4})),
    "a coordinate's codec": Case(lambda: encoded(traces(), "frame", compressor=None)),
    LOSES_GAP: Case(masked, raw=True),
}
CASES = {**PIPELINE, **ODD}
REFUSED = ("chunks beyond the size", "chunks of some dims")  # by MiniAn, half-way


def files(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder by its path, with its bytes."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def differences(theirs: Mapping[str, bytes], ours: Mapping[str, bytes], *, rechunked: bool) -> list[str]:
    """Return the files of an array folder that are not as MiniAn leaves them.

    After ``chunks=`` MiniAn's ``.zmetadata`` is of the grid before, and is not compared. Chunks whose bytes differ
    are compared decoded: a codec's bytes may depend on its version.
    """
    found = [f"{key} is only on one side" for key in sorted(theirs.keys() ^ ours.keys())]
    for key in sorted(theirs.keys() & ours.keys()):
        if theirs[key] == ours[key] or (rechunked and key.endswith(".zmetadata")):
            continue
        if is_metadata(key) or decoded(theirs, key) != decoded(ours, key):
            found.append(f"{key} differs")
    return found


def decoded(tree: Mapping[str, bytes], key: str) -> bytes:
    """Return the values of a chunk as bytes, from its ``.zarray``."""
    document = json.loads(tree[f"{key.rpartition('/')[0]}/.zarray"])
    content: Any = tree[key]
    for codec in (document["compressor"], *reversed(document["filters"] or [])):
        content = content if codec is None else numcodecs.get_codec(codec).decode(content)
    is_text = getattr(getattr(content, "dtype", None), "hasobject", False)
    return json.dumps(content.tolist()).encode() if is_text else bytes(content)


def untrue_metadata(tree: Mapping[str, bytes]) -> list[str]:
    """Return what ``.zmetadata`` says otherwise than the file itself."""
    told = json.loads(tree[".zmetadata"])["metadata"]
    real = {key: json.loads(content) for key, content in tree.items() if key.rpartition("/")[2] in METADATA}
    return sorted(key for key in told.keys() | real.keys() if told.get(key) != real.get(key))


METADATA = (".zarray", ".zattrs", ".zgroup")


def write_golden(versions: Mapping[str, str], saves: Mapping[str, Mapping[str, bytes]]) -> None:
    """Keep what MiniAn left, by case and file; metadata as text."""
    document = {
        "versions": versions,
        "saves": {
            case: {key: content.decode() if is_metadata(key) else coded(content) for key, content in tree.items()}
            for case, tree in saves.items()
        },
    }
    GOLDEN.write_bytes(lzma.compress(json.dumps(document, sort_keys=True).encode(), preset=9))


def read_golden() -> dict[str, dict[str, bytes]]:
    """Return what MiniAn left, by case and file."""
    saves = json.loads(lzma.decompress(GOLDEN.read_bytes()))["saves"]
    return {
        case: {key: text.encode() if is_metadata(key) else base64.b64decode(text) for key, text in tree.items()}
        for case, tree in saves.items()
    }


def is_metadata(key: str) -> bool:
    """Tell a metadata file from a chunk."""
    return key.rpartition("/")[2].startswith(".")


def coded(content: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(content).decode()
