"""Opening what was checked: on common units, in one order, nothing padded, or not at all."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import random
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from conftest import INTERMEDIATE, put_stage
from originals import assert_same, originals, write_array

import minian_vc as mvc
from minian_vc.errors import (
    BusyError,
    ConflictError,
    EnvironmentUnfitError,
    InvalidInputError,
    NotFoundError,
    UnreadableError,
)

OTHER = "mouse1/session2/minian_intermediate"
COPIES = ("_init", "_new", "_mrg", "_mrg_chk", "_chk_new")
FINAL = "stage-06-final/mouse1/{}/minian"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Left out units and findings are warned of; here they are known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def assert_on_common_units(together: xr.Dataset, truth: dict[str, xr.DataArray]) -> None:
    """Each array has the values of its original at the units of the result, and nothing else changed."""
    assert set(together.data_vars) == set(truth)
    for name, array in truth.items():
        wanted = array.sel(unit_id=together.unit_id.values) if "unit_id" in array.dims else array
        loaded = together[name]
        assert (loaded.dims, loaded.shape, loaded.dtype) == (wanted.dims, wanted.shape, wanted.dtype)
        np.testing.assert_array_equal(loaded.values, wanted.values, strict=True)
        for dim in wanted.dims:
            if dim in wanted.coords:
                np.testing.assert_array_equal(loaded.coords[dim].values, wanted.coords[dim].values)


def current(truth: dict[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    """Leave out the copies of earlier steps."""
    return {name: a for name, a in truth.items() if not name.endswith(COPIES) and name not in ("sig_mrg", "g")}


# -- a folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "dataset", "units"),
    [
        ("stage-00-init", INTERMEDIATE, set(range(12))),
        ("stage-02-first-temporal", INTERMEDIATE, {0, 1, 2, 3, 4, 7, 8, 9, 10, 11}),
        ("stage-04-second-spatial", OTHER, set(range(10))),
        ("stage-05-second-temporal", INTERMEDIATE, set(range(1, 9))),
    ],
)
def test_a_report_loads_its_arrays_on_common_units(stages: Path, stage: str, dataset: str, units: set[int]) -> None:
    """Values, sizes and dtypes are the originals' at the units that all have; copies of earlier steps are left out."""
    folder = stages / stage / dataset
    with quiet():
        together = mvc.check(folder).load()
    assert set(together.unit_id.values.tolist()) == units
    assert together.sizes["unit_id"] == len(units)
    truth = originals(folder)
    assert len(current(truth)) < len(truth)
    assert_on_common_units(together, current(truth))


@pytest.mark.parametrize("session", ["session1", "session2"])
def test_an_aligned_dataset_is_loaded_whole(stages: Path, session: str) -> None:
    """All arrays, all units, no warning, with the one session."""
    folder = stages / FINAL.format(session)
    together = mvc.check(folder).load()
    truth = originals(folder)
    assert set(together.data_vars) == set(truth)
    for name, array in truth.items():
        assert_same(together[name].drop_vars(set(together[name].coords) - set(array.coords)), array)
    assert str(together.session.values) == session
    assert "left_out" not in together.attrs


def test_what_was_left_out_is_said(stages: Path) -> None:
    """A warning and the attribute name the arrays and units that are not in the result."""
    report = mvc.check(stages / "stage-05-second-temporal" / INTERMEDIATE)
    with pytest.warns(mvc.LeftOutWarning, match="A without 0") as caught:
        together = report.load()
    assert len(caught) == 1
    assert json.loads(together.attrs["left_out"]) == {"A": [0], "YrA": [0]}


def test_loading_is_lazy(stages: Path) -> None:
    """Every array is dask-backed, one chunk per stored chunk."""
    together = mvc.check(stages / FINAL.format("session1")).load()
    assert all(array.chunks is not None for array in together.data_vars.values())
    assert together["C"].chunksizes["unit_id"] == (1,) * together.sizes["unit_id"]


def test_named_arrays_are_loaded_alone(stages: Path) -> None:
    """A and C of a spatial update, though the rest of the folder contradicts them."""
    folder = stages / "stage-04-second-spatial" / INTERMEDIATE
    report = mvc.check(folder)
    truth = originals(folder)
    with quiet():
        together = report.load(["A", "C"])
        temporal = report.load(["S", "b0", "c0"])
        copies = report.load(["A_init", "C_init"])
    assert_on_common_units(together, {name: truth[name] for name in ("A", "C")})
    assert_on_common_units(temporal, {name: truth[name] for name in ("S", "b0", "c0")})
    assert_on_common_units(copies, {name: truth[name] for name in ("A_init", "C_init")})


