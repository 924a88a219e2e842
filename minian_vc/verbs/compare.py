"""status and diff: the working folder or a checkpoint against a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minian_vc.arrays.reading import open_zarr_array
from minian_vc.catalog import queries
from minian_vc.catalog.queries import DatasetRow
from minian_vc.diff import UNIT, Diff, UnitChanges, compare, same_units_by_chunk
from minian_vc.errors import MinianVCError, UnreadableError
from minian_vc.model import ArrayVersion, Checkpoint, Manifest
from minian_vc.objects import manifest_digest
from minian_vc.params import changed_params
from minian_vc.repository import Repository
from minian_vc.text import in_brackets
from minian_vc.units import ArrayUnits, UnitsEntry, renumbered_between, unit_history
from minian_vc.verbs.describe import describe_array
from minian_vc.working_folder import FolderFiles, Reading, WorkingFolder, hash_only
from minian_vc.zarr_format import stem

__all__ = [
    "ArrayState",
    "Side",
    "checkpoint_side",
    "diff",
    "digest_of_reading",
    "history_of_units",
    "read_without_keeping",
    "status",
    "working_side",
]

UnitIds = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class ArrayState:
    """An array in the working folder against the latest checkpoint; ``problem`` says why it cannot be read."""

    name: str
    state: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a diff: array versions, and how to get at their manifests and files."""

    checkpoint: Checkpoint | None
    arrays: Sequence[ArrayVersion]
    manifests: Mapping[str, Manifest]
    files: Mapping[str, Mapping[str, bytes]]

    @property
    def text(self) -> str:
        """How people call it."""
        if self.checkpoint is None:
            return "the working folder"
        return f"{self.checkpoint.short_id}{in_brackets(self.checkpoint.tags)}"


def status(repository: Repository, dataset: DatasetRow, latest: Checkpoint | None) -> list[ArrayState]:
    """Compare the working folder with the latest checkpoint; bytes are hashed where a stat does not tell."""
    working = repository.working_folder(dataset.path)
    committed = {array.folder: array for array in latest.arrays} if latest else {}
    present = working.scan().arrays
    found = _read_each(working, list(present))
    states = []
    for folder in sorted({*present, *committed}):
        known, reading = committed.get(folder), found.get(folder)
        if reading is None:
            states.append(ArrayState(stem(folder), "deleted"))
        elif isinstance(reading, MinianVCError):
            states.append(ArrayState(stem(folder), "modified" if known else "new", reading.message))
        elif known is not None and known.manifest == (digest := digest_of_reading(reading)):
            working.remember(folder, reading, digest, with_bytes=known.bytes_kept)
            states.append(ArrayState(stem(folder), "unchanged"))
        else:
            states.append(ArrayState(stem(folder), "modified" if known else "new"))
    return states


def _read_each(working: WorkingFolder, folders: Sequence[str]) -> dict[str, Reading | MinianVCError]:
    """Read folders together; where one cannot be read, each for itself."""
    try:
        return {**read_without_keeping(working, folders)}
    except MinianVCError:
        found: dict[str, Reading | MinianVCError] = {}
        for folder in folders:
            try:
                found |= read_without_keeping(working, [folder])
            except MinianVCError as error:
                found[folder] = error
        return found


def read_without_keeping(working: WorkingFolder, folders: Sequence[str], *, wait: float = 0.0) -> dict[str, Reading]:
    """Read folders of the working folder, hashing their files and keeping none."""
    return working.read(lambda _: folders, lambda *_: hash_only, wait=wait, with_bytes=lambda _: False)


def digest_of_reading(reading: Reading) -> str:
    """Return the digest of the manifest that was read."""
    if reading.unchanged is not None:
        return reading.unchanged
    return manifest_digest(reading.manifest) if reading.manifest is not None else ""


def checkpoint_side(repository: Repository, checkpoint: Checkpoint) -> Side:
    """Return a checkpoint as one side of a diff."""
    files = {array.name: repository.stored_files(array.manifest) for array in checkpoint.arrays}
    return Side(checkpoint, checkpoint.arrays, {name: each.entries for name, each in files.items()}, files)


