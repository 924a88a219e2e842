"""What a command works on: the dataset or repository that is named, called with, or stood in."""

from __future__ import annotations

import os
from pathlib import Path

import click

from minian_vc.dataset import Dataset, open_dataset
from minian_vc.dataset_folders import datasets_below, is_dataset
from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.repository import Repository

__all__ = ["current_folder", "dataset_argument", "dataset_option", "find_dataset", "find_repository"]

dataset_argument = click.argument("dataset", required=False)
dataset_option = click.option("-d", "--dataset", help="The dataset's path.")


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
    known = _known(repository)
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


def _known(repository: Repository) -> set[str]:
    """Return the paths of datasets with history, but for those where all is undone and no array lies."""
    rows, root = repository.datasets(), repository.root
    return {row.path for row in rows if row.latest or (root / row.path).is_file() or is_dataset(root / row.path)}


def _by_known_path(here: Path, path: str) -> Dataset | None:
    """Return the dataset that the catalog knows by this path below the repository's root."""
    try:
        repository = Repository.find(here)
    except NotFoundError:
        return None
    known = _known(repository)
    return Dataset(repository, path) if path in known else None
