"""The report that check returns: as text, as HTML, as a dictionary, as a table, and as an error."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade import write_array, write_units
from markup import Page, harmless

import minian_vc as mvc
from minian_vc.errors import ConflictError, InvalidInputError, UnreadableError

CONTRACT = {"grade", "findings", "prediction", "input_nbytes"}
COLUMNS = ["dataset", "code", "severity", "arrays", "dim", "message", "fix"]
VALUES = np.ones((3, 5))


def put(folder: Path, name: str, units: Any = (0, 1, 2), **coords: Any) -> None:
    """Write an array of units."""
    write_units(folder / f"{name}.zarr", np.array(units), VALUES[: len(units)], coords=coords)


@pytest.fixture
def aligned(tmp_path: Path) -> Path:
    """A dataset without fault."""
    put(tmp_path / "aligned", "A")
    put(tmp_path / "aligned", "C")
    return tmp_path / "aligned"


@pytest.fixture
def alignable(tmp_path: Path) -> Path:
    """A has a unit more than C: a warning, and a session on one array: information."""
    put(tmp_path / "alignable", "A", session="s1")
    put(tmp_path / "alignable", "C", (0, 1))
    return tmp_path / "alignable"


@pytest.fixture
def contradictory(tmp_path: Path) -> Path:
    """Two sessions, and a subset of units: an error and a warning."""
    put(tmp_path / "contradictory", "A", session="1")
    put(tmp_path / "contradictory", "C", (0, 1), session="01")
    return tmp_path / "contradictory"


@pytest.fixture
def unreadable(tmp_path: Path) -> Path:
    """A foreign folder."""
    put(tmp_path / "unreadable", "A")
    (tmp_path / "unreadable/figures").mkdir()
    return tmp_path / "unreadable"


# -- text ---------------------------------------------------------------------------------------


def test_the_text_has_all_that_was_found(contradictory: Path) -> None:
    """Where, the grade, each finding with its fix, and each way of loading with what it would do."""
    report = mvc.check(contradictory)
    text = repr(report)
    assert text.startswith(f"{contradictory}: contradictory")
    for finding in report.findings:
        assert f"{finding.code}: {finding.message}" in text
        assert finding.fix in text
    assert "raises MergeError" in text
    assert all(way in text for way in ("open_minian(return_dict=True)", 'join="exact"'))


def test_the_text_tells_what_padding_costs(alignable: Path) -> None:
    """How many arrays and values are padded, and what the bytes become."""
    text = repr(mvc.check(alignable))
    assert re.search(r"open_minian +opens 2 arrays, 1 of them padded with 5 NaN: C ", text)
    assert "200 bytes become 240 bytes" in text
    assert "float64" in text
    assert "raises AlignmentError" in text


def test_the_text_of_an_aligned_dataset_is_short(aligned: Path) -> None:
    """A grade, and three ways of loading that pad nothing."""
    lines = repr(mvc.check(aligned)).splitlines()
    assert len(lines) == 5
    assert sum("nothing padded" in line for line in lines) == 3


def test_doubt_is_told_as_doubt(tmp_path: Path) -> None:
    """What only the data could tell is unknown, and why."""
    put(tmp_path / "m", "A")
    write_array(tmp_path / "m/B.zarr", VALUES, ("unit_id", "frame"), name="A", coords={"unit_id": [0, 1, 2]})
    report = mvc.check(tmp_path / "m")
    assert report.prediction["merge"].status == "unknown"
    assert re.search(r"open_minian +unknown: \S+", repr(report))


# -- HTML ---------------------------------------------------------------------------------------


def test_the_html_is_well_formed_and_says_what_the_text_says(contradictory: Path) -> None:
    """It parses, every tag closed; it has no script, loads nothing, and knows dark mode."""
    report = mvc.check(contradictory)
    html = report._repr_html_()
    page = Page(html)
    assert {"table", "tr", "td", "style"} <= set(page.tags)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert "prefers-color-scheme:dark" in html.replace(" ", "")
    assert not any(name.startswith("on") or name in ("src", "href") for name, _ in page.attributes)
    assert "url(" not in html
    assert "contradictory" in page.text
    for finding in report.findings:
        assert finding.message in page.text
        assert finding.fix in page.text
        assert ("class", finding.severity) in page.attributes
    assert "raises MergeError" in page.text


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_names_from_the_disk_are_escaped(tmp_path: Path) -> None:
    """An array called like a tag, and a folder and a session with signs of HTML in their names, are text."""
    folder = tmp_path / "a & <i>"
    name = "<b>x"
    put(folder, "A", session="<u>1")
    put(folder, name, (0, 1), session="2")
    write_array(folder / "<script>alert(1)<", VALUES, ("unit_id", "frame"), coords={"unit_id": [0, 1, 2]})
    report = mvc.check(folder)
    page = harmless(report._repr_html_())
    assert name in page.text
    assert "a & <i>" in page.text
    assert "<u>1" in page.text
    assert any(name in finding.arrays for finding in report.findings)


def test_the_html_of_several_datasets_has_each(aligned: Path, contradictory: Path) -> None:
    """One after the other, well formed together."""
    page = Page(mvc.check(aligned, contradictory)._repr_html_())
    assert str(aligned) in page.text
    assert str(contradictory) in page.text


# -- dictionary and table -----------------------------------------------------------------------


def test_the_dictionary_is_the_contract(contradictory: Path) -> None:
    """Exactly these keys, of plain JSON, at every level."""
    report = mvc.check(contradictory)
    body = report.to_dict()
    assert json.loads(json.dumps(body)) == body
    assert set(body) == CONTRACT | {"groups"}
    assert (body["grade"], body["input_nbytes"]) == ("contradictory", 200)
    assert all(set(f) == {"code", "severity", "arrays", "dim", "message", "fix"} for f in body["findings"])
    assert list(body["prediction"]) == ["return_dict", "merge", "merge_exact"]
    for outcome in body["prediction"].values():
        assert set(outcome) == {"status", "error", "why", "arrays"}
        assert outcome["status"] in ("ok", "error", "unknown")
        assert (outcome["error"] is None) == (outcome["status"] != "error")
    for array in body["prediction"]["return_dict"]["arrays"].values():
        assert set(array) == {"dims", "shape", "dtype", "padded", "padded_values", "nbytes"}
    assert body["prediction"]["merge"]["error"] == "MergeError"
    assert body["prediction"]["merge"]["why"]


def test_the_dictionary_counts_padding(alignable: Path) -> None:
    """C is padded by one unit of 5 frames; A is not."""
    merge = mvc.check(alignable).to_dict()["prediction"]["merge"]
    assert merge["arrays"]["C"] == {
        "dims": ["unit_id", "frame"], "shape": [3, 5], "dtype": "float64", "padded": True, "padded_values": 5,
        "nbytes": 120,
    }  # fmt: skip
    assert merge["arrays"]["A"]["padded"] is False


def test_the_dictionary_of_sessions_has_one_prediction(tmp_path: Path) -> None:
    """open_minian_mf instead of the three ways."""
    for session in ("s1", "s2"):
        put(tmp_path / "m1" / session / "minian", "A", session=session, animal="m1")
    body = mvc.check(tmp_path, index_dims=["animal", "session"]).to_dict()
    assert set(body) - {"groups"} == CONTRACT
    assert list(body["prediction"]) == ["open_minian_mf"]
    assert set(body["prediction"]["open_minian_mf"]) == {"status", "error", "why", "arrays"}


def test_the_table_has_a_row_per_finding(alignable: Path) -> None:
    """Worst first, with the dataset it is about."""
    report = mvc.check(alignable)
    table = report.to_dataframe()
    assert list(table.columns) == COLUMNS
    assert table["code"].tolist() == [f.code for f in report.findings] == ["units-differ", "coordinate-partial"]
    assert table["severity"].tolist() == ["warning", "info"]
    assert set(table["dataset"]) == {str(alignable)}
    assert table["arrays"][0] == ("A", "C")


def test_the_table_has_its_columns_when_nothing_was_found(aligned: Path) -> None:
    """No row, all columns: code that filters it works."""
    table = mvc.check(aligned).to_dataframe()
    assert (list(table.columns), len(table)) == (COLUMNS, 0)
    assert table[table["severity"] == "error"].empty


# -- errors -------------------------------------------------------------------------------------


def test_nothing_is_raised_below_the_level(aligned: Path, alignable: Path) -> None:
    """A warning is no error; an aligned dataset raises at no level."""
    mvc.check(alignable).raise_for_errors()
    for level in ("info", "warning", "error"):
        mvc.check(aligned).raise_for_errors(level)


@pytest.mark.parametrize(("name", "kind"), [("contradictory", ConflictError), ("unreadable", UnreadableError)])
def test_errors_are_raised_by_what_to_do_about_them(
    request: pytest.FixtureRequest, name: str, kind: type[Exception]
) -> None:
    """Arrays that do not belong together are a conflict, what cannot be opened is unreadable."""
    path = request.getfixturevalue(name)
    report = mvc.check(path)
    with pytest.raises(kind) as caught:
        report.raise_for_errors()
    first = report.findings[0]
    assert first.severity == "error"
    assert str(path) in caught.value.message
    assert first.message in caught.value.message
    assert first.fix in caught.value.hint


def test_the_level_decides(alignable: Path, tmp_path: Path) -> None:
    """A warning is raised at warning and at info, information at info only."""
    report = mvc.check(alignable)
    for level in ("warning", "info"):
        with pytest.raises(ConflictError, match="still has 1 unit"):
            report.raise_for_errors(level)
    put(tmp_path / "m", "A", session="s1")
    put(tmp_path / "m", "C")
    only_information = mvc.check(tmp_path / "m")
    only_information.raise_for_errors("warning")
    with pytest.raises(ConflictError, match="session"):
        only_information.raise_for_errors("info")


@pytest.mark.parametrize("level", ["fatal", "", "Error"])
def test_an_unknown_level_is_refused(aligned: Path, level: str) -> None:
    """Also where nothing was found."""
    with pytest.raises(InvalidInputError, match="no severity"):
        mvc.check(aligned).raise_for_errors(level)


# -- several ------------------------------------------------------------------------------------


def test_several_datasets_have_the_worst_grade(
    aligned: Path, alignable: Path, contradictory: Path, unreadable: Path
) -> None:
    """In whichever order they are given; findings are those of all, worst first."""
    assert mvc.check(aligned, alignable).grade == "alignable"
    assert mvc.check(contradictory, aligned, alignable).grade == "contradictory"
    report = mvc.check(alignable, unreadable, contradictory)
    assert report.grade == "unreadable"
    assert report.worst == "error"
    assert [each.grade for each in report.datasets] == ["alignable", "unreadable", "contradictory"]
    assert len(report.findings) == sum(len(each.findings) for each in report.datasets)
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=("error", "warning", "info").index)


def test_several_datasets_as_dictionary_table_and_text(aligned: Path, contradictory: Path) -> None:
    """Each by its path; the table says to which dataset a finding belongs."""
    report = mvc.check(aligned, contradictory)
    body = report.to_dict()
    assert set(body) == {"grade", "findings", "datasets"}
    assert [each["path"] for each in body["datasets"]] == [str(aligned), str(contradictory)]
    assert all(set(each) >= CONTRACT for each in body["datasets"])
    assert set(report.to_dataframe()["dataset"]) == {str(contradictory)}
    text = repr(report)
    assert f"{aligned}: aligned" in text
    assert f"{contradictory}: contradictory" in text
    with pytest.raises(ConflictError, match="contradictory"):
        report.raise_for_errors()


def test_the_worst_severity_of_nothing_is_none(aligned: Path, alignable: Path) -> None:
    """What a script asks for its exit code."""
    assert mvc.check(aligned).worst is None
    assert mvc.check(alignable).worst == "warning"


@pytest.mark.parametrize(
    ("paths", "options"),
    [
        ((), {}),
        (("a", "b"), {"index_dims": ["session"]}),
        (("a",), {"index_dims": []}),
        (("a",), {"index_dims": ["x"], "pattern": "("}),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, paths: tuple[str, ...], options: dict[str, Any]) -> None:
    """No path, two roots, no dims, a pattern that is none."""
    for path in paths:
        (tmp_path / path).mkdir()
    with pytest.raises(InvalidInputError):
        mvc.check(*(tmp_path / path for path in paths), **options)
