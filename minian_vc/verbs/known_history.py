"""What the catalog knows about a dataset, as check needs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.errors import InvalidInputError, MinianVCError, NotFoundError, UnreadableError
from minian_vc.facts import KnownHistory
from minian_vc.model import ArrayVersion
from minian_vc.repository import Repository
from minian_vc.units import ArrayUnits, numberings

__all__ = ["history_of", "known_history"]


def history_of(path: Path) -> tuple[KnownHistory | None, dict[str, str], MinianVCError | None]:
    """Return what the catalog knows about a folder, the manifests of its unchanged arrays, and what went wrong."""
    path = path.resolve()
    try:
        repository = Repository.find(path)
        row = repository.dataset_row(repository.relative(path))
        if row.latest is None:
            return None, {}, None
        return known_history(repository, row), _manifests(repository, row), None
    except (NotFoundError, InvalidInputError):
        return None, {}, None
    except MinianVCError as error:
        return None, {}, error


def known_history(repository: Repository, dataset: DatasetRow, coming: Sequence[ArrayVersion] = ()) -> KnownHistory:
    """Return what the catalog knows; ``coming`` are the arrays of the checkpoint that is about to be recorded."""
    with repository.catalog.read() as connection:
        steps = queries.units_by_checkpoint(connection, dataset.uid, only_new=True)
        if coming:
            steps.append(("coming", {a.name: ArrayUnits(a.manifest, a.unit_ids) for a in coming}))
        preceded, merges = numberings(steps)
        tags = queries.tags(connection, dataset.uid)
        row = queries.dataset_at(connection, dataset.path)
    latest = repository.checkpoint(row.latest).arrays if row and row.latest else ()
    return KnownHistory(preceded, merges, latest, frozenset(tag for given in tags.values() for tag in given))


def _manifests(repository: Repository, dataset: DatasetRow) -> dict[str, str]:
    """Return the recorded manifest of each array folder whose files are as the last commit saw them."""
    working = repository.working_folder(dataset.path)
    try:
        folders = working.scan().arrays
    except UnreadableError:  # links and odd names, which MiniAn opens and commit refuses
        return {}
    found = {}
    for folder, stats in folders.items():
        records = working.records
        manifest = records.manifest_of(folder, stats) or records.clean_manifest(folder, stats, with_bytes=False)
        if manifest is not None:
            found[folder] = manifest
    return found
