"""Opening old versions straight from the object store: lazily, truthfully, and together only where that is safe."""

from __future__ import annotations

import contextlib
import json
import pickle
import shutil
import warnings
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from conftest import INTERMEDIATE, put_stage, tree
from originals import ZARR_3, assert_same, original, touched_long_ago, write_array

import minian_vc as mvc
from minian_vc.arrays.opening import LeftOutWarning
from minian_vc.errors import ConflictError, DamagedError, EnvironmentUnfitError, NotFoundError
from minian_vc.objects import ObjectStore

LAST = "stage-05-second-temporal"
FORMATS = [2, pytest.param(3, marks=pytest.mark.skipif(not ZARR_3, reason="zarr 2 reads format 2 only"))]


@pytest.fixture
def last(stages: Path, root: Path) -> mvc.Dataset:
    """Session 1 after the second temporal update, committed; A and YrA still have unit 0, C and S have not."""
    put_stage(stages, LAST, root)
    ds = mvc.open(root / INTERMEDIATE)
    ds.commit("done", tag="last")
    return ds


@pytest.fixture
def made(root: Path) -> mvc.Dataset:
    """A dataset without arrays, for arrays written by hand."""
    return mvc.open(root / "made" / "minian", create=True)


def data_objects(ds: mvc.Dataset, name: str, revision: str = "latest") -> dict[str, Path]:
    """Chunk key -> object file of an array's own data (coordinates left out)."""
    array = ds.show(revision).array(name)
    entries = ds.repository.stored_files(array.manifest).entries
    return {
        key: ds.repository.objects.path("chunks", entry.digest)
        for key, entry in entries.items()
        if key.startswith(f"{array.variable}/") and entry.inline is None
    }


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The digests of the chunk objects that are read from now on."""
    seen: list[str] = []
    read = ObjectStore.read

    def counting(self: ObjectStore, kind: str, digest: str, *more: object) -> bytes:
        if kind == "chunks":
            seen.append(digest)
        return read(self, kind, digest, *more)

    monkeypatch.setattr(ObjectStore, "read", counting)
    return seen


# -- lazy -----------------------------------------------------------------------------------------


def test_opening_reads_no_data_and_computing_reads_what_is_asked(last: mvc.Dataset, reads: list[str]) -> None:
    """Opening computes nothing; one unit's values cost one chunk object."""
    data = {f"blake3:{path.parent.name}{path.name}": key for key, path in data_objects(last, "C").items()}
    C = last["C@last"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LeftOutWarning)
        last.open("last", arrays=["A", "C"])
    assert not [digest for digest in reads if digest in data]
    C.isel(unit_id=2).compute()
    assert [data[digest] for digest in reads if digest in data] == ["C/2.0"]


def test_dask_chunks_are_the_stored_chunks(last: mvc.Dataset) -> None:
    """Each dask chunk is one chunk file: A by unit, C_chk by frames, YrA by unit."""
    for name in ("A", "C", "C_chk", "YrA", "b", "max_res"):
        stored = json.loads((last.path / f"{name}.zarr" / name / ".zarray").read_text())["chunks"]
        opened = last[f"{name}@last"]
        assert dask.is_dask_collection(opened)
        assert list(opened.data.chunksize) == stored


def test_the_opened_array_is_picklable(last: mvc.Dataset) -> None:
    """What is opened can be sent elsewhere, and gives the same values there."""
    C = last["C@last"]
    assert_same(pickle.loads(pickle.dumps(C)), original(last.path / "C.zarr"))  # noqa: S301 (our own bytes)


def test_worker_processes_compute_it(last: mvc.Dataset) -> None:
    """dask.distributed workers in other processes read the objects themselves."""
    distributed = pytest.importorskip("distributed")
    truth = original(last.path / "C.zarr").values
    C = last["C@last"].data
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(**options, silence_logs=50) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        np.testing.assert_array_equal(client.compute(C + 1).result(timeout=60), truth + 1)


def test_working_folder_does_not_matter(last: mvc.Dataset) -> None:
    """An old version is read from the objects: the folder may be overwritten or gone."""
    truth = original(last.path / "C.zarr").compute()
    C = last["C@last"]
    shutil.rmtree(last.path)
    assert_same(C, truth)
    assert_same(last["C@last"], truth)


