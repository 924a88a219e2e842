"""What commands print: JSON alone on stdout, or tables for people."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from minian_vc.dataset import Dataset, open_dataset
from minian_vc.errors import InvalidInputError, MinianVCError, NotFoundError
from minian_vc.progress import silence
from minian_vc.repository import Repository, datasets_below, is_dataset
from minian_vc.text import size, when

__all__ = [
    "as_json",
    "current_folder",
    "find_dataset",
    "find_repository",
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
    click.echo(f"Error: {error.message}", err=True)
    if error.hint:
        click.echo(error.hint, err=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a plain table; cells are text, never markup."""
    console = Console(
        width=None if sys.stdout.isatty() else WIDE,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=False,
    )
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(str, row))
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def note(text: str) -> None:
    """Say something on the way, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(text, err=True)


def current_folder() -> Path:
    """Return the current folder; the one of the same name, if a restore replaced it under the shell's feet.

    Raises
    ------
    NotFoundError
        It was removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        named = Path(os.environ.get("PWD", ""))
        if not named.is_absolute() or not named.is_dir():
            raise NotFoundError("The folder that your shell stands in was removed.", "Go to another one.") from None
        os.chdir(named)
        return named


def find_dataset(path: str | None) -> Dataset:
    """Return the dataset a command means: the path's, the caller's, the current folder's, or the repository's only one.

    The caller's is the dataset that the command line was called with as ``obj``: a notebook's.

    Raises
    ------
    NotFoundError
        There is none.
    InvalidInputError
        There are several.
    """
    here = current_folder()
    if path is not None:
        given = Path(path)
        if not given.is_absolute() and not given.exists():
            return _by_known_path(here, path) or open_dataset(given)
        return open_dataset(given)
    if (called_with := _called_with()) is not None:
        return called_with
    repository = Repository.find(here)
    known = {row.path for row in repository.datasets()}
    for folder in (here, *here.parents):
        if folder == repository.root:
            break
        if repository.relative(folder) in known or is_dataset(folder):
            return open_dataset(folder)
    found = sorted(known or {repository.relative(each) for each in datasets_below(repository.root)})
    if len(found) == 1:
        return Dataset(repository, found[0])
    if not found:
        raise NotFoundError(f"There is no dataset below {repository.root}.", "Give its path.")
    shown = "\n  ".join(os.path.relpath(repository.root / each, here) for each in found)
    raise InvalidInputError("Which dataset? Give one of them.", f"  {shown}")


def find_repository() -> Repository:
    """Return the repository that a command means: the caller's dataset's, or that of the current folder.

    Raises
    ------
    NotFoundError
        There is none.
    """
    called_with = _called_with()
    return Repository.find(current_folder()) if called_with is None else called_with.repository


def _called_with() -> Dataset | None:
    context = click.get_current_context(silent=True)
    return context.find_object(Dataset) if context is not None else None


def _by_known_path(here: Path, path: str) -> Dataset | None:
    """Return the dataset that the catalog knows by this path below the repository's root."""
    try:
        repository = Repository.find(here)
    except NotFoundError:
        return None
    known = {row.path for row in repository.datasets()}
    return Dataset(repository, path) if path in known else None
