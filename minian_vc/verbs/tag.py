"""tag: give a checkpoint a name."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.errors import AlreadyExistsError
from minian_vc.model import Checkpoint
from minian_vc.names import check_tag_name
from minian_vc.repository import Repository, pruned_error
from minian_vc.text import short

__all__ = ["refuse_taken_tag", "tag_checkpoint"]


def tag_checkpoint(repository: Repository, dataset: DatasetRow, name: str, checkpoint: Checkpoint) -> Checkpoint:
    """Record a tag; the same tag on the same checkpoint again is no error.

    Raises
    ------
    AlreadyExistsError
        Another checkpoint of the dataset has it.
    NotFoundError
        The checkpoint was pruned meanwhile.
    """
    check_tag_name(name)
    with repository.history() as history:
        refuse_taken_tag(history.connection, dataset, name, allowed=checkpoint.id)
        if (pruned_at := queries.pruned_at(history.connection, checkpoint.id)) is not None:
            raise pruned_error(checkpoint.id, pruned_at)
        if queries.by_tag(history.connection, dataset.uid, name) is None:
            history.append("tag", dataset.path, checkpoint, name)
    return replace(checkpoint, tags=tuple(dict.fromkeys((*checkpoint.tags, name))))


def refuse_taken_tag(
    connection: Connection, dataset: DatasetRow, name: str | None, *, allowed: str | None = None
) -> None:
    """Raise :class:`AlreadyExistsError` if the tag names a checkpoint other than the allowed one."""
    owner = queries.by_tag(connection, dataset.uid, name) if name is not None else None
    if owner is not None and owner != allowed:
        raise AlreadyExistsError(
            f"{dataset.path} has a tag {name!r} already, on checkpoint {short(owner)}.",
            "Nothing was recorded. Choose another name.",
        )
