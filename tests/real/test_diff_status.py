"""What changed: between stages, and between history and the working folder, against plain numpy."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from pathlib import Path

import numcodecs
import numpy as np
import pytest
from conftest import INTERMEDIATE, STAGES, put_stage
from originals import original, write_array

import minian_vc as mvc
from minian_vc.diff import ArrayChange, UnitChanges

PAIRS = list(itertools.pairwise(STAGES[:-1]))


@pytest.fixture(scope="module")
def recorded(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> mvc.Dataset:
    """Session 1's intermediate folder with a checkpoint per stage, for tests that only look."""
    root = tmp_path_factory.mktemp("recorded")
    mvc.Repository.create(root)
    for stage in STAGES[:-1]:
        ds = mvc.open(put_stage(stages, stage, root))
        ds.commit(stage, tag=stage)
    return ds


def truth(old: Path, new: Path) -> tuple[str, dict[str, list[int]]]:
    """State and units of one array between two folders, from values alone."""
    was, now = original(old).compute(), original(new).compute()
    before, after = was.unit_id.values.tolist(), now.unit_id.values.tolist()
    common = [unit for unit in after if unit in before]
    same = [u for u in common if np.array_equal(was.sel(unit_id=u), now.sel(unit_id=u), equal_nan=True)]
    units = {
        "added": [unit for unit in after if unit not in before],
        "removed": [unit for unit in before if unit not in after],
        "changed": [unit for unit in common if unit not in same],
        "unchanged": same,
    }
    return ("unchanged" if was.identical(now) else "modified"), units


def units_of(change: ArrayChange) -> dict[str, list[int]]:
    """The four lists of a change."""
    return {kind: list(getattr(change.units, kind)) for kind in ("added", "removed", "changed", "unchanged")}


def by_name(changes: list[ArrayChange]) -> dict[str, ArrayChange]:
    """Changes by array."""
    return {change.name: change for change in changes}


def states(ds: mvc.Dataset) -> dict[str, str]:
    """What status says, by array."""
    return {state.name: state.state for state in ds.status()}


def flipped(content: bytes) -> bytes:
    """The same bytes but for the last."""
    return content[:-1] + bytes([content[-1] ^ 1])


# -- status ---------------------------------------------------------------------------------------


def test_status_before_the_first_checkpoint(dataset: mvc.Dataset) -> None:
    """Everything is new, and asking records nothing."""
    assert set(states(dataset).values()) == {"new"}
    assert dataset.latest is None


def test_status_tells_new_modified_unchanged_and_deleted(dataset: mvc.Dataset) -> None:
    """Each array of the folder or the latest checkpoint has one of four states."""
    dataset.commit("one")
    assert set(states(dataset).values()) == {"unchanged"}
    shutil.rmtree(dataset.path / "C.zarr")
    write_array(dataset.path, "extra", np.arange(3.0), ("frame",))
    chunk = dataset.path / "S.zarr/S/0.0"
    chunk.write_bytes(flipped(chunk.read_bytes()))
    found = states(dataset)
    assert {name: state for name, state in found.items() if state != "unchanged"} == {
        "C": "deleted",
        "S": "modified",
        "extra": "new",
    }
    assert found["A"] == "unchanged"


