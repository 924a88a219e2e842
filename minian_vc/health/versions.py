"""Are the versions whole: the documents of all checkpoints, their manifests, and the objects that these name.

Everything is read from the documents. Nothing grows with the number of chunks: a manifest is read part by part.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from minian_vc.errors import EnvironmentUnfitError, MinianVCError
from minian_vc.health.log import ReadLog
from minian_vc.health.report import Affected, Damage
from minian_vc.model import ArrayVersion, Checkpoint, FileEntry, Operation
from minian_vc.objects import MISSING, NO_FILE, Kind, ObjectStore
from minian_vc.timeline import Timeline
from minian_vc.zarr_format import METADATA_NAMES, ChunkCount, read_array_folder, stem

__all__ = ["Versions"]

T = TypeVar("T")
_KINDS = {"chunks": "chunk", "manifests": "manifest", "checkpoints": "checkpoint"}


@dataclass(slots=True)
class _Trouble:
    """What is wrong with something, and which arrays of which checkpoints need it."""

    damage: Damage
    arrays: dict[str, dict[str, None]] = field(default_factory=dict)


class Versions:
    """Looks through all versions of a repository.

    Parameters
    ----------
    objects : ObjectStore
        The store.
    log : ReadLog
        The operations.
    bad : mapping
        The objects that were read and are not what their digest says, by path, with what is wrong.
    """

    def __init__(self, objects: ObjectStore, log: ReadLog, bad: Mapping[Path, str]) -> None:
        self._objects = objects
        self._bad = bad
        self._log = log
        self.timeline = Timeline.of(_known(log.operations))
        self._found: dict[Path, _Trouble] = {}
        self._manifests: dict[tuple[str, str], _Manifest] = {}
        self._parts: dict[tuple[str, str], list[Damage]] = {}

    def damage(self) -> list[Damage]:
        """Return all that is damaged, and whom it affects; what only an undo would need is not serious."""
        live, dropped = self.timeline.live, self.timeline.dropped
        for checkpoint_id in (*live, *dropped):
            self._checkpoint(checkpoint_id, is_live=checkpoint_id in live)
        for state in self.timeline.states:
            self._state(state)
        about = {operation.checkpoint: operation for operation in self._log.operations}
        tags = _tags(self._log.operations, self.timeline)
        found = [
            *(replace(each, affects=_tagged(each.affects, tags)) for each in self._log.damage),
            *(
                replace(each.damage, affects=tuple(self._affected(each.arrays, about, tags)))
                for each in self._found.values()
            ),
        ]
        unneeded = "unknown" if any(each.kind != "chunk" for each in found) else "nothing"
        others = (_damage(path, problem) for path, problem in self._bad.items() if path not in self._found)
        return [*found, *(replace(each, needed_by=unneeded) for each in others)]

    # -- checkpoints ---------------------------------------------------------------------------

    def _checkpoint(self, checkpoint_id: str, *, is_live: bool) -> None:
        """Look at a checkpoint's document, which stays for good, and if it is there at what it refers to."""
        checkpoint = self._read("checkpoints", checkpoint_id, self._parsed)
        if isinstance(checkpoint, Damage):
            self._add(checkpoint, checkpoint_id if is_live else None, None)
            return
        for array in checkpoint.arrays:
            for each in self._array(array):
                if is_live:
                    self._add(each, checkpoint_id, array.name)
                else:
                    self._add_unless_missing(each)

    def _state(self, digest: str) -> None:
        """Look at what a working folder held before a restore, as far as it is still kept."""
        state = self._read("checkpoints", digest, self._parsed)
        if isinstance(state, Damage):
            self._add_unless_missing(state)
            return
        for array in state.arrays:
            for each in self._array(array):
                self._add_unless_missing(each)

    def _parsed(self, digest: str) -> Checkpoint:
        return Checkpoint.from_document(self._objects.read("checkpoints", digest))

    def _read(self, kind: Kind, digest: str, parse: Callable[[str], T]) -> T | Damage:
        """Return a document, or what is wrong with it."""
        path = self._objects.path(kind, digest)
        problem = self._bad.get(path) or _looked_at(path)
        if not problem:
            try:
                return parse(digest)
            except EnvironmentUnfitError:
                raise
            except MinianVCError as error:
                problem = self._objects.examine(path) or error.message
        return _damage(path, problem)

    def _add(self, damage: Damage, checkpoint: str | None, array: str | None) -> None:
        trouble = self._found.setdefault(damage.path, _Trouble(damage))
        trouble.damage = replace(trouble.damage, needed_by="history", size=trouble.damage.size or damage.size)
        if checkpoint is not None:
            trouble.arrays.setdefault(checkpoint, {}).update({array: None} if array is not None else {})

    def _add_unless_missing(self, damage: Damage) -> None:
        if damage.problem != MISSING:
            self._found.setdefault(damage.path, _Trouble(replace(damage, needed_by="undo")))

    def _affected(
        self,
        arrays: Mapping[str, Iterable[str]],
        about: Mapping[str, Operation],
        tags: Mapping[str, tuple[str, ...]],
    ) -> Iterator[Affected]:
        for checkpoint_id, names in arrays.items():
            yield Affected(about[checkpoint_id].path, checkpoint_id, tags.get(checkpoint_id, ()), tuple(names))

    # -- arrays --------------------------------------------------------------------------------

    def _array(self, array: ArrayVersion) -> Iterator[Damage]:
        """Yield what is wrong with what an array version refers to, and with what it says of that."""
        unkept = "" if array.bytes_kept else f"{stem(array.folder)}/"  # the data's chunks need not be there
        key = (array.manifest, unkept)
        if key not in self._manifests:
            self._manifests[key] = self._read_manifest(array.manifest, unkept, stem(array.folder))
        found = self._manifests[key]
        yield from found.damage
        if found.description is not None and found.description != _described(array):
            yield _damage(
                self._objects.path("manifests", array.manifest), "it is not the array that its version describes"
            )

    def _read_manifest(self, digest: str, unkept: str, name: str) -> _Manifest:
        damage: list[Damage] = []
        metadata: dict[str, bytes] = {}

        def documents() -> Iterator[tuple[str, dict[str, FileEntry]]]:
            parts = [digest]
            for number, each in enumerate(parts):
                document = self._read("manifests", each, self._part if number else self._root)
                if isinstance(document, Damage):
                    damage.append(document)
                else:
                    parts += document[1]
                    yield each, document[0]

        for document, entries in documents():
            damage += self._objects_of(document, entries, unkept)
            for key, entry in entries.items():
                if key.rpartition("/")[2] in METADATA_NAMES and entry.inline is not None:
                    metadata[key] = entry.inline
        if damage:
            return _Manifest(tuple(damage), None)
        return _Manifest((), self._describe(name, metadata, lambda: (entries for _, entries in documents())))

    def _root(self, digest: str) -> tuple[dict[str, FileEntry], list[str]]:
        return self._objects.read_manifest_document(digest, "manifest")

    def _part(self, digest: str) -> tuple[dict[str, FileEntry], list[str]]:
        return self._objects.read_manifest_document(digest, "manifest_part")

    def _objects_of(self, document: str, entries: Mapping[str, FileEntry], unkept: str) -> list[Damage]:
        """Return what is wrong with the objects that a document names; each document is gone through once."""
        if (document, unkept) not in self._parts:
            named = (entry for key, entry in entries.items() if not (unkept and key.startswith(unkept)))
            found = (self._object(entry) for entry in named if entry.inline is None)
            self._parts[document, unkept] = [each for each in found if each is not None]
        return self._parts[document, unkept]

    def _object(self, entry: FileEntry) -> Damage | None:
        path = self._objects.path("chunks", entry.digest)
        problem = self._bad.get(path) or _looked_at(path, entry.size)
        return _damage(path, problem, entry.size) if problem else None

    def _describe(
        self, name: str, metadata: Mapping[str, bytes], documents: Callable[[], Iterable[Mapping[str, FileEntry]]]
    ) -> tuple[object, ...] | None:
        """Return what the metadata say of the array, and how many chunks are not listed."""
        try:
            variable = read_array_folder(name, metadata, metadata.__getitem__).variable
        except (MinianVCError, KeyError) as error:
            return (f"{error}",)
        counted = ChunkCount(variable)
        for entries in documents():
            counted.add(entries)
        chunks = dict(zip(variable.dims, variable.chunks, strict=True))
        shaped = (variable.path, variable.zarr_format, variable.dims, variable.shape, variable.dtype, chunks)
        return (*shaped, counted.missing)


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What is wrong with a manifest's documents and objects; else what the array is."""

    damage: tuple[Damage, ...]
    description: tuple[object, ...] | None


