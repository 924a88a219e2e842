"""Check on what MiniAn really left after each stage: grades, findings, and what the history adds to them."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import INTERMEDIATE, STAGES, put_stage
from originals import write_array

import minian_vc as mvc

OTHER = "mouse1/session2/minian_intermediate"
GRADES = {
    "stage-00-init": "aligned",
    "stage-01-first-spatial": "alignable",
    "stage-02-first-temporal": "alignable",
    "stage-03-merge": "alignable",
    "stage-04-second-spatial": "contradictory",
    "stage-05-second-temporal": "alignable",
    "stage-06-final": "alignable",
}
SPATIAL, TEMPORAL = {"A", "C", "C_chk"}, {"S", "b0", "c0", "YrA"}
SPARSE = [STAGES[i] for i in (0, 1, 3, 4, 5)]


def by_code(report: Any) -> dict[str, Any]:
    """Return the findings of a report by their code, of each the worst."""
    return {finding.code: finding for finding in reversed(report.findings)}


def record(folder: Path, tag: str, **options: Any) -> mvc.Checkpoint:
    """Commit a folder whose contents are known to be worth a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return mvc.open(folder).commit(tag, tag=tag, **options)


def recorded(checkpoint: mvc.Checkpoint) -> dict[str, dict[str, Any]]:
    """Return the findings kept with a checkpoint by their code, of each the worst."""
    return {finding["code"]: finding for finding in reversed(checkpoint.provenance["check"]["findings"])}


# -- the folder as it is ------------------------------------------------------------------------


@pytest.mark.parametrize(("stage", "grade"), GRADES.items())
def test_each_stage_has_its_grade(stages: Path, stage: str, grade: str) -> None:
    """Aligned at first; alignable while updates drop units; contradictory once a merge divides the arrays."""
    assert mvc.check(stages / stage / INTERMEDIATE).grade == grade


@pytest.mark.parametrize("session", ["session1", "session2"])
def test_the_final_datasets_are_aligned_and_blameless(stages: Path, session: str) -> None:
    """What the notebook saves at its end belongs together, and nothing is to be warned of."""
    report = mvc.check(stages / "stage-06-final/mouse1" / session / "minian")
    assert report.grade == "aligned"
    assert [finding for finding in report.findings if finding.severity != "info"] == []
    report.raise_for_errors("warning")
    assert {outcome.status for outcome in report.prediction.values()} == {"ok"}
    assert not any(array.padded for array in report.prediction["merge"].arrays.values())


def test_after_a_merge_the_arrays_of_two_numberings_are_told_apart(stages: Path) -> None:
    """At stage 4 the spatial side is numbered anew, the temporal side is not; nobody else is accused."""
    report = mvc.check(stages / "stage-04-second-spatial" / INTERMEDIATE)
    finding = by_code(report)["numbering-differs"]
    assert (finding.severity, finding.dim) == ("error", "unit_id")
    assert set(finding.arrays) == SPATIAL | TEMPORAL
    first, second = finding.message.split(" have units of two numberings")[0].split(" and ")
    assert {frozenset(first.split(", ")), frozenset(second.split(", "))} == {frozenset(SPATIAL), frozenset(TEMPORAL)}
    assert "units-differ" not in by_code(report)


def test_a_superset_is_told_with_its_units(stages: Path) -> None:
    """At stage 5 A and YrA still have the unit that the temporal update dropped."""
    report = mvc.check(stages / "stage-05-second-temporal" / INTERMEDIATE)
    finding = by_code(report)["units-differ"]
    assert finding.severity == "warning"
    assert set(finding.arrays[:2]) == {"A", "YrA"}
    assert set(finding.arrays[2:]) == {"C", "C_chk", "S", "b0", "c0"}
    assert "1 unit that" in finding.message
    assert "(0)" in finding.message
    assert not {"numbering-differs", "numbering-uncertain"} & set(by_code(report))


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("dataset", [INTERMEDIATE, OTHER])
def test_copies_of_earlier_steps_are_only_mentioned(stages: Path, stage: str, dataset: str) -> None:
    """A_init, C_new, A_mrg … lie there in every run: information, never a warning, and no part of other findings."""
    report = mvc.check(stages / stage / dataset)
    copies = {name for name in (p.stem for p in (stages / stage / dataset).iterdir()) if name.endswith(COPIES)}
    about_units = [f for f in report.findings if f.dim == "unit_id"]
    for finding in about_units:
        if finding.code == "earlier-copies":
            assert finding.severity == "info"
            assert set(finding.arrays) <= copies | {"sig_mrg", "g"}
        else:
            assert not copies & set(finding.arrays)
    if stage in STAGES[3:] and dataset == INTERMEDIATE:
        assert {"A_mrg", "C_new", "A_init"} <= set(by_code(report)["earlier-copies"].arrays)


