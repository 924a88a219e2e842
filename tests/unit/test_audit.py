"""The audit: each thing that can be wrong with a dataset, written by hand, and the finding it gives."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from handmade import make_old, write_array, write_file
from numcodecs import Blosc

import minian_vc as mvc
from minian_vc.findings import Finding

UUID = "8f0e3c60-1c1b-4d52-9d52-0123456789ab"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset folder with nothing in it yet."""
    path = tmp_path / "minian"
    path.mkdir()
    return path


def put(folder: Path, name: str, ids: Iterable[Any] | None = (0, 1, 2), frames: Any = range(5), **more: Any) -> Path:
    """Write an array of units and frames with their labels; None for a dimension without labels."""
    options = {key: more.pop(key) for key in ("fill_value", "fresh", "size", "chunks") if key in more}
    sizes = dict(options.pop("size", {}))
    coords: dict[str, Any] = dict(more)
    for dim, labels in (("unit_id", ids), ("frame", frames)):
        if labels is not None:
            coords[dim] = np.array(list(labels)) if len(list(labels)) else np.zeros(0, "int64")
            sizes[dim] = len(coords[dim])
    shape = (sizes["unit_id"], sizes["frame"])
    values = np.arange(shape[0] * shape[1], dtype=float).reshape(shape)
    options = {"chunks": (1, max(shape[1], 1)), **options}
    return write_array(folder / f"{name}.zarr", values, ("unit_id", "frame"), coords=coords, **options)


def put_image(folder: Path, name: str, height: Any = range(3), width: Any = range(4), **more: Any) -> Path:
    """Write a picture with the labels of its pixels."""
    coords = {"height": np.array(height), "width": np.array(width)}
    return write_array(
        folder / f"{name}.zarr", np.ones((len(height), len(width))), ("height", "width"), coords=coords, **more
    )


def sole(path: Path, code: str, severity: str, grade: str = "aligned", **options: Any) -> Finding:
    """Check a path: the grade is this, and the one finding of weight is this; return it."""
    report = mvc.check(path, **options)
    found = [finding for finding in report.findings if finding.severity != "info" or finding.code == code]
    assert [(finding.code, finding.severity) for finding in found] == [(code, severity)], report
    assert report.grade == grade
    return well_formed(found[0])


def well_formed(finding: Finding) -> Finding:
    """One sentence, and something to do unless it is only information; the JSON has the contract's keys."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", finding.code)
    assert finding.message.endswith(".")
    assert not re.search(r"[.!?]\s+\S", finding.message), finding.message
    assert "\n" not in finding.message + finding.fix
    assert finding.severity == "info" or finding.fix
    assert set(finding.to_json()) == {"code", "severity", "arrays", "dim", "message", "fix"}
    return finding


def blameless(path: Path, **options: Any) -> mvc.CheckReport:
    """Check a path that is aligned and gives no finding at all."""
    report = mvc.check(path, **options)
    assert (report.grade, report.findings) == ("aligned", ()), report
    return report


def applied(fix: str, **arrays: xr.DataArray) -> dict[str, xr.DataArray]:
    """Run a fix that is a line of Python on arrays of these names."""
    exec(fix, {}, arrays)  # noqa: S102 (the line that the user is told to run)
    return arrays


def trace(ids: list[int], frames: int = 5) -> xr.DataArray:
    """Return an array of units and frames in memory, each unit's values its id."""
    values = np.repeat(np.array(ids, float)[:, None], frames, axis=1)
    return xr.DataArray(values, {"unit_id": ids, "frame": range(frames)}, ("unit_id", "frame"))


def test_a_healthy_dataset_has_no_findings(folder: Path) -> None:
    """Arrays of one recording with equal labels are aligned, and open padded nowhere."""
    for name in ("A", "C", "S"):
        put(folder, name, session="s1", animal="m1")
    report = blameless(folder)
    assert not any(array.padded for array in report.prediction["merge"].arrays.values())
    report.raise_for_errors("info")


# -- unit sets ----------------------------------------------------------------------------------


def test_a_superset_of_units_can_be_aligned(folder: Path) -> None:
    """A keeps units that C dropped: a warning that names both, and a line that makes them one."""
    put(folder, "A", (0, 1, 2, 3, 7))
    put(folder, "C", (0, 2))
    finding = sole(folder, "units-differ", "warning", "alignable")
    assert (finding.arrays, finding.dim) == (("A", "C"), "unit_id")
    assert "A still has 3 units that C dropped (1,3,7)" in finding.message
    fixed = applied(finding.fix, A=trace([0, 1, 2, 3, 7]), C=trace([0, 2]))
    assert fixed["A"].identical(fixed["C"])


def test_supersets_by_different_units_are_told_apart(folder: Path) -> None:
    """Arrays with the same extra units are in one finding, with others in another."""
    for name, ids in {"A": (0, 1, 2), "YrA": (0, 1, 2), "b": (0, 1), "C": (0,), "S": (0,)}.items():
        put(folder, name, ids)
    report = mvc.check(folder)
    assert report.grade == "alignable"
    found = [well_formed(f) for f in report.findings if f.code == "units-differ"]
    assert {frozenset(f.arrays) for f in found} == {frozenset(("A", "YrA", "C", "S")), frozenset(("b", "C", "S"))}


def test_no_units_in_common_cannot_be_aligned(folder: Path) -> None:
    """An array without a single unit beside one with units: an error."""
    put(folder, "A", (0, 1))
    put(folder, "C", ())
    report = mvc.check(folder)
    assert report.grade == "contradictory"
    finding = next(well_formed(f) for f in report.findings if f.code == "units-differ")
    assert (finding.severity, finding.arrays) == ("error", ("A", "C"))


