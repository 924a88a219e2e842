"""How things look: as one line and as HTML; never by reading data, never by writing, never by raising."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import INTERMEDIATE, tree
from handmade import write_array
from markup import HOSTILE, harmless

import minian_vc as mvc
from minian_vc.diff import ArrayChange, UnitChanges
from minian_vc.looks import changes as looks_of_changes
from minian_vc.model import ArrayVersion, Checkpoint
from minian_vc.verbs.commit import Request
from minian_vc.working_folder import WorkingFolder

UNTOLD = f"{HOSTILE}\x1b[2J\u202e\ud800"  # what no terminal and no notebook may be given as it is
PROVENANCE = {
    "minian_vc": "0.1",
    "params": {"param_first_temporal": {"p": 1, "zs_thres": None}, "subset": {"slice": [0, 10, None]}, "note": "x < y"},
    "chk": {"frame": 190, "height": 64},
    "code": {"cell": "if a < b:\n    save_minian(C)", "number": 12},
    "environment": {"python": "3.11.7", "host": "lab-3", "user": "anna", "packages": {"zarr": "2.18.7"}},
    "git": {"commit": "3f2a9c1be0d2740c93f1", "branch": "main", "dirty": True},
    "automatic": "notebook",
    "check": {"grade": "alignable", "findings": [{"severity": "warning", "code": "x", "message": "The units differ."}]},
}
ALL_OF_IT = """\
ababababab|first_iteration|figure_3|after the first temporal update|anna@lab-3|automatically (notebook)
alignable, 1 warning|The units differ.|frame=190, height=64|Parameters (4)|param_first_temporal.p
param_first_temporal.zs_thresNone|slice(0, 10, None)|x < y|Code of cell 12|if a < b:|lab-3|zarr 2.18.7
3f2a9c1be0d2 on main, with changes not committed|unit_id 3 x frame 190|float64|1 x 190|0-1,5|mouse1/session1
4.6 kB|5.0 kB|lacks 2 chunks|no bytes|    save_minian(C)""".replace("\n", "|").split("|")


def array(name: str = "C", **changed: Any) -> ArrayVersion:
    """Return an array version like MiniAn's C."""
    made = ArrayVersion(
        name=name,
        folder=f"{name}.zarr",
        variable=name,
        zarr_format=2,
        dims=("unit_id", "frame"),
        shape=(3, 190),
        dtype="float64",
        chunks={"unit_id": 1, "frame": 190},
        coordinates=(),
        unit_ids=(0, 1, 5),
        animal="mouse1",
        session="session1",
        manifest="blake3:" + "0" * 64,
        nbytes=4560,
        stored_bytes=5000,
    )
    return replace(made, **changed)


def checkpoint(**changed: Any) -> Checkpoint:
    """Return a checkpoint with everything in it."""
    made = Checkpoint(
        dataset="d",
        parent=None,
        sequence=1,
        message="after the first temporal update",
        author="anna@lab-3",
        created_at="2026-01-02T03:04:05.000000Z",
        arrays=(array("A"), array("C", missing_chunks=2), array("varr", unit_ids=None, bytes_kept=False)),
        provenance=PROVENANCE,
        id="blake3:" + "ab" * 32,
        tags=("first_iteration", "figure_3"),
    )
    return replace(made, **changed)


# -- one line -----------------------------------------------------------------------------------


def test_a_checkpoint_is_one_short_line() -> None:
    """Id, tags, time, arrays and the beginning of the message; never all of what it holds."""
    line = repr(checkpoint(message="long " * 100, arrays=tuple(array(f"a{i}") for i in range(50))))
    assert line.startswith("<Checkpoint ababababab (first_iteration, figure_3), 2026-01-0")
    assert "50 arrays (a0, a1, " in line
    assert "long long" in line
    assert len(line) < 300
    assert "no arrays" in repr(checkpoint(arrays=()))