COPIES = ("_init", "_new", "_mrg", "_mrg_chk", "_chk_new")


def test_nothing_of_the_final_stage_is_uncertain(stages: Path) -> None:
    """A healthy run gives no finding that only file times or missing chunks could give."""
    for stage in STAGES:
        codes = set(by_code(mvc.check(stages / stage / INTERMEDIATE)))
        assert codes <= {
            "stale-metadata", "coordinate-partial", "earlier-copies", "units-differ", "order-differs",
            "numbering-differs",
        }  # fmt: skip


# -- recorded -----------------------------------------------------------------------------------


def test_a_commit_keeps_grade_and_findings_and_check_says_the_same_again(stages: Path, root: Path) -> None:
    """Each checkpoint has the grade of its folder, and ``check @tag`` finds later what was found then."""
    for stage in STAGES[:-1]:
        folder = put_stage(stages, stage, root)
        on_disk = mvc.check(folder)
        record(folder, stage)
        ds = mvc.open(folder)
        kept = ds.show(stage).provenance["check"]
        assert set(kept) == {"grade", "findings"}
        assert kept["grade"] == on_disk.grade == GRADES[stage]
        about = {(f.code, name) for f in on_disk.findings for name in f.arrays}
        assert {(f["code"], name) for f in kept["findings"] for name in f["arrays"]} == about
        assert all(set(f) == {"code", "severity", "arrays", "dim", "message", "fix"} for f in kept["findings"])
    for stage in STAGES[:-1]:  # with all merges known by now
        again = mvc.open(root / INTERMEDIATE).check(f"@{stage}")
        assert again.grade == GRADES[stage]
        assert [f.to_json() for f in again.findings] == ds.show(stage).provenance["check"]["findings"]


def test_the_grade_is_kept_in_the_document_and_survives_a_rebuild(history: mvc.Dataset) -> None:
    """It is read from the checkpoint's document, not from the catalog."""
    read = history.repository.checkpoint(history.show("stage-04-second-spatial").id)
    assert read.provenance["check"]["grade"] == "contradictory"


def test_an_array_that_is_not_recorded_again_is_still_judged(stages: Path, root: Path) -> None:
    """``only`` takes the others over from before, and the grade is that of the whole checkpoint."""
    record(put_stage(stages, "stage-03-merge", root), "three")
    folder = put_stage(stages, "stage-04-second-spatial", root)
    checkpoint = record(folder, "only-C", only=["C"])
    assert checkpoint.provenance["check"]["grade"] == "contradictory"
    arrays = set(recorded(checkpoint)["numbering-differs"]["arrays"])
    assert {"C", "A", "S"} <= arrays


def test_versions_that_belong_together_are_aligned(history: mvc.Dataset) -> None:
    """C and S of one temporal update; C of the one and A of the other spatial update contradict."""
    assert history.check("C@stage-02-first-temporal", "S@stage-02-first-temporal").grade == "aligned"
    apart = history.check("C@stage-02-first-temporal", "A@stage-04-second-spatial")
    assert apart.grade == "contradictory"
    assert set(by_code(apart)["numbering-differs"].arrays) == {"C", "A"}


def test_one_array_at_two_revisions_is_named_by_both(history: mvc.Dataset) -> None:
    """Both are called C: each gets its revision's name, as ``restore --as`` would give it."""
    report = history.check("C@stage-00-init", "C@stage-05-second-temporal")
    assert set(report.prediction["merge"].arrays) == {"C_stage-00-init", "C_stage-05-second-temporal"}
    assert report.grade == "contradictory"
    assert set(by_code(report)["numbering-differs"].arrays) == set(report.prediction["merge"].arrays)


# -- numberings, with few checkpoints -----------------------------------------------------------