def test_another_order_of_the_same_units_can_be_aligned(folder: Path) -> None:
    """update_temporal reorders C: by position the wrong cells would be paired."""
    put(folder, "A", (0, 1, 2))
    put(folder, "C", (1, 0, 2))
    finding = sole(folder, "order-differs", "warning", "alignable")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, "unit_id")
    assert "0-2" in finding.message
    assert "1,0,2" in finding.message
    fixed = applied(finding.fix, A=trace([0, 1, 2]), C=trace([1, 0, 2]))
    assert fixed["A"].identical(fixed["C"])


def test_units_in_one_order_with_gaps_are_not_out_of_order(folder: Path) -> None:
    """A subset in the same order is a subset, no other order."""
    put(folder, "A", (3, 1, 2))
    put(folder, "C", (3, 2))
    sole(folder, "units-differ", "warning", "alignable")


def test_sets_of_which_none_holds_the_other_are_two_numberings(folder: Path) -> None:
    """Updates only drop units: ids that each side alone has mean that the numbering started anew."""
    put(folder, "A", (0, 1, 2))
    put(folder, "C", (1, 2, 3))
    finding = sole(folder, "numbering-differs", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, "unit_id")
    assert "alone has 0" in finding.message
    assert "alone 3" in finding.message


def test_the_numbering_is_uncertain_by_file_times_alone(folder: Path) -> None:
    """A before A_mrg and C after it, equal ids: a warning that does not change the grade."""
    for name in ("A", "A_mrg", "C"):
        put(folder, name)
    finding = sole(folder, "numbering-uncertain", "warning", "aligned")
    assert (finding.arrays, finding.dim) == (("A", "C"), "unit_id")


@pytest.mark.parametrize("copy", ["A_init", "C_new", "A_mrg", "C_mrg_chk", "C_chk_new", "sig_mrg", "g"])
def test_a_copy_of_an_earlier_step_is_only_information(folder: Path, copy: str) -> None:
    """What the notebook leaves behind has more units by nature, and is left out of what belongs together."""
    put(folder, copy, range(6), frames=None, size={"frame": 5})
    put(folder, "A")
    put(folder, "C")
    report = mvc.check(folder)
    assert report.grade == "alignable"
    finding = next(well_formed(f) for f in report.findings if f.code == "earlier-copies")
    assert (finding.severity, finding.arrays, finding.dim) == ("info", (copy,), "unit_id")
    assert {f.severity for f in report.findings if f.dim == "unit_id"} == {"info"}


def test_a_copy_with_equal_units_is_nothing_to_tell(folder: Path) -> None:
    """A_new of the same units pads nothing."""
    for name in ("A_new", "A", "C"):
        put(folder, name)
    blameless(folder)


def test_copies_alone_are_judged_like_any_arrays(folder: Path) -> None:
    """In a folder of nothing but copies of a step, these are what is meant."""
    put(folder, "A_init", (0, 1, 2))
    put(folder, "C_init", (0, 1))
    sole(folder, "units-differ", "warning", "alignable")


def test_an_old_version_kept_under_its_tag_is_a_copy(root: Path) -> None:
    """C_first beside C is what ``restore --as`` leaves there; without such a tag it is an array like any other."""
    folder = root / "minian"
    put(folder, "C", (0, 1, 2))
    mvc.open(folder).commit(tag="first")
    shutil.rmtree(folder / "C.zarr")
    put(folder, "C", (0, 1))
    put(folder, "C_first", (0, 1, 2))
    report = mvc.check(folder)
    assert [(f.code, f.severity, f.arrays) for f in report.findings] == [("earlier-copies", "info", ("C_first",))]
    (folder / "C_first.zarr").rename(folder / "C_other.zarr")
    assert {"units-differ"} <= {f.code for f in mvc.check(folder).findings}


def test_versions_named_one_by_one_are_all_meant(root: Path) -> None:
    """Whoever names C_new and C together wants them together: here a copy is no excuse."""
    folder = root / "minian"
    put(folder, "C_new", (0, 1, 2))
    put(folder, "C", (0, 1))
    ds = mvc.open(folder)
    ds.commit(tag="one")
    assert [f.code for f in ds.check("@one").findings] == ["earlier-copies"]
    assert [f.code for f in ds.check("C@one", "C_new@one").findings] == ["units-differ"]


# -- sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("one", "other"), [("1", "01"), (1, "1"), ("s1", "s2"), (1, 2)])
@pytest.mark.parametrize("name", ["session", "animal"])
def test_two_sessions_contradict(folder: Path, name: str, one: Any, other: Any) -> None:
    """'1' and '01', 1 and '1' are two sessions to xarray: merging raises."""
    put(folder, "A", **{name: one})
    put(folder, "C", **{name: other})
    finding = sole(folder, f"{name}s-mixed", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, name)
    assert repr(str(one)) in finding.message
    assert mvc.check(folder).prediction["merge"].error == "MergeError"


def test_equal_numbers_of_two_types_are_one_session(folder: Path) -> None:
    """1 and 1.0 do not contradict."""
    put(folder, "A", session=1)
    put(folder, "C", session=1.0)
    blameless(folder)


def test_any_scalar_can_contradict(folder: Path) -> None:
    """Other scalar coordinates than session and animal too."""
    put(folder, "A", gain=1)
    put(folder, "C", gain=2)
    finding = sole(folder, "coordinate-conflict", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, "gain")


def test_a_session_on_some_arrays_only_is_information(folder: Path) -> None:
    """MiniAn's meta_dict is lost on the way by nature: loading spreads it to all."""
    put(folder, "A", session="s1", animal="m1")
    put(folder, "C")
    report = mvc.check(folder)
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.arrays) == ("coordinate-partial", "info", ("A",))
    assert "session, animal" in finding.message or "animal, session" in finding.message
    assert report.grade == "aligned"
    well_formed(finding)