def test_status_sees_a_change_of_the_same_size_and_time(dataset: mvc.Dataset) -> None:
    """A chunk rewritten with the same size and mtime is modified all the same."""
    dataset.commit("one")
    chunk = dataset.path / "S.zarr/S/0.0"
    before = chunk.stat()
    chunk.write_bytes(flipped(chunk.read_bytes()))
    os.utime(chunk, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert states(dataset)["S"] == "modified"


def test_status_takes_touched_files_for_unchanged(dataset: mvc.Dataset) -> None:
    """Another timestamp is no change: bytes decide."""
    dataset.commit("one")
    for path in (dataset.path / "C.zarr").rglob("*"):
        os.utime(path)
    assert set(states(dataset).values()) == {"unchanged"}


def test_status_says_why_an_array_cannot_be_read(dataset: mvc.Dataset) -> None:
    """A broken array is modified, with the reason; the others keep their states."""
    dataset.commit("one")
    (dataset.path / "C.zarr/C/.zarray").write_text("{")
    found = {state.name: state for state in dataset.status()}
    assert found["C"].state == "modified"
    assert ".zarray" in found["C"].problem
    assert found["A"].state == "unchanged"
    assert not found["A"].problem


def test_status_of_a_deleted_folder(dataset: mvc.Dataset) -> None:
    """Without its folder every array of the dataset is deleted."""
    dataset.commit("one")
    shutil.rmtree(dataset.path)
    assert set(states(mvc.open(dataset.path)).values()) == {"deleted"}


# -- diff between stages --------------------------------------------------------------------------


@pytest.mark.parametrize("array", ["A", "C", "S", "C_chk"])
def test_units_between_stages_are_those_of_numpy(recorded: mvc.Dataset, stages: Path, array: str) -> None:
    """Added, removed, changed and unchanged units are what the original values say; C_chk goes by values."""
    seen = set()
    for old, new in (*PAIRS, (STAGES[0], STAGES[5]), (STAGES[5], STAGES[1])):
        change = by_name(recorded.diff(old, new)).get(array)
        folders = [stages / stage / INTERMEDIATE / f"{array}.zarr" for stage in (old, new)]
        if not all(folder.exists() for folder in folders):
            continue
        state, units = truth(*folders)
        assert change.state == state, (old, new)
        assert units_of(change) == units, (old, new)
        seen |= {kind for kind, found in units.items() if found}
    assert seen >= {"changed", "unchanged"}


def test_new_and_deleted_arrays(recorded: mvc.Dataset) -> None:
    """An array on one side only is new with all its units added, or deleted with all removed."""
    forth = by_name(recorded.diff("stage-01-first-spatial", "stage-02-first-temporal"))["S"]
    back = by_name(recorded.diff("stage-02-first-temporal", "stage-01-first-spatial"))["S"]
    units = recorded.show("stage-02-first-temporal").array("S").unit_ids
    assert (forth.state, forth.units) == ("new", UnitChanges(added=units))
    assert (back.state, back.units) == ("deleted", UnitChanges(removed=units))


def test_description_changes_are_given_old_and_new(recorded: mvc.Dataset) -> None:
    """A change of shape and of the unit_id coordinate is told; dtype and chunks did not change."""
    change = by_name(recorded.diff("stage-04-second-spatial", "stage-05-second-temporal"))["C"]
    assert change.fields == {"shape": ((9, 190), (8, 190)), "coords": (["unit_id"], ["unit_id"])}


def test_arrays_without_units_have_none(recorded: mvc.Dataset) -> None:
    """b and f change between updates, but have no units to list."""
    change = by_name(recorded.diff(STAGES[1], STAGES[4]))["b"]
    assert (change.state, change.units) == ("modified", None)


def test_a_checkpoint_does_not_differ_from_itself(recorded: mvc.Dataset) -> None:
    """Both sides the same: every array and every unit is unchanged."""
    for change in recorded.diff(STAGES[3], STAGES[3]):
        assert change.state == "unchanged"
        assert change.units is None or not (change.units.added or change.units.removed or change.units.changed)


def test_numbering_starts_anew_at_the_merge_only(recorded: mvc.Dataset) -> None:
    """After the merge the ids of A and C are other cells: the diff says so, in both directions and across it."""

    def renumbered(old: str, new: str) -> set[str]:
        return {change.name for change in recorded.diff(old, new) if change.units and change.units.renumbered}

    assert renumbered(STAGES[0], STAGES[1]) == renumbered(STAGES[1], STAGES[2]) == set()
    assert renumbered(STAGES[3], STAGES[4]) >= {"A", "C", "C_chk"}
    assert renumbered(STAGES[4], STAGES[3]) == renumbered(STAGES[3], STAGES[4])
    assert renumbered(STAGES[1], STAGES[5]) >= {"A", "C"}
    assert renumbered(STAGES[4], STAGES[5]).isdisjoint({"A", "C"})


# -- diff with the folder -------------------------------------------------------------------------


def test_diff_with_the_working_folder(dataset: mvc.Dataset, stages: Path, root: Path) -> None:
    """With one revision the folder is the other side, in the same words as between two checkpoints."""
    dataset.commit("one", tag="one")
    put_stage(stages, "stage-03-merge", root)
    put_stage(stages, "stage-04-second-spatial", root)
    uncommitted = dataset.diff("one")
    dataset.commit("two", tag="two")
    committed = dataset.diff("one", "two")
    strip = [(c.name, c.state, c.fields, c.units and units_of(c)) for c in uncommitted]
    assert strip == [(c.name, c.state, c.fields, c.units and units_of(c)) for c in committed]
    assert {change.state for change in uncommitted} == {"new", "modified", "unchanged"}


def test_nan_equals_nan(dataset: mvc.Dataset) -> None:
    """A unit with NaN in it is unchanged when only its bytes are others."""
    chunk = dataset.path / "C.zarr/C/3.0"
    values = np.frombuffer(numcodecs.Blosc().decode(chunk.read_bytes())).copy()
    values[:5] = np.nan
    chunk.write_bytes(numcodecs.Blosc("lz4").encode(values))
    dataset.commit("one", tag="one")
    chunk.write_bytes(numcodecs.Blosc("zstd", clevel=9).encode(values))
    change = by_name(dataset.diff("one"))["C"]
    assert (change.state, change.units.changed) == ("modified", ())


def test_one_changed_chunk_is_one_changed_unit(dataset: mvc.Dataset) -> None:
    """Swapping the chunks of units 0 and 1 changes just these two."""
    dataset.commit("one", tag="one")
    one, two = dataset.path / "C.zarr/C/0.0", dataset.path / "C.zarr/C/1.0"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    change = by_name(dataset.diff("one"))["C"]
    assert units_of(change) == {"added": [], "removed": [], "changed": [0, 1], "unchanged": [2, 4, 3, 7, 8, 9, 10, 11]}


def test_other_bytes_with_equal_values_are_an_unchanged_unit(dataset: mvc.Dataset) -> None:
    """blosc can write the same values in other bytes: the array is modified, but no unit is changed."""
    dataset.commit("one", tag="one")
    chunk = dataset.path / "C.zarr/C/3.0"
    content = chunk.read_bytes()
    other = bytes(numcodecs.Blosc("zstd", clevel=9, shuffle=2).encode(numcodecs.Blosc().decode(content)))
    assert other != content
    chunk.write_bytes(other)
    for changes in (dataset.diff("one"), dataset.commit("two", tag="two") and dataset.diff("one", "two")):
        change = by_name(changes)["C"]
        assert change.state == "modified"
        assert not change.units.changed
        assert change.units.unchanged == dataset.show("one").array("C").unit_ids


def test_another_compressor_is_an_unchanged_unit(dataset: mvc.Dataset) -> None:
    """The same values saved with another compressor: modified in bytes, equal in every unit and in description."""
    dataset.commit("one", tag="one")
    folder = dataset.path / "C.zarr/C"
    meta = json.loads((folder / ".zarray").read_text())
    (folder / ".zarray").write_text(json.dumps({**meta, "compressor": {"id": "zlib", "level": 1}}))
    for chunk in folder.glob("*.0"):
        chunk.write_bytes(numcodecs.Zlib(1).encode(numcodecs.Blosc().decode(chunk.read_bytes())))
    change = by_name(dataset.diff("one"))["C"]
    assert (change.state, change.fields) == ("modified", {})
    assert not change.units.changed


def test_equal_bytes_read_by_other_metadata_are_a_changed_unit(dataset: mvc.Dataset) -> None:
    """Chunk bytes count only together with their encoding: read as another dtype they are other values."""
    dataset.commit("one", tag="one")
    path = dataset.path / "C.zarr/C/.zarray"
    path.write_text(path.read_text().replace("<f8", "<i8").replace('"NaN"', "null"))
    change = by_name(dataset.diff("one"))["C"]
    assert change.fields == {"dtype": ("float64", "int64")}
    assert not change.units.unchanged