def test_an_array_version_is_one_short_line() -> None:
    """Name, dims, dtype, size, units, session; and what is wrong with it."""
    line = repr(array(unit_ids=tuple(range(0, 4000, 2)), missing_chunks=1, bytes_kept=False))
    assert line.startswith("<ArrayVersion C: unit_id 3 x frame 190, float64, 4.6 kB, units 0,2,4,")
    assert "(2000 units)" in line
    assert "session mouse1/session1" in line
    assert line.endswith("no bytes, lacks 1 chunk>")
    assert len(line) < 200
    assert "scalar" in repr(array(dims=(), shape=(), chunks={}, unit_ids=None))


def test_lines_are_harmless_to_a_terminal() -> None:
    """Names and messages cannot move the cursor; a line is one line."""
    hostile = array(UNTOLD, dims=(UNTOLD + "\n", "frame"), session=UNTOLD, dtype=UNTOLD)
    for thing in (hostile, checkpoint(tags=(UNTOLD,), arrays=(hostile,), message=f"a\nb{UNTOLD}")):
        assert repr(thing).isprintable()
        assert "alert(1)" in repr(thing)


def test_repositories_and_datasets_say_what_they_have(history: mvc.Dataset) -> None:
    """The latest checkpoint with its tags; how many datasets and checkpoints."""
    latest = history.latest
    assert latest is not None
    assert repr(history).endswith(f": @{latest.short_id} (stage-05-second-temporal)>")
    assert repr(history.repository).endswith(f"{history.repository.root}: 1 dataset, 6 checkpoints>")


def test_a_dataset_without_checkpoints_says_so(dataset: mvc.Dataset) -> None:
    """In the line and in HTML, and so does its repository."""
    assert repr(dataset).endswith("no checkpoint yet>")
    assert "no checkpoint yet" in harmless(dataset._repr_html_()).text
    assert repr(dataset.repository).endswith("0 datasets, 0 checkpoints>")
    assert "no dataset has a checkpoint yet" in harmless(dataset.repository._repr_html_()).text


# -- HTML ---------------------------------------------------------------------------------------


def test_a_checkpoint_as_html_has_all_that_is_known_of_it() -> None:
    """Names first, then what was done and how; the arrays as in ``minian-vc show``."""
    text = harmless(checkpoint()._repr_html_()).text
    for shown in ALL_OF_IT:
        assert shown in text, shown
    assert text.index("figure_3") < text.index("after the first") < text.index("Parameters") < text.index("unit ids")


def test_a_checkpoint_with_nothing_known_of_it_is_shown() -> None:
    """Those of older programs have no code, environment or check; a script is named."""
    page = harmless(checkpoint(provenance={}, message="", tags=(), arrays=())._repr_html_())
    assert "no arrays" in page.text
    assert "details" not in page.tags
    assert "run.py" in harmless(checkpoint(provenance={"code": {"script": "run.py"}})._repr_html_()).text


def test_parameters_are_named_by_their_paths() -> None:
    """In any depth, as ``log --param`` and ``diff`` name them."""
    params = {"p": {"a": {"b": 1}, "none": {}}, "param_q": {"slice": 1, "x": 2}, "subset": {"slice": [0, 10, None]}}
    text = harmless(checkpoint(provenance={"params": params})._repr_html_()).text
    assert "Parameters (5)" in text
    for shown in ("p.a.b1", "p.none{}", "param_q.slice1", "param_q.x2", "subsetslice(0, 10, None)"):
        assert shown in text


def test_many_parameters_are_folded_and_few_are_open() -> None:
    """A notebook's sixty parameters do not push the arrays out of sight."""
    few, many = ({"params": {f"p{i}": i for i in range(n)}} for n in (3, 60))
    assert ("open", "") in harmless(checkpoint(provenance=few)._repr_html_()).attributes
    assert ("open", "") not in harmless(checkpoint(provenance=many)._repr_html_()).attributes