# -- labels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [range(4), range(1, 6), [0, 1, 2, 4, 3]])
def test_other_frames_contradict(folder: Path, frames: Any) -> None:
    """Fewer, shifted or reordered frames: MiniAn pads, and no one recording has both."""
    put(folder, "A")
    put(folder, "C", frames=frames)
    finding = sole(folder, "frames-differ", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, "frame")


def test_the_fix_for_frames_cuts_the_longer(folder: Path) -> None:
    """Of 5 and 4 frames, 4 are left on both."""
    put(folder, "A")
    put(folder, "C", frames=range(4))
    finding = sole(folder, "frames-differ", "error", "contradictory")
    fixed = applied(finding.fix, A=trace([0, 1, 2]), C=trace([0, 1, 2], 4))
    assert fixed["A"].identical(fixed["C"])


@pytest.mark.parametrize("dim", ["height", "width"])
@pytest.mark.parametrize("labels", [range(2), range(1, 4)])
def test_another_crop_contradicts(folder: Path, dim: str, labels: Any) -> None:
    """A picture of another size, or of another place."""
    square = {"height": range(3), "width": range(3)}
    put_image(folder, "max_proj", **square)
    put_image(folder, "b", **{**square, dim: labels})
    finding = sole(folder, "image-size-differs", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"max_proj", "b"}, dim)


def test_any_other_dimension_can_differ(folder: Path) -> None:
    """Labels of a dimension that MiniAn does not know."""
    for name, labels in (("motion", [0, 1]), ("other", [0, 1, 2])):
        write_array(folder / f"{name}.zarr", np.ones(len(labels)), ("shift",), coords={"shift": labels})
    finding = sole(folder, "labels-differ", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"motion", "other"}, "shift")


def test_text_and_numbers_are_different_labels(folder: Path) -> None:
    """'0' is not 0: all units would be there twice."""
    put(folder, "A", (0, 1))
    put(folder, "C", ("0", "1"))
    finding = sole(folder, "coordinate-dtype-differs", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, "unit_id")
    assert "text on C" in finding.message
    assert mvc.check(folder).prediction["merge"].arrays["A"].shape == (4, 5)


def test_equal_numbers_of_two_types_are_information(folder: Path) -> None:
    """0 and 0.0 are the same label: nothing is padded, and it is only mentioned."""
    put(folder, "A", (0, 1))
    put(folder, "C", (0.0, 1.0))
    finding = sole(folder, "coordinate-dtype-differs", "info", "aligned")
    assert "float64 on C" in finding.message
    assert mvc.check(folder).prediction["merge"].status == "ok"


def test_missing_unit_labels_of_equal_size_contradict(folder: Path) -> None:
    """MiniAn silently gives them the others' labels; nobody knows whether these are they."""
    put(folder, "A")
    put(folder, "C", None, size={"unit_id": 3})
    finding = sole(folder, "coordinate-missing", "warning", "contradictory")
    assert (finding.arrays, finding.dim) == (("C",), "unit_id")
    assert "silently gives the labels of A" in finding.message


def test_missing_frame_labels_of_equal_size_are_adopted(folder: Path) -> None:
    """Frames are counted, not named: a warning, and alignable."""
    put(folder, "A")
    put(folder, "C", frames=None, size={"frame": 5})
    finding = sole(folder, "coordinate-missing", "warning", "alignable")
    assert (finding.arrays, finding.dim) == (("C",), "frame")


@pytest.mark.parametrize("dim", ["unit_id", "frame"])
def test_missing_labels_of_another_size_are_an_error(folder: Path, dim: str) -> None:
    """MiniAn raises AlignmentError."""
    put(folder, "A")
    bare = {"ids": None} if dim == "unit_id" else {"frames": None}
    put(folder, "C", **bare, size={dim: 2})
    finding = sole(folder, "coordinate-missing", "error", "contradictory")
    assert (finding.arrays, finding.dim) == (("C",), dim)
    assert mvc.check(folder).prediction["merge"].error == "AlignmentError"


def test_missing_labels_of_several_sizes_are_an_error(folder: Path) -> None:
    """Where no array has labels, sizes that differ are a conflict all the same."""
    put(folder, "A", frames=None, size={"frame": 5})
    put(folder, "C", frames=None, size={"frame": 4})
    finding = sole(folder, "coordinate-missing", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, "frame")
    assert mvc.check(folder).prediction["merge"].error == "AlignmentError"


def test_units_without_labels_anywhere_are_told(folder: Path) -> None:
    """Nobody can say which cells these are; frames without labels anywhere are nothing to tell."""
    put(folder, "A", None, None, size={"unit_id": 3, "frame": 5})
    finding = sole(folder, "coordinate-missing", "warning", "contradictory")
    assert finding.dim == "unit_id"


def test_labels_that_occur_twice_are_an_error(folder: Path) -> None:
    """They name no single unit, though MiniAn opens them while all arrays repeat them alike."""
    put(folder, "A", (0, 0, 1))
    put(folder, "C", (0, 0, 1))
    finding = sole(folder, "coordinate-duplicated", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, "unit_id")


def test_unit_labels_on_some_arrays_are_a_warning(folder: Path) -> None:
    """After curation of A alone, loading spreads its labels to C."""
    put(folder, "A", unit_labels=(("unit_id",), [0, 1, 1]))
    put(folder, "C")
    finding = sole(folder, "labels-partial", "warning", "aligned")
    assert (finding.arrays, finding.dim) == (("C",), "unit_labels")


def test_unit_labels_that_contradict_are_an_error(folder: Path) -> None:
    """Curated twice, with other results."""
    put(folder, "A", unit_labels=(("unit_id",), [0, 1, 1]))
    put(folder, "C", unit_labels=(("unit_id",), [0, 1, 2]))
    finding = sole(folder, "coordinate-conflict", "error", "contradictory")
    assert (set(finding.arrays), finding.dim) == ({"A", "C"}, "unit_labels")
    assert mvc.check(folder).prediction["merge"].error == "MergeError"