def working_side(repository: Repository, dataset: DatasetRow) -> Side:
    """Return the working folder as one side of a diff."""
    working = repository.working_folder(dataset.path)
    readings = read_without_keeping(working, list(working.scan().arrays))
    arrays, manifests, files = [], {}, {}
    for folder, reading in readings.items():
        name = stem(folder)
        digest = digest_of_reading(reading)
        manifests[name] = reading.manifest or repository.objects.read_manifest(digest)
        files[name] = FolderFiles(working.path / folder, manifests[name])
        arrays.append(describe_array(repository, working.path / folder, digest, files[name], manifests[name]))
    return Side(None, arrays, manifests, files)


def diff(repository: Repository, dataset: DatasetRow, old: Side, new: Side) -> Diff:
    """Compare two sides by array and by unit: from chunk digests where a chunk is one unit, else from values."""
    renumbered = _renumbered(repository, dataset, old, new)

    def decide(was: ArrayVersion, now: ArrayVersion) -> UnitChanges:
        before, after = was.unit_ids or (), now.unit_ids or ()
        common = [unit for unit in after if unit in set(before)]
        same = set(same_units_by_chunk(was, old.manifests[was.name], now, new.manifests[now.name]))
        unsure = [unit for unit in common if unit not in same]
        same |= _same_by_value(was, old.files[was.name], now, new.files[now.name], unsure)
        return UnitChanges(
            added=tuple(unit for unit in after if unit not in set(before)),
            removed=tuple(unit for unit in before if unit not in set(after)),
            changed=tuple(unit for unit in common if unit not in same),
            unchanged=tuple(unit for unit in common if unit in same),
            renumbered=now.name in renumbered,
        )

    return Diff(tuple(compare(old.arrays, new.arrays, decide)), old.text, new.text, _changed_params(old, new))


def _changed_params(old: Side, new: Side) -> dict[str, tuple[Any, Any]]:
    if old.checkpoint is None or new.checkpoint is None:
        return {}
    return changed_params(*(side.checkpoint.provenance.get("params") for side in (old, new) if side.checkpoint))


def _same_by_value(
    was: ArrayVersion,
    old: Mapping[str, bytes],
    now: ArrayVersion,
    new: Mapping[str, bytes],
    units: Sequence[Any],
) -> set[int | str]:
    """Return the units whose values are equal (NaN equals NaN), one unit in memory at a time."""
    rest = [(dim, size) for dim, size in zip(was.dims, was.shape, strict=True) if dim != UNIT]
    comparable = was.dims == now.dims and was.dtype == now.dtype and was.bytes_kept and now.bytes_kept
    if not units or not comparable or rest != [x for x in zip(now.dims, now.shape, strict=True) if x[0] != UNIT]:
        return set()
    import numpy as np

    first, second = open_zarr_array(old, was.variable), open_zarr_array(new, now.variable)
    axis = was.dims.index(UNIT)
    place = [{unit: i for i, unit in enumerate(array.unit_ids or ())} for array in (was, now)]

    def values(stored: Any, position: int) -> Any:
        try:
            return stored[(slice(None),) * axis + (position,)]
        except MinianVCError:
            raise
        except Exception as error:  # codecs raise anything at all on chunks that are not what the metadata says
            raise UnreadableError(
                f"Chunks of {now.name} cannot be decoded: {type(error).__name__}: {error}", "Nothing was changed."
            ) from error

    return {
        unit
        for unit in units
        if np.array_equal(
            values(first, place[0][unit]),
            values(second, place[1][unit]),
            equal_nan=first.dtype.kind in "fc",
        )
    }


def _renumbered(repository: Repository, dataset: DatasetRow, old: Side, new: Side) -> frozenset[str]:
    """Return the arrays whose ids do not mean the same cells on both sides."""
    if old.checkpoint is None:
        return frozenset()
    with repository.catalog.read() as connection:
        steps = queries.units_by_checkpoint(connection, dataset.uid)
    if new.checkpoint is None:
        steps = [*steps, ("working", {a.name: ArrayUnits(a.manifest, a.unit_ids) for a in new.arrays})]
    return renumbered_between(
        unit_history(steps), old.checkpoint.id, new.checkpoint.id if new.checkpoint else "working"
    )


def history_of_units(repository: Repository, dataset: DatasetRow) -> list[UnitsEntry]:
    """Return the unit sets at each checkpoint, oldest first."""
    with repository.catalog.read() as connection:
        return unit_history(queries.units_by_checkpoint(connection, dataset.uid))
