"""The command that takes versions out into other formats: export."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import click

from minian_vc.cli.output import as_json, print_json, size
from minian_vc.cli.targets import current_folder, dataset_option, find_dataset
from minian_vc.errors import AlreadyExistsError
from minian_vc.export.exporting import Exported
from minian_vc.export.formats import FORMATS, find_format
from minian_vc.export.whole_history import ExportedHistory
from minian_vc.text import number, short

__all__ = ["COMMANDS"]

_SPEC = re.compile(r"[^/\\.]*@[^/\\.]+")

OPTIONS = (  # of the formats; one that is not given is not passed on
    click.option(
        "--compression", type=click.IntRange(0, 9), help="netcdf, npz: zlib's level, 0 for none; mat: 0 for none."
    ),
    click.option("--endpoint-url", metavar="URL", help="icechunk: the service that has s3://…, if not Amazon's."),
    click.option("--engine", type=click.Choice(["h5netcdf", "netcdf4"]), help="netcdf: the package that writes."),
    click.option(
        "--wide", is_flag=True, help="csv, parquet: a row per frame, a column per unit; else a row per value."
    ),
    click.option("--zarr-format", type=click.IntRange(2, 3), help="zarr: the format's version; 2 opens everywhere."),
    click.option("--neuroconv", is_flag=True, help="minian: add what neuroconv's MinianSegmentationInterface needs."),
    click.option("--masks", type=click.Choice(["pixel", "image"]), help="nwb: footprints as pixels or as images."),
    click.option("--metadata", metavar="YAML", help="nwb: what MiniAn does not know; --template writes it."),
    click.option("--rate", type=float, metavar="HZ", help="The recording's frames per second, for formats with times."),
    click.option("--timestamps", metavar="FILE", help="Instead of a rate: timeStamps.csv, or a time per line."),
)


def _with_options(command: Any) -> Any:
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("specs", nargs=-1, metavar="[SPEC…]")
@click.argument("out", required=False, metavar="[OUT]")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True, help="The format.")
@click.option("--force", is_flag=True, help="Replace the file OUT, or the folder of an earlier export.")
@click.option("--no-provenance", is_flag=True, help="Leave out author, host, folders and code, to publish it.")
@click.option("--template", metavar="FILE", help="nwb: only write the YAML that --metadata takes, to be filled in.")
@_with_options
@dataset_option
@as_json
def export(
    specs: tuple[str, ...],
    out: str | None,
    form: str,
    force: bool,
    no_provenance: bool,
    template: str | None,
    dataset: str | None,
    json_: bool,
    **options: Any,
) -> None:
    """Write versions of one checkpoint to OUT in another format, with their identity inside.

    C@first_iteration takes one array, @first_iteration the whole checkpoint. What goes out is checked first.
    The format icechunk takes the whole history instead, without a SPEC; OUT may be s3://bucket/prefix there.
    """
    if template is not None:
        if out is not None:
            raise click.UsageError("--template takes no SPEC and no OUT.")
        _write_template(form, current_folder() / template, force=force, json_=json_)
        return
    if out is None:
        raise click.UsageError("Missing argument 'OUT': the file or folder to write.")
    if _SPEC.fullmatch(out):
        raise click.UsageError(f"{out} reads as a SPEC, and OUT is missing: the file or folder to write.")
    found = find_dataset(dataset)
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        place = out if "://" in out else current_folder() / out
        done = found.export(*specs, format=form, out=place, force=force, provenance=not no_provenance, **given)
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
    return f"Wrote {done.path}: {', '.join(done.arrays)} of @{short(done.checkpoint)}, {size(done.nbytes)}."


def _history(done: ExportedHistory) -> dict[str, Any]:
    return {"location": done.location, "added": list(done.added), "present": done.present, "tags": dict(done.tags)}


def _history_line(done: ExportedHistory) -> str:
    if not done.added:
        return f"{done.location} has all {number(done.present, 'checkpoint')} of {done.dataset} already."
    added = f"{number(len(done.added), 'checkpoint')} of {done.dataset}"
    before = f" after {done.present}" if done.present else ""
    return f"Wrote {done.location}: {added}{before}, {size(done.nbytes)}."


def _write_template(form: str, path: Path, *, force: bool, json_: bool) -> None:
    text = find_format(form).template_text()
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise AlreadyExistsError(f"{path} is there already.", "Nothing was written. --force replaces it.") from None
    if json_:
        print_json({"template": str(path), "format": form})
    else:
        click.echo(f"Wrote {path}. Fill it in, then give it with --metadata.")


COMMANDS = (export,)
