"""tag: give a checkpoint a name."""

from __future__ import annotations

from dataclasses import replace

from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.model import Checkpoint
from minian_vc.names import check_tag_name
from minian_vc.repository import Repository
from minian_vc.verbs.commit import tag_taken

__all__ = ["tag_checkpoint"]


def tag_checkpoint(
    repository: Repository, dataset: DatasetRow, name: str, checkpoint: Checkpoint
) -> Checkpoint:
    """Record a tag; the same tag on the same checkpoint again is no error.

    Raises
    ------
    AlreadyExistsError
        Another checkpoint of the dataset has it.
    """
    check_tag_name(name)
    with repository.history() as history:
        owner = queries.by_tag(history.connection, checkpoint.dataset, name)
        if owner is not None and owner != checkpoint.id:
            raise tag_taken(dataset.path, name, owner)
        if owner is None:
            history.append("tag", dataset.path, checkpoint, name)
    return replace(checkpoint, tags=tuple(dict.fromkeys((*checkpoint.tags, name))))
