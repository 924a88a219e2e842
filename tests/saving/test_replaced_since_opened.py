"""A lazy array whose folder was saved again since: an error, never the other version's values or NaN."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import put_stage, tree

import minian_vc as mvc
from minian_vc import durable, save_minian
from minian_vc.errors import BusyError
from minian_vc.swap import put_in_place

pytestmark = pytest.mark.filterwarnings("ignore::minian_vc.LeftOutWarning", "ignore:.*:UserWarning")


@pytest.fixture
def dataset(stages: Path, tmp_path: Path) -> Path:
    """A run after the first temporal update."""
    return put_stage(stages, "stage-02-first-temporal", tmp_path)


OPENED: dict[str, Callable[[Path], xr.DataArray]] = {
    "open_minian": lambda folder: mvc.open_minian(folder)["C"],
    "open_minian, dict": lambda folder: mvc.open_minian(folder, return_dict=True)["C"],
    "check": lambda folder: mvc.check(folder).load(["C"])["C"],
    "save_minian": lambda folder: save_minian(
        mvc.open_minian(folder, return_dict=True)["C"] * 1, folder, overwrite=True
    ),
}


@pytest.fixture(params=OPENED.values(), ids=OPENED)
def opened(request: pytest.FixtureRequest, dataset: Path) -> xr.DataArray:
    """C, lazy, in each way that there is."""
    return request.param(dataset)


def test_it_cannot_be_computed_any_more(opened: xr.DataArray, dataset: Path) -> None:
    """Fewer units were saved in its place: two thirds of it would be NaN."""
    save_minian(opened.isel(unit_id=slice(3)), dataset, overwrite=True)
    with pytest.raises(BusyError, match="was replaced since it was opened"):
        opened.compute()
    with pytest.raises(BusyError):
        pickle.loads(pickle.dumps(opened)).compute()  # noqa: S301 (our own bytes), as a worker would


def test_a_save_overtaken_by_another_was_a_save_all_the_same(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may replace the array as soon as it is in place."""
    first, second = (mvc.open_minian(dataset, return_dict=True)["C"].compute() * by for by in (2, 3))

    def overtaken(*arguments: Path, **options: bool) -> None:
        monkeypatch.undo()
        put_in_place(*arguments, **options)
        save_minian(second, dataset, overwrite=True)

    monkeypatch.setattr("minian_vc.verbs.save.put_in_place", overtaken)
    saved = save_minian(first, dataset, overwrite=True)
    assert saved.dims == first.dims
    with pytest.raises(BusyError):
        saved.compute()
    np.testing.assert_array_equal(mvc.open_minian(dataset, return_dict=True)["C"], second)


def test_it_cannot_be_saved_over_what_replaced_it(opened: xr.DataArray, dataset: Path) -> None:
    """The version that is there stays."""
    save_minian(opened.isel(unit_id=slice(3)), dataset, overwrite=True)
    before = tree(dataset)
    with pytest.raises(BusyError):
        save_minian(opened, dataset, overwrite=True)
    assert tree(dataset) == before


def test_other_values_in_equal_chunks_are_not_taken_for_its_own(opened: xr.DataArray, dataset: Path) -> None:
    """The grid is the same, and every chunk is there."""
    save_minian(opened * 2, dataset, overwrite=True)
    with pytest.raises(BusyError):
        opened.compute()


def test_a_chunk_that_never_was_there_still_reads_as_the_fill_value(dataset: Path) -> None:
    """That is another thing, which check tells."""
    (dataset / "C.zarr/C/0.0").unlink()
    array = mvc.open_minian(dataset, return_dict=True)["C"]
    assert np.isnan(array.isel(unit_id=0).values).all()
    assert not np.isnan(array.isel(unit_id=1).values).any()


def test_other_arrays_may_be_saved_meanwhile(opened: xr.DataArray, dataset: Path) -> None:
    """Only its own folder counts; and it may be computed as often as one likes."""
    values = opened.values
    save_minian(opened.rename("D"), dataset)
    np.testing.assert_array_equal(opened.values, values)


@pytest.mark.parametrize("where", ["", "C", "unit_id"], ids=["the folder", "its chunks", "a coordinate"])
def test_a_file_browser_may_look_at_it(where: str, opened: xr.DataArray, dataset: Path) -> None:
    """What it leaves in a folder is nobody's chunk; here and on workers."""
    expected = xr.DataArray(opened.compute())
    (dataset / "C.zarr" / where / ".DS_Store").write_bytes(b"Finder")
    np.testing.assert_array_equal(opened.values, expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(opened)).values, expected)  # noqa: S301 (our own bytes)


def replaced_by_rename(chunk: Path) -> None:
    """Write a chunk as zarr 2 does: under another name, then renamed."""
    content, new = chunk.read_bytes(), chunk.with_name("0.0.partial")
    new.write_bytes(content)
    new.replace(chunk)


def put_back_by_copying(chunk: Path) -> None:
    """Replace a chunk by one that is as old as it."""
    copy = chunk.with_name("copy")
    shutil.copy2(chunk, copy)
    copy.replace(chunk)


def saved_by_removing(chunk: Path) -> None:
    """Save as MiniAn does: the folder is removed, then written; its number may be used again."""
    content = tree(chunk.parent)
    shutil.rmtree(chunk.parent)
    chunk.parent.mkdir()
    for key, each in content.items():
        (chunk.parent / key).write_bytes(each)


WAYS = [replaced_by_rename, put_back_by_copying, saved_by_removing, Path.unlink]


@pytest.mark.parametrize("change", WAYS, ids=lambda change: change.__name__)
def test_a_chunk_that_was_written_anew_is_not_taken_for_its_own(
    change: Callable[[Path], None], opened: xr.DataArray, dataset: Path
) -> None:
    """In the same folder, and beside what a file browser left."""
    (dataset / "C.zarr/C/.DS_Store").write_bytes(b"Finder")
    opened.compute()
    newest = max(path.stat().st_ctime_ns for path in (dataset / "C.zarr/C").iterdir())
    while durable.file_system_now(dataset.parent) <= newest:
        pass  # its clock ticks: nobody writes a chunk anew in the moment in which it was written
    change(dataset / "C.zarr/C/0.0")
    with pytest.raises(BusyError):
        opened.isel(unit_id=slice(1)).compute()