def test_sparse_commits_still_tell_when_the_numbering_started_anew(stages: Path, root: Path) -> None:
    """Stages 0, 1, 3, 4, 5: what was saved before the merge and recorded with it is older, and not renumbered."""
    for stage in SPARSE:
        record(put_stage(stages, stage, root), stage)
    entries = dict(zip(SPARSE, mvc.open(root / INTERMEDIATE).units(), strict=True))
    at_merge = set(entries["stage-03-merge"].renumbered)
    assert not {"C", "C_chk", "C_new", "A", "A_new"} & at_merge
    assert {"A", "C", "C_chk"} <= set(entries["stage-04-second-spatial"].renumbered)
    assert not TEMPORAL & set(entries["stage-04-second-spatial"].renumbered)
    assert set(entries["stage-05-second-temporal"].renumbered) >= TEMPORAL
    assert not {"C", "A", "C_chk"} & set(entries["stage-05-second-temporal"].renumbered)


@pytest.mark.parametrize("chosen", [range(6), (0, 1, 3, 4, 5), (0, 4, 5), (3, 5), (0, 3, 4)])
def test_grades_do_not_depend_on_how_often_was_committed(stages: Path, root: Path, chosen: Any) -> None:
    """The same folder has the same grade after many commits and after few."""
    for stage in (STAGES[i] for i in chosen):
        folder = put_stage(stages, stage, root)
        before = mvc.check(folder).grade
        assert record(folder, stage).provenance["check"]["grade"] == before == GRADES[stage]
        assert mvc.check(folder).grade == GRADES[stage]


UNITS = [0, 1, 2, 3]
VALUES = np.arange(20.0).reshape(4, 5)


saves = itertools.count()


def put_units(folder: Path, name: str, values: np.ndarray = VALUES, **coords: Any) -> None:
    """Write or overwrite an array of units, as a save does; saves are long ago, each later than the one before."""
    shutil.rmtree(folder / f"{name}.zarr", ignore_errors=True)
    coords = {"unit_id": UNITS, **coords}
    make_old(write_array(folder, name, values, ("unit_id", "frame"), chunks=(1, 5), coords=coords))


def make_old(folder: Path) -> None:
    """Give all files below a folder one time, long ago."""
    moment = 1_700_000_000_000_000_000 + next(saves) * 1_000_000
    for path in folder.rglob("*"):
        os.utime(path, ns=(moment, moment))


@pytest.fixture
def merged(root: Path) -> mvc.Dataset:
    """A and C of 4 units, a merge that merged nothing, then C made anew: all ids are equal, the cells are not."""
    folder = root / "run"
    put_units(folder, "A")
    put_units(folder, "C", VALUES + 1)
    record(folder, "first")
    put_units(folder, "A_mrg", VALUES + 2)
    record(folder, "second")
    put_units(folder, "C", VALUES + 3)
    record(folder, "third")
    return mvc.open(folder)


def test_equal_ids_with_a_merge_between_are_told_by_the_history(merged: mvc.Dataset) -> None:
    """A is from before the merge, C from after it: only the catalog can tell, and it does, in the folder too."""
    for report in (merged.check(), mvc.check(merged.path), merged.check("@third")):
        finding = by_code(report)["numbering-differs"]
        assert (report.grade, finding.severity, finding.dim) == ("contradictory", "error", "unit_id")
        assert finding.arrays == ("A", "C")
        assert "A was saved before the last merge" in finding.message
    assert set(recorded(merged.show("third"))) == {"numbering-differs"}
    for tag in ("first", "second"):
        assert merged.show(tag).provenance["check"] == {"grade": "aligned", "findings": []}


def test_equal_ids_of_two_checkpoints_are_told_apart(merged: mvc.Dataset) -> None:
    """``A@first C@third`` contradict one another, ``A@first C@first`` and ``A@third C@second`` do not."""
    apart = merged.check("A@first", "C@third")
    assert (apart.grade, set(by_code(apart))) == ("contradictory", {"numbering-differs"})
    assert set(by_code(apart)["numbering-differs"].arrays) == {"A", "C"}
    assert merged.check("A@first", "C@first").grade == "aligned"
    assert merged.check("A@third", "C@second").grade == "aligned"
    assert merged.check("A_mrg@third", "C@third").grade == "aligned"
    assert merged.check("A_mrg@third", "C@second").grade == "contradictory"


def test_a_restored_array_has_the_numbering_of_its_version(merged: mvc.Dataset) -> None:
    """Restored files have new times; once read (status) they are known by their bytes, whatever their times say."""
    for spec, grade, codes in (
        ("C@second", "aligned", set()),
        ("C@third", "contradictory", {"numbering-differs"}),
        ("A@first", "contradictory", {"numbering-differs"}),
    ):
        merged.restore(spec)
        make_old(merged.path)
        merged.status()
        report = merged.check()
        assert (report.grade, set(by_code(report))) == (grade, codes)


