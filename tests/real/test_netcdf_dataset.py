"""A netCDF file, as MiniAn's users have them, is a dataset: its variables are recorded as arrays."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import put_stage, tree

import minian_vc as mvc
from minian_vc.arrays import netcdf_mirror
from minian_vc.errors import BusyError, ConflictError, EnvironmentUnfitError, InvalidInputError, UnreadableError

pytestmark = pytest.mark.filterwarnings("ignore::minian_vc.LeftOutWarning", "ignore:Left out:UserWarning")


@pytest.fixture
def two(stages: Path, tmp_path: Path) -> list[xr.Dataset]:
    """What a user has in memory after each iteration."""
    found = []
    for stage in ("stage-02-first-temporal", "stage-05-second-temporal"):
        folder = put_stage(stages, stage, tmp_path / stage)
        found.append(mvc.check(folder).load(["A", "C", "S", "b", "f"]).load())
    return found


@pytest.fixture
def file(root: Path, two: list[xr.Dataset]) -> Path:
    """The first of them, saved by the user's own to_netcdf."""
    path = root / "mouse1/session1/minian.nc"
    path.parent.mkdir(parents=True)
    two[0].to_netcdf(path)
    return path


def test_it_is_recorded_and_opened(file: Path, two: list[xr.Dataset]) -> None:
    """Both versions, equal to what the user had; nothing beside the file."""
    dataset = mvc.open(file)
    dataset.commit("first", tag="one")
    two[1].to_netcdf(file)
    dataset.commit("second", tag="two")
    for tag, saved in zip(("one", "two"), two, strict=True):
        opened = dataset.open(tag)
        xr.testing.assert_equal(opened.drop_attrs(), saved.drop_attrs())
        assert {name: each.dtype for name, each in opened.items()} == {n: e.dtype for n, e in saved.items()}
    assert list(dataset.log()["tags"].map(list)) == [["two"], ["one"]]
    assert dataset["C@one"].dims == ("unit_id", "frame")
    assert [each.name for each in file.parent.iterdir()] == ["minian.nc"]


def test_what_did_not_change_is_not_recorded_again(file: Path, two: list[xr.Dataset]) -> None:
    """A file saved again with the same values is the same version."""
    dataset = mvc.open(file)
    first = dataset.commit("first")
    assert dataset.commit("again") == first
    two[0].to_netcdf(file)
    assert dataset.commit("again") == first
    assert {state.state for state in dataset.status()} == {"unchanged"}
    two[0].assign(C=two[0]["C"] + 1).to_netcdf(file)
    assert {each.name for each in dataset.status() if each.state == "modified"} == {"C"}
    assert {each.name for each in dataset.diff("latest") if each.state == "modified"} == {"C"}


def test_a_removed_mirror_loses_nothing(file: Path) -> None:
    """It is a cache."""
    dataset = mvc.open(file)
    first = dataset.commit("first", tag="one")
    shutil.rmtree(dataset.repository.folder / "netcdf")
    assert dataset.commit("again") == first
    assert dataset["C@one"].load().notnull().all()


@pytest.mark.parametrize("note", [b"", b"[", b"null"])
def test_a_torn_note_is_none(file: Path, note: bytes) -> None:
    """The mirror is made anew."""
    dataset = mvc.open(file)
    first = dataset.commit("first")
    os.utime(file, (1, 1))  # long ago: what is noted counts
    dataset.status()
    (found,) = (dataset.repository.folder / "netcdf").glob("*/source.json")
    found.write_bytes(note)
    shutil.rmtree(found.parent / "arrays/C.zarr")
    assert dataset.commit("again") == first
    assert (found.parent / "arrays/C.zarr").is_dir()


def test_its_chunk_spec_is_the_files(file: Path, two: list[xr.Dataset]) -> None:
    """And a variable in one piece is cut into chunks that fit in memory."""
    two[0].to_netcdf(file, engine="netcdf4", encoding={"A": {"chunksizes": (1, 64, 32)}})
    array = mvc.open(file).commit("first").array("A")
    assert dict(array.chunks) == {"unit_id": 1, "height": 64, "width": 32}


