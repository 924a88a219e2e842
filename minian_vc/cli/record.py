"""Commands that change something: init, commit, tag, restore, config."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from typing import Any

import click

from minian_vc import provenance
from minian_vc.cli.output import as_json, note, print_json, size
from minian_vc.cli.targets import (
    current_folder,
    dataset_argument,
    dataset_option,
    find_dataset,
    find_repository,
)
from minian_vc.dataset_folders import datasets_below
from minian_vc.errors import InvalidInputError
from minian_vc.repository import Repository
from minian_vc.text import in_brackets, number, read_value
from minian_vc.verbs.commit import Request

__all__ = ["COMMANDS"]


@click.command()
@click.argument("path", default=".")
@as_json
def init(path: str, json_: bool) -> None:
    """Make a repository in PATH: the folder that holds your datasets (not a dataset itself)."""
    repository = Repository.create(current_folder() / path)
    found = [repository.relative(each) for each in datasets_below(repository.root)]
    if json_:
        print_json({"repository": str(repository.folder), "datasets": found})
        return
    click.echo(f"The repository is {repository.folder}.")
    if found:
        click.echo(f"Datasets below it: {', '.join(found)}.")
        click.echo(f"Next: minian-vc commit {os.path.relpath(repository.root / found[0])} -t TAG -m MESSAGE")


@click.command()
@dataset_argument
@click.option("-t", "--tag", help="A name for the checkpoint, unique in its dataset.")
@click.option("-m", "--message", default="", help="What was done.")
@click.option("--only", help="Record only these arrays (A,C,S); the others are taken over as they were.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="K=V",
    help="A parameter to keep; V is JSON, None, True, False, or text.",
)
@click.option(
    "--wait",
    default=3.0,
    type=click.FloatRange(min=0),
    show_default=True,
    help="Seconds to wait for a save in progress.",
)
@as_json
def commit(
    dataset: str | None,
    tag: str | None,
    message: str,
    only: str | None,
    params: tuple[str, ...],
    wait: float,
    json_: bool,
) -> None:
    """Record what lies in DATASET as its next checkpoint."""
    found = find_dataset(dataset)
    names = [name.strip() for name in only.split(",") if name.strip()] if only is not None else None
    if names == []:
        raise InvalidInputError("--only names no array.", "Write it like --only A,C,S")
    given = dict(_param(text) for text in params)
    done = found.record(Request(message, tag, names, provenance.gather(given), wait, _announce))
    checkpoint = done.checkpoint
    if json_:
        print_json(
            {
                "id": checkpoint.id,
                "tag": tag,
                "dataset": found.name,
                "created": done.created,
                "arrays": [array.name for array in checkpoint.arrays],
                "stored_bytes": done.stored_bytes,
                "reused_bytes": done.reused_bytes,
                "grade": done.grade,
                "warnings": list(done.warnings),
            }
        )
        return
    for text in done.warnings:
        click.echo(f"Warning: {text}", err=True)
    called = f"{checkpoint.short_id}{in_brackets(checkpoint.tags)}"
    if done.created:
        click.echo(
            f"Checkpoint {called} of {found.name}: {number(len(checkpoint.arrays), 'array')}, "
            f"{size(done.stored_bytes)} stored, {size(done.reused_bytes)} reused."
        )
        if done.grade not in (None, "aligned"):
            click.echo(f"Its arrays are {done.grade}: minian-vc check @{checkpoint.short_id}")
    else:
        click.echo(f"Nothing changed since checkpoint {called} of {found.name}.")
        if given or (message and message != checkpoint.message):
            click.echo("It has the message and the parameters that it had: a new message or --param was not recorded.")


def _announce(cost: int, free: int) -> None:
    if cost:
        note(f"Up to {size(cost)} to store; {size(free)} free.")


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInputError(f"--param {text!r} is not K=V.", "Write it like --param noise_freq=0.06")
    return name, read_value(value)


@click.command()
@click.argument("name")
@click.argument("revision", default="latest")
@dataset_option
@as_json
def tag(name: str, revision: str, dataset: str | None, json_: bool) -> None:
    """Give the checkpoint @REV (default: the latest) the name NAME."""
    found = find_dataset(dataset)
    checkpoint = found.tag(name, revision)
    if json_:
        print_json({"id": checkpoint.id, "tag": name, "tags": list(checkpoint.tags), "dataset": found.name})
    else:
        click.echo(f"Checkpoint {checkpoint.short_id} of {found.name} is now called {name}.")


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="SPEC…")
@dataset_option
@click.option("--as", "as_name", metavar="NAME", help="Restore the one array under another name.")
@click.option("--to", metavar="DIR", help="Write into DIR and leave the dataset alone.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@as_json
def restore(
    specs: tuple[str, ...], dataset: str | None, as_name: str | None, to: str | None, yes: bool, json_: bool
) -> None:
    """Bring versions back as ordinary folders.

    C@first_iteration restores one array, @first_iteration the whole checkpoint: the folder is then exactly
    as it was. What is not committed yet is committed before it is replaced.
    """
    found, here = find_dataset(dataset), current_folder()
    if to is None and not yes and sys.stdin.isatty() and sys.stdout.isatty() and not json_:
        for spec in specs:
            found.find(spec)  # nothing is asked about what is not there
        click.confirm(
            f"Replace arrays in {found.path} (uncommitted work is committed first)?", abort=True, default=True
        )
    done = found.restore(*specs, as_=as_name, to=to)
    if json_:
        print_json(
            {
                "dataset": found.name,
                "folder": str(done.folder),
                "arrays": list(done.arrays),
                "removed": list(done.removed),
                "kept": list(done.kept),
                "without_bytes": list(done.without_bytes),
                "saved_as": done.saved_as.id if done.saved_as else None,
                "aside": [str(path) for path in done.aside],
            }
        )
        return
    click.echo(repr(done))
    if not here.exists() or not here.samefile("."):
        click.echo("Your shell stands in the folder that was replaced: type  cd .")


@click.command()
@click.argument("name", required=False)
@click.argument("value", required=False)
@as_json
def config(name: str | None, value: str | None, json_: bool) -> None:
    """Show the settings, or set one: config record_without_bytes varr,Yb"""
    repository = find_repository()
    if name is not None and value is not None:
        repository.configure(name, value)
    settings = asdict(repository.config)
    if name is not None and name not in settings:
        repository.config.with_setting(name, "")  # raises with the near names
    shown = {key: setting for key, setting in settings.items() if name in (None, key)}
    if json_:
        print_json(shown)
        return
    for key, setting in shown.items():
        click.echo(f"{key} = {','.join(setting) if isinstance(setting, tuple) else setting}")


COMMANDS = (init, commit, tag, restore, config)
