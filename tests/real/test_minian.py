"""With the real MiniAn: what it saves is recorded, and what is restored it opens."""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import INTERMEDIATE, tree
from originals import assert_same, original

import minian_vc as mvc
from minian_vc.errors import BusyError

pytest.importorskip("minian", reason="MiniAn is not installed: it has an environment of its own")

STAGE = "stage-02-first-temporal"
META = {"session": -1, "animal": -2}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """MiniAn and what it imports warn a lot; those warnings are theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


with quiet():
    from minian import utilities


def open_minian(folder: Path) -> dict[str, xr.DataArray]:
    """Open a folder with the real open_minian, each array as saved."""
    with quiet():
        return utilities.open_minian(str(folder), return_dict=True)


def save_minian(array: xr.DataArray, folder: Path, **options: object) -> None:
    """Save an array with the real save_minian, over what is there."""
    with quiet():
        utilities.save_minian(array, str(folder), overwrite=True, **options)


def test_a_whole_restored_folder_opens_in_minian(history: mvc.Dataset, stages: Path) -> None:
    """Every stage, restored in place, is opened by open_minian with the values of that time."""
    for stage in (STAGE, "stage-00-init"):
        history.restore(f"@{stage}")
        opened = open_minian(history.path)
        truth = open_minian(stages / stage / INTERMEDIATE)
        assert opened.keys() == truth.keys()
        for name, array in truth.items():
            assert_same(opened[name], array)


def test_a_folder_restored_elsewhere_opens_in_minian(history: mvc.Dataset, stages: Path, tmp_path: Path) -> None:
    """``to=`` writes a folder that open_minian takes for a dataset, merged too."""
    history.restore("C@stage-05-second-temporal", "S@stage-05-second-temporal", to=tmp_path / "old")
    with quiet():
        opened = utilities.open_minian(str(tmp_path / "old"))
    folder = stages / "stage-05-second-temporal" / INTERMEDIATE
    assert set(opened.data_vars) == {"C", "S"}
    assert_same(opened["C"], original(folder / "C.zarr"))
    assert_same(opened["S"], original(folder / "S.zarr"))


def test_a_single_restored_array_opens_in_minian(history: mvc.Dataset, stages: Path) -> None:
    """One array goes back, the others stay, and open_minian reads them all."""
    history.restore(f"C@{STAGE}")
    opened = open_minian(history.path)
    assert_same(opened["C"], original(stages / STAGE / INTERMEDIATE / "C.zarr"))
    assert_same(opened["S"], original(stages / "stage-05-second-temporal" / INTERMEDIATE / "S.zarr"))


@pytest.mark.parametrize("name", ["C", "A", "YrA", "max_res"])
def test_a_renamed_version_opens_in_minian_under_that_name(history: mvc.Dataset, stages: Path, name: str) -> None:
    """``as_="C_first_iteration"`` gives MiniAn an array of that name beside today's."""
    renamed = f"{name}_first_iteration"
    history.restore(f"{name}@{STAGE}", as_=renamed)
    truth = original(stages / STAGE / INTERMEDIATE / f"{name}.zarr")
    opened = open_minian(history.path)
    assert opened[renamed].name == renamed
    assert_same(opened[renamed], truth)
    assert_same(opened[name], original(history.path / f"{name}.zarr"))
    with quiet():
        consolidated = xr.open_zarr(history.path / f"{renamed}.zarr", consolidated=True)
    assert list(consolidated.data_vars) == [renamed]
    assert_same(consolidated[renamed], truth)


def test_a_renamed_rechunked_array_is_right_in_plain_xarray(dataset: mvc.Dataset) -> None:
    """After ``chunks=`` MiniAn's .zmetadata has the old grid; the renamed folder's is made anew and reads true."""
    C = original(dataset.path / "C.zarr").compute()
    save_minian(C.rename("C_chk").chunk({"unit_id": 1}), dataset.path, chunks={"unit_id": -1, "frame": 64})
    dataset.commit("rechunked", tag="rechunked")
    assert_same(dataset["C_chk@rechunked"], C.rename("C_chk"))
    assert dataset["C_chk@rechunked"].data.chunksize == (10, 64)
    dataset.restore("C_chk@rechunked", as_="C_old")
    with quiet():
        plain = xr.open_zarr(dataset.path / "C_old.zarr", consolidated=True)
    assert_same(plain["C_old"], C.rename("C_old"))