def test_output_stays_small() -> None:
    """Notebooks keep it: values, code and unit ids are cut."""
    heavy = {"params": {"x": list(range(100_000))}, "code": {"cell": "x\n" * 1_000_000, "number": None}}
    units = tuple(range(0, 20_000, 2))
    page = checkpoint(provenance=heavy, arrays=tuple(array(f"a{i}", unit_ids=units) for i in range(30)))._repr_html_()
    assert len(page) < 60_000


def _plant(value: Any) -> Any:
    """Return the same with every text in it hostile."""
    if isinstance(value, dict):
        return {key: _plant(item) for key, item in value.items()} | {UNTOLD: UNTOLD}
    if isinstance(value, list):
        return [_plant(item) for item in value]
    return UNTOLD if isinstance(value, str) else value


def test_nothing_recorded_becomes_markup() -> None:
    """A checkpoint whose every text is hostile is shown with no element but ours."""
    hostile = array(
        UNTOLD, dims=(UNTOLD, "frame"), chunks={UNTOLD: 1, "frame": 1}, dtype=UNTOLD, session=UNTOLD, unit_ids=(UNTOLD,)
    )
    made = checkpoint(
        id=UNTOLD, message=UNTOLD, author=UNTOLD, tags=(UNTOLD,), arrays=(hostile,), provenance=_plant(PROVENANCE)
    )
    page = harmless(made._repr_html_())
    assert page.text.count("<script>alert(1)</script>") > 15


def test_changes_are_shown_and_escaped() -> None:
    """Parameters, then the arrays that differ with their units, then the names of those that do not."""
    fields = {"shape": ((3, 5), (2, 5)), "chunks": ({"x": 1}, {"x": 2})}
    found = [
        ArrayChange("A", "modified", fields, UnitChanges((), (4,))),
        ArrayChange("C", "modified", {}, UnitChanges(changed=(1, 2), renumbered=True)),
        ArrayChange("S", "new", units=UnitChanges(added=(7,))),
        ArrayChange("b", "unchanged"),
        ArrayChange("g", "deleted"),
    ]  # fmt: skip
    params = {"param_first_temporal.p": (1, 2), "note": ("—", "added")}
    page = harmless(looks_of_changes.html(found, params, "@one", "@two"))
    for shown in ("@one to @two", "3x5 → 2x5; chunks x=1 → x=2", "removed 4", "changed 1-2", "numbering", "added 7"):
        assert shown in page.text
    assert {("class", state) for state in ("new", "modified", "deleted")} <= set(page.attributes)
    assert page.text.endswith("unchangedb")
    assert "param_first_temporal.p12" in page.text
    assert "no array differs" in harmless(looks_of_changes.html(found[3:4], {})).text
    text = looks_of_changes.text(found, params, "@one", "@two")
    assert "4 of 5 arrays" in text
    assert "C: values; numbering started anew" in text
    hostile = [ArrayChange(UNTOLD, UNTOLD, {UNTOLD: (UNTOLD, 1)}, UnitChanges(added=(UNTOLD,)))]
    evil = {UNTOLD: (UNTOLD, {UNTOLD: UNTOLD})}
    assert harmless(looks_of_changes.html(hostile, evil, UNTOLD, UNTOLD)).text.count("<script>") >= 6
    assert all(line.isprintable() for line in looks_of_changes.text(hostile, evil, UNTOLD, UNTOLD).split("\n"))


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_hostile_folders_and_messages_are_text(root: Path) -> None:
    """In dataset and repository, in the folder's name and in the message."""
    write_array(root / "<img src=x onerror=alert(1)>&amp;" / "f.zarr", np.ones(4), ("frame",))
    made = mvc.open(root / "<img src=x onerror=alert(1)>&amp;")
    made.commit(HOSTILE + "\x1b[2J")
    for thing in (made, made.repository):
        text = harmless(thing._repr_html_()).text
        assert "<img src=x onerror=alert(1)>&amp;" in text
        assert HOSTILE in text
        assert repr(thing).isprintable()