def test_unit_labels_of_a_subset_agree_by_unit(folder: Path) -> None:
    """The same label for each unit that both have contradicts nothing."""
    put(folder, "A", (0, 1, 2), unit_labels=(("unit_id",), [5, 6, 7]))
    put(folder, "C", (0, 2), unit_labels=(("unit_id",), [5, 7]))
    sole(folder, "units-differ", "warning", "alignable")


def test_a_damaged_coordinate_is_an_error(folder: Path) -> None:
    """Its chunk is gone and nothing fills it: the unit ids are whatever lies in memory."""
    put(folder, "A")
    (put(folder, "C") / "unit_id/0").unlink()
    finding = sole(folder, "coordinate-damaged", "error", "contradictory")
    assert (finding.arrays, finding.dim) == (("C",), "unit_id")


# -- chunk specs --------------------------------------------------------------------------------


def test_an_array_cut_otherwise_is_told_with_its_chunks(folder: Path) -> None:
    """Two cut by 2 frames, one by 3: the one is named, and what it should be is in the fix."""
    for name, frames in (("varr", 2), ("Y", 2), ("C", 3)):
        put(folder, name, chunks=(3, frames))
    finding = sole(folder, "chunks-inconsistent", "warning", "aligned")
    assert (finding.arrays, finding.dim) == (("C",), "frame")
    assert "'frame': 2" in finding.fix


def test_arrays_cut_along_other_dims_agree(folder: Path) -> None:
    """One unit per chunk here, some frames per chunk there: that is one chk."""
    put(folder, "C", chunks=(1, 5))
    put(folder, "C_chk", chunks=(3, 2))
    blameless(folder)


# -- chunks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fill_value", "code", "severity"),
    [("NaN", "chunks-missing", "warning"), (None, "chunks-missing", "error"), (0, "chunks-left-out", "info")],
)
@pytest.mark.parametrize("gone", [1, 2])
def test_missing_chunks_by_what_they_read_as(
    folder: Path, fill_value: Any, code: str, severity: str, gone: int
) -> None:
    """NaN, uninitialised memory, or zeros that zarr left out on purpose; the grade is not theirs to change."""
    put(folder, "A")
    array = put(folder, "C", fill_value=fill_value)
    for index in range(gone):
        (array / f"C/{index}.0").unlink()
    finding = sole(folder, code, severity, "aligned")
    assert finding.arrays == ("C",)
    assert f"{gone} of 3 chunks of C" in finding.message
    assert ("killed" in finding.message) == (fill_value == "NaN" and gone > 1)


def test_an_array_that_is_being_written_is_told_to_wait_for(folder: Path) -> None:
    """Fresh files and missing chunks: a save under way, no damage."""
    put(folder, "A")
    array = put(folder, "C", fill_value="NaN", fresh=True)
    (array / "C/1.0").unlink()
    finding = sole(folder, "save-in-progress", "warning", "aligned")
    assert "save" in finding.fix
    make_old(array)
    sole(folder, "chunks-missing", "warning")


def test_an_uncompressed_chunk_that_is_too_short_is_cut_off(folder: Path) -> None:
    """Its size is known without a header."""
    put(folder, "A")
    chunk = put(folder, "C") / "C/1.0"
    chunk.write_bytes(chunk.read_bytes()[:-1])
    make_old(folder)
    finding = sole(folder, "chunks-cut-off", "error", "aligned")
    assert finding.arrays == ("C",)
    assert "C/1.0" in finding.message


def blosc(array: Path) -> None:
    """Compress the chunks of an array as MiniAn's are."""
    codec = Blosc("lz4", 5, Blosc.SHUFFLE)
    document = json.loads((array / ".zarray").read_text())
    (array / ".zarray").write_text(json.dumps({**document, "compressor": codec.get_config()}))
    for path in array.glob("[0-9]*"):
        path.write_bytes(codec.encode(np.frombuffer(path.read_bytes())))


def test_a_blosc_chunk_shorter_than_its_header_says_is_cut_off(folder: Path) -> None:
    """One byte less, a few bytes, no byte at all; a whole one is not."""
    array = put(folder, "C", frames=range(100)) / "C"
    blosc(array)
    make_old(folder)
    blameless(folder)
    chunk = array / "1.0"
    whole = chunk.read_bytes()
    for part in (whole[:-1], whole[:7], b""):
        chunk.write_bytes(part)
        make_old(folder)
        assert sole(folder, "chunks-cut-off", "error").arrays == ("C",)
    chunk.write_bytes(whole)
    make_old(folder)
    blameless(folder)


def test_files_of_a_killed_save_are_told(folder: Path) -> None:
    """zarr's temporary files: long ago they are a killed save, just now a save under way."""
    array = put(folder, "C")
    write_file(array / f"C/0.0.{UUID}.partial", b"x")
    make_old(folder)
    assert sole(folder, "save-killed", "warning").arrays == ("C",)
    os.utime(array / f"C/0.0.{UUID}.partial")
    sole(folder, "save-in-progress", "warning")


def test_an_array_without_values_is_told(folder: Path) -> None:
    """All units dropped."""
    put(folder, "C", ())
    assert sole(folder, "array-empty", "warning").arrays == ("C",)


# -- folders ------------------------------------------------------------------------------------


def test_a_folder_without_arrays_is_told(folder: Path) -> None:
    """An empty folder opens as nothing; files beside arrays do not count."""
    (folder / "timeStamps.csv").write_text("0\n")
    assert sole(folder, "no-arrays", "warning").arrays == ()


