"""netCDF: opened again by xarray, both engines, equal to what was recorded."""

from __future__ import annotations

import importlib.util
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import minian_vc as mvc
from minian_vc import durable
from minian_vc.errors import StorageError

pytestmark = pytest.mark.filterwarnings("ignore::minian_vc.LeftOutWarning", "ignore:Left out:UserWarning")
STAGES = ["stage-00-init", "stage-02-first-temporal", "stage-05-second-temporal"]


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
@pytest.mark.parametrize("compression", [0, 4])
@pytest.mark.parametrize("stage", STAGES)
def test_it_opens_again_as_it_was(
    history: mvc.Dataset, tmp_path: Path, stage: str, engine: str, compression: int
) -> None:
    """Values, dims, dtypes and coordinates, by the other package too."""
    path = tmp_path / "a.nc"
    done = history.export(f"@{stage}", format="netcdf", out=path, engine=engine, compression=compression)
    expected = history.check(*(f"{name}@{stage}" for name in done.arrays)).load(list(done.arrays)).load()
    for reader in ("h5netcdf", "netcdf4"):
        with xr.open_dataset(path, engine=reader) as opened:
            xr.testing.assert_equal(opened.drop_attrs(), expected.drop_attrs())
            for name in done.arrays:
                assert opened[name].dtype == expected[name].dtype
                assert opened[name].dims == expected[name].dims


def test_it_is_stored_with_its_chunk_spec_and_compressed(history: mvc.Dataset, tmp_path: Path) -> None:
    """chk is not lost on the way."""
    for level in (0, 4):
        history.export("@stage-02-first-temporal", format="netcdf", out=tmp_path / f"{level}.nc", compression=level)
    with xr.open_dataset(tmp_path / "4.nc") as opened:
        for array in history.show("stage-02-first-temporal").arrays:
            if array.name in opened:
                stored = dict(zip(array.dims, opened[array.name].encoding["chunksizes"], strict=True))
                assert stored == {dim: min(n, opened.sizes[dim]) for dim, n in array.chunks.items()}
    assert (tmp_path / "4.nc").stat().st_size < (tmp_path / "0.nc").stat().st_size


def test_no_value_is_taken_for_missing(root: Path, tmp_path: Path) -> None:
    """NaN stays NaN; integers at the end of their range, bools, text, times and attributes come back."""
    folder = root / "m/minian"
    numbers = np.array([[np.nan, 9.969209968386869e36], [-np.inf, 0.0]])
    frames = {"frame": [0, 1], "label": ("frame", ["a", "ä"]), "animal": "m"}
    arrays = {
        "x": (("frame", "k"), numbers),
        "y": (("frame", "k"), np.array([[-(2**63), 2**63 - 1], [0, -1]])),
        "z": (("frame", "k"), np.array([[0, 255], [1, 2]], "uint8")),
        "w": (("frame", "k"), numbers > 0),
        "t": (("frame",), np.array(["2026-01-01T00:00:00", "NaT"], "datetime64[ns]")),
    }
    for name, (dims, values) in arrays.items():
        saved = xr.DataArray(values, dims=dims, coords=frames, name=name, attrs={"unit": "µm", "scale": [1, 2]})
        mvc.save_minian(saved.chunk(), folder)
    dataset = mvc.open(folder)
    dataset.commit("kinds", tag="kinds")
    dataset.export("@kinds", format="netcdf", out=tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc") as opened:
        for name, (_, values) in arrays.items():
            np.testing.assert_array_equal(opened[name].values, values, err_msg=name)
            assert opened[name].dtype == values.dtype
            assert opened[name].attrs["unit"] == "µm"
        assert list(opened["label"].values) == ["a", "ä"]


def test_h5py_is_not_let_into_a_full_disk(
    history: mvc.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end the process: refused before, while netCDF4 may try."""
    monkeypatch.setattr(durable, "free_bytes", lambda _: 2 << 20)
    whole = history.open("stage-02-first-temporal", ["C"]).nbytes
    history.export("C@stage-02-first-temporal", format="netcdf", out=tmp_path / "a.nc", engine="h5netcdf")
    monkeypatch.setattr(durable, "free_bytes", lambda _: whole - 1)
    with pytest.raises(StorageError, match="are free"):
        history.export("C@stage-02-first-temporal", format="netcdf", out=tmp_path / "b.nc", engine="h5netcdf")
    history.export("C@stage-02-first-temporal", format="netcdf", out=tmp_path / "b.nc", engine="netcdf4")


def test_the_same_version_twice_is_the_same_data(history: mvc.Dataset, tmp_path: Path) -> None:
    """Attributes too."""
    for name in ("a.nc", "b.nc"):
        history.export("@stage-02-first-temporal", format="netcdf", out=tmp_path / name)
    with xr.open_dataset(tmp_path / "a.nc") as one, xr.open_dataset(tmp_path / "b.nc") as other:
        xr.testing.assert_identical(one, other)


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_memory_stays_flat(root: Path, tmp_path: Path, engine: str) -> None:
    """A movie many times the memory it may take goes through."""
    import dask.array as da

    folder, chunk = root / "m/minian", 32 * 256 * 256 * 8
    movie = da.random.default_rng(0).random((40 * 32, 256, 256), chunks=(32, 256, 256))
    mvc.save_minian(xr.DataArray(movie, dims=("frame", "height", "width"), name="Y"), folder)
    dataset = mvc.open(folder)
    dataset.commit("movie", tag="movie")
    tracemalloc.start()
    dataset.export("Y@movie", format="netcdf", out=tmp_path / "a.nc", engine=engine, compression=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert chunk < peak < 12 * chunk
    assert (tmp_path / "a.nc").stat().st_size > 40 * chunk


@pytest.mark.skipif(importlib.util.find_spec("minian") is None, reason="MiniAn is not installed here")
def test_minian_opens_it(history: mvc.Dataset, tmp_path: Path) -> None:
    """open_minian takes a netCDF file."""
    from minian.utilities import open_minian

    done = history.export("@stage-02-first-temporal", format="netcdf", out=tmp_path / "a.nc")
    opened = open_minian(str(tmp_path / "a.nc"))
    assert set(opened.data_vars) == set(done.arrays)
    recorded = history["C@stage-02-first-temporal"].sel(unit_id=opened["unit_id"].values)
    np.testing.assert_array_equal(opened["C"], recorded)