def test_a_large_variable_in_one_piece_is_cut(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No chunk is larger than the limit."""
    monkeypatch.setattr(netcdf_mirror, "CHUNK", "64KiB")
    movie = np.arange(100 * 50 * 50, dtype="float64").reshape(100, 50, 50)
    xr.Dataset({"Y": (("frame", "height", "width"), movie)}).to_netcdf(root / "movie.nc")
    dataset = mvc.open(root / "movie.nc")
    array = dataset.commit("movie").array("Y")
    assert 8 * np.prod(list(array.chunks.values())) <= 64 << 10
    np.testing.assert_array_equal(dataset["Y@latest"], movie)


def test_it_is_restored_into_a_folder_only(file: Path, two: list[xr.Dataset], tmp_path: Path) -> None:
    """The file is left alone; the folder is one that MiniAn opens."""
    dataset = mvc.open(file)
    dataset.commit("first", tag="one")
    before = file.read_bytes()
    with pytest.raises(InvalidInputError, match="not restored into it"):
        dataset.restore("C@one")
    dataset.restore("@one", to=tmp_path / "back")
    assert file.read_bytes() == before
    report = mvc.check(tmp_path / "back")
    assert report.grade == "aligned"
    xr.testing.assert_equal(report.load().drop_attrs(), two[0].drop_attrs())


def test_an_export_is_a_dataset_again(file: Path, root: Path, two: list[xr.Dataset]) -> None:
    """Out and in again: the same array versions."""
    dataset = mvc.open(file)
    dataset.commit("first", tag="one")
    dataset.export("@one", format="netcdf", out=root / "out.nc")
    again = mvc.open(root / "out.nc").commit("back")
    for array in again.arrays:
        np.testing.assert_array_equal(dataset[f"{array.name}@one"], two[0][array.name])
        assert array.unit_ids == dataset.show("one").array(array.name).unit_ids


def test_an_export_replaces_it_only_when_it_is_recorded(file: Path, two: list[xr.Dataset]) -> None:
    """What is in the file and not in the history would be lost."""
    dataset = mvc.open(file)
    dataset.commit("first", tag="one")
    two[1].to_netcdf(file)
    before = file.read_bytes()
    with pytest.raises(ConflictError, match="A, C, S, b, f in it are not recorded"):
        dataset.export("@one", format="netcdf", out=file, force=True)
    assert file.read_bytes() == before
    dataset.commit("second", tag="two")
    dataset.export("@one", format="netcdf", out=file, force=True)
    with xr.open_dataset(file) as opened:
        xr.testing.assert_equal(opened.drop_attrs(), two[0].drop_attrs())
    assert {state.state for state in dataset.status()} <= {"unchanged", "modified"}


def test_a_file_that_is_gone_does_not_come_back_as_a_folder(file: Path) -> None:
    """restore says how to write it anew."""
    dataset = mvc.open(file)
    dataset.commit("first", tag="one")
    file.unlink()
    with pytest.raises(InvalidInputError, match="not restored into it"):
        dataset.restore("@one")
    assert not file.exists()
    dataset.export("@one", format="netcdf", out=file)
    assert mvc.open(file).status()


def test_a_file_that_is_still_written_is_not_recorded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It changed while it was read: nothing is recorded, and nothing stays."""
    real = netcdf_mirror._lay_out

    def changing(source: Path, staged: Path) -> None:
        real(source, staged)
        with source.open("ab") as growing:
            growing.write(b"more")

    monkeypatch.setattr(netcdf_mirror, "_lay_out", changing)
    dataset = mvc.open(file)
    with pytest.raises(BusyError, match="changed while it was read"):
        dataset.commit("first")
    assert dataset.latest is None
    assert tree(dataset.repository.folder / "staging") == {}


def test_other_files_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No netCDF, a torn one, and a missing package."""
    dataset = mvc.open(file)
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    with pytest.raises(UnreadableError, match="cannot be opened as netCDF"):
        dataset.commit("torn")
    file.write_text("frame,unit\n")
    with pytest.raises(InvalidInputError, match="or a netCDF file"):
        mvc.open(file)
    file.write_bytes(whole)
    monkeypatch.setattr(netcdf_mirror.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentUnfitError, match=r"minian_vc\[netcdf\]"):
        dataset.commit("no package")