@pytest.mark.parametrize("name", ["figures", ".ipynb_checkpoints", "zz"])
def test_a_foreign_folder_makes_the_dataset_unreadable(folder: Path, name: str) -> None:
    """Hidden ones too: MiniAn takes every folder for an array. The printed command heals it."""
    put(folder, "A")
    write_file(folder / name / "plot.png", b"x")
    finding = sole(folder, "foreign-folder", "error", "unreadable")
    assert finding.arrays == (name,)
    assert {mvc.check(folder).prediction[way].status for way in ("merge", "return_dict")} == {"error"}
    if sys.platform != "win32":
        subprocess.run(finding.fix, shell=True, check=True)  # noqa: S602 (the command that the user is told to run)
        blameless(folder)
        assert (folder.parent / name / "plot.png").is_file()


def test_an_empty_folder_is_foreign_and_an_empty_array_folder_broken(folder: Path) -> None:
    """Both prevent opening."""
    put(folder, "A")
    (folder / "empty").mkdir()
    sole(folder, "foreign-folder", "error", "unreadable")
    (folder / "empty").rename(folder / "C.zarr")
    sole(folder, "array-unreadable", "error", "unreadable")


def test_a_leftover_of_the_rechunker_is_told_to_be_removed(folder: Path) -> None:
    """A folder named by a uuid with an array in it; while it is fresh the save may still be running."""
    put(folder, "A")
    shutil.copytree(put(folder.parent, "C") / "C", folder / UUID)
    make_old(folder)
    finding = sole(folder, "leftover-folder", "error", "unreadable")
    assert finding.arrays == (UUID,)
    assert finding.fix.startswith("rm -r ")
    for path in (folder / UUID).iterdir():
        os.utime(path)
    finding = sole(folder, "leftover-folder", "error", "unreadable")
    assert "under way" in finding.message
    assert "rm" not in finding.fix.split()


def test_zarr_format_3_cannot_be_read_by_minian(folder: Path) -> None:
    """It says so by name, whatever zarr is installed here."""
    put(folder, "A")
    write_file(folder / "C.zarr/zarr.json", json.dumps({"zarr_format": 3, "node_type": "group"}).encode())
    assert sole(folder, "zarr-format-3", "error", "unreadable").arrays == ("C",)


def damage_json(array: Path) -> None:
    """Cut a metadata document off."""
    (array / "C/.zarray").write_text("{")


def remove_zarray(array: Path) -> None:
    """Lose the description of the data."""
    (array / "C/.zarray").unlink()


def remove_data(array: Path) -> None:
    """Lose the array, and keep its coordinates."""
    shutil.rmtree(array / "C")


def forget_dims(array: Path) -> None:
    """Lose the names of the dimensions."""
    (array / "C/.zattrs").write_text("{}")


@pytest.mark.parametrize("harm", [damage_json, remove_zarray, remove_data, forget_dims])
def test_an_array_that_cannot_be_opened_makes_the_dataset_unreadable(folder: Path, harm: Any) -> None:
    """The array is named, and what MiniAn raises."""
    put(folder, "A")
    harm(put(folder, "C"))
    finding = sole(folder, "array-unreadable", "error", "unreadable")
    assert finding.arrays == ("C",)
    error = mvc.check(folder).prediction["return_dict"].error
    assert error is not None
    assert f"({error})" in finding.message


def test_a_netcdf_file_is_uncertain(folder: Path) -> None:
    """A file given for a dataset: only its readers know what is in it."""
    path = folder / "minian_dataset.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    report = mvc.check(path)
    assert [(well_formed(f).code, f.severity) for f in report.findings] == [("array-uncertain", "warning")]
    assert {outcome.status for outcome in report.prediction.values()} == {"unknown"}


def test_a_renamed_folder_is_information(folder: Path) -> None:
    """MiniAn gives the array under its inner name."""
    put(folder, "A").rename(folder / "A_old.zarr")
    finding = sole(folder, "folder-renamed", "info", "aligned")
    assert finding.arrays == ("A_old",)
    assert list(mvc.check(folder).prediction["merge"].arrays) == ["A"]


def test_two_folders_with_one_inner_name_are_an_error(folder: Path) -> None:
    """What merging them gives only their data can tell."""
    shutil.copytree(put(folder, "A"), folder / "A_copy.zarr")
    finding = sole(folder, "name-twice", "error", "contradictory")
    assert set(finding.arrays) == {"A.zarr", "A_copy.zarr"}
    assert mvc.check(folder).prediction["merge"].status == "unknown"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_information(folder: Path, tmp_path: Path) -> None:
    """MiniAn follows it, commit refuses it."""
    put(folder, "A")
    (folder / "C.zarr").symlink_to(put(tmp_path / "elsewhere", "C"))
    assert sole(folder, "link", "info").arrays == ("C",)


def test_bytes_that_were_not_kept_are_information(root: Path) -> None:
    """A movie recorded without its bytes is described, and cannot be loaded."""
    put(root / "minian", "A")
    put(root / "minian", "varr")
    mvc.Repository.find(root).configure("record_without_bytes", "varr")
    ds = mvc.open(root / "minian")
    ds.commit(tag="one")
    report = ds.check("@one")
    assert report.grade == "aligned"
    assert [(well_formed(f).code, f.severity, f.arrays) for f in report.findings] == [
        ("bytes-not-kept", "info", ("varr",))
    ]


def test_what_no_rule_explains_is_told_by_its_exception(folder: Path) -> None:
    """An array called like a coordinate of another: the merge would fail, so there is an error."""
    put(folder, "A", quality=(("unit_id",), [1, 2, 3]))
    write_array(folder / "quality.zarr", np.ones(3), ("unit_id",), coords={"unit_id": [0, 1, 2]})
    report = mvc.check(folder)
    assert report.prediction["merge"].error == "MergeError"
    assert report.grade == "contradictory"
    errors = [well_formed(f) for f in report.findings if f.severity == "error"]
    assert len(errors) == 1
    assert errors[0].code == "merge-fails"


