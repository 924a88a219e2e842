"""What holds for every export: checked first, identity inside, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from conftest import INTERMEDIATE, tree

import minian_vc as mvc
from minian_vc import durable
from minian_vc.errors import (
    AlreadyExistsError,
    ConflictError,
    EnvironmentUnfitError,
    InvalidInputError,
    MinianVCError,
    NotFoundError,
    StorageError,
)
from minian_vc.export import netcdf
from minian_vc.export.bundle import KEY
from minian_vc.export.formats import Format

pytestmark = pytest.mark.filterwarnings("ignore::minian_vc.LeftOutWarning", "ignore:Left out:UserWarning")
LATER = "@stage-05-second-temporal"
FIRST = "@stage-02-first-temporal"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of the user's own."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def identity(path: Path) -> dict:
    """What a netCDF file says of itself."""
    with xr.open_dataset(path) as opened:
        return json.loads(opened.attrs[KEY])


def test_it_says_who_it_is(history: mvc.Dataset, out: Path) -> None:
    """The checkpoint, its tag, session, animal, unit ids, chunk specs and provenance, and nothing of the export."""
    checkpoint = history.show("stage-02-first-temporal")
    history.export("A" + FIRST, "C" + FIRST, format="netcdf", out=out / "a.nc")
    said = identity(out / "a.nc")
    assert said["checkpoint"] == checkpoint.id
    assert said["tags"] == ["stage-02-first-temporal"]
    assert (said["animal"], said["session"], said["dataset"]) == ("mouse1", "session1", INTERMEDIATE)
    assert said["message"] == "stage-02-first-temporal"
    assert said["provenance"] == checkpoint.provenance
    assert set(said["arrays"]) == {"A", "C"}
    array = checkpoint.array("C")
    assert said["arrays"]["C"] == {
        "manifest": array.manifest,
        "dims": ["unit_id", "frame"],
        "shape": list(array.shape),
        "dtype": "float64",
        "chunks": dict(array.chunks),
        "unit_ids": list(array.unit_ids),
    }
    with xr.open_dataset(out / "a.nc") as opened:
        assert opened.attrs["checkpoint"] == checkpoint.id
        assert opened.attrs["tag"] == "stage-02-first-temporal"
        assert (opened.attrs["animal"], opened.attrs["session"]) == ("mouse1", "session1")


def test_arrays_go_out_on_their_common_units(history: mvc.Dataset, out: Path) -> None:
    """A still has a unit that C dropped: it is left out, and said."""
    with pytest.warns(mvc.LeftOutWarning, match="A without 0"):
        done = history.export("A" + LATER, "C" + LATER, format="netcdf", out=out / "a.nc")
    assert done.left_out == {"A": [0]}
    assert done.arrays == ("A", "C")
    with xr.open_dataset(out / "a.nc") as opened:
        ids = list(history.show("latest").array("C").unit_ids)
        assert sorted(opened.unit_id.values) == sorted(ids)
        whole = history["A" + LATER].sel(unit_id=opened.unit_id)
        np.testing.assert_array_equal(opened["A"], whole)


def test_a_whole_checkpoint_goes_out_as_it_resumes(history: mvc.Dataset, out: Path) -> None:
    """Without copies of earlier steps, and without what is from before the last merge."""
    with pytest.warns(UserWarning, match=r"copies of earlier steps: A_init, .*C_new.*Name them"):
        done = history.export(LATER, format="netcdf", out=out / "a.nc")
    resumed = {name for name in history.resume("latest") if name != "chk"}
    assert set(done.arrays) == resumed
    assert "A_init" not in done.arrays


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_arrays_of_two_numberings_are_refused(history: mvc.Dataset, out: Path) -> None:
    """One is from before the merge; nothing is written."""
    with pytest.raises(ConflictError, match="numbered the units anew"):
        history.export("A_init" + LATER, "C" + LATER, format="netcdf", out=out / "a.nc")
    assert tree(out) == {}


@pytest.mark.parametrize(
    ("specs", "options", "error", "says"),
    [
        ((), {}, InvalidInputError, "Nothing was named"),
        (("C" + FIRST, "A" + LATER), {}, InvalidInputError, "of one checkpoint"),
        ((FIRST, "A" + FIRST), {}, InvalidInputError, "of one checkpoint"),
        (("C@nothing",), {}, NotFoundError, "nothing"),
        (("Q" + FIRST,), {}, NotFoundError, "Q"),
        ((FIRST,), {"format": "netcfd"}, InvalidInputError, "no format"),
        ((FIRST,), {"wide": True}, InvalidInputError, r"no option 'wide'.*\n.*engine, compression"),
        ((FIRST,), {"compression": 10}, InvalidInputError, "level"),
        ((FIRST,), {"engine": "scipy"}, InvalidInputError, "engine"),
        ((FIRST,), {"out": "missing/a.nc"}, NotFoundError, "There is no folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    history: mvc.Dataset, out: Path, specs: tuple[str, ...], options: dict, error: type[Exception], says: str
) -> None:
    """Before anything is written."""
    options = {"format": "netcdf", "out": "a.nc", **options}
    options["out"] = out / options["out"]
    with pytest.raises(error, match=says):
        history.export(*specs, **options)
    assert tree(out) == {}


def test_what_is_there_is_replaced_only_when_forced(history: mvc.Dataset, out: Path) -> None:
    """And is as it was until the new one is whole."""
    history.export("C" + FIRST, format="netcdf", out=out / "a.nc")
    before = tree(out)
    with pytest.raises(AlreadyExistsError, match="--force"):
        history.export("C" + LATER, format="netcdf", out=out / "a.nc")
    assert tree(out) == before
    history.export("C" + LATER, format="netcdf", out=out / "a.nc", force=True)
    assert identity(out / "a.nc")["tags"] == ["stage-05-second-temporal"]
    assert list(tree(out)) == ["a.nc"]


def test_a_folder_or_link_is_not_replaced_by_a_file(history: mvc.Dataset, out: Path) -> None:
    """Not even when forced."""
    (out / "a.nc").mkdir()
    (out / "a.nc/precious").touch()
    (out / "b.nc").symlink_to(out / "a.nc/precious")
    before = tree(out)
    for name in ("a.nc", "b.nc"):
        with pytest.raises(AlreadyExistsError, match="file is to be written"):
            history.export("C" + FIRST, format="netcdf", out=out / name, force=True)
    assert tree(out) == before


@pytest.mark.parametrize("place", [f"{INTERMEDIATE}/a.nc", f"{INTERMEDIATE}/C.zarr/a.nc", ".minian_vc/a.nc"])
def test_nothing_is_written_into_a_dataset(history: mvc.Dataset, root: Path, place: str) -> None:
    """MiniAn would take it for an array."""
    before = tree(root)
    with pytest.raises(InvalidInputError, match="where nothing else may lie"):
        history.export("C" + FIRST, format="netcdf", out=root / place)
    assert tree(root) == before


def test_a_link_into_a_dataset_is_seen_through(history: mvc.Dataset, root: Path, out: Path) -> None:
    """The path does not show it."""
    (out / "link").symlink_to(root / INTERMEDIATE, target_is_directory=True)
    before = tree(root)
    with pytest.raises(InvalidInputError, match="where nothing else may lie"):
        history.export("C" + FIRST, format="netcdf", out=out / "link/a.nc")
    assert tree(root) == before


@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_what_came_to_lie_there_meanwhile_is_not_replaced(
    history: mvc.Dataset, out: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Somebody else's file or folder appeared at OUT while the export was written."""
    real = Format.write.fget

    def and_meanwhile(self: Format) -> Callable[..., None]:
        def write(bundle: object, path: Path, **options: object) -> None:
            real(self)(bundle, path, **options)
            (out / "x").mkdir() if form == "zarr" else (out / "x").write_text("mine")
            (out / "x/mine").touch() if form == "zarr" else None

        return write

    monkeypatch.setattr(Format, "write", property(and_meanwhile))
    monkeypatch.setattr(Format, "check_options", lambda *_: None)
    with pytest.raises(AlreadyExistsError):
        history.export("C" + FIRST, format=form, out=out / "x")
    assert tree(out) == ({"x/mine": b""} if form == "zarr" else {"x": b"mine"})