def _described(array: ArrayVersion) -> tuple[object, ...]:
    shaped = (array.variable, array.zarr_format, array.dims, array.shape, array.dtype, dict(array.chunks))
    return (*shaped, array.missing_chunks)


def _looked_at(path: Path, size: int | None = None) -> str:
    """Say what is wrong with an object at a glance, its size too if that is known."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not stat.S_ISREG(found.st_mode):
        return NO_FILE
    return "" if size in (None, found.st_size) else f"it has {found.st_size:,} bytes instead of {size:,}"


def _damage(path: Path, problem: str, size: int | None = None) -> Damage:
    return Damage(_KINDS[path.parts[-3]], path, problem, f"blake3:{path.parent.name}{path.name}", size)


def _known(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Leave out what takes back operations that are lost."""
    groups = set()
    for operation in operations:
        if operation.undoes is None or operation.undoes in groups:
            groups.add(operation.group)
            yield operation


def _tags(operations: Iterable[Operation], timeline: Timeline) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for operation in operations:
        if operation.tag is not None and (owner := timeline.owner_of_tag(operation.dataset, operation.tag)) is not None:
            found.setdefault(owner.checkpoint, {})[operation.tag] = None
    return {checkpoint: tuple(names) for checkpoint, names in found.items()}


def _tagged(affects: tuple[Affected, ...], tags: Mapping[str, tuple[str, ...]]) -> tuple[Affected, ...]:
    """Give checkpoints their tags."""
    return tuple(replace(each, tags=tags.get(each.checkpoint, ())) for each in affects)
