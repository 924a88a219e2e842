"""A check report as people read it: plain in a terminal, HTML in a notebook."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from rich.filesize import decimal

from minian_vc.prediction import Outcome

if TYPE_CHECKING:
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
STYLE = (
    "<style>.mvc-check{font-family:sans-serif;color:inherit}.mvc-check td,.mvc-check th{text-align:left;"
    "vertical-align:top;padding:.2em .8em .2em 0;border:0;background:none}.mvc-check code{font-size:.9em;"
    "opacity:.8}.mvc-check .error{color:#c0392b;font-weight:bold}.mvc-check .warning{color:#b9770e;font-weight:bold}"
    "@media (prefers-color-scheme:dark){.mvc-check .error{color:#ff7b6b}.mvc-check .warning{color:#f0b350}}</style>"
)


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
    return "\n".join("".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line) for line in lines)


def html(report: CheckReport) -> str:
    """Return the report as HTML for a notebook, everything escaped, for light and dark."""
    if report.datasets:
        return "".join(html(each) for each in report.datasets)
    found = "".join(
        f'<tr><td class="{finding.severity}">{finding.severity}</td><td><code>{escape(finding.code)}</code></td>'
        f"<td>{escape(finding.message)}{f'<br><code>{escape(finding.fix)}</code>' if finding.fix else ''}</td></tr>"
        for finding in report.findings
    )
    loading = "".join(
        f"<tr><td><code>{escape(CALLS[name])}</code></td><td>{escape(_said(outcome, report.input_nbytes))}</td></tr>"
        for name, outcome in report.prediction.items()
    )
    return (
        f'{STYLE}<div class="mvc-check"><b>{escape(report.where)}</b>: <b>{report.grade}</b> '
        f"({escape(GRADES[report.grade])})<table>{found}</table>"
        f"{'<i>What loading would do</i>' if loading else ''}<table>{loading}</table></div>"
    )


def _said(outcome: Outcome, input_nbytes: int) -> str:
    if outcome.status == "error":
        return f"raises {outcome.error}: {'; '.join(outcome.why)}"
    if outcome.status == "unknown":
        return f"unknown: {'; '.join(outcome.why)}"
    padded = [name for name, array in outcome.arrays.items() if array.padded]
    total = sum(array.nbytes for array in outcome.arrays.values())
    dtypes = Counter(array.dtype for array in outcome.arrays.values())
    if not padded:
        return f"opens {len(outcome.arrays)} arrays, nothing padded ({decimal(total)} in memory)"
    values = sum(array.padded_values for array in outcome.arrays.values())
    return (
        f"opens {len(outcome.arrays)} arrays, {len(padded)} of them padded with {values:,} NaN: {', '.join(padded[:8])}"
        f"{', …' if len(padded) > 8 else ''} ({decimal(input_nbytes)} become {decimal(total)}; {_kinds(dtypes)})"
    )


def _kinds(dtypes: Counter[str]) -> str:
    return ", ".join(f"{count} {dtype}" for dtype, count in dtypes.most_common(3))