# -- truthful -------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_both_zarr_formats_open(made: mvc.Dataset, zarr_format: int) -> None:
    """An array in zarr format 2 or 3 opens with its values, dims, coordinates and stored chunks."""
    values = np.arange(12, dtype="int16").reshape(3, 4)
    coords = {"unit_id": np.array([5, 7, 6]), "frame": np.arange(4) * 2}
    write_array(made.path, "C", values, ("unit_id", "frame"), chunks=(1, 3), coords=coords, zarr_format=zarr_format)
    made.commit("one", tag="one")
    C = made["C@one"]
    assert_same(C, xr.DataArray(values, coords, ("unit_id", "frame")))
    assert C.chunks == ((1, 1, 1), (3, 1))
    assert made.show().array("C").zarr_format == zarr_format
    assert made.show().array("C").unit_ids == (5, 7, 6)


@pytest.mark.skipif(ZARR_3, reason="zarr 3 reads both formats")
def test_zarr_2_says_that_it_cannot_open_format_3(made: mvc.Dataset) -> None:
    """A format 3 array is recorded and restored with zarr 2 too; opening it names what is missing."""
    write_array(made.path, "x", np.arange(4.0), ("frame",), zarr_format=3)
    before = tree(made.path)
    made.commit("one", tag="one")
    with pytest.raises(EnvironmentUnfitError, match="format 3"):
        made["x@one"]
    shutil.rmtree(made.path)
    made.restore("@one")
    assert tree(made.path) == before


def test_stale_consolidated_metadata_is_not_believed(stages: Path, root: Path) -> None:
    """Values come from ``.zarray``; a ``.zmetadata`` with another grid and fill value changes nothing."""
    folder = put_stage(stages, LAST, root)
    truth = original(folder / "C.zarr").compute()
    path = folder / "C.zarr" / ".zmetadata"
    document = json.loads(path.read_text())
    document["metadata"]["C/.zarray"].update(chunks=[2, 19], shape=[4, 50], fill_value=0, dtype="<f4")
    path.write_text(json.dumps(document))
    ds = mvc.open(folder)
    ds.commit("stale", tag="stale")
    assert_same(ds["C@stale"], truth)


def test_a_missing_chunk_is_told_and_reads_as_the_fill_value(stages: Path, root: Path) -> None:
    """commit warns of a chunk that is not there; it opens as NaN and the other units as they are."""
    folder = put_stage(stages, LAST, root)
    truth = original(folder / "C.zarr").compute()
    (folder / "C.zarr/C/3.0").unlink()
    touched_long_ago(folder)
    ds = mvc.open(folder)
    with pytest.warns(UserWarning, match="C lacks 1 chunk:"):
        ds.commit("a hole", tag="hole")
    assert ds.show().array("C").missing_chunks == 1
    truth[3] = np.nan
    assert_same(ds["C@hole"], truth)


def test_fill_values_are_masked_as_xarray_does(made: mvc.Dataset) -> None:
    """In format 2 the array's fill value marks missing values: integers become floats with NaN."""
    write_array(made.path, "x", np.array([1, -1, 3], "int32"), ("frame",), fill_value=-1)
    write_array(made.path, "y", np.array([1.0, 0.0]), ("height",), fill_value=0.0)
    made.commit("one")
    np.testing.assert_array_equal(made["x@latest"].values, [1, np.nan, 3])
    np.testing.assert_array_equal(made["y@latest"].values, [1, np.nan])


def xarray_writes_zarr() -> bool:
    """Tell whether xarray's own zarr functions work here (not with xarray 2026.9 and zarr 2.18)."""
    try:
        xr.Dataset().to_zarr({} if not ZARR_3 else None, mode="w")
    except TypeError:
        return False
    return True