# -- consolidated metadata ----------------------------------------------------------------------


def consolidate(array: Path, **changes: Any) -> None:
    """Write the ``.zmetadata`` of an array folder as zarr does, with something else about the data if asked for."""
    metadata = {
        path.relative_to(array).as_posix(): json.loads(path.read_text())
        for path in sorted(array.rglob(".z*"))
        if path.name != ".zmetadata"
    }
    name = array.name.removesuffix(".zarr")
    metadata[f"{name}/.zarray"].update(changes)
    write_file(array / ".zmetadata", json.dumps({"zarr_consolidated_format": 1, "metadata": metadata}).encode())
    make_old(array)


@pytest.mark.parametrize("changes", [{"chunks": [3, 2]}, {"fill_value": None}, {"shape": [3, 4]}, {"dtype": "<f4"}])
def test_stale_consolidated_metadata_are_a_warning(folder: Path, changes: Mapping[str, Any]) -> None:
    """Each save with chunks= leaves them; what they say otherwise is named."""
    consolidate(put(folder, "A"))
    blameless(folder)
    consolidate(put(folder, "C"), **changes)
    codes = {f.code: f for f in mvc.check(folder).findings}
    finding = well_formed(codes["stale-metadata"])
    assert (finding.severity, finding.arrays) == ("warning", ("C",))
    assert next(iter(changes)) in finding.message


def test_a_stale_fill_value_matters_where_chunks_are_missing(folder: Path) -> None:
    """NaN here and none there changes nothing that is read while all chunks are there; else it does."""
    array = put(folder, "C", fill_value="NaN")
    consolidate(array, fill_value=None)
    sole(folder, "stale-metadata", "info")
    (array / "C/0.0").unlink()
    assert [f.severity for f in mvc.check(folder).findings if f.code == "stale-metadata"] == ["warning"]


def test_metadata_that_zarr_3_consolidated_are_not_stale(folder: Path) -> None:
    """zarr 3 writes the dimension separator out where zarr 2 leaves it away: both mean a point."""
    consolidate(put(folder, "A"), dimension_separator=".")
    blameless(folder)
    consolidate(put(folder, "A2"), dimension_separator="/")
    assert mvc.check(folder).findings


@pytest.mark.skipif(sys.platform == "win32", reason="quoted for a POSIX shell")
@pytest.mark.parametrize("names", [["C"], ["A", "C", "it's"]])
def test_the_printed_command_makes_stale_metadata_new(folder: Path, names: list[str]) -> None:
    """Run as printed it leaves nothing stale, in every environment, for one array and for several."""
    for name in names:
        consolidate(put(folder, name), chunks=[3, 2])
    finding = sole(folder, "stale-metadata", "warning")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(finding.fix, shell=True, check=True, env={**os.environ, "PATH": path})  # noqa: S602
    make_old(folder)
    blameless(folder)
    assert all((folder / f"{name}.zarr/.zmetadata").is_file() for name in names)


def test_stale_metadata_of_a_recorded_version_are_information(root: Path) -> None:
    """It is opened by its own metadata, and nobody can change it."""
    consolidate(put(root / "minian", "C"), chunks=[3, 2])
    ds = mvc.open(root / "minian")
    ds.commit(tag="one")
    assert [(f.code, f.severity) for f in ds.check("@one").findings] == [("stale-metadata", "info")]


def test_an_array_that_only_its_zmetadata_can_open_is_damaged(folder: Path) -> None:
    """MiniAn opens it by its consolidated metadata; its own are broken, and nothing else can read it."""
    array = put(folder, "C")
    consolidate(array)
    (array / "unit_id/.zarray").write_text("{")
    make_old(folder)
    put(folder, "A")
    report = mvc.check(folder)
    assert (report.grade, report.prediction["merge"].status) == ("contradictory", "ok")
    finding = next(well_formed(f) for f in report.findings if f.code == "metadata-damaged")
    assert (finding.severity, finding.arrays) == ("error", ("C",))


# -- the folder and its history -----------------------------------------------------------------


def test_a_reused_folder_is_an_error(root: Path) -> None:
    """All that was saved since the latest checkpoint has other frames; what cannot tell does not vote."""
    folder = root / "minian"
    for name in ("A", "C"):
        put(folder, name)
    put_image(folder, "max_proj")
    mvc.open(folder).commit(tag="one")
    shutil.rmtree(folder)
    for name in ("A", "C"):
        put(folder, name, frames=range(9))
    write_array(
        folder / "max_proj.zarr", np.zeros((3, 4)), ("height", "width"), coords={"height": range(3), "width": range(4)}
    )
    finding = sole(folder, "folder-reused", "error", "contradictory")
    assert {"A", "C"} <= set(finding.arrays)
    assert "frame 5 → 9" in finding.message


def test_a_fix_does_not_promise_what_there_is_not(root: Path) -> None:
    """``restore C@latest`` is proposed only where the latest checkpoint has another C than the folder."""
    folder = root / "minian"
    put(folder, "A")
    put(folder, "C", fill_value="NaN")
    (folder / "C.zarr/C/0.0").unlink()
    assert not sole(folder, "chunks-missing", "warning").fix.startswith("minian-vc restore")
    with pytest.warns(UserWarning, match="C lacks 1 chunk:"):
        mvc.open(folder).commit(tag="torn")
    assert not sole(folder, "chunks-missing", "warning").fix.startswith("minian-vc restore")
    put(folder, "C", fill_value="NaN")
    mvc.open(folder).commit(tag="whole")
    (folder / "C.zarr/C/0.0").unlink()
    assert sole(folder, "chunks-missing", "warning").fix == "minian-vc restore C@latest"


