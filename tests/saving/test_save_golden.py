"""save_minian leaves what MiniAn left, also where MiniAn is not installed or cannot save."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import INTERMEDIATE, STAGES, put_stage
from save_cases import CASES, DATASET, LEVELS, REFUSED, differences, files, read_golden, untrue_metadata

import minian_vc as mvc
from minian_vc import durable, save_minian

SAVES = read_golden()
CHANGE = ("dates", "uint16 big endian")  # xarray reads and writes them another way than it first wrote them
WITH_ENCODING = ("not compressed", "zstd", "a filter", "a coordinate's codec", "scaled with a gap")


@pytest.fixture(autouse=True)
def _without_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing changes no byte, and waits for whatever else the machine writes."""
    monkeypatch.setattr(durable, "flush", lambda *_: None)


def opened(folder: Path) -> xr.DataArray | None:
    """Read an array folder with xarray, lazily; None where this xarray does not work with this zarr."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return xr.open_zarr(str(folder), consolidated=False)[folder.stem]
    except TypeError:  # xarray 2026.9 with zarr 2.18: open_group() got an unexpected keyword argument
        return None


def assert_means(saved: xr.DataArray, array: xr.DataArray, options: dict[str, Any]) -> None:
    """Values, dtype, coordinates and attributes are what was given."""
    assert saved.chunks is not None or not saved.ndim
    levels = {"session": "session1", "animal": "mouse1"} if "meta_dict" in options else {}
    expected = array.assign_coords(levels).compute()
    assert saved.dims == expected.dims
    assert saved.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=") or expected.dtype.kind in "OUTMm"
    np.testing.assert_array_equal(saved.values, expected.values)
    assert set(saved.coords) == set(expected.coords)
    for name, coordinate in expected.coords.items():
        np.testing.assert_array_equal(saved.coords[name].values, coordinate.values)
        assert saved.coords[name].dims == coordinate.dims
    assert repr(saved.attrs) == repr({key: getattr(v, "tolist", lambda v=v: v)() for key, v in expected.attrs.items()})


def test_every_case_was_kept() -> None:
    """The kept saves are of the cases as they stand now."""
    assert SAVES.keys() == CASES.keys() - set(REFUSED)


@pytest.mark.parametrize("name", list(SAVES))
def test_the_folder_is_what_minian_left(name: str, tmp_path: Path) -> None:
    """Files, metadata and chunks; the returned array and what xarray reads mean what was given."""
    case = CASES[name]
    saved = save_minian(case.make(), tmp_path / DATASET, **case.options)
    left = files(tmp_path / DATASET / "X.zarr")
    found = differences(SAVES[name], left, rechunked=case.is_rechunked)
    assert found == []
    assert untrue_metadata(left) == []
    assert [path.name for path in (tmp_path / DATASET).parent.iterdir()] == ["minian"]
    assert_means(saved, case.make(), case.options)
    again = opened(tmp_path / DATASET / "X.zarr")
    if again is not None:
        xr.testing.assert_identical(again.compute(), saved.compute())


@pytest.mark.parametrize("name", [name for name in SAVES if not CASES[name].is_rechunked and name not in CHANGE])
def test_saving_what_was_read_onto_itself_leaves_the_same(name: str, tmp_path: Path) -> None:
    """Codecs, dtypes and values go with the array, as this xarray reads it, or as save_minian returned it."""
    case = CASES[name]
    folder = tmp_path / DATASET / "X.zarr"
    save_minian(case.make(), folder.parent, **case.options)
    read = opened(folder)
    if read is not None:
        save_minian(read, folder.parent, overwrite=True)
        assert differences(SAVES[name], files(folder), rechunked=False) == []
    if name not in WITH_ENCODING:
        returned = save_minian(case.make(), folder.parent, **{**case.options, "overwrite": True})
        save_minian(returned, folder.parent, overwrite=True)
        assert differences(SAVES[name], files(folder), rechunked=False) == []


def test_the_arrays_of_the_real_run_are_saved_as_minian_saved_them(
    stages: Path, root: Path, run: dict, tmp_path: Path
) -> None:
    """Each, opened from history and saved with the call that the run made, is the folder that MiniAn left."""
    put_stage(stages, STAGES[5], root)
    dataset = mvc.open(root / INTERMEDIATE)
    dataset.commit()
    calls = {
        call["array"]: call["rechunk"]
        for call in run["saves"]
        if (call["session"], call["dataset"]) == ("session1", "minian_intermediate")
    }
    arrays = dataset.open(return_dict=True)
    assert len(arrays.keys() & calls.keys()) == 18
    for name in arrays.keys() & calls.keys():
        save_minian(arrays[name], tmp_path, chunks=calls[name])
        before, after = (files(folder / f"{name}.zarr") for folder in (dataset.path, tmp_path))
        assert differences(before, after, rechunked=calls[name] is not None) == [], name


def test_the_final_arrays_of_the_real_run_are_saved_as_minian_saved_them(stages: Path, root: Path) -> None:
    """With session, animal and the labels of session 2, taken from the folders and the arrays."""
    final = "mouse1/session2/minian"
    put_stage(stages, STAGES[6], root, final)
    dataset = mvc.open(root / final)
    dataset.commit()
    for name, array in dataset.open(return_dict=True).items():
        before = files(dataset.path / f"{name}.zarr")
        save_minian(array.drop_vars(["session", "animal"]), dataset.path, LEVELS, overwrite=True)
        assert differences(before, files(dataset.path / f"{name}.zarr"), rechunked=False) == [], name
