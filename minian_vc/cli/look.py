"""Commands that only look: status, log, show, diff, chk, units."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from minian_vc.cli import provenance
from minian_vc.cli.output import as_json, print_json, print_table, when
from minian_vc.cli.targets import dataset_argument, dataset_option, find_dataset
from minian_vc.dataset import Dataset
from minian_vc.diff import ArrayChange
from minian_vc.looks.changes import fields_text, units_text
from minian_vc.looks.checkpoint import COLUMNS, array_rows
from minian_vc.model import PREFIX, ArrayVersion
from minian_vc.text import as_runs, in_brackets, short
from minian_vc.text import number as counted
from minian_vc.units import UnitsEntry

__all__ = ["COMMANDS"]


@click.command()
@dataset_argument
@as_json
def status(dataset: str | None, json_: bool) -> None:
    """Compare DATASET with its latest checkpoint."""
    found = find_dataset(dataset)
    latest, states = found.latest, found.status()
    if json_:
        arrays = [{"name": s.name, "state": s.state} | ({"problem": s.problem} if s.problem else {}) for s in states]
        print_json({"dataset": found.name, "latest": latest.id if latest else None, "arrays": arrays})
        return
    changed = [state for state in states if state.state != "unchanged"]
    known = f"{latest.short_id}{in_brackets(latest.tags)}" if latest else "none"
    click.echo(f"{found.name}: latest checkpoint {known}")
    if not changed:
        click.echo(f"Nothing changed; {counted(len(states), 'array')}." if states else "There are no arrays.")
        return
    print_table(("state", "array"), [(s.state, s.name) for s in changed])
    for s in changed:
        if s.problem:
            click.echo(f"{s.name}: {s.problem}")
    if len(states) > len(changed):
        click.echo(f"Unchanged: {len(states) - len(changed)}.")


@click.command()
@dataset_argument
@click.option("-n", "number", type=click.IntRange(min=1), help="Show only the newest N.")
@click.option("--array", help="Only checkpoints that recorded a new version of this array.")
@click.option("--manual", is_flag=True, help="Leave out automatic checkpoints.")
@click.option("--param", "params", multiple=True, metavar="K[=V]", help="Only checkpoints with this parameter.")
@click.option("--operations", is_flag=True, help="List what changed the history or the folder instead.")
@as_json
def log(
    dataset: str | None,
    number: int | None,
    array: str | None,
    manual: bool,
    params: tuple[str, ...],
    operations: bool,
    json_: bool,
) -> None:
    """List the checkpoints of DATASET, newest first."""
    found = find_dataset(dataset)
    if operations:
        _print_operations(found, number, json_)
        return
    entries = found.history(number, array, manual=manual, params=provenance.wanted(params))
    if json_:
        keys = ("id", "tags", "message", "author", "created_at", "parent", "arrays", "automatic")
        print_json({"dataset": found.name, "checkpoints": [{key: getattr(e, key) for key in keys} for e in entries]})
        return
    if not entries and found.latest is None:
        click.echo(f"{found.name} has no checkpoint yet. Make one: minian-vc commit -t TAG -m MESSAGE")
        return
    if not entries:
        click.echo(f"{found.name} has no such checkpoint.")
        return
    marked = any(entry.automatic for entry in entries)
    rows = [
        (
            short(entry.id),
            when(entry.created_at),
            ", ".join(entry.tags),
            *((entry.automatic or "",) if marked else ()),
            len(entry.arrays),
            entry.message,
        )
        for entry in entries
    ]
    print_table(("checkpoint", "when", "tags", *(("auto",) if marked else ()), "arrays", "message"), rows)


def _print_operations(found: Dataset, number: int | None, json_: bool) -> None:
    entries = found.operation_log(number)
    if json_:
        print_json({"dataset": found.name, "operations": [asdict(entry) for entry in entries]})
        return
    rows = [
        (entry.sequence, when(entry.created_at), entry.what, f"by {entry.undone_by}" if entry.undone_by else "")
        for entry in entries
    ]
    print_table(("operation", "when", "what", "undone"), rows)


@click.command()
@click.argument("revision", default="latest")
@dataset_option
@as_json
def show(revision: str, dataset: str | None, json_: bool) -> None:
    """Show the checkpoint @REV (default: the latest) with all its arrays."""
    found = find_dataset(dataset)
    checkpoint = found.show(revision)
    if json_:
        keys = ("id", "tags", "message", "author", "created_at", "parent", "provenance")
        body: dict[str, Any] = {key: getattr(checkpoint, key) for key in keys}
        print_json({"dataset": found.name, **body, "arrays": [_array(array) for array in checkpoint.arrays]})
        return
    click.echo(f"checkpoint {checkpoint.id.removeprefix(PREFIX)}{in_brackets(checkpoint.tags)}")
    click.echo(f"dataset    {found.name}\nauthor     {checkpoint.author}\nwhen       {when(checkpoint.created_at)}")
    if checkpoint.message:
        click.echo(f"message    {checkpoint.message}")
    click.echo("\n".join([*provenance.describe(checkpoint.provenance), ""]))
    print_table(COLUMNS, array_rows(checkpoint.arrays))


def _array(array: ArrayVersion) -> dict[str, Any]:
    return {
        "name": array.name,
        "folder": array.folder,
        "variable": array.variable,
        "zarr_format": array.zarr_format,
        "dims": array.dims,
        "shape": array.shape,
        "dtype": array.dtype,
        "chunks": array.chunks,
        "unit_ids": array.unit_ids,
        "coords": {
            c.name: {"dims": c.dims, "shape": c.shape, "dtype": c.dtype, "digest": c.values} for c in array.coordinates
        },
        "animal": array.animal,
        "session": array.session,
        "nbytes": array.nbytes,
        "stored_bytes": array.stored_bytes,
        "missing_chunks": array.missing_chunks,
        "bytes_kept": array.bytes_kept,
        "manifest": array.manifest,
    }


@click.command()
@click.argument("old")
@click.argument("new", required=False)
@dataset_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there are differences.")
@as_json
def diff(old: str, new: str | None, dataset: str | None, exit_code: bool, json_: bool) -> int:
    """Compare the checkpoint @OLD with @NEW, or with the working folder."""
    found = find_dataset(dataset)
    changes = found.diff(old, new)
    differing = [change for change in changes if change.state != "unchanged"]
    if json_:
        print_json(
            {
                "dataset": found.name,
                "arrays": [_change(c) for c in changes],
                "params": provenance.params_as_json(changes.params),
            }
        )
    elif differing:
        rows = [(c.state, c.name, fields_text(c), units_text(c)) for c in differing]
        print_table(("state", "array", "changed", "units"), rows)
        click.echo(f"Unchanged: {len(changes) - len(differing)}.")
    else:
        click.echo(f"No differences; {counted(len(changes), 'array')}.")
    if changes.params and not json_:
        click.echo()
        print_table(("param", "old", "new"), provenance.param_rows(changes.params))
    return 1 if exit_code and differing else 0


def _change(change: ArrayChange) -> dict[str, Any]:
    units = change.units
    return {
        "name": change.name,
        "state": change.state,
        "changed": {name: {"old": old, "new": new} for name, (old, new) in change.fields.items()},
        "units": units
        and {
            "added": units.added,
            "removed": units.removed,
            "changed": units.changed,
            "unchanged": units.unchanged,
            "renumbered": units.renumbered,
        },
    }


@click.command()
@dataset_argument
@as_json
def chk(dataset: str | None, json_: bool) -> None:
    """Print MiniAn's chk: the chunk sizes that DATASET's arrays agree on."""
    recalled = find_dataset(dataset).chk
    if json_:
        print_json({"chk": dict(recalled), "deviating": recalled.deviating, "unreadable": recalled.unreadable})
        return
    click.echo(f"chk = {dict(recalled)}")
    for name, spec in recalled.deviating.items():
        click.echo(f"{name} deviates: {', '.join(f'{dim}={n}' for dim, n in spec.items())}")
    for name in recalled.unreadable:
        click.echo(f"{name} cannot be read.", err=True)


@click.command()
@dataset_argument
@as_json
def units(dataset: str | None, json_: bool) -> None:
    """Show the unit sets at each checkpoint of DATASET, oldest first."""
    found = find_dataset(dataset)
    described = {entry.id: entry for entry in found.history()}
    entries = found.units()
    if json_:
        rows = [
            {
                "id": entry.checkpoint,
                "tags": described[entry.checkpoint].tags,
                "message": described[entry.checkpoint].message,
                "created_at": described[entry.checkpoint].created_at,
                "unit_sets": [{"unit_ids": unit_ids, "arrays": arrays} for unit_ids, arrays in entry.unit_sets],
                "disappeared": entry.disappeared,
                "renumbered": entry.renumbered,
            }
            for entry in entries
        ]
        print_json({"dataset": found.name, "checkpoints": rows})
        return
    for entry in entries:
        record = described[entry.checkpoint]
        click.echo(f"{short(entry.checkpoint)}{in_brackets(record.tags)}  {record.message}".rstrip())
        _print_units(entry)


def _print_units(entry: UnitsEntry) -> None:
    for unit_ids, arrays in entry.unit_sets:
        click.echo(f"    {len(unit_ids)} units {as_runs(unit_ids)}: {', '.join(arrays)}")
    gone: dict[str, list[str]] = {}
    for name, lost in entry.disappeared.items():
        gone.setdefault(as_runs(lost), []).append(name)
    for shown, names in gone.items():
        click.echo(f"    disappeared: {shown} from {', '.join(names)}")
    if entry.renumbered:
        click.echo(f"    numbering started anew: {', '.join(entry.renumbered)}")


COMMANDS = (status, log, show, diff, chk, units)