def test_an_array_not_recorded_yet_comes_after_the_recorded_merge_at_most(merged: mvc.Dataset) -> None:
    """A new save of A after a recorded merge is of the new numbering as far as anyone can tell: nothing is certain."""
    put_units(merged.path, "A", VALUES + 4)
    report = merged.check()
    assert report.grade == "aligned"
    assert "numbering-differs" not in by_code(report)


def test_file_times_alone_make_no_certainty(root: Path) -> None:
    """Nothing committed: A saved before A_mrg and C after it is a warning, and does not forbid loading."""
    folder = root / "run"
    for name, shift in (("A", 0), ("A_mrg", 1), ("C", 2)):
        put_units(folder, name, VALUES + shift)
    report = mvc.check(folder)
    finding = by_code(report)["numbering-uncertain"]
    assert (report.grade, finding.severity, finding.dim) == ("aligned", "warning", "unit_id")
    assert finding.arrays == ("A", "C")
    assert "numbering-differs" not in by_code(report)
    with pytest.warns(UserWarning, match="as far as file times"):
        assert set(report.load().data_vars) == {"A", "C"}


@pytest.mark.parametrize("order", [("A", "C", "A_mrg"), ("A_mrg", "A", "C")])
def test_file_times_on_one_side_of_a_merge_say_nothing(root: Path, order: tuple[str, ...]) -> None:
    """A and C both before, or both after the merge: no finding at all."""
    for name in order:
        put_units(root / "run", name)
    report = mvc.check(root / "run")
    assert (report.grade, report.findings) == ("aligned", ())


def test_one_time_for_all_files_says_nothing(root: Path) -> None:
    """An archive or a copy that gives all files one time is no hint."""
    for name in ("A", "A_mrg", "C"):
        put_units(root / "run", name)
    make_old(root / "run")
    assert mvc.check(root / "run").findings == ()


def test_an_array_as_old_as_the_merge_is_no_hint(root: Path) -> None:
    """A and A_mrg of one time, C later: on which side of the merge A is, nobody can say."""
    for name in ("A", "A_mrg"):
        put_units(root / "run", name)
    make_old(root / "run")
    put_units(root / "run", "C")
    assert mvc.check(root / "run").findings == ()


@pytest.mark.parametrize(("more", "renumbered"), [([4], {"C"}), ([], set())])
def test_ids_that_the_merge_lacks_are_from_before_it(root: Path, more: list[int], renumbered: set[str]) -> None:
    """C first recorded together with the merge: its ids tell that it is older, or nothing tells and nothing is said."""
    folder = root / "run"
    units = [*UNITS, *more]
    put_units(folder, "C", np.ones((len(units), 5)), unit_id=units)
    put_units(folder, "A_mrg")
    record(folder, "first")
    put_units(folder, "C", VALUES + 1)
    record(folder, "second")
    assert set(mvc.open(folder).units()[-1].renumbered) == renumbered


# -- a second recording in the same folder ------------------------------------------------------


@pytest.fixture
def reused(stages: Path, root: Path) -> Path:
    """Session 1 recorded, then the folder emptied and written by session 2, as the notebook's relative path does."""
    record(put_stage(stages, "stage-05-second-temporal", root), "one")
    shutil.rmtree(root / INTERMEDIATE)
    shutil.copytree(stages / "stage-05-second-temporal" / OTHER, root / INTERMEDIATE)
    return root / INTERMEDIATE


def test_a_folder_that_another_recording_writes_into_is_an_error(reused: Path) -> None:
    """All that was saved since is of other frames: the folder was reused."""
    report = mvc.check(reused)
    finding = by_code(report)["folder-reused"]
    assert (report.grade, finding.severity) == ("contradictory", "error")
    assert {"C", "S", "YrA", "max_res"} <= set(finding.arrays)
    assert "frame 190 → 228" in finding.message
    assert finding.fix


def test_a_reused_folder_is_told_and_recorded_at_commit(reused: Path) -> None:
    """The commit goes through, warns, and keeps the finding; the next one has nothing to say."""
    with pytest.warns(UserWarning, match="is of another recording"):
        checkpoint = mvc.open(reused).commit(tag="two")
    assert checkpoint.provenance["check"]["grade"] == "contradictory"
    assert recorded(checkpoint)["folder-reused"]["severity"] == "error"
    assert "folder-reused" not in by_code(mvc.check(reused))