@pytest.mark.parametrize("form", ["zarr", "minian"])
def test_a_folder_with_something_of_the_users_is_not_replaced(history: mvc.Dataset, out: Path, form: str) -> None:
    """Not even when forced, though an export wrote the rest; without it, it is."""
    history.export(FIRST, format=form, out=out / "x")
    history.export(LATER, format=form, out=out / "x", force=True)
    for mine in ("notes.txt", "own.zarr/notes.txt"):
        (out / "x" / mine).parent.mkdir(exist_ok=True)
        (out / "x" / mine).write_text("mine")
        with pytest.raises((AlreadyExistsError, InvalidInputError), match=r"no export of minian_vc|is a dataset"):
            history.export(FIRST, format=form, out=out / "x", force=True)
        assert (out / "x" / mine).read_text() == "mine"
        (out / "x" / mine).unlink()


def test_a_group_is_not_called_as_an_array_is(history: mvc.Dataset, root: Path) -> None:
    """MiniAn, and we, would take the folder above for a dataset."""
    with pytest.raises(InvalidInputError, match="MiniAn's name for C's folder"):
        history.export("C" + FIRST, format="zarr", out=root / "C.zarr")
    assert not (root / "C.zarr").exists()


def test_a_sidecar_stays_with_its_file(history: mvc.Dataset, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file cannot be replaced, as when another program has it open: both are as they were."""
    history.export("C" + FIRST, format="csv", out=out / "C.csv")
    before = tree(out)
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target.name == "C.csv":
            raise PermissionError(errno.EACCES, "It is open elsewhere", str(target))
        return real(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StorageError, match="open elsewhere"):
        history.export("C" + LATER, format="csv", out=out / "C.csv", force=True)
    assert tree(out) == before
    monkeypatch.undo()
    (out / "D.csv.json").mkdir()
    with pytest.raises(AlreadyExistsError, match="is a folder"):
        history.export("C" + LATER, format="csv", out=out / "D.csv", force=True)


def test_an_arrays_attributes_stay_its_own(root: Path, out: Path) -> None:
    """They are neither the file's nor in the way of its identity, whatever they are called and hold."""
    odd = {"tag": "draft", "session": "s99", "left_out": "no", "a": True, "b": None, "c": {"d": [1]}, "e": [0, 10]}
    array = xr.DataArray(np.ones((2, 3)), dims=("unit_id", "frame"), coords={"unit_id": [1, 2]}, name="C", attrs=odd)
    mvc.save_minian(array, root / "m/minian")
    dataset = mvc.open(root / "m/minian")
    dataset.commit("odd")
    done = dataset.export("C@latest", format="netcdf", out=out / "a.nc")
    assert done.left_out == {}
    with xr.open_dataset(out / "a.nc") as opened:
        assert set(opened.attrs) == {KEY, "checkpoint"}
        assert opened["C"].attrs["tag"] == "draft"
        assert list(opened["C"].attrs["e"]) == [0, 10]
        assert json.loads(opened["C"].attrs["c"]) == {"d": [1]}


def test_what_is_to_be_public_goes_out_without_provenance(history: mvc.Dataset, out: Path) -> None:
    """No author, host, folder or code; all else."""
    history.export("C" + FIRST, format="netcdf", out=out / "a.nc", provenance=False)
    said = identity(out / "a.nc")
    assert {"author", "provenance"}.isdisjoint(said)
    assert said["checkpoint"] == history.show("stage-02-first-temporal").id
    whole = (out / "a.nc").read_bytes()
    folder = history.show("stage-02-first-temporal").provenance["environment"]["folder"]
    assert folder.encode() not in whole


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_failed_export_leaves_nothing(
    history: mvc.Dataset, out: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """What an earlier one wrote is as it was."""
    history.export("C" + FIRST, format="netcdf", out=out / "a.nc")
    before = tree(out)

    def fail(bundle: object, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(netcdf, "write", fail)
    with pytest.raises(StorageError, match="disk is full"):
        history.export("C" + FIRST, format="netcdf", out=out / "a.nc", force=True)
    assert tree(out) == before


def test_a_library_that_hides_a_full_disk_is_seen_through(
    history: mvc.Dataset, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 raises a RuntimeError; the disk says why."""

    def fail(bundle: object, path: Path, **options: object) -> None:
        monkeypatch.setattr(durable, "free_bytes", lambda _: 0)
        raise RuntimeError("NetCDF: HDF error")

    monkeypatch.setattr(netcdf, "write", fail)
    with pytest.raises(StorageError, match="disk is full"):
        history.export("C" + FIRST, format="netcdf", out=out / "a.nc")
    monkeypatch.undo()
    assert tree(out) == {}


def test_an_error_of_the_library_comes_through(
    history: mvc.Dataset, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With room on the disk it is what it is."""

    def fail(bundle: object, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("NetCDF: HDF error")

    monkeypatch.setattr(netcdf, "write", fail)
    with pytest.raises(RuntimeError, match="HDF error"):
        history.export("C" + FIRST, format="netcdf", out=out / "a.nc")
    assert tree(out) == {}


def test_an_array_without_its_bytes_is_left_out_or_refused(history: mvc.Dataset, root: Path, out: Path) -> None:
    """Named it is refused; of a whole checkpoint it is left out, and said."""
    config = root / ".minian_vc/config.json"
    document = json.loads(config.read_text())
    config.write_text(json.dumps({**document, "record_without_bytes": ["b"]}))
    dataset = mvc.open(root / INTERMEDIATE)
    mvc.save_minian(dataset["b@latest"] * 2, root / INTERMEDIATE, overwrite=True)
    dataset.commit("without b", tag="bare")
    with pytest.raises(NotFoundError, match="without its bytes"):
        dataset.export("b@bare", format="netcdf", out=out / "a.nc")
    with pytest.warns(UserWarning, match="Left out.*: b"):
        done = dataset.export("@bare", format="netcdf", out=out / "a.nc")
    assert "b" not in done.arrays


def test_a_missing_package_is_named_with_its_extra(
    history: mvc.Dataset, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And how to get it."""
    monkeypatch.setattr(netcdf.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentUnfitError, match=r'pip install "minian_vc\[netcdf\]"'):
        history.export("C" + FIRST, format="netcdf", out=out / "a.nc")
    assert tree(out) == {}


def test_every_error_is_the_users(history: mvc.Dataset, out: Path) -> None:
    """A path that cannot be: no raw error of the system."""
    with pytest.raises((MinianVCError, OSError)):
        history.export("C" + FIRST, format="netcdf", out=out / ("a" * 300 + ".nc"))
    assert tree(out) == {}
