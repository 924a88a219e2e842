"""The whole history of a dataset going out: what such a format is given, and what it says it did."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minian_vc.arrays.opening import levels_to_caller, open_array
from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow, LogEntry
from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.export.formats import find_format
from minian_vc.model import ArrayVersion, Checkpoint
from minian_vc.repository import Repository
from minian_vc.text import number

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ExportedHistory", "WholeHistory", "export_history"]


@dataclass(frozen=True)
class WholeHistory:
    """A dataset's checkpoints, oldest first, read one by one.

    Attributes
    ----------
    repository : Repository
        Where they lie.
    dataset : DatasetRow
        Whose they are.
    entries : tuple of LogEntry
        What the log says of each; pruned ones are not among them.
    """

    repository: Repository
    dataset: DatasetRow
    entries: tuple[LogEntry, ...]

    def checkpoint(self, entry: LogEntry) -> Checkpoint:
        """Read a checkpoint."""
        return self.repository.checkpoint(entry.id, entry.tags)

    def open(self, array: ArrayVersion) -> xr.DataArray:
        """Open an array version as it was saved: lazy, with the stored chunks and its own coordinates."""
        return open_array(array, self.repository.stored_files(array.manifest))

    def is_pruned(self, checkpoint_id: str) -> bool:
        """Tell whether the dataset once had this checkpoint."""
        with self.repository.catalog.read() as connection:
            return queries.pruned_at(connection, checkpoint_id) is not None


@dataclass(frozen=True, slots=True)
class ExportedHistory:
    """What an export of a history wrote.

    Attributes
    ----------
    location : str
        The folder or URL.
    format : str
        Its format.
    dataset : str
        The dataset's path below the repository's root.
    added : tuple of str
        Ids of the checkpoints that were not there before, oldest first.
    present : int
        How many checkpoints of the dataset were there already.
    tags : dict of str to str
        The dataset's tags: how each is called there.
    nbytes : int
        Bytes of the arrays that were written, as they are in memory.
    warnings : tuple of str
        What the user should know.
    """

    location: str
    format: str
    dataset: str
    added: tuple[str, ...]
    present: int
    tags: Mapping[str, str]
    nbytes: int
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{self.location}: {number(len(self.added), 'checkpoint')} added to {self.present}, as {self.format}"


def export_history(
    repository: Repository,
    dataset: DatasetRow,
    specs: Sequence[str],
    location: str,
    format_name: str,
    *,
    force: bool,
    options: Mapping[str, Any],
) -> ExportedHistory:
    """Write all checkpoints of a dataset to a location that may have some already; see :meth:`Dataset.export`.

    Raises
    ------
    InvalidInputError
        A SPEC is given, or ``force``, or an option that the format has not.
    NotFoundError
        The dataset has no checkpoint.
    """
    form = find_format(format_name)
    form.check_options(options)
    if specs:
        raise InvalidInputError(
            f"The format {form.name} takes the whole history of a dataset, and {' '.join(specs)} is named.",
            f"Nothing was written. Leave it out: minian-vc export --format {form.name} OUT",
        )
    if force:
        raise InvalidInputError(
            f"An export to {form.name} grows when it is run again, and replaces nothing: there is nothing to force.",
            "Nothing was written. Leave out --force (force=True), or choose another place.",
        )
    with repository.catalog.read() as connection:
        entries = tuple(reversed(queries.log(connection, dataset.uid)))
    if not entries:
        raise NotFoundError(f"{dataset.path} has no checkpoint yet.", f"Make one: minian-vc commit {dataset.path}")
    done: ExportedHistory = form.write(WholeHistory(repository, dataset, entries), location, **options)
    for text in done.warnings:
        warnings.warn(text, UserWarning, stacklevel=levels_to_caller())
    return done
