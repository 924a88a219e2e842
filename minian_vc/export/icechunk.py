"""Icechunk: the whole history of a dataset, one commit per checkpoint; run again, it grows."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minian_vc.catalog.queries import LogEntry
from minian_vc.errors import AlreadyExistsError, MinianVCError
from minian_vc.export.bundle import KEY, attributes_of, identity_of
from minian_vc.export.computing import advance_with_dask
from minian_vc.export.icechunk_place import import_icechunk, in_our_words, storage_at
from minian_vc.export.whole_history import ExportedHistory, WholeHistory
from minian_vc.model import ArrayVersion, Checkpoint
from minian_vc.progress import progress
from minian_vc.text import number, short

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["write"]

BRANCH = "main"
MANIFEST = "manifest"  # attribute of an array's group
MOST_PROVENANCE = 4096  # characters in a commit's metadata, all of which Icechunk rewrites at each commit


@dataclass(frozen=True, slots=True)
class _Commit:
    """A commit that is there: its snapshot's id, and what we said of it, nothing if it is not ours."""

    snapshot: str
    said: Mapping[str, Any]

    @property
    def checkpoint(self) -> str | None:
        return self.said.get("checkpoint")


def write(history: WholeHistory, location: str, *, endpoint_url: str | None = None) -> ExportedHistory:
    """Write a history as an Icechunk repository, or what is new of it to one that has its beginning.

    Parameters
    ----------
    history : WholeHistory
        What to write. Each checkpoint is one commit on ``main``, each array a group ``NAME/`` with the array and its
        coordinates in zarr format 3: dims, shape, dtype, chunk spec, values and attributes as saved.
    location : str
        A path, or ``s3://bucket/prefix`` with credentials from the environment.
    endpoint_url : str, optional
        The URL of a service that speaks S3, where it is not Amazon's.

    Returns
    -------
    ExportedHistory
        Which checkpoints were added.

    Raises
    ------
    AlreadyExistsError
        Something else is there: no Icechunk repository, or one with other commits.
    BusyError
        Another export writes there.
    DamagedError
        Stored bytes are not what was recorded; the checkpoints before are there.
    EnvironmentUnfitError
        icechunk is missing, or zarr is older than 3.1.3.
    InvalidInputError
        The location cannot be meant.
    StorageError
        The disk or the service refused; the checkpoints so far are there.
    """
    import_icechunk()
    with storage_at(location, endpoint_url) as storage, in_our_words(location):
        repository = _open(storage)
        there = _commits(repository)
        _refuse_others(there, history, location)
        new = _coming(history.entries, [commit.checkpoint for commit in there])
        snapshots = {str(commit.checkpoint): commit.snapshot for commit in there}
        nbytes, bare = _add(repository, history, new, snapshots, location)
        tags = _tag(repository, history.entries, snapshots)
    present = sum(entry.id in snapshots for entry in history.entries) - len(new)
    added = tuple(entry.id for entry in new)
    said = (*_said_of_bytes(bare), *_said_of_tags(tags))
    return ExportedHistory(location, "icechunk", history.dataset.path, added, present, tags, nbytes, said)


def _open(storage: Any) -> Any:
    icechunk = import_icechunk()
    made = icechunk.Repository.exists(storage)
    return icechunk.Repository.open(storage) if made else icechunk.Repository.create(storage)


# -- what is there ---------------------------------------------------------------------------------


def _commits(repository: Any) -> list[_Commit]:
    """Return the branch's commits, oldest first, without the one that Icechunk itself begins with."""
    found = []
    for snapshot in repository.ancestry(branch=BRANCH):
        if snapshot.parent_id is not None:
            said = snapshot.metadata.get(KEY)
            found.append(_Commit(snapshot.id, said if isinstance(said, dict) else {}))
    return found[::-1]


def _refuse_others(there: Sequence[_Commit], history: WholeHistory, location: str) -> None:
    """Refuse to write after commits that are not of this history.

    Raises
    ------
    AlreadyExistsError
        There are some.
    """
    known = {entry.id for entry in history.entries}
    for commit in there:
        if commit.checkpoint is None:
            other = f"its branch {BRANCH} has the commit {commit.snapshot}, which no export of minian_vc made"
        elif commit.said.get("dataset_id") != history.dataset.uid:
            other = f"it has the history of another dataset, {commit.said.get('dataset')}"
        elif commit.checkpoint not in known and not history.is_pruned(commit.checkpoint):
            other = f"it has @{short(commit.checkpoint)}, a checkpoint that {history.dataset.path} never had"
        else:
            continue
        raise AlreadyExistsError(
            f"{location} cannot take the history of {history.dataset.path}: {other}.",
            "Nothing was written. Choose another place.",
        )


def _coming(entries: Sequence[LogEntry], there: Iterable[str | None]) -> Sequence[LogEntry]:
    """Return the checkpoints after the last one that is there; all are oldest first."""
    present = set(there)
    last = max((i for i, entry in enumerate(entries) if entry.id in present), default=-1)
    return entries[last + 1 :]


# -- what is added ---------------------------------------------------------------------------------