@pytest.mark.skipif(not xarray_writes_zarr(), reason="xarray's own zarr functions are broken with this zarr")
@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize(
    ("values", "encoding"),
    [
        (np.array([1.5, np.nan, 3.0]), {"_FillValue": -999.0}),
        (np.array([1.5, np.nan, 3.0], "f4"), {}),
        (np.array([1.0, np.nan, 3.0]), {"_FillValue": -1, "dtype": "int16"}),
        (np.array([0.5, 1.0, 1.5]), {"scale_factor": 0.5, "add_offset": 0.25, "dtype": "int16", "_FillValue": 9}),
        (np.array([0, 1, 2], "uint8"), {}),
        (np.array([True, False, True]), {}),
        (np.array(["2026-01-01", "2026-01-02", "NaT"], "datetime64[ns]"), {}),
        (np.array([1, 2, 3], "int64"), {}),
    ],
    ids=["fill", "float32", "int-fill", "packed", "uint8", "bool", "dates", "int64"],
)
def test_decoding_equals_that_of_xarray(
    made: mvc.Dataset, zarr_format: int, values: np.ndarray, encoding: dict
) -> None:
    """Whatever encoding xarray wrote is decoded as xarray itself decodes it."""
    attributes = {"units": "au"} if values.dtype.kind == "f" else {}
    array = xr.DataArray(values, {"frame": [0, 1, 2], "session": "s1"}, "frame", "x", attributes)
    folder = made.path / "x.zarr"
    options = {"mode": "w", "consolidated": False, "zarr_format": zarr_format, "encoding": {"x": encoding}}
    with warnings.catch_warnings():  # text has no final format 3 specification yet
        warnings.simplefilter("ignore")
        array.to_dataset().to_zarr(folder, **options)
    made.commit("one")
    opened, truth = made["x@latest"], original(folder)
    assert_same(opened, truth)
    assert opened.attrs == truth.attrs


# -- together -------------------------------------------------------------------------------------


def test_together_on_the_common_units_in_one_order(last: mvc.Dataset) -> None:
    """A and YrA lose unit 0, C and S are put in ascending order; what was left out is said, nothing is padded."""
    truth = {name: original(last.path / f"{name}.zarr") for name in ("A", "C", "S", "YrA")}
    with pytest.warns(LeftOutWarning, match="A without 0") as told:
        opened = last.open("last", arrays=list(truth))
    assert len(told) == 1
    assert Path(told[0].filename) == Path(__file__)
    assert json.loads(opened.attrs["left_out"]) == {"A": [0], "YrA": [0]}
    assert opened.unit_id.values.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert set(opened.data_vars) == set(truth)
    for name, array in truth.items():
        assert dask.is_dask_collection(opened[name])
        expected = array.sel(unit_id=opened.unit_id.values)
        assert opened[name].dtype == array.dtype
        assert not opened[name].isnull().any()
        np.testing.assert_array_equal(opened[name].transpose(*array.dims).values, expected.values)


def test_arrays_of_the_same_units_keep_their_own_order(last: mvc.Dataset) -> None:
    """C and S have the same units in the same order: that order stays, and nothing is left out."""
    opened = last.open("last", arrays=["C", "S"])
    assert opened.unit_id.values.tolist() == [1, 2, 3, 4, 6, 5, 7, 8]
    assert "left_out" not in opened.attrs
    assert_same(opened["C"], original(last.path / "C.zarr"))


def test_attributes_can_be_written_to_netcdf(last: mvc.Dataset) -> None:
    """The attributes of the result are texts and numbers, as netCDF wants them."""
    with pytest.warns(LeftOutWarning):
        opened = last.open("last", arrays=["A", "C"])
    for attributes in (opened.attrs, *(variable.attrs for variable in opened.variables.values())):
        assert all(isinstance(value, (str, int, float)) for value in attributes.values())


def test_return_dict_gives_each_as_saved(last: mvc.Dataset) -> None:
    """``return_dict=True`` changes nothing: other units and orders stay, and no warning comes."""
    opened = last.open("last", arrays=["A", "C"], return_dict=True)
    assert list(opened) == ["A", "C"]
    for name, array in opened.items():
        assert_same(array, original(last.path / f"{name}.zarr"))


def frames(count: int, start: int = 0) -> dict[str, np.ndarray]:
    return {"unit_id": np.array([0, 1]), "frame": np.arange(start, start + count)}


def conflict(made: mvc.Dataset, warned: str | None = None) -> ConflictError:
    """Commit what lies in the folder, warned or not, and return the error of opening it together."""
    with pytest.warns(UserWarning, match=warned) if warned else contextlib.nullcontext():
        made.commit("one")
    with pytest.raises(ConflictError) as caught:
        made.open()
    assert len(made.open(return_dict=True)) == 2
    return caught.value


@pytest.mark.parametrize("other", [frames(5), frames(4, start=1)], ids=["fewer-frames", "other-frames"])
def test_other_frames_are_a_conflict(made: mvc.Dataset, other: dict[str, np.ndarray]) -> None:
    """Arrays over different frames are never padded: the error names both arrays and frame."""
    dims = ("unit_id", "frame")
    write_array(made.path, "C", np.ones((2, 4)), dims, coords=frames(4))
    write_array(made.path, "S", np.ones((2, len(other["frame"]))), dims, coords=other)
    text = str(conflict(made))
    assert "C and S" in text
    assert "frame" in text