def test_contradictory_arrays_are_not_loaded(stages: Path) -> None:
    """Not all together, nor two of the two sides by name; the error says what is wrong and what to do."""
    report = mvc.check(stages / "stage-04-second-spatial" / INTERMEDIATE)
    assert report.grade == "contradictory"
    with pytest.raises(ConflictError, match="two numberings") as caught:
        report.load()
    assert caught.value.hint
    with pytest.raises(ConflictError, match="two numberings"):
        report.load(["A", "S"])


def test_an_unreadable_folder_is_not_loaded_but_its_good_arrays_are(stages: Path, tmp_path: Path) -> None:
    """A foreign folder and a broken array: all is refused, an array by name is not."""
    folder = put_stage(stages, "stage-02-first-temporal", tmp_path)
    (folder / "figures").mkdir()
    (folder / "S.zarr/S/.zarray").write_text("{")
    report = mvc.check(folder)
    assert report.grade == "unreadable"
    with pytest.raises(UnreadableError):
        report.load()
    with pytest.raises(UnreadableError, match="S cannot be opened"):
        report.load(["C", "S"])
    assert_on_common_units(report.load(["C"]), {"C": originals(stages / "stage-02-first-temporal" / INTERMEDIATE)["C"]})


@pytest.mark.parametrize("change", ["rewritten", "removed", "chunk gone", "new file"])
def test_a_folder_that_changed_since_is_refused(stages: Path, tmp_path: Path, change: str) -> None:
    """What is opened is what was checked; other arrays may change."""
    folder = put_stage(stages, "stage-02-first-temporal", tmp_path)
    report = mvc.check(folder)
    array = folder / "C.zarr"
    if change == "rewritten":
        (array / "C/0.0").write_bytes((array / "C/0.0").read_bytes())
    elif change == "removed":
        shutil.rmtree(array)
    elif change == "chunk gone":
        (array / "C/0.0").unlink()
    else:
        (array / "C/note").write_text("x")
    with pytest.raises((BusyError, NotFoundError), match="C"):
        report.load()
    assert set(report.load(["A"]).data_vars) == {"A"}


def test_an_unknown_array_is_told_with_what_there_is(stages: Path) -> None:
    """A name that no array has."""
    report = mvc.check(stages / FINAL.format("session1"))
    with pytest.raises(NotFoundError, match="no array 'nothing'"):
        report.load(["C", "nothing"])


def test_several_datasets_are_loaded_one_by_one(stages: Path) -> None:
    """A report on two paths, or on sessions, loads nothing; each of its datasets does."""
    paths = [stages / FINAL.format(session) for session in ("session1", "session2")]
    several = mvc.check(*paths)
    with pytest.raises(InvalidInputError):
        several.load()
    assert [each.load().sizes["frame"] for each in several.datasets] == [190, 228]
    with pytest.raises(InvalidInputError):
        mvc.check(stages / "stage-06-final", index_dims=["session"], pattern="^minian$").load()


def test_a_text_coordinate_and_a_movie_keep_their_types(tmp_path: Path) -> None:
    """uint8 stays uint8 and int stays int: nothing is padded, so nothing becomes float."""
    folder = tmp_path / "minian"
    movie = np.arange(24, dtype="uint8").reshape(4, 2, 3)
    pixels = {"frame": range(4), "height": range(2), "width": range(3), "session": "s1"}
    write_array(folder, "varr", movie, ("frame", "height", "width"), coords=pixels)
    counts = np.arange(12, dtype="int16").reshape(3, 4)
    write_array(folder, "A", counts, ("unit_id", "frame"), coords={"unit_id": [0, 1, 2], "frame": range(4)})
    write_array(folder, "C", counts[:2], ("unit_id", "frame"), coords={"unit_id": [2, 0], "frame": range(4)})
    with pytest.warns(mvc.LeftOutWarning):
        together = mvc.check(folder).load()
    assert {name: array.dtype for name, array in together.data_vars.items()} == {
        "varr": np.dtype("uint8"), "A": np.dtype("int16"), "C": np.dtype("int16"),
    }  # fmt: skip
    np.testing.assert_array_equal(together["varr"].values, movie)
    assert_on_common_units(together[["A", "C"]], {n: a for n, a in originals(folder).items() if n != "varr"})
    assert str(together.session.values) == "s1"


