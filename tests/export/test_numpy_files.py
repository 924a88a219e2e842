"""npy and npz: what numpy.load gives is what the history has, in bounded memory, the same bytes each time."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from array_bundles import IDENTITY, TAGS, bundle_of, counted, everything, expected, record
from conftest import tree

import minian_vc as mvc
from minian_vc.errors import InvalidInputError, StorageError
from minian_vc.export import npy, npz
from minian_vc.export.bundle import KEY, Bundle
from minian_vc.export.formats import FORMATS
from minian_vc.export.values import lazy_arrays

TAG = TAGS[0]


@pytest.fixture(scope="module")
def history(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    """Two stages of a real recording; these tests only read it."""
    return record(stages, tmp_path_factory.mktemp("lab"))


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# -- out of a history -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["A", "C", "C_chk", "b", "f", "max_res"])
@pytest.mark.parametrize("tag", TAGS)
def test_an_npy_file_is_the_array(tag: str, name: str, history: mvc.Dataset, tmp_path: Path):
    """Values, shape and dtype as in the history, mapped or not; who it is lies beside it, its unit ids too."""
    out = tmp_path / f"{name}.npy"
    history.export(f"{name}@{tag}", format="npy", out=out)
    wanted = history[f"{name}@{tag}"]
    for loaded in (np.load(out), np.load(out, mmap_mode="r")):
        np.testing.assert_array_equal(loaded, wanted.values, strict=True)
    beside_it = json.loads((tmp_path / f"{name}.npy.json").read_text())
    assert beside_it["tags"] == [tag]
    assert beside_it["arrays"][name]["dims"] == list(wanted.dims)
    assert beside_it["arrays"][name]["unit_ids"] == (
        wanted.unit_id.values.tolist() if "unit_id" in wanted.dims else None
    )


@pytest.mark.parametrize("tag", TAGS)
def test_an_npz_file_is_the_checkpoint(tag: str, history: mvc.Dataset, tmp_path: Path):
    """All arrays and coordinates by name, without pickling, on their common units, and the identity as a text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mvc.LeftOutWarning)
        done = history.export(f"@{tag}", format="npz", out=tmp_path / "all.npz")
        wanted = history.open(tag, arrays=list(done.arrays))
    with np.load(tmp_path / "all.npz", allow_pickle=False) as loaded:
        assert sorted(loaded.files) == sorted([*map(str, wanted.variables), KEY])
        for name in wanted.variables:
            np.testing.assert_array_equal(loaded[str(name)], wanted[name].values, strict=True)
        assert loaded["session"].shape == loaded["animal"].shape == loaded[KEY].shape == ()
        assert json.loads(loaded[KEY].item())["tags"] == [tag]
    assert done.sidecar is None
    assert beside(tmp_path) == ["all.npz"]