def test_a_folder_above_datasets_is_no_dataset(tmp_path: Path) -> None:
    """What lies below is named, and how to check it; nobody is told to move it away."""
    put_session(tmp_path, "m1", "s1")
    put_session(tmp_path, "m1", "s2")
    report = mvc.check(tmp_path / "m1")
    assert [(f.code, f.severity) for f in report.findings] == [("not-a-dataset", "error")]
    finding = well_formed(report.findings[0])
    assert str(tmp_path / "m1/s1/minian") in finding.message
    assert f"minian-vc check {tmp_path}/m1 --index-dims" in finding.fix.replace("'", "")


def test_the_folder_of_an_array_is_no_dataset(folder: Path) -> None:
    """The dataset that it lies in is named."""
    finding = mvc.check(put(folder, "C")).findings[0]
    assert (finding.code, finding.severity) == ("not-a-dataset", "error")
    assert finding.fix.replace("'", "") == f"minian-vc check {folder}"


def test_one_array_of_the_same_recording_saved_since_is_no_reuse(root: Path) -> None:
    """A cropped C beside an A that was made anew with the old frames: the arrays differ, the folder is not reused."""
    folder = root / "minian"
    for name in ("A", "C"):
        put(folder, name)
    mvc.open(folder).commit(tag="one")
    shutil.rmtree(folder)
    put(folder, "A", chunks=(3, 5))
    put(folder, "C", frames=range(9))
    assert "folder-reused" not in {f.code for f in mvc.check(folder).findings}


# -- across sessions ----------------------------------------------------------------------------

INDEX = ("animal", "session")


def put_session(root: Path, animal: str, session: str, names: Iterable[str] = ("A", "C"), **more: Any) -> Path:
    """Write a dataset where MiniAn puts it, with its session as coordinates."""
    folder = root / animal / session / "minian"
    for name in names:
        put(folder, name, **{"animal": animal, "session": session, **more})
    return folder


def test_healthy_sessions_have_no_findings(tmp_path: Path) -> None:
    """Each key once, all arrays everywhere, equal sizes."""
    for animal, session in (("m1", "s1"), ("m1", "s2"), ("m2", "s1"), ("m2", "s2")):
        put_session(tmp_path, animal, session)
    report = blameless(tmp_path, index_dims=INDEX)
    assert set(report.prediction) == {"open_minian_mf"}
    assert report.prediction["open_minian_mf"].arrays["C"].shape == (2, 2, 3, 5)


def test_no_dataset_at_all_is_an_error(tmp_path: Path) -> None:
    """The pattern fits nothing."""
    put_session(tmp_path, "m1", "s1")
    sole(tmp_path, "no-dataset", "error", "unreadable", index_dims=INDEX, pattern="nothing$")


def test_two_datasets_of_one_key_replace_one_another(tmp_path: Path) -> None:
    """A copied session: all paths are named, and which of them is in the result."""
    shutil.copytree(put_session(tmp_path, "m1", "s1").parent, tmp_path / "backup/m1/s1")
    finding = sole(tmp_path, "same-key", "error", "contradictory", index_dims=INDEX)
    assert str(tmp_path / "m1/s1/minian") in finding.message
    assert str(tmp_path / "backup/m1/s1/minian") in finding.message
    assert "animal m1, session s1" in finding.message


def test_of_two_datasets_of_one_key_the_copy_is_to_go(tmp_path: Path) -> None:
    """The one that does not lie where its coordinates say is the copy."""
    shutil.copytree(put_session(tmp_path, "m1", "s1").parent, tmp_path / "m1/a_copy")
    findings = {f.code: f for f in mvc.check(tmp_path, index_dims=INDEX).findings}
    assert set(findings) == {"same-key", "folder-moved"}
    fix = well_formed(findings["same-key"]).fix
    assert str(tmp_path / "m1/a_copy/minian") in fix
    assert str(tmp_path / "m1/s1/minian") not in fix


def test_a_dataset_padded_within_itself_is_a_warning(tmp_path: Path) -> None:
    """A keeps units that C dropped: that dataset is named, the healthy one is not."""
    put_session(tmp_path, "m1", "s1")
    put_session(tmp_path, "m1", "s2", ["A"])
    put_session(tmp_path, "m1", "s2", ["C"], ids=(0, 1))
    finding = sole(tmp_path, "dataset-padded", "warning", "alignable", index_dims=INDEX)
    assert finding.arrays == ("C",)
    assert str(tmp_path / "m1/s2/minian") in finding.message
    assert str(tmp_path / "m1/s1/minian") not in finding.message


def test_two_animals_indexed_by_session_only_replace_one_another(tmp_path: Path) -> None:
    """The same session name of two animals."""
    put_session(tmp_path, "m1", "s1")
    put_session(tmp_path, "m2", "s1")
    sole(tmp_path, "same-key", "error", "contradictory", index_dims=["session"])
    blameless(tmp_path, index_dims=INDEX)


def test_a_dataset_beside_another_is_ignored(tmp_path: Path) -> None:
    """old_minian fits the pattern too, and MiniAn opens one of the two."""
    folder = put_session(tmp_path, "m1", "s1")
    shutil.copytree(folder, folder.with_name("old_minian"))
    finding = sole(tmp_path, "dataset-ignored", "warning", index_dims=INDEX)
    assert "old_minian" in finding.message
    blameless(tmp_path, index_dims=INDEX, pattern="^minian$")


def test_a_dataset_without_its_key_is_an_error(tmp_path: Path) -> None:
    """No session coordinate: MiniAn raises KeyError."""
    put_session(tmp_path, "m1", "s1")
    for name in ("A", "C"):
        put(tmp_path / "m1/s2/minian", name, animal="m1")
    finding = sole(tmp_path, "coordinate-missing", "error", "contradictory", index_dims=INDEX)
    assert str(tmp_path / "m1/s2/minian") in finding.message
    assert "update_meta" in finding.fix


