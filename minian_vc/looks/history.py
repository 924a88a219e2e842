"""How datasets and repositories look: their newest checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc.html import Html, badge, code, facts, heading, muted, page, table
from minian_vc.text import by_dim, cut, number, printable, short, when

if TYPE_CHECKING:
    from minian_vc.catalog.queries import DatasetSummary, LogEntry

__all__ = ["NEWEST", "dataset_html", "html", "line", "repository_html", "repository_line"]

NEWEST = 5  # checkpoints of a dataset
MOST = 30  # datasets of a repository
LONGEST = 200  # signs of a message
NEWLINE = "\n"


def dataset_html(name: str, path: Path, count: int, newest: Sequence[LogEntry], chk: Mapping[str, int]) -> Html:
    """Return a dataset as HTML: where it is, its newest checkpoints, and ``chk`` at the latest."""
    latest = newest[0] if newest else None
    known = [code(short(latest.id)), *map(badge, latest.tags), muted(" ", when(latest.created_at))] if latest else []
    rows = [
        (
            code(short(e.id)),
            when(e.created_at),
            Html("".join(map(badge, e.tags))),
            len(e.arrays),
            cut(e.message, LONGEST),
        )
        for e in newest[:NEWEST]
    ]
    return page(
        heading("Dataset ", code(name)),
        facts(
            [
                ("folder", path),
                ("latest", Html("".join(known)) if known else "no checkpoint yet"),
                ("checkpoints", count or ""),
                ("chk", by_dim(chk, ", ")),
            ]
        ),
        table(("checkpoint", "when", "tags", "arrays", "message"), rows, numbers=("arrays",), texts=("message",)),
        _more(count - len(rows), "log()"),
    )


def repository_html(root: Path, datasets: Sequence[DatasetSummary]) -> Html:
    """Return a repository as HTML: its datasets, each with its latest checkpoint."""
    rows = [
        (each.path, each.checkpoints, code(short(each.latest)), when(each.created_at), cut(each.message, LONGEST))
        for each in datasets[:MOST]
    ]
    columns = ("dataset", "checkpoints", "latest", "when", "message")
    return page(
        heading("Repository ", code(root.name or str(root))),
        facts([("root", root), ("datasets", len(datasets) or "no dataset has a checkpoint yet")]),
        table(columns, rows, numbers=("checkpoints",), texts=("message",)),
        _more(len(datasets) - len(rows), "datasets()"),
    )


def line(what: str, known: Callable[[], str]) -> str:
    """Return one line in angle brackets; a repository that is broken or gone has one too."""
    try:
        said = known()
    except Exception as error:  # looking at an object must not raise
        said = f"cannot be read ({cut(str(error).partition(NEWLINE)[0], LONGEST)})"
    return printable(f"<{what}: {said}>")


def html(make: Callable[[], str], otherwise: str) -> str:
    """Return what is made, or the one line where that cannot be."""
    try:
        return make()
    except Exception:  # the line says why
        return page(otherwise)


def repository_line(datasets: Sequence[DatasetSummary]) -> str:
    """Return how many datasets and checkpoints there are."""
    return f"{number(len(datasets), 'dataset')}, {number(sum(d.checkpoints for d in datasets), 'checkpoint')}"


def _more(count: int, call: str) -> object:
    return muted(f"and {count} more: ", code(call)) if count > 0 else ""
