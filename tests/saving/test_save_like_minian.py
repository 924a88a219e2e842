"""save_minian against MiniAn's own: the same call, the same folder."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import INTERMEDIATE, STAGES
from save_cases import (
    CASES,
    DATASET,
    LEVELS,
    LOSES_GAP,
    ODD,
    PIPELINE,
    REFUSED,
    UNITS,
    differences,
    files,
    traces,
    untrue_metadata,
)

from minian_vc import durable, save_minian

utilities = pytest.importorskip("minian.utilities", reason="MiniAn is not installed here", exc_type=ImportError)


@pytest.fixture(autouse=True)
def _without_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing changes no byte, and waits for whatever else the machine writes."""
    monkeypatch.setattr(durable, "flush", lambda *_: None)


def quietly(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call MiniAn, or xarray, whose warnings are not ours to judge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def save_both(array: xr.DataArray, tmp_path: Path, **options: Any) -> tuple[Path, Path, xr.DataArray, xr.DataArray]:
    """Save with both; return both datasets and what both returned."""
    theirs, ours = tmp_path / "theirs" / DATASET, tmp_path / "ours" / DATASET
    by_them = quietly(utilities.save_minian, array, str(theirs), overwrite=True, **options)
    return theirs, ours, by_them, save_minian(array, str(ours), overwrite=True, **options)


def opened(dataset: Path) -> xr.Dataset:
    """Read an array folder with xarray, every byte of it."""
    return quietly(xr.open_zarr, str(dataset / "X.zarr"), consolidated=False).load()


@pytest.mark.parametrize("name", [name for name in CASES if name not in (LOSES_GAP, *REFUSED)])
def test_the_folder_and_what_is_returned_are_minians(name: str, tmp_path: Path) -> None:
    """Every file, byte for byte; the array returned; what xarray reads. Nothing is left beside.

    Of what is stored otherwise than it is (bool as int8, dates as numbers) MiniAn returns the stored numbers, ours the
    values. After ``chunks=`` MiniAn's ``.zmetadata`` is of the grid before; ours says what ``.zarray`` says.
    """
    case = CASES[name]
    theirs, ours, by_them, by_us = save_both(case.make(), tmp_path, **case.options)
    before, after = files(theirs / "X.zarr"), files(ours / "X.zarr")
    assert untrue_metadata(after) == []
    if case.is_rechunked:
        before.pop(".zmetadata"), after.pop(".zmetadata")
    assert after == before
    assert [path.name for path in ours.parent.iterdir()] == ["minian"]
    assert [path.name for path in ours.iterdir()] == ["X.zarr"]
    xr.testing.assert_identical(opened(theirs), opened(ours))
    assert by_us.chunks == by_them.chunks
    assert (by_them.dtype == by_us.dtype) is not case.raw
    xr.testing.assert_identical(by_us.compute(), opened(theirs)["X"] if case.raw else by_them.compute())


@pytest.mark.parametrize("name", REFUSED)
def test_chunks_that_minian_cannot_are_what_it_does_with_them_written_out(name: str, tmp_path: Path) -> None:
    """MiniAn wants a size for each dim, none beyond the array, and stops half-way; ours takes them as dask does."""
    case = CASES[name]
    with pytest.raises((KeyError, ValueError)):
        quietly(utilities.save_minian, case.make(), str(tmp_path / "theirs"), **case.options)
    ours = save_minian(case.make(), tmp_path / "ours", **case.options)
    written_out = {dim: sizes[0] for dim, sizes in ours.chunksizes.items()}
    quietly(utilities.save_minian, case.make(), str(tmp_path / "theirs"), overwrite=True, chunks=written_out)
    assert written_out == {"unit_id": UNITS if "beyond" in name else 1, "frame": 16}
    assert differences(files(tmp_path / "theirs/X.zarr"), files(tmp_path / "ours/X.zarr"), rechunked=True) == []


def test_a_gap_in_scaled_integers_survives_chunks_where_minians_is_lost(tmp_path: Path) -> None:
    """MiniAn's rechunking drops the fill value, and -1 is then read as -0.5; ours keeps it. Nothing else differs but
    what lies beyond the edge, in the last chunk, which zarr fills with the fill value.
    """
    case = CASES[LOSES_GAP]
    options = {"chunks": {"unit_id": -1, "frame": 16}}
    theirs, ours, _, by_us = save_both(case.make(), tmp_path, **options)
    found = differences(files(theirs / "X.zarr"), files(ours / "X.zarr"), rechunked=True)
    assert found == ["X/.zarray differs", "X/0.3 differs"]
    documents = [json.loads((dataset / "X.zarr/X/.zarray").read_text()) for dataset in (theirs, ours)]
    assert [document.pop("fill_value") for document in documents] == [None, -1]
    assert documents[0] == documents[1]
    truth = case.make().values
    wrong = np.where(np.isnan(truth), -0.5, truth)
    np.testing.assert_array_equal(opened(theirs)["X"].values, wrong)
    for kept in (opened(ours)["X"].values, by_us.values):
        np.testing.assert_array_equal(kept, truth)


def test_a_gap_in_scaled_integers_without_chunks(tmp_path: Path) -> None:
    """Without ``chunks=`` there is no difference; MiniAn returns the integers, ours the values."""
    case = CASES[LOSES_GAP]
    theirs, ours, by_them, by_us = save_both(case.make(), tmp_path)
    assert files(theirs) == files(ours)
    assert by_them.dtype == np.dtype("i2")
    xr.testing.assert_identical(opened(theirs), opened(ours))
    np.testing.assert_array_equal(by_us.values, case.make().values)


@pytest.mark.parametrize("name", list(PIPELINE))
@pytest.mark.parametrize("by", ["MiniAn", "minian_vc"])
def test_what_a_save_returned_is_saved_again_as_minian_does(name: str, by: str, tmp_path: Path) -> None:
    """The notebook renames and saves what it got from the save before; encodings are passed on."""
    case = CASES[name]
    _, _, by_them, by_us = save_both(case.make(), tmp_path, **case.options)
    again = (by_them if by == "MiniAn" else by_us).rename("Z")
    theirs, ours, by_them, by_us = save_both(again, tmp_path)
    assert files(theirs / "Z.zarr") == files(ours / "Z.zarr")
    xr.testing.assert_identical(by_us.compute(), by_them.compute())


@pytest.mark.parametrize("name", [name for name in ODD if name not in (*REFUSED, "object text units")])
def test_what_xarray_read_is_saved_again_as_minian_does(name: str, tmp_path: Path) -> None:
    """Encodings of every kind, as a file hands them on: codecs, filters, dtypes, units of time, scales.

    Text of object type is left out: xarray hands its filter on and adds it again, and MiniAn's save fails.
    """
    case = CASES[name]
    _, ours, *_ = save_both(case.make(), tmp_path, **case.options)
    again = quietly(xr.open_zarr, str(ours / "X.zarr"), consolidated=False)["X"].rename("Z")
    theirs, ours, *_ = save_both(again, tmp_path)
    assert files(theirs / "Z.zarr") == files(ours / "Z.zarr")


@pytest.mark.parametrize("stage", [STAGES[0], STAGES[5]])
def test_the_arrays_of_a_real_run_are_saved_as_minian_does(stage: str, stages: Path, tmp_path: Path) -> None:
    """Every array of a stage, as xarray opens it, with levels and with chunks."""
    for folder in sorted((stages / stage / INTERMEDIATE).glob("*.zarr")):
        array = quietly(xr.open_zarr, str(folder), consolidated=False)[folder.stem]
        grid = {dim: max(1, size // 2) for dim, size in array.sizes.items()}
        for options in ({"meta_dict": LEVELS}, {"chunks": grid}):
            theirs, ours, *_ = save_both(array, tmp_path, **options)
            before, after = files(theirs / folder.name), files(ours / folder.name)
            if "chunks" in options:
                before.pop(".zmetadata"), after.pop(".zmetadata")
            assert before == after, (folder.name, options)


def test_open_minian_opens_what_was_saved(tmp_path: Path) -> None:
    """A whole dataset of ours in MiniAn's hands: every array, its values and coordinates."""
    dataset = tmp_path / DATASET
    saved = {
        name: save_minian(traces().rename(name) * factor, dataset, LEVELS, overwrite=True)
        for factor, name in enumerate(("C", "S", "YrA"), start=1)
    }
    saved["C_chk"] = save_minian(traces().rename("C_chk"), dataset, LEVELS, chunks={"unit_id": -1, "frame": 16})
    together = quietly(utilities.open_minian, str(dataset))
    assert set(together.data_vars) == set(saved)
    for name, array in saved.items():
        xr.testing.assert_identical(together[name].compute(), array.compute())


def test_compute_false_returns_a_delayed_that_saves_the_same(tmp_path: Path) -> None:
    """MiniAn's returns a dask delayed as well; computed, both leave one folder."""
    theirs, ours = tmp_path / "theirs" / DATASET, tmp_path / "ours" / DATASET
    quietly(utilities.save_minian, traces(), str(theirs), compute=False).compute()
    assert save_minian(traces(), ours, compute=False).compute() == str(ours / "X.zarr")
    assert files(theirs) == files(ours)