def test_a_broken_dataset_is_an_error(tmp_path: Path) -> None:
    """One that cannot be opened fails them all."""
    put_session(tmp_path, "m1", "s1")
    remove_zarray(put_session(tmp_path, "m1", "s2") / "C.zarr")
    finding = sole(tmp_path, "dataset-unreadable", "error", "unreadable", index_dims=INDEX)
    assert str(tmp_path / "m1/s2/minian") in finding.message
    assert mvc.check(tmp_path, index_dims=INDEX).prediction["open_minian_mf"].status == "error"


def test_a_dataset_that_only_data_could_tell_of_is_a_warning(tmp_path: Path) -> None:
    """Its session is a chunk that is gone: whatever lies in memory."""
    put_session(tmp_path, "m1", "s1")
    folder = put_session(tmp_path, "m1", "s2")
    for name in ("A", "C"):
        (folder / f"{name}.zarr/session/0").unlink()
    sole(tmp_path, "dataset-uncertain", "warning", index_dims=INDEX)
    assert mvc.check(tmp_path, index_dims=INDEX).prediction["open_minian_mf"].status == "unknown"


@pytest.mark.parametrize(("source", "target", "dim"), [("m1/s1", "m1/s9", "session"), ("m1", "m9", "animal")])
def test_a_moved_session_is_a_warning(tmp_path: Path, source: str, target: str, dim: str) -> None:
    """Its coordinate is not the name of the folder it lies in."""
    put_session(tmp_path, "m1", "s1")
    (tmp_path / source).rename(tmp_path / target)
    finding = sole(tmp_path, "folder-moved", "warning", index_dims=INDEX)
    assert finding.dim == dim


def test_an_array_missing_in_one_session_is_a_warning(tmp_path: Path) -> None:
    """NaN takes its place."""
    put_session(tmp_path, "m1", "s1", ("A", "C"))
    put_session(tmp_path, "m1", "s2", ("A",))
    finding = sole(tmp_path, "array-missing", "warning", index_dims=INDEX)
    assert finding.arrays == ("C",)
    assert str(tmp_path / "m1/s2/minian") in finding.message


def test_another_dtype_in_one_session_is_a_warning(tmp_path: Path) -> None:
    """The array is named with both."""
    put_session(tmp_path, "m1", "s1", ("C",))
    folder = put_session(tmp_path, "m1", "s2", ("C",)) / "C.zarr/C"
    document = json.loads((folder / ".zarray").read_text())
    (folder / ".zarray").write_text(json.dumps({**document, "dtype": "<f4"}))
    finding = sole(tmp_path, "dtype-differs", "warning", index_dims=INDEX)
    assert finding.arrays == ("C",)
    assert "float64" in finding.message
    assert "float32" in finding.message


def test_sizes_that_differ_between_sessions_are_information(tmp_path: Path) -> None:
    """Units and frames differ by nature."""
    put_session(tmp_path, "m1", "s1")
    put_session(tmp_path, "m1", "s2", ids=range(7), frames=range(9))
    report = mvc.check(tmp_path, index_dims=INDEX)
    assert {(well_formed(f).code, f.severity, f.dim) for f in report.findings} == {
        ("sizes-differ", "info", "unit_id"),
        ("frames-differ", "info", "frame"),
    }
    array = report.prediction["open_minian_mf"].arrays["C"]
    assert (array.shape, array.padded) == ((1, 2, 7, 9), True)


def test_sizes_along_the_index_are_nothing_to_tell(tmp_path: Path) -> None:
    """What is put one after the other is not padded."""
    put_session(tmp_path, "m1", "s1", frames=range(5))
    put_session(tmp_path, "m1", "s2", frames=range(5, 9))
    blameless(tmp_path, index_dims=["frame"])


def test_pictures_of_two_sizes_are_a_warning(tmp_path: Path) -> None:
    """Sessions cropped otherwise."""
    for session, height in (("s1", 3), ("s2", 4)):
        coords = {"height": range(height), "width": range(2), "animal": "m1", "session": session}
        write_array(
            tmp_path / "m1" / session / "minian/b.zarr", np.ones((height, 2)), ("height", "width"), coords=coords
        )
    assert sole(tmp_path, "image-size-differs", "warning", index_dims=INDEX).dim == "height"


# -- grades -------------------------------------------------------------------------------------


def test_the_worst_grade_counts_and_the_worst_finding_comes_first(folder: Path) -> None:
    """Unreadable before contradictory before alignable; errors before warnings before information."""
    put(folder, "A", (0, 1, 2))
    put(folder, "C", (0, 1), session="s1")
    assert mvc.check(folder).grade == "alignable"
    put(folder, "S", (0, 1), session="s2")
    assert mvc.check(folder).grade == "contradictory"
    (folder / "figures").mkdir()
    report = mvc.check(folder)
    assert report.grade == "unreadable"
    severities = [f.severity for f in report.findings]
    assert severities == sorted(severities, key=("error", "warning", "info").index)
    assert set(severities) == {"error", "warning", "info"}


def test_arrays_that_agree_in_all_are_a_group(folder: Path) -> None:
    """Groups by session, units, frames, image size and chunk spec, with what they agree in."""
    put(folder, "A", session="s1")
    put(folder, "C", session="s1")
    put(folder, "S", (0, 1), session="s1")
    put(folder, "YrA", session="s1", chunks=(3, 2))
    put_image(folder, "b")
    groups = {frozenset(group["arrays"]): group for group in mvc.check(folder).groups}
    assert set(groups) == {frozenset(x) for x in (("A", "C"), ("S",), ("YrA",), ("b",))}
    assert groups[frozenset(("A", "C"))] | {"arrays": []} == {
        "arrays": [], "animal": None, "session": "s1", "unit_ids": [0, 1, 2], "frame": 5, "height": None,
        "width": None, "chunks": {"unit_id": 1, "frame": 5},
    }  # fmt: skip
