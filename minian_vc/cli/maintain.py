"""Commands that keep a repository small: prune."""

from __future__ import annotations

import shlex
from dataclasses import asdict

import click

from minian_vc.cli.output import as_json, find_dataset, print_json, print_table, size, when
from minian_vc.model import PREFIX
from minian_vc.verbs.prune import Pruned

__all__ = ["COMMANDS"]


@click.command()
@click.argument("dataset", required=False)
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
        rows = [
            (e.id.removeprefix(PREFIX)[:10], when(e.created_at), len(e.arrays), e.message) for e in done.checkpoints
        ]
        print_table(("checkpoint", "when", "arrays", "message"), rows)
    click.echo(_summary(done))
    if done.dry_run and (done.checkpoints or done.freed_objects):
        place = f" {shlex.quote(dataset)}" if dataset else ""
        kept = f" --keep {keep}" if keep else ""
        click.echo(f"Nothing was changed. To do it: minian-vc prune{place} --automatic{kept} --yes")


def _summary(done: Pruned) -> str:
    count, freed = len(done.checkpoints), size(done.freed_bytes)
    what = f"{count} automatic checkpoint{'' if count == 1 else 's'}"
    if not count and not done.freed_objects:
        return "There is nothing to prune."
    if not count:
        return f"No checkpoint to prune; {freed} that nothing refers to {'would be' if done.dry_run else 'were'} freed."
    return f"{what} would be pruned, and {freed} freed." if done.dry_run else f"{what} pruned, {freed} freed."


COMMANDS = (prune,)
