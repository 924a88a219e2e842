"""mat: what scipy.io.loadmat gives is what the history has; what does not fit is refused before it is computed."""

from __future__ import annotations

import json
import tracemalloc
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from array_bundles import IDENTITY, TAGS, bundle_of, counted, everything, expected, record
from conftest import tree

import minian_vc as mvc
from minian_vc.errors import EnvironmentUnfitError, InvalidInputError
from minian_vc.export import mat
from minian_vc.export.bundle import KEY, Bundle
from minian_vc.export.values import lazy_arrays

io = pytest.importorskip("scipy.io", reason="mat needs SciPy")
TAG = TAGS[0]


@pytest.fixture(scope="module")
def history(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    """Two stages of a real recording; these tests only read it."""
    return record(stages, tmp_path_factory.mktemp("lab"))


def load(path: Path) -> dict[str, Any]:
    """Return a file's variables."""
    return {name: values for name, values in io.loadmat(path).items() if not name.startswith("__")}


def as_matlab(values: np.ndarray) -> np.ndarray:
    """Return values in MATLAB's two dims or more: a column, where there is one."""
    return values.reshape(-1, 1) if values.ndim < 2 else values


@pytest.mark.parametrize("compression", [0, 1])
@pytest.mark.parametrize("tag", TAGS)
def test_a_mat_file_is_the_checkpoint(tag: str, compression: int, history: mvc.Dataset, tmp_path: Path):
    """All arrays and coordinates by name, on their common units, vectors as columns, and the identity as a text."""
    out = tmp_path / "all.mat"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mvc.LeftOutWarning)
        done = history.export(f"@{tag}", format="mat", out=out, compression=compression)
        wanted = history.open(tag, arrays=list(done.arrays))
    loaded = load(out)
    assert sorted(loaded) == sorted([*map(str, wanted.variables), KEY])
    for name in {*map(str, wanted.variables)} - {"session", "animal"}:
        np.testing.assert_array_equal(loaded[name], as_matlab(wanted[name].values), strict=True)
    assert loaded["unit_id"].shape == (wanted.sizes["unit_id"], 1)
    assert (loaded["session"].item(), loaded["animal"].item()) == ("session1", "mouse1")
    assert json.loads(loaded[KEY].item())["tags"] == [tag]
    assert done.sidecar is None


def test_compression_makes_it_smaller(history: mvc.Dataset, tmp_path: Path):
    """It is on unless told otherwise."""
    for name, options in (("on", {}), ("off", {"compression": 0})):
        history.export(f"A@{TAG}", format="mat", out=tmp_path / name, **options)
    assert (tmp_path / "on").stat().st_size < 0.5 * (tmp_path / "off").stat().st_size


def test_a_level_there_is_not(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="10 is no level"):
        mat.write(everything(), tmp_path / "x.mat", compression=10)
    assert tree(tmp_path) == {}