def test_equal_labels_of_two_types_load_together(root: Path) -> None:
    """Frames 0, 1, 2 and 0.0, 1.0, 2.0 are the same, in a folder and recorded."""
    values = np.arange(6.0).reshape(2, 3)
    for name, frames in (("A", np.arange(3)), ("C", np.arange(3.0))):
        coords = {"unit_id": [0, 1], "frame": frames}
        write_array(root / "minian", name, values, ("unit_id", "frame"), coords=coords)
    ds = mvc.open(root / "minian")
    ds.commit(tag="one")
    for report in (ds.check(), ds.check("@one")):
        assert report.grade == "aligned"
        together = report.load()
        assert together.sizes == {"unit_id": 2, "frame": 3}
        np.testing.assert_array_equal(together["C"].values, values)


# -- versions -----------------------------------------------------------------------------------


def test_a_checkpoint_is_loaded_from_the_history(history: mvc.Dataset, stages: Path) -> None:
    """``check @tag`` loads what was recorded, with no restore, whatever the folder holds."""
    shutil.rmtree(history.path)
    with quiet():
        together = history.check("@stage-02-first-temporal").load()
    assert_on_common_units(together, current(originals(stages / "stage-02-first-temporal" / INTERMEDIATE)))


def test_versions_of_two_checkpoints_are_loaded_together(history: mvc.Dataset, stages: Path) -> None:
    """C of one and S of another checkpoint of one numbering, on their common units."""
    with quiet():
        together = history.check("A_new@stage-01-first-spatial", "C@stage-02-first-temporal").load()
    truth = {
        "A_new": originals(stages / "stage-01-first-spatial" / INTERMEDIATE)["A_new"],
        "C": originals(stages / "stage-02-first-temporal" / INTERMEDIATE)["C"],
    }
    assert_on_common_units(together, truth)
    with pytest.raises(ConflictError):
        history.check("C@stage-02-first-temporal", "A@stage-04-second-spatial").load()


@pytest.mark.parametrize("arrays", [("A", "C_init"), ("A_mrg", "C_init"), ("A_init", "C_mrg")])
def test_what_lies_on_two_sides_of_a_merge_is_not_loaded_by_name(stages: Path, arrays: tuple[str, ...]) -> None:
    """A_init and C_init come before unit_merge, whatever their ids: nested sets are no proof."""
    report = mvc.check(stages / "stage-05-second-temporal" / INTERMEDIATE)
    with pytest.raises(ConflictError, match="unit_merge numbered the units anew"):
        report.load(arrays)


def test_one_array_at_two_checkpoints_is_loaded_under_two_names(history: mvc.Dataset, stages: Path) -> None:
    """C as it was before and after: both are in the result, with their revision in the name."""
    names = ("stage-01-first-spatial", "stage-02-first-temporal")
    with quiet():
        together = history.check(*(f"C@{name}" for name in names)).load()
    truth = {f"C_{name}": originals(stages / name / INTERMEDIATE)["C"].rename(f"C_{name}") for name in names}
    assert_on_common_units(together, truth)


# -- open_minian --------------------------------------------------------------------------------


