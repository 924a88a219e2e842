"""check: say what loading would do, before loading."""

from __future__ import annotations

import os
from pathlib import Path

import click

from minian_vc.cli.output import as_json, print_json
from minian_vc.cli.targets import current_folder, find_dataset
from minian_vc.dataset_folders import is_dataset
from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.verbs.check import PATTERN, check_folder
from minian_vc.verbs.check import check as check_paths
from minian_vc.verbs.report import CheckReport

__all__ = ["COMMANDS"]


@click.command()
@click.argument("targets", nargs=-1, metavar="[PATH|SPEC]…")
@click.option("-d", "--dataset", help="The dataset's path, for SPECs.")
@click.option("--index-dims", metavar="DIMS", help="Check all datasets below PATH, as open_minian_mf: animal,session")
@click.option("--pattern", default=PATTERN, show_default=True, help="With --index-dims: what datasets are called.")
@as_json
def check(targets: tuple[str, ...], dataset: str | None, index_dims: str | None, pattern: str, json_: bool) -> int:
    """Say what loading would do, and which arrays belong together, before loading.

    PATH is a dataset folder (default: the current one), SPEC a recorded version: @first_iteration, or several that
    are to be loaded together, C@first_iteration A@latest. A PATH with @ in its name is written ./PATH.

    Metadata and coordinates are read, the data never. The exit code is 1 if there is a warning or an error.
    """
    report = _report(targets, dataset, index_dims, pattern)
    if json_:
        print_json(report.to_dict())
    else:
        click.echo(repr(report))
    return 1 if report.worst in ("warning", "error") else 0


def _report(targets: tuple[str, ...], dataset: str | None, index_dims: str | None, pattern: str) -> CheckReport:
    if index_dims is not None:
        return check_paths(*(targets or (current_folder(),)), index_dims=index_dims, pattern=pattern)
    if not targets:
        here = current_folder()
        return check_folder(here) if dataset is None and is_dataset(here) else find_dataset(dataset).check()
    specs = [target for target in targets if _is_spec(target)]
    if len(specs) == len(targets):
        return _check_versions(specs, dataset)
    if specs:
        raise InvalidInputError("Folders and recorded versions cannot be checked together.", "Give one kind of them.")
    return check_paths(*targets)


def _check_versions(specs: list[str], dataset: str | None) -> CheckReport:
    try:
        return find_dataset(dataset).check(*specs)
    except NotFoundError as error:
        unknown = [spec for spec in specs if "@" not in spec]
        if not unknown:
            raise
        raise NotFoundError(f"There is no path {unknown[0]}, nor such a version: {error.message}", error.hint) from None


def _is_spec(target: str) -> bool:
    """Tell a SPEC from a path: what has a slash or begins with a dot is a path, what begins with @ is none."""
    if os.sep in target or "/" in target or target.startswith("."):
        return False
    if target.startswith("@"):
        return True
    exists = Path(target).exists()
    if "@" in target and exists:
        raise InvalidInputError(
            f"{target} is a folder, and may be meant as an array at a revision.",
            f"Write ./{target} for the folder.",
        )
    return not exists


COMMANDS = (check,)
