"""du: what each dataset, array and checkpoint holds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from minian_vc.cli.output import as_json, print_json, print_table, size, when
from minian_vc.cli.targets import find_repository
from minian_vc.repository import Repository
from minian_vc.text import short
from minian_vc.verbs.du import Held, usage

__all__ = ["COMMANDS"]


@click.command()
@click.argument("path", required=False, type=click.Path(exists=True))
@as_json
def du(path: str | None, json_: bool) -> None:
    """Show how much space the history takes: of the repository at or above PATH, by dataset, array and checkpoint.

    "alone" is what nothing else of its kind needs: what would be free without it.
    """
    repository = find_repository() if path is None else Repository.find(path)
    found = usage(repository)
    if json_:
        kinds = {"datasets": found.datasets, "arrays": found.arrays, "checkpoints": found.checkpoints}
        rows = {kind: [_row(each) for each in held] for kind, held in kinds.items()}
        print_json({"stored_bytes": found.stored_bytes, "waiting_bytes": found.waiting_bytes, **rows})
        return
    click.echo(
        f"{repository.root}: {size(found.stored_bytes)} stored, {size(found.waiting_bytes)} of it needed by none."
    )
    for dataset in found.datasets:
        click.echo(f"\n{dataset.dataset}: {size(dataset.bytes)}, {size(dataset.alone_bytes)} alone")
        arrays = [(each.array, *_sizes(each)) for each in found.arrays if each.dataset == dataset.dataset]
        print_table(("array", "all versions", "alone"), arrays)
        click.echo()
        checkpoints = [each for each in found.checkpoints if each.dataset == dataset.dataset]
        print_table(("checkpoint", "when", "tags", "bytes", "alone", "message"), [_line(each) for each in checkpoints])


def _sizes(held: Held) -> tuple[str, str]:
    return size(held.bytes), size(held.alone_bytes)


def _line(held: Held) -> tuple[str, ...]:
    entry = held.checkpoint
    if entry is None:
        return ()
    return short(entry.id), when(entry.created_at), ", ".join(entry.tags), *_sizes(held), entry.message


def _row(held: Held) -> dict[str, Any]:
    row = {name: value for name, value in asdict(held).items() if name != "checkpoint" and value is not None}
    return row if held.checkpoint is None else {**row, "id": held.checkpoint.id, "tags": held.checkpoint.tags}


COMMANDS = (du,)
