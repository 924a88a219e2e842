"""A check report as people read it: plain in a terminal, HTML in a notebook."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from minian_vc.html import Html, code, element, heading, page, part, table
from minian_vc.prediction import Outcome
from minian_vc.text import printable, size

if TYPE_CHECKING:
    from minian_vc.findings import Finding
    from minian_vc.verbs.report import CheckReport

__all__ = ["html", "text"]

CALLS = {
    "return_dict": "open_minian(return_dict=True)",
    "merge": "open_minian",
    "merge_exact": 'open_minian, join="exact"',
    "open_minian_mf": "open_minian_mf",
}
GRADES = {
    "aligned": "the arrays belong together as they are",
    "alignable": "the arrays belong together on their common units",
    "contradictory": "the arrays do not all belong together",
    "unreadable": "MiniAn cannot open it",
}
COLORS = {"aligned": "good", "alignable": "warning"}


def text(report: CheckReport) -> str:
    """Return the report as plain text."""
    if report.datasets:
        return "\n\n".join(text(each) for each in report.datasets)
    lines = [f"{report.where}: {report.grade} ({GRADES[report.grade]})"]
    for finding in report.findings:
        lines.append(f"  {finding.severity:8} {finding.code}: {finding.message}")
        if finding.fix:
            lines.append(f"           → {finding.fix}")
    if report.prediction:
        lines.append("What loading would do:")
    for name, outcome in report.prediction.items():
        lines.append(f"  {CALLS[name]:30} {_said(outcome, report.input_nbytes)}")
    return "\n".join(map(printable, lines))


def html(report: CheckReport) -> str:
    """Return the report as HTML for a notebook, everything escaped, for light and dark."""
    return page(*(_one(each) for each in report.datasets or (report,)))


def _one(report: CheckReport) -> Html:
    grade = element("strong", report.grade, cls=COLORS.get(report.grade, "error"))
    rows = [
        (element("span", found.severity, cls=found.severity), code(found.code), _with_fix(found))
        for found in report.findings
    ]
    loading = [(code(CALLS[name]), _said(outcome, report.input_nbytes)) for name, outcome in report.prediction.items()]
    return part(
        heading("Check of ", code(report.where)),
        element("div", grade, f": {GRADES[report.grade]}"),
        table(("", "finding", "what and how to mend it"), rows, texts=("what and how to mend it",)),
        table(("call", "what loading would do"), loading, texts=("what loading would do",)),
    )


def _with_fix(found: Finding) -> Html:
    fix = element("div", code(found.fix)) if found.fix else Html()
    return element("div", found.message, fix)


def _said(outcome: Outcome, input_nbytes: int) -> str:
    if outcome.status == "error":
        return f"raises {outcome.error}: {'; '.join(outcome.why)}"
    if outcome.status == "unknown":
        return f"unknown: {'; '.join(outcome.why)}"
    padded = sorted(name for name, array in outcome.arrays.items() if array.padded)
    total = sum(array.nbytes for array in outcome.arrays.values())
    dtypes = Counter(array.dtype for array in outcome.arrays.values())
    if not padded:
        return f"opens {len(outcome.arrays)} arrays, nothing padded ({size(total)} in memory)"
    values = sum(array.padded_values for array in outcome.arrays.values())
    return (
        f"opens {len(outcome.arrays)} arrays, {len(padded)} of them padded with {values:,} NaN: {', '.join(padded[:8])}"
        f"{', …' if len(padded) > 8 else ''} ({size(input_nbytes)} become {size(total)}; {_kinds(dtypes)})"
    )


def _kinds(dtypes: Counter[str]) -> str:
    return ", ".join(f"{count} {dtype}" for dtype, count in dtypes.most_common(3))
