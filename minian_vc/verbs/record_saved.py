"""Recording an array that was just saved, and a tag that gathers the arrays saved with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from minian_vc import provenance
from minian_vc.arrays.opening import levels_to_caller
from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.errors import BusyError, NotFoundError, UnreadableError
from minian_vc.model import Checkpoint
from minian_vc.names import check_tag_name
from minian_vc.repository import Repository
from minian_vc.text import short
from minian_vc.verbs.commit import Request, commit
from minian_vc.verbs.tag import refuse_taken_tag
from minian_vc.working_folder.scan import list_files

__all__ = ["Maker", "is_recorded", "make_repositories_by", "record_saved", "refuse_to_record"]

Maker = Callable[[Path], Repository]

_maker: Maker | None = None


def make_repositories_by(maker: Maker | None) -> None:
    """Let the repository that a save needs be made by ``maker(dataset)`` from now on; None for one that keeps all."""
    global _maker
    _maker = maker


def refuse_to_record(dataset: Path, tag: str | None, *, move: bool) -> None:
    """Refuse, before anything is saved, what could not be recorded afterwards.

    A tag of the latest checkpoint moves on; one of an older checkpoint only with ``move``.
    """
    if tag is None:
        return
    check_tag_name(tag)
    try:
        repository = Repository.find(dataset.parent)
    except NotFoundError:
        return
    row = repository.dataset_row(repository.relative(dataset))
    if not move:
        with repository.catalog.read() as connection:
            refuse_taken_tag(connection, row, tag, allowed=row.latest)


def record_saved(dataset: Path, name: str, tag: str | None) -> Checkpoint:
    """Commit a dataset after a save; a repository is made in its parent if there is none above it.

    Where another array of it cannot be read just now, the saved one alone is recorded anew, with a warning. There is
    one, too, where the tag moved on from an older checkpoint.
    """
    try:
        repository = Repository.find(dataset.parent)
    except NotFoundError:
        repository = Repository.create(dataset.parent) if _maker is None else _maker(dataset)
    row = repository.dataset_row(repository.relative(dataset))
    with repository.catalog.read() as connection:
        owner = queries.by_tag(connection, row.uid, tag) if tag is not None else None
    checkpoint = _commit(repository, row, name, tag)
    if owner is not None and owner not in (row.latest, checkpoint.id):
        what = f"The tag {tag} moved on from checkpoint {short(owner)}, which stays without it."
        warnings.warn(what, UserWarning, stacklevel=levels_to_caller())
    return checkpoint


def _commit(repository: Repository, row: DatasetRow, name: str, tag: str | None) -> Checkpoint:
    about = provenance.gather()
    try:
        return commit(repository, row, Request(f"{name} saved", tag, None, about, move_tag=True)).checkpoint
    except (BusyError, UnreadableError) as error:
        warnings.warn(f"Only {name} was recorded: {error.message}", UserWarning, stacklevel=levels_to_caller())
        return commit(repository, row, Request(f"{name} saved", tag, [name], about, move_tag=True)).checkpoint


def is_recorded(repository: Repository, array: Path) -> bool:
    """Tell whether an array folder is, with its bytes, in a checkpoint as it is now: by names, sizes and times."""
    working = repository.working_folder(repository.relative(array.parent))
    manifest = working.records.manifest_of(array.name, list_files(array))
    if manifest is None:
        return False
    with repository.catalog.read() as connection:
        return manifest in queries.recorded_manifests(connection, [manifest])