@pytest.mark.parametrize(("form", "spec"), [("npy", f"A@{TAG}"), ("npz", f"@{TAG}")])
def test_the_same_version_is_the_same_bytes(form: str, spec: str, history: mvc.Dataset, tmp_path: Path, monkeypatch):
    """Whatever the time."""
    history.export(spec, format=form, out=tmp_path / "one")
    monkeypatch.setattr("time.time", lambda: 2e9)
    history.export(spec, format=form, out=tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_npz_members_have_no_time_of_their_own(history: mvc.Dataset, tmp_path: Path):
    history.export(f"C@{TAG}", format="npz", out=tmp_path / "C.npz")
    with zipfile.ZipFile(tmp_path / "C.npz") as archive:
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.testzip() is None


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_a_failing_chunk_leaves_nothing(form: str, history: mvc.Dataset, tmp_path: Path, monkeypatch):
    """Neither a half file nor a sidecar; what an earlier export wrote stays."""
    out = tmp_path / "C"
    history.export(f"C@{TAG}", format=form, out=out)
    before = tree(tmp_path)

    def failing(values: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info and block_info[0]["chunk-location"] == (7, 0):
            raise RuntimeError("the eighth chunk fails")
        return values

    def failing_arrays(bundle: Bundle) -> dict[str, da.Array]:
        return {name: array.map_blocks(failing, meta=array._meta) for name, array in lazy_arrays(bundle).items()}

    monkeypatch.setattr(f"minian_vc.export.{form}.lazy_arrays", failing_arrays)
    for name in ("C", "other"):
        with pytest.raises(RuntimeError, match="the eighth chunk fails"):
            history.export(f"C@{TAG}", format=form, out=tmp_path / name, force=True)
    assert tree(tmp_path) == before


# -- every kind of value ----------------------------------------------------------------------


def test_every_kind_goes_into_an_npz_file(tmp_path: Path):
    """bool, integers, floats, text, a dim without labels, no dim, and no values at all."""
    bundle = everything()
    npz.write(bundle, tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz", allow_pickle=False) as loaded:
        for name in bundle.together.variables:
            wanted = bundle.together[name].values
            assert loaded[str(name)].shape == wanted.shape
            np.testing.assert_array_equal(loaded[str(name)], wanted)
            assert loaded[str(name)].dtype.kind == ("U" if wanted.dtype.kind in "OT" else wanted.dtype.kind)
        assert json.loads(loaded[KEY].item()) == IDENTITY


@pytest.mark.parametrize("name", everything().names)
def test_every_kind_goes_into_an_npy_file(name: str, tmp_path: Path):
    one = everything().together[[name]]
    npy.write(bundle_of({name: one[name].variable}), tmp_path / "one.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "one.npy"), one[name].values, strict=True)


def test_times_go_out_as_times(tmp_path: Path):
    times = np.array(["2024-01-01T10:00:00.5", "2024-01-01T10:00:01"], "M8[ns]")
    bundle = bundle_of({"at": ("frame", da.from_array(times, chunks=1))}, frame=times)
    npz.write(bundle, tmp_path / "at.npz")
    npy.write(bundle, tmp_path / "at.npy")
    with np.load(tmp_path / "at.npz") as loaded:
        np.testing.assert_array_equal(loaded["at"], times)
        np.testing.assert_array_equal(loaded["frame"], times)
    np.testing.assert_array_equal(np.load(tmp_path / "at.npy"), times)


def test_objects_are_refused(tmp_path: Path):
    """They would be pickled."""
    things = np.array([1, "two", None], object)
    lazy = bundle_of({"x": ("frame", da.from_array(things, chunks=1))})
    labelled = bundle_of({"x": ("frame", da.zeros(3))}, label=("frame", things))
    for write, bundle in ((npy.write, lazy), (npz.write, lazy), (npz.write, labelled)):
        with pytest.raises(InvalidInputError, match="holds values of the type object") as raised:
            write(bundle, tmp_path / "x")
        assert "Nothing was written" in str(raised.value.hint)
    assert beside(tmp_path) == []


def test_the_identitys_name_is_taken(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="minian_vc is the name of the identity"):
        npz.write(bundle_of({KEY: ("frame", da.zeros(3))}), tmp_path / "x.npz")
    assert beside(tmp_path) == []


@pytest.mark.parametrize("level", [0, 1, 9])
def test_the_level_of_compression(level: int, tmp_path: Path):
    bundle = bundle_of({"x": (("a", "b"), da.zeros((400, 400), chunks=(100, 400)))})
    npz.write(bundle, tmp_path / "x.npz", compression=level)
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        assert archive.getinfo("x.npy").compress_type == (zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED)
    assert ((tmp_path / "x.npz").stat().st_size < 50_000) is bool(level)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["x"], np.zeros((400, 400)))


def test_a_better_level_is_smaller(tmp_path: Path):
    bundle = bundle_of({"x": (("a", "b"), counted((300, 300), (100, 300), "i4"))})
    for level in (1, 9):
        npz.write(bundle, tmp_path / f"{level}.npz", compression=level)
    assert (tmp_path / "9.npz").stat().st_size < (tmp_path / "1.npz").stat().st_size


def test_a_level_there_is_not(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="10 is no level"):
        npz.write(everything(), tmp_path / "x.npz", compression=10)
    assert beside(tmp_path) == []


def test_members_above_zips_old_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The limit is 2 GB; here it is lowered."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 10_000)
    npz.write(bundle_of({"x": (("a", "b"), counted((100, 100), (10, 100)))}), tmp_path / "x.npz", compression=0)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["x"], expected((100, 100)))


# -- in bounded memory ------------------------------------------------------------------------

LARGE = 32 << 20
LAYOUTS = {  # as MiniAn cuts: by unit or frame; all units by frames; blocks of pixels over all frames
    "rows": ((1024, 4096), (8, 4096)),
    "columns": ((1024, 4096), (1024, 32)),
    "pixels": ((1024, 64, 64), (1024, 8, 8)),
}


def peak_of(work: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", ["npy", "npz"])
def test_memory_stays_flat(form: str, layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An array much larger than the budget goes out whole, and never is in memory whole."""
    monkeypatch.setattr(npz, "BUDGET", 1 << 20)
    shape, chunks = LAYOUTS[layout]
    write = FORMATS[form].write
    write(bundle_of({"x": (("a", "b"), counted((8, 8), (4, 8)))}), tmp_path / "first")  # imports all
    bundle = bundle_of({"x": (("a", "b", "c")[: len(shape)], counted(shape, chunks))})
    with dask.config.set(num_workers=2):
        peak = peak_of(lambda: write(bundle, tmp_path / "x"))
    assert bundle.together.nbytes == LARGE
    assert peak < LARGE / 3
    loaded = np.load(tmp_path / "x")
    np.testing.assert_array_equal(loaded["x"] if form == "npz" else loaded, expected(shape))
    assert beside(tmp_path) == ["first", "x"]


def test_a_layout_across_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Rows of an array that is cut in columns would need each chunk for each block."""
    monkeypatch.setattr(npz, "BUDGET", 1 << 12)
    reads = []

    def noted(values: np.ndarray) -> np.ndarray:
        if values.size:
            reads.append(values.shape)
        return values

    array = da.map_blocks(noted, counted((64, 4096), (64, 64)), dtype="f8", meta=np.empty((0, 0)))
    npz.write(bundle_of({"x": (("a", "b"), array)}), tmp_path / "x.npz")
    assert len(reads) == 64
    np.testing.assert_array_equal(np.load(tmp_path / "x.npz")["x"], expected((64, 4096)))
    assert beside(tmp_path) == ["x.npz"]


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_a_cluster_is_not_asked(form: str, tmp_path: Path):
    """Its workers would fill copies of what is written to."""

    def cluster(*_: object, **__: object) -> None:
        raise AssertionError("the default scheduler was asked")

    with dask.config.set(scheduler=cluster):
        FORMATS[form].write(bundle_of({"x": (("a", "b"), counted((64, 64), (8, 64)))}), tmp_path / "x")
    loaded = np.load(tmp_path / "x")
    np.testing.assert_array_equal(loaded["x"] if form == "npz" else loaded, expected((64, 64)))


# -- on a full disk ---------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system cannot keep room for a file")
def test_room_is_kept_before_a_map_is_filled(history: mvc.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A full disk is an error, not a killed process; what was there stays."""
    (tmp_path / "C.npy").write_bytes(b"before")
    sizes = []

    def full(_: int, offset: int, nbytes: int) -> None:
        sizes.append((offset, nbytes))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="full"):
        history.export(f"C@{TAG}", format="npy", out=tmp_path / "C.npy", force=True)
    assert (tmp_path / "C.npy").read_bytes() == b"before"
    assert sizes == [(0, 128 + history[f"C@{TAG}"].nbytes)]


def test_without_that_the_free_space_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(npy.durable, "free_bytes", lambda _: 1000)
    with pytest.raises(StorageError, match=r"takes 32\.9 kB, and 1\.0 kB are free"):
        npy.write(bundle_of({"x": (("a", "b"), counted((64, 64), (8, 64)))}), tmp_path / "x.npy")
