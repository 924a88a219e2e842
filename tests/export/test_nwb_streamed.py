"""NWB is written block by block: each block is read once, and little is in memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from nwb_making import yaml_file

from minian_vc.export.bundle import Bundle
from minian_vc.export.nwb import write

pynwb = pytest.importorskip("pynwb")
dask_array = pytest.importorskip("dask.array")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
UNITS, SIDE, FRAMES = 60, 256, 2000


def footprint(unit: int) -> np.ndarray:
    """Return a footprint (height, width) that is of that unit alone."""
    image = np.zeros((SIDE, SIDE))
    image[unit % 100 : unit % 100 + 9, unit // 4 : unit // 4 + 5] = unit + 1
    return image


class Source:
    """Lazy arrays of many units, that count how often each block is read."""

    def __init__(self) -> None:
        self.read: Counter = Counter()
        self._lock = threading.Lock()

    def array(self, name: str, dims: tuple[str, ...], shape: tuple[int, ...], chunks: tuple[int, ...]) -> xr.DataArray:
        def block(block_info=None) -> np.ndarray:
            where = block_info[None]["array-location"]
            with self._lock:
                self.read[name, tuple(map(tuple, where))] += 1
            if name == "A":
                return np.stack([footprint(unit) for unit in range(*where[0])])
            return np.add.outer(np.arange(*where[0]), np.arange(*where[1]) / 8)

        split = dask_array.core.normalize_chunks(chunks, shape)
        data = dask_array.map_blocks(block, chunks=split, dtype=float, meta=np.empty((0,) * len(shape)))
        return xr.DataArray(data, dims=dims)

    def bundle(self, frame_chunk: int = FRAMES, unit_chunk: int = 1) -> Bundle:
        units = {"unit_id": np.arange(UNITS) * 3, "frame": np.arange(FRAMES)}
        footprints = self.array("A", ("unit_id", "height", "width"), (UNITS, SIDE, SIDE), (1, SIDE, SIDE))
        traces = self.array("C", ("unit_id", "frame"), (UNITS, FRAMES), (unit_chunk, frame_chunk))
        identity = {"checkpoint": "blake3:0", "tags": [], "session": "s", "animal": "a", "arrays": {}}
        return Bundle(xr.Dataset({"A": footprints, "C": traces}, coords=units), identity)


def written(bundle: Bundle, folder: Path, masks: str) -> Path:
    path = folder / f"{masks}.nwb"
    write(bundle, path, metadata=yaml_file(folder), masks=masks, rate=20.0)
    return path


@pytest.mark.parametrize("masks", ["pixel", "image"])
@pytest.mark.parametrize("chunks", [(FRAMES, 1), (300, UNITS), (700, 7)], ids=["by unit", "by frame", "both"])
def test_each_block_is_read_once_however_it_is_cut(masks: str, chunks: tuple[int, int], tmp_path: Path):
    source = Source()
    path = written(source.bundle(*chunks), tmp_path, masks)
    assert set(source.read.values()) == {1}
    with pynwb.NWBHDF5IO(path, "r") as io:
        ophys = io.read().processing["ophys"]
        traces = ophys["Fluorescence"]["Denoised"].data[:]
        np.testing.assert_array_equal(traces, np.add.outer(np.arange(FRAMES) / 8, np.arange(UNITS)))
        table = ophys["ImageSegmentation"]["PlaneSegmentation"]
        assert list(table.id[:]) == list(range(0, 3 * UNITS, 3))
        for row in (0, 1, 57, UNITS - 1):
            image = footprint(row).T
            if masks == "image":
                np.testing.assert_array_equal(table["image_mask"][row], image)
            else:
                expected = [(x, y, row + 1) for x, y in np.argwhere(image)]
                assert [tuple(pixel) for pixel in table["pixel_mask"][row]] == expected


@pytest.mark.parametrize("masks", ["pixel", "image"])
def test_memory_does_not_hold_the_footprints(masks: str, tmp_path: Path):
    """A, of 31 MB, is not in memory: not even a third of it is, beside what pynwb needs anyway."""
    bundle = Source().bundle()
    written(bundle.__class__(bundle.together.isel(unit_id=slice(2)), bundle.identity), tmp_path, masks)
    tracemalloc.start()
    try:
        written(bundle, tmp_path, masks)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bundle.together["A"].nbytes > 30e6
    assert peak < 10e6
