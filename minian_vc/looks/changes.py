"""How the changes between two sets of array versions look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from minian_vc.html import Html, code, element, facts, heading, muted, page, table
from minian_vc.looks.checkpoint import value_text
from minian_vc.text import as_runs, by_dim, printable

if TYPE_CHECKING:
    from minian_vc.diff import ArrayChange

__all__ = ["fields_text", "html", "text", "units_text"]

RENUMBERED = "numbering started anew, ids are not the same cells:"


def fields_text(change: ArrayChange) -> str:
    """Return what changed in an array's description, or ``values`` where only its values did."""
    if change.state != "modified":
        return ""
    parts = []
    for name, (old, new) in change.fields.items():
        shown = ", ".join(sorted({*old, *new})) if name == "coords" else f"{_plain(old)} → {_plain(new)}"
        parts.append(f"{name} {shown}")
    return "; ".join(parts) or "values"


def units_text(change: ArrayChange) -> str:
    """Return which units were added, removed, changed and are unchanged."""
    return "  ".join(_units(change))


def text(changes: Iterable[ArrayChange], params: Mapping[str, tuple[Any, Any]], old: str = "", new: str = "") -> str:
    """Return changes as plain lines."""
    changes = list(changes)
    differing = [change for change in changes if change.state != "unchanged"]
    lines = [f"<Changes{f' from {old} to {new}' if old or new else ''}: {len(differing)} of {len(changes)} arrays>"]
    lines += [f"  {name}: {value_text(was)} → {value_text(now)}" for name, (was, now) in params.items()]
    for change in differing:
        said = "; ".join(part for part in (fields_text(change), units_text(change)) if part)
        lines.append(f"  {change.state:9} {change.name}{f': {said}' if said else ''}")
    return "\n".join(map(printable, lines))


def html(changes: Iterable[ArrayChange], params: Mapping[str, tuple[Any, Any]], old: str = "", new: str = "") -> Html:
    """Return changes as HTML: parameters, then the arrays that differ, then the names of those that do not."""
    changes = list(changes)
    differing = [change for change in changes if change.state != "unchanged"]
    same = [change.name for change in changes if change.state == "unchanged"]
    rows = [
        (
            element("span", change.state, cls=change.state),
            code(change.name),
            fields_text(change),
            Html("".join(element("div", part) for part in _units(change))),
        )
        for change in differing
    ]
    values = [(name, code(value_text(was)), code(value_text(now))) for name, (was, now) in params.items()]
    return page(
        heading("Changes", f" from {old} to {new}" if old or new else ""),
        table(("parameter", "old", "new"), values, texts=("old", "new")),
        table(("state", "array", "changed", "units"), rows, texts=("changed", "units"))
        or muted("no array differs", element("br")),
        facts([("unchanged", ", ".join(same))]),
    )


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return by_dim(value)
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _units(change: ArrayChange) -> list[str]:
    units = change.units
    if units is None:
        return []
    kinds = ("added", "removed", "changed", "unchanged")
    parts = [f"{kind} {as_runs(getattr(units, kind))}" for kind in kinds if getattr(units, kind)]
    return [RENUMBERED, *parts] if units.renumbered else parts