def parameters(function: Any) -> list[tuple[str, Any, Any]]:
    """Return name, kind and default of each parameter."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def test_open_minian_has_minians_signature() -> None:
    """A notebook that imports ours instead needs no other change."""
    both = inspect.Parameter.POSITIONAL_OR_KEYWORD
    empty = inspect.Parameter.empty
    assert parameters(mvc.open_minian) == [
        ("dpath", both, empty), ("post_process", both, None), ("return_dict", both, False),
    ]  # fmt: skip


def test_post_process_is_called_with_the_dataset_and_its_path(stages: Path) -> None:
    """Its result is returned; with return_dict it is not called, as in MiniAn."""
    path, seen = str(stages / FINAL.format("session1")), []

    def post_process(ds: xr.Dataset, dpath: str) -> Any:
        seen.append((ds, dpath))
        return "processed"

    assert mvc.open_minian(path, post_process) == "processed"
    ((dataset, given),) = seen
    assert isinstance(dataset, xr.Dataset)
    assert given == path
    assert isinstance(mvc.open_minian(path, post_process, return_dict=True), dict)
    assert len(seen) == 1


@pytest.mark.parametrize("stage", ["stage-03-merge", "stage-04-second-spatial"])
def test_return_dict_gives_each_array_as_saved(stages: Path, stage: str) -> None:
    """Also where they contradict one another: nothing is brought together."""
    folder = stages / stage / INTERMEDIATE
    with quiet():
        opened = mvc.open_minian(folder, return_dict=True)
    truth = originals(folder)
    assert set(opened) == set(truth)
    for name, array in truth.items():
        assert opened[name].name == name
        assert opened[name].chunks is not None
        assert_same(opened[name], array)


def test_open_minian_never_pads(stages: Path) -> None:
    """Contradictory arrays are refused, alignable ones come on their common units."""
    with pytest.raises(ConflictError):
        mvc.open_minian(stages / "stage-04-second-spatial" / INTERMEDIATE)
    folder = stages / "stage-05-second-temporal" / INTERMEDIATE
    with quiet():
        together = mvc.open_minian(folder)
    assert_on_common_units(together, current(originals(folder)))


def test_open_minian_warns_of_what_was_found(stages: Path, tmp_path: Path) -> None:
    """Missing chunks do not prevent opening; they are said."""
    folder = put_stage(stages, "stage-06-final", tmp_path, "mouse1/session1/minian")
    next((folder / "C.zarr/C").glob("[0-9]*")).unlink()
    with pytest.warns(UserWarning, match="chunks of C are missing"):
        mvc.open_minian(folder)
    with pytest.warns(UserWarning, match="chunks of C are missing"):
        mvc.open_minian(folder, return_dict=True)


def test_open_minian_refuses_what_is_not_there_or_broken(stages: Path, tmp_path: Path) -> None:
    """A missing path and an array that cannot be opened, in either way of opening."""
    folder = put_stage(stages, "stage-06-final", tmp_path, "mouse1/session1/minian")
    (folder / "C.zarr/C/.zarray").write_text("{")
    for return_dict in (False, True):
        with pytest.raises(NotFoundError):
            mvc.open_minian(tmp_path / "nothing", return_dict=return_dict)
        with pytest.raises(UnreadableError, match="C"):
            mvc.open_minian(folder, return_dict=return_dict)


def test_a_renamed_folder_opens_under_its_inner_name(tmp_path: Path) -> None:
    """As MiniAn gives it."""
    coords = {"unit_id": [0, 1], "frame": range(3)}
    write_array(tmp_path / "minian", "C", np.ones((2, 3)), ("unit_id", "frame"), coords=coords)
    (tmp_path / "minian/C.zarr").rename(tmp_path / "minian/C_old.zarr")
    opened = mvc.open_minian(tmp_path / "minian", return_dict=True)
    assert {name: array.name for name, array in opened.items()} == {"C": "C"}
    assert list(mvc.open_minian(tmp_path / "minian").data_vars) == ["C"]


# -- beside the real MiniAn ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def minian() -> Any:
    """MiniAn's own module, where it is installed."""
    with quiet():
        pytest.importorskip("minian", reason="MiniAn is not installed: it has an environment of its own")
        return importlib.import_module("minian.utilities")


def test_the_signature_is_that_of_the_real_open_minian(minian: Any) -> None:
    """Names, order, kinds and defaults."""
    assert parameters(mvc.open_minian) == parameters(minian.open_minian)


@pytest.mark.parametrize("session", ["session1", "session2"])
def test_an_aligned_folder_opens_as_the_real_open_minian_opens_it(stages: Path, minian: Any, session: str) -> None:
    """Variables, coordinates, dims, dtypes and values of the Dataset and of the dictionary are equal."""
    path = str(stages / FINAL.format(session))
    with quiet():
        theirs, theirs_each = minian.open_minian(path), minian.open_minian(path, return_dict=True)
    ours, ours_each = mvc.open_minian(path), mvc.open_minian(path, return_dict=True)
    assert set(ours.variables) == set(theirs.variables)
    assert set(ours.coords) == set(theirs.coords)
    for name in theirs.data_vars:
        assert_same(ours[name], theirs[name])
    assert set(ours_each) == set(theirs_each)
    for name, array in theirs_each.items():
        assert_same(ours_each[name], array)


def test_post_process_sees_what_minian_would_hand_it(stages: Path, minian: Any) -> None:
    """The path as text and the same dataset."""
    path = str(stages / FINAL.format("session1"))
    with quiet():
        theirs = minian.open_minian(path, lambda ds, dpath: (sorted(ds.data_vars), dpath))
    assert mvc.open_minian(path, lambda ds, dpath: (sorted(ds.data_vars), dpath)) == theirs


# -- what a grade promises ----------------------------------------------------------------------


