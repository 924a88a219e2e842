"""What commands print: JSON alone on stdout, or tables for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from minian_vc.errors import MinianVCError
from minian_vc.progress import silence
from minian_vc.text import printable, size, when

__all__ = [
    "as_json",
    "note",
    "print_error",
    "print_json",
    "print_table",
    "size",
    "when",
]

SCHEMA_VERSION = 1
WIDE = 200  # columns where the output is not a terminal


def as_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--json``; with it no progress is shown."""
    what = "Print JSON, and nothing else, to stdout."
    return click.option("--json", "json_", is_flag=True, callback=_silently, help=what)(command)


def _silently(context: click.Context, _: click.Parameter, json_: bool) -> bool:
    if json_:
        context.with_resource(silence())
    return json_


def print_json(document: dict[str, Any]) -> None:
    """Print a document with its schema version."""
    click.echo(json.dumps({"schema_version": SCHEMA_VERSION, **document}, indent=2, default=str))


def print_error(error: MinianVCError, *, as_json: bool) -> None:
    """Say what failed on stderr, and as JSON on stdout where that was asked for."""
    if as_json:
        kind = type(error).__name__
        print_json({"error": {"kind": kind, "message": error.message, "hint": error.hint}})
    click.echo(f"Error: {printable(error.message, keep=chr(10))}", err=True)
    if error.hint:
        click.echo(printable(error.hint, keep="\n"), err=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a plain table; cells are text, never markup."""
    console = Console(
        width=None if sys.stdout.isatty() else WIDE,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
        force_jupyter=False,  # it would display a table of its own
    )
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(printable(str(cell), keep="\n") for cell in row))
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def note(text: str) -> None:
    """Say something on the way, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(text, err=True)