def _add(
    repository: Any, history: WholeHistory, new: Sequence[LogEntry], snapshots: dict[str, str], location: str
) -> tuple[int, Counter[str]]:
    """Commit checkpoints, and note their snapshots; return the bytes written, and the arrays without bytes."""
    bare: Counter[str] = Counter()
    written = 0
    with progress("Exporting the history", _expected(history, new)) as advance:
        for entry in new:
            checkpoint = history.checkpoint(entry)
            try:
                snapshots[entry.id], nbytes = _commit(repository, history, checkpoint, advance)
            except MinianVCError as error:
                error.hint = (
                    f"{location} has the checkpoints before @{checkpoint.short_id}, whole, and nothing of this one. "
                    f"{error.hint}"
                )
                raise
            written += nbytes
            bare.update(array.name for array in checkpoint.arrays if not array.bytes_kept)
    return written, bare


def _expected(history: WholeHistory, new: Sequence[LogEntry]) -> int:
    """Return the bytes that are to be written, as they are in memory."""
    total, before = 0, dict[str, str]()
    for entry in new:
        kept = _kept(history.checkpoint(entry))
        total += sum(array.nbytes for array in kept if before.get(array.name) != array.manifest)
        before = {array.name: array.manifest for array in kept}
    return total


def _kept(checkpoint: Checkpoint) -> list[ArrayVersion]:
    return [array for array in checkpoint.arrays if array.bytes_kept]


def _commit(
    repository: Any, history: WholeHistory, checkpoint: Checkpoint, advance: Callable[[int], None]
) -> tuple[str, int]:
    """Commit one checkpoint, all of it or nothing; return the snapshot's id and the bytes written."""
    import zarr

    session = repository.writable_session(BRANCH)
    root = zarr.open_group(session.store, mode="a", zarr_format=3)
    before = {name: group.attrs.get(MANIFEST) for name, group in root.groups()}
    arrays = _kept(checkpoint)
    for name in before.keys() - {array.name for array in arrays}:
        del root[name]
    changed = [array for array in arrays if before.get(array.name) != array.manifest]
    for array in changed:
        with advance_with_dask(advance, array.nbytes):
            _write_array(session.store, array, history.open(array))
    identity = _identity(checkpoint, arrays, history.dataset.path)
    root.attrs.put(attributes_of(identity))
    metadata = _metadata(identity, history.dataset.uid)
    return session.commit(checkpoint.message, {KEY: metadata}), sum(array.nbytes for array in changed)


def _write_array(store: Any, array: ArrayVersion, opened: xr.DataArray) -> None:
    """Write an array with its coordinates as a group of its name."""
    import dask

    attributes = {KEY: array.name, MANIFEST: array.manifest, "session": array.session, "animal": array.animal}
    group = opened.to_dataset().drop_encoding()
    group.attrs = {name: value for name, value in attributes.items() if value is not None}
    with warnings.catch_warnings(), dask.config.set(scheduler="threads"):  # a cluster's workers cannot share a session
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification", category=Warning)
        group.to_zarr(store, group=array.name, mode="w", zarr_format=3, consolidated=False)


def _identity(checkpoint: Checkpoint, arrays: Sequence[ArrayVersion], dataset: str) -> dict[str, Any]:
    """Return who a checkpoint is, without its tags, which change; and which of its arrays are not here."""
    identity = identity_of(checkpoint, arrays, dataset)
    del identity["tags"]
    return {**identity, "without_bytes": [array.name for array in checkpoint.arrays if not array.bytes_kept]}


def _metadata(identity: Mapping[str, Any], dataset_id: str) -> dict[str, Any]:
    """Return what a commit says of itself."""
    names = ("checkpoint", "dataset", "author", "created_at", "session", "animal", "provenance")
    metadata = {name: identity[name] for name in names if identity[name] is not None}
    if len(json.dumps(metadata["provenance"])) > MOST_PROVENANCE:
        del metadata["provenance"]
    return {**metadata, "dataset_id": dataset_id}


# -- tags ------------------------------------------------------------------------------------------


def _tag(repository: Any, entries: Iterable[LogEntry], snapshots: Mapping[str, str]) -> dict[str, str]:
    """Give the commits their checkpoints' tags; return how each tag is called there, nothing if it could not be."""
    there = {name: repository.lookup_tag(name) for name in repository.list_tags()}
    return {
        tag: _tag_one(repository, there, tag, f"{tag}@{short(entry.id)}", snapshots[entry.id])
        for entry in entries
        if entry.id in snapshots
        for tag in entry.tags
    }


def _tag_one(repository: Any, there: dict[str, str], tag: str, otherwise: str, snapshot: str) -> str:
    for name in (tag, otherwise):
        if there.get(name) == snapshot:
            return name
        if name not in there and _is_created(repository, name, snapshot):
            return name
    return ""


def _is_created(repository: Any, name: str, snapshot: str) -> bool:
    """Create a tag; false if a deleted one had its name, which is used up then."""
    try:
        repository.create_tag(name, snapshot)
    except import_icechunk().AlreadyExistsError:
        return False
    return True


# -- what is said ----------------------------------------------------------------------------------


def _said_of_bytes(bare: Mapping[str, int]) -> list[str]:
    if not bare:
        return []
    which = ", ".join(f"{name} (in {number(count, 'checkpoint')})" for name, count in sorted(bare.items()))
    return [f"Recorded without their bytes, and left out: {which}."]


def _said_of_tags(tags: Mapping[str, str]) -> list[str]:
    return [
        f"Icechunk's tags cannot move: {tag} is of another commit there, or was deleted. "
        + (f"What has it now is {name}." if name else "What has it now has no tag.")
        for tag, name in tags.items()
        if name != tag
    ]