def assert_grade_is_kept(folder: Path) -> str:
    """Aligned: MiniAn pads nothing, and it loads. Alignable: it loads. Else loading raises. Return the grade."""
    report = mvc.check(folder)
    if report.grade in ("contradictory", "unreadable"):
        with pytest.raises(UnreadableError if report.grade == "unreadable" else ConflictError):
            report.load()
        return report.grade
    if report.grade == "aligned":
        merge = report.prediction["merge"]
        assert merge.status == "ok", report
        assert not any(array.padded for array in merge.arrays.values()), report
    with quiet():
        together = report.load()
    on_disk = report.prediction["return_dict"].arrays
    for name, array in together.data_vars.items():  # nothing is padded: no dimension is longer than on disk
        saved = dict(zip(on_disk[str(name)].dims, on_disk[str(name)].shape, strict=True))
        decoded = {"int8", "bool"}  # xarray keeps truth as int8 with an attribute, and MiniAn does not look at that
        assert array.dtype.name == on_disk[str(name)].dtype or {array.dtype.name, on_disk[str(name)].dtype} == decoded
        assert all(size <= saved[str(dim)] for dim, size in array.sizes.items()), report
    return report.grade


def chance_folder(seed: int, folder: Path) -> Path:
    """Write a few arrays by hand whose labels, sessions and orders deviate now and then; a seed makes one folder."""
    chance = random.Random(seed)  # noqa: S311
    disorder = chance.choice((0.0, 0.1, 0.3))
    units, frames = list(range(chance.randint(1, 5))), list(range(chance.randint(2, 5)))
    for name in chance.sample(("A", "C", "S", "YrA", "C_new", "A_mrg", "b", "f"), chance.randint(1, 5)):
        dims = ("height", "width") if name == "b" else ("frame",) if name == "f" else ("unit_id", "frame")
        labels: dict[str, Any] = {"unit_id": units, "frame": frames, "height": [0, 1], "width": [0, 1, 2]}
        for dim in dims:
            if chance.random() < disorder:
                labels[dim] = deviating(chance, labels[dim])
        shape = tuple(len(labels[dim]) for dim in dims)
        known = {dim: labels[dim] for dim in dims if chance.random() > disorder / 5}
        scalars = {"session": "s2" if chance.random() < disorder / 5 else "s1"} if chance.random() < 0.5 else {}
        values = np.arange(int(np.prod(shape))).reshape(shape).astype(chance.choice(("f8", "f4", "u1", "i8")))
        chunks = tuple(max(1, size) for size in shape)
        path = write_array(folder, name, values, dims, chunks=chunks, coords={**known, **scalars}, fill_value=None)
        if chance.random() < disorder / 5:
            next(path.rglob("[0-9]*")).unlink()
    if chance.random() < 0.03:
        (folder / "figures").mkdir()
    return folder


def deviating(chance: random.Random, labels: list[int]) -> Any:
    """Return other labels than these."""
    way = chance.choice(("part", "order", "shift", "repeat", "none", "float", "text"))
    if way == "part":
        return sorted(chance.sample(labels, chance.randint(1, len(labels))))
    if way == "order":
        return chance.sample(labels, len(labels))
    if way == "shift":
        return [label + 1 for label in labels]
    if way == "repeat":
        return [*labels, labels[0]]
    if way == "none":
        return np.zeros(0, "int64")
    return np.array(labels, dtype="float64") if way == "float" else np.array([str(label) for label in labels])


def test_grades_keep_their_promises_on_folders_made_by_chance(tmp_path: Path) -> None:
    """250 folders with all that can be wrong with labels: every grade occurs, and each keeps what it says."""
    seen: dict[str, int] = {}
    for seed in range(250):
        folder = chance_folder(seed, tmp_path / str(seed))
        try:
            grade = assert_grade_is_kept(folder)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{mvc.check(folder)}") from error
        seen[grade] = seen.get(grade, 0) + 1
        shutil.rmtree(folder)
    assert min(seen.get(grade, 0) for grade in ("aligned", "alignable", "contradictory", "unreadable")) >= 5, seen


def test_grades_keep_their_promises_on_minians_random_folders(
    minian: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So they do on the folders against which the predictions are held."""
    del minian
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "prediction")
    made = importlib.import_module("random_folders")
    seen: dict[str, int] = {}
    for seed in range(150):
        folder = tmp_path / str(seed)
        with quiet():
            made.random_dataset(seed, folder)
        try:
            grade = assert_grade_is_kept(folder)
        except EnvironmentUnfitError:
            grade = "unfit"
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{mvc.check(folder)}") from error
        seen[grade] = seen.get(grade, 0) + 1
        shutil.rmtree(folder)
    assert min(seen.get(grade, 0) for grade in ("aligned", "contradictory", "unreadable")) >= 5, seen
