"""Commands that keep a repository small: prune."""

from __future__ import annotations

import shlex
from dataclasses import asdict

import click

from minian_vc.cli.output import as_json, print_json, print_table, when
from minian_vc.cli.targets import dataset_argument, find_dataset
from minian_vc.text import short

__all__ = ["COMMANDS"]


@click.command()
@dataset_argument
@click.option("--automatic", is_flag=True, help="Drop the checkpoints that the notebook extension made.")
@click.option(
    "--keep",
    default=0,
    type=click.IntRange(min=0),
    show_default=True,
    help="Keep the newest N automatic ones.",
    metavar="N",
)
@click.option("-y", "--yes", is_flag=True, help="Do it; without, it is only said what would be done.")
@as_json
def prune(dataset: str | None, automatic: bool, keep: int, yes: bool, json_: bool) -> None:
    """Drop automatic checkpoints of DATASET, and free the space that only they need.

    Checkpoints made by hand or by a restore, those with a tag, and the latest one stay. Without --yes nothing is
    changed. It cannot be undone.
    """
    found = find_dataset(dataset)
    done = found.prune(automatic=automatic, keep=keep, dry_run=not yes)
    if json_:
        keys = ("id", "message", "created_at", "arrays")
        body = {key: value for key, value in asdict(done).items() if key != "checkpoints"}
        dropped = [{key: getattr(entry, key) for key in keys} for entry in done.checkpoints]
        print_json({"dataset": found.name, "checkpoints": dropped, **body})
        return
    if done.checkpoints:
        rows = [(short(e.id), when(e.created_at), len(e.arrays), e.message) for e in done.checkpoints]
        print_table(("checkpoint", "when", "arrays", "message"), rows)
    click.echo(repr(done))
    if done.dry_run and (done.checkpoints or done.freed_objects):
        place = f" {shlex.quote(dataset)}" if dataset else ""
        kept = f" --keep {keep}" if keep else ""
        click.echo(f"Nothing was changed. To do it: minian-vc prune{place} --automatic{kept} --yes")


COMMANDS = (prune,)