def test_a_real_overwrite_makes_a_new_version(dataset: mvc.Dataset) -> None:
    """save_minian(overwrite=True), then commit: the old values stay openable, and only C is new."""
    dataset.commit("first", tag="first")
    old = original(dataset.path / "C.zarr").compute()
    new = (old * 2).isel(unit_id=slice(0, 7))
    save_minian(new.chunk({"unit_id": 1, "frame": -1}), dataset.path, meta_dict=META)
    dataset.commit("second", tag="second")
    assert_same(dataset["C@first"], old)
    np.testing.assert_array_equal(dataset["C@second"].values, new.values)
    array = dataset.show("second").array("C")
    assert (array.animal, array.session) == ("mouse1", "session1")
    changed = [change.name for change in dataset.diff("first", "second") if change.state != "unchanged"]
    assert changed == ["C"]


def test_saving_an_array_onto_itself_is_undone_by_restore(dataset: mvc.Dataset) -> None:
    """What the notebook's last cell does when run twice (all NaN) costs nothing but a restore."""
    dataset.commit("first", tag="first")
    truth = original(dataset.path / "C.zarr").compute()
    save_minian(open_minian(dataset.path)["C"].isel(unit_id=slice(0, 7)), dataset.path)
    assert open_minian(dataset.path)["C"].isnull().all()
    dataset.restore("C@first")
    assert_same(open_minian(dataset.path)["C"], truth)


def test_a_commit_amid_a_real_rechunk_is_busy(dataset: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the rechunker's uuid folder is there, commit refuses and names the array; afterwards it records it."""
    dataset.commit("first", tag="first")
    before = len(dataset.history())
    seen: list[BusyError] = []
    listing: list[str] = []
    remove = os.remove

    def commit_then_remove(path: str, *rest: object, **options: object) -> None:
        if not seen and str(path).startswith(str(dataset.path / "C.zarr" / "C")):
            listing.extend(os.listdir(dataset.path))  # noqa: PTH208
            with pytest.raises(BusyError) as caught:
                dataset.commit("amid", wait=0)
            seen.append(caught.value)
        remove(path, *rest, **options)

    C = original(dataset.path / "C.zarr").compute() + 1
    with monkeypatch.context() as patch:
        patch.setattr(os, "remove", commit_then_remove)
        save_minian(C.chunk({"unit_id": 1}), dataset.path, chunks={"unit_id": -1, "frame": 64})
    assert any(len(name) == 36 for name in listing)  # the uuid folder was really there
    assert "C.zarr" in str(seen[0])
    assert len(dataset.history()) == before
    dataset.commit("after", tag="after")
    assert_same(dataset["C@after"], C)


def test_the_repository_never_appears_inside_a_dataset(dataset: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """At no rename, link or file made by us does open_minian's listing hold anything but arrays."""
    expected = {f"{name}.zarr" for name in open_minian(dataset.path)}
    listings: list[set[str]] = []
    for function in ("rename", "replace", "link", "unlink", "rmdir", "mkdir", "fsync"):
        real = getattr(os, function)

        def watching(*args: object, _real: object = real, **options: object) -> object:
            listings.append(set(os.listdir(dataset.path)))  # noqa: PTH208
            return _real(*args, **options)

        monkeypatch.setattr(os, function, watching)
    dataset.commit("first", tag="first")
    shutil.rmtree(dataset.path / "S.zarr" / "S")
    dataset.restore("C@first")
    dataset.restore("@first")
    assert len(listings) > 100
    assert set().union(*listings) == expected
    assert {f"{name}.zarr" for name in open_minian(dataset.path)} == expected
    assert not [name for name in tree(dataset.path) if "minian_vc" in name]
