"""How a checkpoint and its array versions look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from minian_vc.html import Html, badge, code, details, element, facts, heading, muted, page, pre, table
from minian_vc.param_paths import flatten
from minian_vc.text import as_runs, by_dim, cut, in_brackets, number, printable, shown, size, sizes, when

if TYPE_CHECKING:
    from minian_vc.model import ArrayVersion, Checkpoint

__all__ = ["COLUMNS", "array_line", "array_rows", "findings_text", "html", "line", "value_text"]

COLUMNS = ("array", "dims", "dtype", "chunks", "unit ids", "session", "in memory", "stored")
MAX_VALUE = 300  # signs of a parameter
MAX_SOURCE = 20_000  # signs of code: notebooks keep their output
OPEN_PARAMS = 12
SHOWN_NAMES = 8


def line(checkpoint: Checkpoint) -> str:
    """Return a checkpoint as one line."""
    names = [array.name for array in checkpoint.arrays]
    named = ", ".join(names[:SHOWN_NAMES]) + (", …" if len(names) > SHOWN_NAMES else "")
    said = f": {cut(checkpoint.message, 60)!r}" if checkpoint.message else ""
    known = f"{checkpoint.short_id or 'not recorded'}{in_brackets(checkpoint.tags)}, {when(checkpoint.created_at)}"
    arrays = f"{number(len(names), 'array')} ({named})" if names else "no arrays"
    return printable(f"<Checkpoint {known}, {arrays}{said}>")


def array_line(array: ArrayVersion) -> str:
    """Return an array version as one line."""
    parts = [sizes(array.dims, array.shape), array.dtype, size(array.nbytes)]
    if array.unit_ids is not None:
        parts.append(f"units {as_runs(array.unit_ids) or 'none'}")
    parts += [f"session {_session(array)}"] if _session(array) else []
    parts += _flaws(array)
    return printable(f"<ArrayVersion {array.name}: {', '.join(parts)}>")


def array_rows(arrays: Iterable[ArrayVersion]) -> list[tuple[str, ...]]:
    """Return the cells of a table of array versions, under ``COLUMNS``."""
    return [
        (
            array.name + ("" if array.bytes_kept else " (no bytes)"),
            sizes(array.dims, array.shape),
            array.dtype,
            " x ".join(str(array.chunks[dim]) for dim in array.dims),
            "-" if array.unit_ids is None else as_runs(array.unit_ids),
            _session(array) or "-",
            size(array.nbytes),
            size(array.stored_bytes),
        )
        for array in arrays
    ]


def html(checkpoint: Checkpoint) -> Html:
    """Return a checkpoint as HTML: what it is called, what was done, how, and its arrays."""
    kept = checkpoint.provenance
    return page(
        heading("Checkpoint ", code(checkpoint.short_id or "not recorded"), *map(badge, checkpoint.tags)),
        element("div", checkpoint.message, cls="mvc-said") if checkpoint.message else "",
        facts(
            [
                ("when", when(checkpoint.created_at)),
                ("author", checkpoint.author),
                ("recorded", f"automatically ({kept['automatic']})" if kept.get("automatic") else ""),
                ("check", _grade(kept.get("check"))),
                ("chk", by_dim(kept.get("chk") or {}, ", ")),
            ]
        ),
        _params(kept.get("params") or {}),
        _code(kept.get("code") or {}),
        _environment(kept),
        table(COLUMNS, _marked(checkpoint.arrays), numbers=COLUMNS[-2:]) or muted("no arrays"),
    )


def value_text(value: Any) -> str:
    """Return a parameter's value as one line, cut where it is long."""
    return cut(shown(value), MAX_VALUE)


def findings_text(check: Mapping[str, Any] | None) -> str:
    """Return how many errors and warnings check found, in short."""
    severities = [finding.get("severity") for finding in (check or {}).get("findings", ())]
    counts = [(kind, severities.count(kind)) for kind in ("error", "warning")]
    return ", ".join(number(count, kind) for kind, count in counts if count)


def _grade(check: Mapping[str, Any] | None) -> object:
    """Return the grade, and what was found where it was not nothing."""
    if not check:
        return ""
    found = [finding for finding in check.get("findings", ()) if finding.get("severity") != "info"]
    grade = element("span", check.get("grade"), cls="good" if check.get("grade") == "aligned" else "warning")
    if not found:
        return grade
    items = [element("div", _severity(each), " ", each.get("message")) for each in found]
    return details(element("span", grade, f", {findings_text(check)}"), *items)


def _severity(finding: Mapping[str, Any]) -> Html:
    return element("span", finding.get("severity"), cls=str(finding.get("severity")))


def _params(params: Mapping[str, Any]) -> Html:
    """Return the parameters, one row each, by their dotted paths."""
    pairs = [(path, code(value_text(value))) for path, value in flatten(params).items()]
    if not pairs:
        return Html()
    return details(f"Parameters ({len(pairs)})", facts(pairs), opened=len(pairs) <= OPEN_PARAMS)


def _code(kept: Mapping[str, Any]) -> Html:
    if "cell" in kept:
        number = kept.get("number")
        summary = f"Code of cell {number}" if number is not None else "Code of the cell"
        return details(summary, pre(cut(str(kept["cell"]), MAX_SOURCE)))
    return facts([("script", code(str(kept["script"])))]) if "script" in kept else Html()


def _environment(kept: Mapping[str, Any]) -> Html:
    around, git = kept.get("environment") or {}, kept.get("git") or {}
    packages = around.get("packages") or {}
    pairs: list[tuple[str, object]] = [("minian_vc", kept.get("minian_vc"))]
    pairs += [(name, around.get(name)) for name in ("python", "platform", "host", "user", "folder")]
    pairs.append(("packages", ", ".join(f"{name} {version}" for name, version in packages.items())))
    if git:
        dirty = ", with changes not committed" if git.get("dirty") else ""
        pairs.append(("git", f"{str(git.get('commit', ''))[:12]} on {git.get('branch') or 'no branch'}{dirty}"))
    shown = facts(pairs)
    return details("Environment", shown) if shown else Html()


def _marked(arrays: Iterable[ArrayVersion]) -> list[tuple[object, ...]]:
    """Return the rows with each name as code, and what is wrong with the array under it."""
    arrays = list(arrays)
    marked: list[tuple[object, ...]] = []
    for array, row in zip(arrays, array_rows(arrays), strict=True):
        flaws = [element("div", flaw, cls="warning") for flaw in _flaws(array)]
        marked.append((element("div", code(array.name), *flaws), *row[1:]))
    return marked


def _flaws(array: ArrayVersion) -> list[str]:
    flaws = [] if array.bytes_kept else ["no bytes"]
    return flaws + ([f"lacks {number(array.missing_chunks, 'chunk')}"] if array.missing_chunks else [])


def _session(array: ArrayVersion) -> str:
    return "/".join(part for part in (array.animal, array.session) if part)