def test_a_dataset_shows_its_newest_checkpoints(history: mvc.Dataset) -> None:
    """The latest first, five of them, how many more there are, and chk."""
    text = harmless(history._repr_html_()).text
    shown = [text.index(entry.id[7:17]) for entry in history.history(5)]
    assert shown == sorted(shown)
    assert history.show("stage-00-init").short_id not in text
    assert "and 1 more: log()" in text
    assert f"chk{', '.join(f'{dim}={n}' for dim, n in history.chk.items())}" in text
    assert str(history.path) in text


def test_a_repository_shows_its_datasets(history: mvc.Dataset, root: Path) -> None:
    """Each with the number of its checkpoints and its latest; those beyond thirty are counted."""
    for i in range(30):
        write_array(root / f"mouse9/s{i:02}/minian/f.zarr", np.ones(4), ("frame",))
        mvc.open(root / f"mouse9/s{i:02}/minian").commit(f"session {i}")
    text = harmless(history.repository._repr_html_()).text
    latest = history.latest
    assert latest is not None
    assert f"{INTERMEDIATE}6{latest.short_id}" in text
    assert "mouse9/s28/minian1" in text
    assert "mouse9/s29/minian" not in text
    assert "and 1 more: datasets()" in text
    assert repr(history.repository).endswith("31 datasets, 36 checkpoints>")


# -- reading, writing, raising ------------------------------------------------------------------


def everything(dataset: mvc.Dataset) -> list[str]:
    """Return all that can be seen of a dataset and its repository."""
    shown = [dataset, dataset.repository, dataset.show("stage-02-first-temporal")]
    return [look for thing in shown for look in (repr(thing), thing._repr_html_())]


def test_looking_reads_no_data_and_writes_nothing(history: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """All looks the same when the chunks and the working folder are gone; not a file changes, none is listed."""
    monkeypatch.setattr(WorkingFolder, "scan", lambda _: pytest.fail("the folder was scanned: it may be huge"))
    before = everything(history)
    shutil.rmtree(history.path)
    shutil.rmtree(history.repository.folder / "objects/chunks")
    files = tree(history.repository.root)
    assert everything(history) == before
    assert tree(history.repository.root) == files


def lose_all(folder: Path) -> None:
    """Remove the repository."""
    shutil.rmtree(folder)


def lose_catalog(folder: Path) -> None:
    """Remove its catalog."""
    (folder / "catalog.sqlite").unlink()


def break_catalog(folder: Path) -> None:
    """Overwrite its catalog."""
    (folder / "catalog.sqlite").write_bytes(b"no database <script>" * 500)


def break_documents(folder: Path) -> None:
    """Overwrite its checkpoints' documents."""
    for path in (folder / "objects/checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"<script>")


@pytest.mark.parametrize("harm", [lose_all, lose_catalog, break_catalog, break_documents])
def test_a_broken_repository_is_a_short_text(history: mvc.Dataset, harm: Callable[[Path], None]) -> None:
    """Nothing is raised, and nothing is made where something was lost."""
    harm(history.repository.folder)
    files = tree(history.repository.root)
    things = [history] if harm is break_documents else [history, history.repository]
    for thing in things:
        line = repr(thing)
        assert "cannot be read" in line
        assert line.isprintable()
        assert len(line) < 500
        assert harmless(thing._repr_html_()).text.strip() == line
    assert tree(history.repository.root) == files


def test_a_recorded_checkpoint_is_shown_without_its_repository(dataset: mvc.Dataset) -> None:
    """It is data, and needs nothing else."""
    made = dataset.record(Request("x", tag="t")).checkpoint
    before = made._repr_html_()
    shutil.rmtree(dataset.repository.folder)
    assert made._repr_html_() == before