def test_a_folder_with_one_array_made_anew_is_not_reused(stages: Path, root: Path) -> None:
    """The next stage of the same recording rewrites nearly everything, and is no other recording."""
    record(put_stage(stages, "stage-03-merge", root), "one")
    for stage in STAGES[4:]:
        assert "folder-reused" not in by_code(mvc.check(put_stage(stages, stage, root)))


def test_a_changed_session_alone_is_another_recording(root: Path) -> None:
    """Equal sizes, another session coordinate on all that was saved since."""
    folder = root / "run"
    for session in ("s1", "s2"):
        for name in ("A", "C"):
            put_units(folder, name, session=session)
        if session == "s1":
            record(folder, "one")
    finding = by_code(mvc.check(folder))["folder-reused"]
    assert "session s1 → s2" in finding.message


# -- what only the data tell --------------------------------------------------------------------


def test_an_array_of_nan_is_told_at_commit(root: Path) -> None:
    """Saved onto itself it is all NaN: a warning, and an error among the recorded findings."""
    put_units(root / "run", "A")
    put_units(root / "run", "C", np.full((4, 5), np.nan))
    with pytest.warns(UserWarning, match="C is all NaN"):
        checkpoint = mvc.open(root / "run").commit(tag="one")
    finding = recorded(checkpoint)["all-nan"]
    assert (finding["severity"], finding["arrays"]) == ("error", ["C"])
    assert finding["fix"]
    put_units(root / "run", "S")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # told once, when it was new
        again = mvc.open(root / "run").commit(tag="two")
    assert "all-nan" not in recorded(again)


@pytest.mark.parametrize(
    "values",
    [np.zeros((4, 5)), np.where(np.arange(20).reshape(4, 5) == 19, 1.0, np.nan), np.zeros((4, 5), dtype="int64")],
)
def test_zeros_or_one_value_among_nan_are_nothing_to_tell(root: Path, values: np.ndarray) -> None:
    """A silent cell is all zero, and that is what it should be; one value at the very end is a value."""
    put_units(root / "run", "C", values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint = mvc.open(root / "run").commit(tag="one")
    assert checkpoint.provenance["check"] == {"grade": "aligned", "findings": []}


# -- without a history --------------------------------------------------------------------------


def test_check_works_where_the_repository_is_broken(stages: Path, root: Path) -> None:
    """The folder is checked all the same, and it is said that the history was not asked."""
    folder = put_stage(stages, "stage-02-first-temporal", root)
    record(folder, "one")
    healthy = mvc.check(folder)
    assert "history-unavailable" not in by_code(healthy)
    (root / ".minian_vc/config.json").write_text("{")
    _assert_unavailable(folder, healthy)


def test_check_works_where_the_catalog_is_broken(stages: Path, root: Path) -> None:
    """So it is with a catalog that is no database, and with objects that are gone."""
    folder = put_stage(stages, "stage-02-first-temporal", root)
    record(folder, "one")
    healthy = mvc.check(folder)
    catalog = root / ".minian_vc/catalog.sqlite"
    good = catalog.read_bytes()
    catalog.write_bytes(b"nonsense" * 1000)
    _assert_unavailable(folder, healthy)
    catalog.write_bytes(good)
    with sqlite3.connect(catalog) as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    connection.close()
    shutil.rmtree(root / ".minian_vc/objects/checkpoints")
    _assert_unavailable(folder, healthy)


def _assert_unavailable(folder: Path, healthy: mvc.CheckReport) -> None:
    report = mvc.check(folder)
    finding = by_code(report)["history-unavailable"]
    assert finding.severity == "info"
    assert "doctor" in finding.fix
    assert report.grade == healthy.grade
    assert {f.code for f in report.findings} == {f.code for f in healthy.findings} | {"history-unavailable"}
    assert report.prediction == healthy.prediction


def test_a_folder_that_was_never_committed_needs_no_history(stages: Path, root: Path, tmp_path: Path) -> None:
    """In a repository or in none the report is the same, and nothing is said of a history."""
    reports = [
        mvc.check(put_stage(stages, "stage-05-second-temporal", place)) for place in (root, tmp_path / "elsewhere")
    ]
    assert [f.code for f in reports[0].findings] == [f.code for f in reports[1].findings]
    assert "history-unavailable" not in by_code(reports[0])


def test_check_changes_nothing(history: mvc.Dataset) -> None:
    """Not a byte of the dataset or of the repository is another afterwards, and no file is new."""
    root = history.repository.root
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    mvc.check(history.path)
    history.check("@stage-03-merge")
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before
