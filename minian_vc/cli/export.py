"""The command that takes versions out into other formats: export."""

from __future__ import annotations

import warnings
from typing import Any

import click

from minian_vc.cli.output import as_json, print_json, size
from minian_vc.cli.targets import current_folder, dataset_option, find_dataset
from minian_vc.export.exporting import Exported
from minian_vc.export.formats import FORMATS
from minian_vc.export.whole_history import ExportedHistory
from minian_vc.text import number

__all__ = ["COMMANDS"]

OPTIONS = (  # of the formats; one that is not given is not passed on
    click.option("--compression", type=click.IntRange(0, 9), help="netcdf: zlib's level, 0 for none."),
    click.option("--endpoint-url", metavar="URL", help="icechunk: the service that has s3://…, if not Amazon's."),
    click.option("--engine", type=click.Choice(["h5netcdf", "netcdf4"]), help="netcdf: the package that writes."),
)


def _with_options(command: Any) -> Any:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("specs", nargs=-1, metavar="[SPEC…]")
@click.argument("out")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True, help="The format.")
@click.option("--force", is_flag=True, help="Replace what an earlier export wrote to OUT.")
@_with_options
@dataset_option
@as_json
def export(
    specs: tuple[str, ...], out: str, form: str, force: bool, dataset: str | None, json_: bool, **options: Any
) -> None:
    """Write versions of one checkpoint to OUT in another format, with their identity inside.

    C@first_iteration takes one array, @first_iteration the whole checkpoint. What goes out is checked first.
    The format icechunk takes the whole history instead, without a SPEC; OUT may be s3://bucket/prefix there.
    """
    found = find_dataset(dataset)
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        place = out if "://" in out else current_folder() / out
        done = found.export(*specs, format=form, out=place, force=force, **given)
    said = [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
    if json_:
        described = _history(done) if isinstance(done, ExportedHistory) else _version(done)
        print_json({"dataset": found.name, "format": done.format, **described, "nbytes": done.nbytes, "warnings": said})
        return
    for text in said:
        click.echo(f"Warning: {text}", err=True)
    click.echo(_history_line(done) if isinstance(done, ExportedHistory) else _version_line(done))


def _version(done: Exported) -> dict[str, Any]:
    return {
        "checkpoint": done.checkpoint,
        "path": str(done.path),
        "sidecar": done.sidecar and str(done.sidecar),
        "arrays": list(done.arrays),
        "left_out": dict(done.left_out),
    }


def _version_line(done: Exported) -> str:
    return f"Wrote {done.path}: {', '.join(done.arrays)} of @{done.checkpoint[7:17]}, {size(done.nbytes)}."


def _history(done: ExportedHistory) -> dict[str, Any]:
    return {"location": done.location, "added": list(done.added), "present": done.present, "tags": dict(done.tags)}


def _history_line(done: ExportedHistory) -> str:
    if not done.added:
        return f"{done.location} has all {number(done.present, 'checkpoint')} of {done.dataset} already."
    added = f"{number(len(done.added), 'checkpoint')} of {done.dataset}"
    before = f" after {done.present}" if done.present else ""
    return f"Wrote {done.location}: {added}{before}, {size(done.nbytes)}."


COMMANDS = (export,)
