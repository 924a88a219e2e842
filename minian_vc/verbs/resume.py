"""resume: the variables of a checkpoint after a kernel restart, on common units, and chk."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from minian_vc.arrays.opening import levels_to_caller
from minian_vc.audit.numbering import is_kept, outdated, unused_merge
from minian_vc.catalog.queries import DatasetRow
from minian_vc.chunk_specs import Chk, recall_from
from minian_vc.facts import ArrayFacts, DatasetFacts
from minian_vc.inspection import FilesOnDisk, look_at_array
from minian_vc.model import ArrayVersion, Checkpoint
from minian_vc.repository import Repository
from minian_vc.verbs.check import check_versions, look_at_version
from minian_vc.verbs.load import load_side_by_side
from minian_vc.verbs.restore import refuse_without_bytes
from minian_vc.working_folder import WorkingFolder
from minian_vc.working_folder.scan import list_files

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["chk_at", "going_together", "resume"]


def resume(
    repository: Repository, dataset: DatasetRow, checkpoint: Checkpoint, names: Sequence[str] | None = None
) -> dict[str, xr.DataArray]:
    """Open the arrays of a checkpoint that go together, each with its own coordinates, on their common units.

    By default all but the copies of earlier steps (``A_init``, ``C_new``, ``A_mrg``) and arrays from before the last
    merge. An array recorded without its bytes is opened in the working folder, if it still is what was recorded.

    Raises
    ------
    ConflictError
        They do not belong together.
    NotFoundError
        There is no array of that name in the checkpoint, or its bytes are not to be had any more.
    """
    working = repository.working_folder(dataset.path)
    revision = checkpoint.short_id
    where = f"{dataset.path} @{revision}"
    report = check_versions(repository, dataset, [(revision, a) for a in checkpoint.arrays], where, named=False)
    facts = report.facts
    if facts is None:  # of one dataset there always are
        return {}
    found = {version.name: _look(repository, working, version) for version in checkpoint.arrays}
    facts = replace(facts, arrays=tuple(found[a.name] or a for a in facts.arrays))
    gone = {name for name, look in found.items() if look is None}
    if names is None:
        names = going_together(facts, gone)
        if gone:
            what = f"Left out, for their bytes were not recorded and the folder has others: {', '.join(sorted(gone))}."
            warnings.warn(what, UserWarning, stacklevel=levels_to_caller())
    refuse_without_bytes([array for array in checkpoint.arrays if array.name in gone.intersection(names)])
    return load_side_by_side(facts, names)


def chk_at(checkpoint: Checkpoint) -> Chk:
    """Return chk as it was recorded with a checkpoint, else as its arrays agree on it."""
    recalled = recall_from(checkpoint.arrays)
    kept = checkpoint.provenance.get("chk")
    return Chk(kept, recalled.deviating) if kept else recalled


def _look(repository: Repository, working: WorkingFolder, version: ArrayVersion) -> ArrayFacts | None:
    """Return where an array's bytes are: in the object store, or still in the working folder; None for nowhere."""
    if version.bytes_kept:
        return look_at_version(repository, version)
    folder = working.path / version.folder
    files = list_files(folder)
    if not files or working.records.manifest_of(version.folder, files, with_bytes=False) != version.manifest:
        return None
    return look_at_array(version.folder, FilesOnDisk(str(folder)), manifest=version.manifest)


def going_together(facts: DatasetFacts, gone: set[str]) -> list[str]:
    """Return the arrays of a checkpoint that are meant to be used together; say which are from before a merge.

    That is all but those whose bytes are ``gone``, the copies of earlier steps, and arrays from before the last merge.
    """
    old = set(outdated(facts))
    _say_left_out(old, unused_merge(facts))
    return [a.name for a in facts.readable if is_kept(facts, a) and a.name not in old | gone]


def _say_left_out(old: set[str], merged: Sequence[str]) -> None:
    if merged:
        what = (
            f"This is after a merge and before its result was used: the next step starts from {', '.join(merged)}. "
            "Name them to have them."
        )
        warnings.warn(what, UserWarning, stacklevel=levels_to_caller())
    if old:
        what = f"Left out, for they are from before the last merge: {', '.join(sorted(old))}."
        warnings.warn(what, UserWarning, stacklevel=levels_to_caller())
