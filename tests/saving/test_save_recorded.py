"""save_minian with ``tag=`` and ``record=``: the array is saved, and then there is a checkpoint of it."""

from __future__ import annotations

import json
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from conftest import tree
from save_cases import traces

import minian_vc as mvc
from minian_vc import durable, provenance, save_minian
from minian_vc.errors import AlreadyExistsError
from minian_vc.repository import Repository
from minian_vc.verbs.record_saved import make_repositories_by


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a dataset will be; there is no repository."""
    monkeypatch.setattr(durable, "flush", lambda *_: None)
    (tmp_path / "lab").mkdir()
    return tmp_path / "lab/minian"


def save(dataset: Path, name: str, factor: float, **options: object) -> None:
    """Save traces times a factor."""
    save_minian((traces() * factor).rename(name), dataset, **{"overwrite": True, **options})


def value(dataset: Path, spec: str) -> float:
    """Return the factor that a version was saved with."""
    found = mvc.open(dataset)[spec].values / np.where(traces().values == 0, np.nan, traces().values)
    return float(np.nanmean(found))


def dump(dataset: Path) -> list[str]:
    """Everything in the catalog."""
    with closing(sqlite3.connect(dataset.parent / ".minian_vc/catalog.sqlite")) as connection:
        return list(connection.iterdump())


def assert_rebuilt_alike(dataset: Path) -> None:
    """The catalog that is made again from the operation log is the catalog."""
    before = dump(dataset)
    (dataset.parent / ".minian_vc/catalog.sqlite").unlink()
    mvc.Repository.open(dataset.parent)
    assert dump(dataset) == before


def test_without_tag_and_record_there_is_no_repository(dataset: Path) -> None:
    """Nor does a save record anything where there is one."""
    save(dataset, "C", 1)
    assert not (dataset.parent / ".minian_vc").exists()
    save(dataset, "C", 1, tag="one")
    save(dataset, "C", 2)
    save(dataset, "C", 3, tag=None, record=False)
    assert len(mvc.open(dataset).history()) == 1


def test_a_tag_makes_repository_and_checkpoint(dataset: Path) -> None:
    """In the parent of the dataset, and nothing in the dataset itself."""
    save(dataset, "C", 1, tag="first_iteration")
    save(dataset, "C", 2, tag="second_iteration")
    assert [path.name for path in dataset.iterdir()] == ["C.zarr"]
    assert [entry.tags for entry in mvc.open(dataset).history()] == [("second_iteration",), ("first_iteration",)]
    assert [entry.message for entry in mvc.open(dataset).history()] == ["C saved"] * 2
    assert value(dataset, "C@first_iteration") == pytest.approx(1)
    assert value(dataset, "C@second_iteration") == pytest.approx(2)
    assert_rebuilt_alike(dataset)


def test_record_alone_makes_a_checkpoint_without_a_name(dataset: Path) -> None:
    """``record=True``."""
    save(dataset, "C", 1, record=True)
    (entry,) = mvc.open(dataset).history()
    assert entry.tags == ()


def test_a_repository_above_is_used(dataset: Path) -> None:
    """None is made beside the dataset then."""
    inner = dataset.parent / "mouse1/session1/minian"
    mvc.Repository.create(dataset.parent)
    save(inner, "C", 1, tag="one")
    assert not (inner.parent / ".minian_vc").exists()
    assert mvc.open(inner).repository.root == dataset.parent
    assert value(inner, "C@one") == pytest.approx(1)


def test_arrays_saved_with_one_tag_come_together(dataset: Path) -> None:
    """Each save makes a checkpoint, and the tag moves on to the one that has them all; nothing is warned of."""
    for name in ("A", "C", "S"):
        save(dataset, name, 1, tag="first")
    for factor, name in enumerate(("A", "C", "S"), start=2):
        save(dataset, name, factor, tag="second")
    ds = mvc.open(dataset)
    assert [entry.tags for entry in ds.history()] == [("second",), (), (), ("first",), (), ()]
    assert [array.name for array in ds.show("second").arrays] == ["A", "C", "S"]
    assert [value(dataset, f"{name}@second") for name in "ACS"] == pytest.approx([2, 3, 4])
    assert [value(dataset, f"{name}@first") for name in "ACS"] == pytest.approx([1, 1, 1])
    assert_rebuilt_alike(dataset)


def test_a_tag_of_an_older_checkpoint_is_refused_before_anything_is_saved(dataset: Path) -> None:
    """Without ``overwrite=True``; an array that is not there yet does not need it otherwise."""
    save(dataset, "C", 1, tag="first")
    save(dataset, "C", 2, tag="second")
    before = tree(dataset.parent)
    with pytest.raises(AlreadyExistsError, match="first"):
        save(dataset, "S", 3, tag="first", overwrite=False)
    after = tree(dataset.parent)
    assert {k: v for k, v in after.items() if "/staging/" not in k} == {
        k: v for k, v in before.items() if "/staging/" not in k
    }


def test_a_tag_of_an_older_checkpoint_moves_with_overwrite_and_a_warning(dataset: Path) -> None:
    """The notebook runs again: the older checkpoint stays, without the name; the log tells the same when it is read."""
    save(dataset, "C", 1, tag="first")
    save(dataset, "C", 2, tag="second")
    older = mvc.open(dataset).show("first").id
    with pytest.warns(UserWarning, match="tag first moved on from checkpoint") as caught:
        save_minian((traces() * 3).rename("C"), dataset, overwrite=True, tag="first")
    assert caught[0].filename == __file__
    ds = mvc.open(dataset)
    assert [entry.tags for entry in ds.history()] == [("first",), ("second",), ()]
    assert ds.show(older[:20]).tags == ()
    assert value(dataset, "C@first") == pytest.approx(3)
    assert value(dataset, "C@second") == pytest.approx(2)
    save(dataset, "S", 4, tag="first")
    assert [array.name for array in ds.show("first").arrays] == ["C", "S"]
    assert_rebuilt_alike(dataset)


def test_a_tag_that_did_not_move_is_not_said_to_have_moved(dataset: Path) -> None:
    """The array could not be computed: nothing is recorded, and nothing warned of."""
    save(dataset, "C", 1, tag="first")
    save(dataset, "C", 2, tag="second")
    before = dump(dataset)

    def fail(block: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    bad = traces().copy(data=traces().data.map_blocks(fail, dtype=float, meta=np.empty((0, 0))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ZeroDivisionError):
            save_minian(bad.rename("C"), dataset, overwrite=True, tag="first")
    assert dump(dataset) == before


def test_tag_and_commit_still_refuse_a_taken_name(dataset: Path) -> None:
    """Moving is for save_minian alone."""
    save(dataset, "C", 1, tag="first")
    save(dataset, "C", 2, tag="second")
    save(dataset, "C", 3)
    ds = mvc.open(dataset)
    with pytest.raises(AlreadyExistsError):
        ds.commit(tag="second")
    with pytest.raises(AlreadyExistsError):
        ds.tag("first", "second")


def test_the_same_values_again_make_no_checkpoint(dataset: Path) -> None:
    """The tag is put on the latest."""
    save(dataset, "C", 1, tag="one")
    save(dataset, "C", 1, tag="two")
    (entry,) = mvc.open(dataset).history()
    assert set(entry.tags) == {"one", "two"}


def test_beside_a_torn_array_the_saved_one_alone_is_recorded(dataset: Path) -> None:
    """One cannot be read just now: that is said, and the version recorded before stands."""
    save(dataset, "A", 1, tag="one")
    save(dataset, "C", 1, tag="one")
    (dataset / "A.zarr/A/.zarray").write_text("{")
    with pytest.warns(UserWarning, match="Only C was recorded"):
        save(dataset, "C", 2, tag="two")
    assert value(dataset, "C@two") == pytest.approx(2)
    assert value(dataset, "A@two") == pytest.approx(1)
    assert_rebuilt_alike(dataset)


def test_what_is_returned_does_not_depend_on_recording(dataset: Path) -> None:
    """The array as it lies in the folder."""
    plain = save_minian(traces().rename("C"), dataset)
    values = plain.values
    recorded = save_minian(traces().rename("C"), dataset, overwrite=True, tag="one")
    np.testing.assert_array_equal(values, recorded.values)
    assert plain.chunks == recorded.chunks
    assert json.loads((dataset / "C.zarr/.zattrs").read_text()) == {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mvc.open(dataset)["C@one"].load()


def test_a_tagged_save_has_what_a_source_knows(dataset: Path) -> None:
    """A notebook's parameters and chk; one that fails does not harm the save."""
    about = {"params": {"param_first": {"p": 1}}, "chk": {"frame": 10}, "code": {"cell": "x", "number": 1}}
    try:
        provenance.ask_from_now_on(lambda: about)
        save(dataset, "C", 1, tag="one")
        provenance.ask_from_now_on(lambda: {}["nothing"])
        save(dataset, "C", 2, tag="two")
    finally:
        provenance.ask_from_now_on(None)
    ds = mvc.open(dataset)
    kept = ds.show("one").provenance
    assert {key: kept[key] for key in about} == about
    assert kept["environment"]["python"]
    assert {"params", "chk"}.isdisjoint(ds.show("two").provenance)
    assert [entry.tags for entry in ds.history(params={"p": 1})] == [("one",)]


def test_the_repository_of_the_first_save_is_made_by_whoever_asked_for_it(dataset: Path) -> None:
    """A notebook's leaves movies out; one that is there is taken as it is."""

    def make(dataset: Path) -> Repository:
        made.append(dataset)
        repository = Repository.create(dataset.parent)
        repository.configure("record_without_bytes", "C")
        return repository

    made: list[Path] = []
    try:
        make_repositories_by(make)
        save(dataset, "C", 1, tag="one")
        save(dataset, "C", 2, tag="two")
    finally:
        make_repositories_by(None)
    assert made == [dataset]
    assert not mvc.open(dataset).show("one").array("C").bytes_kept
