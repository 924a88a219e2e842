"""Commands that take back and drop: undo, prune."""

from __future__ import annotations

import shlex
from dataclasses import asdict

import click

from minian_vc.cli.output import as_json, print_json, print_table, when
from minian_vc.cli.targets import dataset_argument, find_dataset
from minian_vc.text import short
from minian_vc.verbs.undo import describe

__all__ = ["COMMANDS"]


@click.command()
@dataset_argument
@click.option("--automatic", is_flag=True, help="Consider only what the notebook extension recorded.")
@click.option("--keep-last", type=click.IntRange(min=0), metavar="N", help="Keep the newest N of those considered.")
@click.option(
    "--keep-daily", type=click.IntRange(min=0), metavar="N", help="Keep the newest of each of the last N days."
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    metavar="DAYS",
    help="For how many days it can be undone; 0 frees at once. [default: the setting grace_days]",
)
@click.option("--leftovers", is_flag=True, help="Remove what no history knows, even if it is more than half.")
@click.option("-y", "--yes", is_flag=True, help="Do it; without, it is only said what would be done.")
@as_json
def prune(
    dataset: str | None,
    automatic: bool,
    keep_last: int | None,
    keep_daily: int | None,
    grace: float | None,
    leftovers: bool,
    yes: bool,
    json_: bool,
) -> None:
    """Drop checkpoints of DATASET, and free the space that only they need once nobody can want them back.

    A checkpoint stays if any rule keeps it; those with a tag and the latest one always do. Without a rule none is
    dropped, and only what nothing refers to is freed. Without --yes nothing is changed.
    """
    found = find_dataset(dataset)
    done = found.prune(
        automatic=automatic,
        keep_last=keep_last,
        keep_daily=keep_daily,
        grace_days=grace,
        leftovers=leftovers,
        dry_run=not yes,
    )
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
        options = {"--keep-last": keep_last, "--keep-daily": keep_daily, "--grace": grace}
        given = [shlex.quote(dataset)] if dataset else []
        given += [name for name, is_set in (("--automatic", automatic), ("--leftovers", leftovers)) if is_set]
        given += [f"{name} {value:g}" for name, value in options.items() if value is not None]
        click.echo(f"Nothing was changed. To do it: minian-vc prune {' '.join([*given, '--yes'])}")


@click.command()
@dataset_argument
@click.option("--redo", is_flag=True, help="Bring back what the last undo took back.")
@click.option("--operation", type=int, metavar="N", help="Take back this prune, whatever was done since.")
@as_json
def undo(dataset: str | None, redo: bool, operation: int | None, json_: bool) -> None:
    """Take back the last command that changed the history or the folder of DATASET.

    That is a commit, a tag, a restore or a prune; once more takes back the one before. After a commit is undone the
    folder is as it was. See log --operations.
    """
    found = find_dataset(dataset)
    done = found.undo(redo=redo, number=operation)
    if not json_:
        click.echo(repr(done))
        return
    operations = [
        {"sequence": each.sequence, "action": each.action, "what": describe(each), "checkpoint": each.checkpoint}
        for each in done.operations
    ]
    restored = done.restored and {"arrays": done.restored.arrays, "removed": done.restored.removed}
    body = {"redo": redo, "operations": operations, "passed_over": list(done.passed_over), "restored": restored}
    print_json({"dataset": found.name, **body})


COMMANDS = (prune, undo)