@pytest.mark.parametrize("field", ["session", "animal"])
def test_other_sessions_are_a_conflict(made: mvc.Dataset, field: str) -> None:
    """Arrays of different sessions or animals are not brought together; '1' and '01' are different."""
    dims = ("unit_id", "frame")
    write_array(made.path, "C", np.ones((2, 4)), dims, coords={**frames(4), field: "1"})
    write_array(made.path, "S", np.ones((2, 4)), dims, coords={**frames(4), field: "01"})
    text = str(conflict(made, warned=f"{field} is not one"))
    assert field in text
    assert "'01'" in text


def test_duplicate_ids_are_a_conflict(made: mvc.Dataset) -> None:
    """A unit id that occurs twice cannot be paired."""
    dims = ("unit_id", "frame")
    write_array(made.path, "C", np.ones((2, 4)), dims, coords=frames(4))
    write_array(made.path, "S", np.ones((2, 4)), dims, coords={**frames(4), "unit_id": np.array([1, 1])})
    assert "S has a unit_id more than once" in str(conflict(made))


def test_units_without_labels_are_a_conflict(made: mvc.Dataset) -> None:
    """A unit_id dimension without ids says nothing about which cells are in it."""
    write_array(made.path, "C", np.ones((2, 4)), ("unit_id", "frame"), coords=frames(4))
    write_array(made.path, "S", np.ones((2, 4)), ("unit_id", "frame"), coords={"frame": np.arange(4)})
    assert "without labels" in str(conflict(made))


def test_no_common_unit_is_a_conflict(made: mvc.Dataset) -> None:
    """Arrays that share no unit give an error instead of an empty result."""
    dims = ("unit_id", "frame")
    write_array(made.path, "C", np.ones((2, 4)), dims, coords=frames(4))
    write_array(made.path, "S", np.ones((2, 4)), dims, coords={**frames(4), "unit_id": np.array([8, 9])})
    assert "share no unit_id" in str(conflict(made))


def test_whole_real_folders_open_together_or_say_why_not(history: mvc.Dataset) -> None:
    """No stage opened whole has a NaN, a float or a frame that the originals had not."""
    for entry in history.history():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LeftOutWarning)
            opened = history.open(entry.id)
        for name, array in history.open(entry.id, return_dict=True).items():
            assert opened[name].dtype == array.dtype
            assert not opened[name].isnull().any() or array.isnull().any()
            assert {d: n for d, n in opened[name].sizes.items() if d != "unit_id"} == {
                d: n for d, n in array.sizes.items() if d != "unit_id"
            }


# -- damaged, or never kept -----------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["flipped", "missing"])
def test_a_damaged_object_is_an_error_on_computing(last: mvc.Dataset, damage: str) -> None:
    """A stored chunk with other bytes, or none, gives DamagedError with its path, never values."""
    path = data_objects(last, "C")["C/4.0"]
    if damage == "flipped":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    C = last["C@last"]
    with pytest.raises(DamagedError, match=path.name):
        C.compute()
    C.isel(unit_id=slice(0, 4)).compute()


def test_an_array_recorded_without_bytes_is_not_found(stages: Path, root: Path) -> None:
    """The error says why it cannot be opened; the whole checkpoint opens without it."""
    put_stage(stages, LAST, root)
    mvc.Repository.open(root).configure("record_without_bytes", "A, b")
    ds = mvc.open(root / INTERMEDIATE)
    ds.commit("movies stay out", tag="lean")
    for ask in (lambda: ds["A@lean"], lambda: ds.open("lean", arrays=["C", "A"])):
        with pytest.raises(NotFoundError, match="without its bytes"):
            ask()
    assert {"A", "b"}.isdisjoint(ds.open("lean", return_dict=True))
    assert not ds.show().array("A").bytes_kept
    assert not any(path.exists() for path in data_objects(ds, "A").values())


def test_an_unknown_name_is_not_found_with_near_ones(last: mvc.Dataset) -> None:
    """A mistyped array or tag names what is there."""
    with pytest.raises(NotFoundError, match="C_chk"):
        last["C_chj@last"]
    with pytest.raises(NotFoundError, match="last"):
        last["C@lats"]