def test_the_same_version_is_the_same_bytes(history: mvc.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """SciPy writes the time into the header; that is replaced."""
    history.export(f"@{TAG}", format="mat", out=tmp_path / "one")
    monkeypatch.setattr("time.asctime", lambda: "Mon Jan  1 00:00:00 2035")
    history.export(f"@{TAG}", format="mat", out=tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes()[:116].rstrip() == b"MATLAB 5.0 MAT-file, Created by: minian_vc"


def test_a_failing_chunk_leaves_nothing(history: mvc.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No half file; what an earlier export wrote stays."""
    history.export(f"C@{TAG}", format="mat", out=tmp_path / "C")
    before = tree(tmp_path)

    def failing(values: np.ndarray) -> np.ndarray:
        if values.size:
            raise RuntimeError("a chunk fails")
        return values

    def failing_arrays(bundle: Bundle) -> dict[str, da.Array]:
        return {name: array.map_blocks(failing, meta=array._meta) for name, array in lazy_arrays(bundle).items()}

    monkeypatch.setattr(mat, "lazy_arrays", failing_arrays)
    for name in ("C", "other"):
        with pytest.raises(RuntimeError, match="a chunk fails"):
            history.export(f"C@{TAG}", format="mat", out=tmp_path / name, force=True)
    assert tree(tmp_path) == before


# -- every kind of value ----------------------------------------------------------------------


@pytest.mark.parametrize("compression", [0, 1])
def test_every_kind_goes_out(compression: int, tmp_path: Path):
    """bool as logical, integers, floats, a dim without labels, no dim, and no values at all; dtypes stay."""
    bundle = everything()
    mat.write(bundle, tmp_path / "all.mat", compression=compression)
    loaded = load(tmp_path / "all.mat")
    for name in [*bundle.names, "unit_id", "frame", "rate", "kept"]:
        wanted = as_matlab(bundle.together[name].values)
        if wanted.dtype.kind == "b":
            assert loaded[name].dtype == "u1"  # as loadmat reads a logical
            wanted = wanted.astype("u1")
        np.testing.assert_array_equal(loaded[name], wanted, strict=True)
    assert {name: kind for name, _, kind in io.whosmat(tmp_path / "all.mat")}["mask"] == "logical"


def test_texts_go_out_as_matlab_has_them(tmp_path: Path):
    """One as text, several as a cell array: a text matrix would pad them. The identity is ASCII, and JSON."""
    mat.write(everything(), tmp_path / "all.mat")
    loaded = load(tmp_path / "all.mat")
    assert loaded["animal"].item() == "Mäuschen"
    assert loaded["height"].shape == (4, 1)
    assert ["".join(each.item()) for each in loaded["height"][:3, 0]] == ["oben", "mitte", "größer"]
    assert loaded["height"][3, 0].size == 0
    assert loaded[KEY].item().isascii()
    assert json.loads(loaded[KEY].item()) == IDENTITY


def test_times_go_out_as_texts(tmp_path: Path):
    times = np.array(["2024-01-01T10:00:00.500", "2024-01-01T10:00:01"], "M8[ns]")
    mat.write(bundle_of({"f": ("frame", da.zeros(2))}, frame=times), tmp_path / "f.mat")
    assert [each.item() for each in load(tmp_path / "f.mat")["frame"][:, 0]] == [
        "2024-01-01T10:00:00.500000000",
        "2024-01-01T10:00:01.000000000",
    ]


@pytest.mark.parametrize("where", ["array", "coordinate"])
def test_what_matlab_has_no_type_for_is_refused(where: str, tmp_path: Path):
    spans = np.array([1, 2], "m8[s]")
    values = da.from_array(spans, chunks=1) if where == "array" else da.zeros(2)
    bundle = bundle_of({"x": ("frame", values)}, **({"frame": spans} if where == "coordinate" else {}))
    with pytest.raises(InvalidInputError, match=r"timedelta64\[s\]") as raised:
        mat.write(bundle, tmp_path / "x.mat")
    assert "Nothing was written" in str(raised.value.hint)
    assert tree(tmp_path) == {}


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["_hidden", "2nd", "C-old", "größe", "a b", "end", "x" * 64])
@pytest.mark.parametrize("where", ["array", "coordinate"])
def test_a_name_that_is_none_for_matlab_is_refused(where: str, name: str, tmp_path: Path):
    """SciPy would leave out the first and write the others as nobody can use them."""
    named = {"C": ("frame", da.zeros(3))} | ({name: ("frame", da.zeros(3))} if where == "array" else {})
    bundle = bundle_of(named, **({name: 1} if where == "coordinate" else {}))
    with pytest.raises(InvalidInputError, match="MATLAB can have no variable") as raised:
        mat.write(bundle, tmp_path / "x.mat")
    assert repr(name) in raised.value.message
    assert tree(tmp_path) == {}


def test_the_longest_name_goes_out(tmp_path: Path):
    name = "C_" + "x" * 61
    mat.write(bundle_of({name: ("frame", da.zeros(3))}), tmp_path / "x.mat")
    assert name in load(tmp_path / "x.mat")


def test_the_identitys_name_is_taken(tmp_path: Path):
    with pytest.raises(InvalidInputError, match="minian_vc is the name of the identity"):
        mat.write(bundle_of({KEY: ("frame", da.zeros(3))}), tmp_path / "x.mat")


# -- memory and size --------------------------------------------------------------------------


def free(monkeypatch: pytest.MonkeyPatch, nbytes: int) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=nbytes))


@pytest.mark.parametrize(("compression", "copies"), [(1, 5), (0, 2)])
def test_what_does_not_fit_in_memory_is_refused(compression: int, copies: int, tmp_path: Path, monkeypatch):
    """Before a value is computed; and the error says what goes instead."""
    bundle = bundle_of({"small": ("a", da.zeros(3)), "x": (("a", "b"), counted((3, 1000), (1, 1000)))})
    need = copies * 24_000
    free(monkeypatch, need)
    mat.write(bundle, tmp_path / "fits.mat", compression=compression)
    free(monkeypatch, need - 1)
    with pytest.raises(InvalidInputError, match="x as a MATLAB array takes about") as raised:
        mat.write(bundle, tmp_path / "x.mat", compression=compression)
    assert "netcdf" in str(raised.value.hint)
    assert "npy" in str(raised.value.hint)
    assert list(tree(tmp_path)) == ["fits.mat"]


@pytest.mark.parametrize("compression", [0, 1])
def test_the_estimate_is_honest(compression: int, tmp_path: Path):
    """What is held at once is the estimate or less, of the largest array: not of all."""
    noise = da.random.default_rng(1).standard_normal((64, 1 << 15), chunks=(8, 1 << 15))
    bundle = bundle_of(dict.fromkeys("xyz", (("a", "b"), noise)))
    mat.write(bundle_of({"x": ("a", da.zeros(3))}), tmp_path / "first.mat")  # imports all
    with dask.config.set(num_workers=1):
        tracemalloc.start()
        mat.write(bundle, tmp_path / "x.mat", compression=compression)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    estimate = mat.COPIES[compression > 0] * noise.nbytes
    assert 0.7 * estimate < peak < 1.01 * estimate


def test_above_two_gigabytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By shape and dtype: none of it is computed."""
    free(monkeypatch, 1 << 50)
    huge = da.zeros((1 << 28, 1), chunks=(1 << 20, 1))
    with pytest.raises(InvalidInputError, match=r"varr has 2\.1 GB, and MATLAB's format holds 2 GB") as raised:
        mat.write(bundle_of({"varr": (("frame", "height"), huge)}), tmp_path / "x.mat")
    assert "Export it as netcdf, which MATLAB reads with ncread or h5read, or as npy." in str(raised.value.hint)
    assert tree(tmp_path) == {}


def test_a_cluster_is_not_asked(tmp_path: Path):
    """The file is written by this process, and so it reads."""

    def cluster(*_: object, **__: object) -> None:
        raise AssertionError("the default scheduler was asked")

    with dask.config.set(scheduler=cluster):
        mat.write(bundle_of({"x": (("a", "b"), counted((64, 64), (8, 64)))}), tmp_path / "x.mat")
    np.testing.assert_array_equal(load(tmp_path / "x.mat")["x"], expected((64, 64)))


def test_without_scipy_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mat.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentUnfitError, match="needs scipy") as raised:
        mat.write(everything(), tmp_path / "x.mat")
    assert 'pip install "minian_vc[mat]"' in str(raised.value.hint)
