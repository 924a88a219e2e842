"""The nouns: frozen data, no disk. One canonical form for everything that gets a digest."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Self

from blake3 import blake3

from minian_vc import fields as may
from minian_vc.errors import DamagedError, EnvironmentUnfitError
from minian_vc.looks import checkpoint as looks
from minian_vc.text import short

__all__ = [
    "ArrayVersion",
    "Checkpoint",
    "Coordinate",
    "FileEntry",
    "Manifest",
    "Operation",
    "canonical_json",
    "digest_of",
    "parse_document",
    "timestamp",
    "to_document",
]

PREFIX = "blake3:"
ACTIONS = ("commit", "tag", "restore", "prune", "undo", "sweep")
DOCUMENT_VERSION = 1


def digest_of(content: bytes) -> str:
    """Return the digest of some bytes, ``blake3:`` and 64 hexadecimal digits."""
    return PREFIX + blake3(content).hexdigest()


def canonical_json(value: Any) -> bytes:
    """Encode a value so that equal values have equal bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def timestamp() -> str:
    """Return the time now in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_document(content: bytes, kind: str) -> dict[str, Any]:
    """Read a canonical document, refusing one of another kind or of a newer format."""
    try:
        document = json.loads(content)
        # manifests, which may be large, are checked key by key
        is_canonical = kind.startswith("manifest") or canonical_json(document) == content
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"A {kind} document is not JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("kind") != kind:
        raise DamagedError(f"A document that should be a {kind} is something else.")
    version = document.get("version")
    if isinstance(version, int) and version > DOCUMENT_VERSION:
        raise EnvironmentUnfitError(
            f"A {kind} document has version {version}; this minian_vc reads {DOCUMENT_VERSION}.",
            "Nothing was touched. Install a newer minian_vc.",
        )
    if version != DOCUMENT_VERSION or not is_canonical:
        raise DamagedError(f"A {kind} document has version {version!r}, or is not written as it should be.")
    return document


def to_document(kind: str, body: Mapping[str, Any]) -> bytes:
    """Return a canonical document, the form that everything but a chunk object has."""
    return canonical_json({"kind": kind, "version": DOCUMENT_VERSION, **body})


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of an array folder: its digest and size, and its bytes where they are kept in the manifest."""

    digest: str
    size: int
    inline: bytes | None = None

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Make an inline entry."""
        return cls(digest_of(content), len(content), content)

    def to_json(self) -> list[Any]:
        """Return the entry as it stands in a manifest."""
        entry: list[Any] = [self.digest, self.size]
        return entry if self.inline is None else [*entry, base64.b64encode(self.inline).decode()]

    @classmethod
    def from_json(cls, entry: list[Any]) -> Self:
        """Read an entry of a manifest, checking inline bytes against their digest."""
        digest, size, *rest = entry
        if not (may.is_digest(digest) and may.is_count(size) and len(rest) <= 1 and all(map(may.is_text, rest))):
            raise DamagedError(f"A manifest holds {repr(entry)[:80]} where digest and size should be.")
        inline = base64.b64decode(rest[0], validate=True) if rest else None
        if inline is not None and (len(inline) != size or digest_of(inline) != digest):
            raise DamagedError("A manifest holds bytes that do not match their digest.")
        return cls(digest, size, inline)


class Manifest(Mapping[str, FileEntry]):
    """The files of one array folder: key (path with ``/``) → :class:`FileEntry`, in sorted order.

    A key that ends in ``/`` is an empty folder.
    """

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, FileEntry]) -> None:
        self._entries = dict(sorted(entries.items()))

    def __getitem__(self, key: str) -> FileEntry:
        return self._entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(entry.size for entry in self._entries.values())


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A coordinate of an array version.

    ``files`` is the digest of its stored files, ``values`` the digest of its decoded values: equal
    values may be stored in different bytes.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    files: str
    values: str


@dataclass(frozen=True, slots=True)
class ArrayVersion:
    """One saved array.

    ``name`` is its folder's name without ``.zarr``, ``variable`` the array's path inside the folder
    (the same, unless somebody renamed the folder), ``chunks`` the chunk spec by dimension,
    ``nbytes`` its size in memory, ``stored_bytes`` the size of its files. ``missing_chunks`` counts
    chunks that were not on disk. ``bytes_kept`` is false where policy recorded it without its bytes.
    """

    name: str
    folder: str
    variable: str
    zarr_format: int
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: Mapping[str, int]
    coordinates: tuple[Coordinate, ...]
    unit_ids: tuple[int | str, ...] | None
    animal: str | None
    session: str | None
    manifest: str
    nbytes: int
    stored_bytes: int
    missing_chunks: int = 0
    bytes_kept: bool = True

    def __repr__(self) -> str:
        return looks.array_line(self)

    @property
    def digest(self) -> str:
        """Digest of the whole description: the same array version in two checkpoints has one."""
        return digest_of(canonical_json(_as_json(self)))

    def coordinate(self, name: str) -> Coordinate | None:
        """Return the coordinate of that name, or None."""
        return next((c for c in self.coordinates if c.name == name), None)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A named set of array versions of one dataset.

    ``id`` is the digest of its document, ``dataset`` the dataset's id; ``tags`` are not in the document,
    for they come later.
    """

    dataset: str
    parent: str | None
    sequence: int
    message: str
    author: str
    created_at: str
    arrays: tuple[ArrayVersion, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    tags: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return looks.line(self)

    def _repr_html_(self) -> str:
        return looks.html(self)

    def array(self, name: str) -> ArrayVersion | None:
        """Return the array version of that name, or None."""
        return next((a for a in self.arrays if a.name == name), None)

    @property
    def short_id(self) -> str:
        """The first ten digits of the id, as people see it."""
        return short(self.id)

    def to_document(self) -> bytes:
        """Return the canonical document; unit sets are in it once each."""
        unit_sets: dict[str, list[int | str]] = {}
        arrays = []
        for array in self.arrays:
            entry = _as_json(array)
            if array.unit_ids is not None:
                entry["unit_ids"] = digest_of(canonical_json(array.unit_ids))
                unit_sets[entry["unit_ids"]] = list(array.unit_ids)
            arrays.append(entry)
        body = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("id", "tags", "arrays")}
        return to_document("checkpoint", {**body, "arrays": arrays, "unit_sets": unit_sets})

    @classmethod
    def from_document(cls, content: bytes, tags: tuple[str, ...] = ()) -> Self:
        """Read a checkpoint document."""
        document = parse_document(content, "checkpoint")
        try:
            may.check_fields("a checkpoint", document, {**_CHECKPOINT, **_SETS})
            arrays = tuple(_array_version(entry, document["unit_sets"]) for entry in document["arrays"])
            body = {name: document[name] for name in _CHECKPOINT}
        except (KeyError, TypeError) as error:
            raise DamagedError(f"A checkpoint document is not whole: {error!r}.") from error
        if len({array.folder for array in arrays}) < len(arrays):
            raise DamagedError("A checkpoint document has an array twice.")
        return cls(**body, arrays=arrays, id=digest_of(content), tags=tags)


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of a repository's history, one of :data:`ACTIONS`.

    A checkpoint is recorded (``commit``), given a tag (``tag``), brought back (``restore``) or dropped (``prune``).
    ``undo`` takes back the group of operations that ``undoes`` numbers, and ``sweep`` says that objects without a
    reference were removed; both name the dataset's latest checkpoint, or one that is concerned. Operations are numbered
    from 1 and each names the digest of the one before. ``path`` is the dataset's folder then, relative to the
    repository's root. What one command did has one ``group``, the number of its first operation. ``before`` is the
    digest of a checkpoint document with the arrays that the working folder held before it was changed; ``what`` says
    in words what was asked for.
    """

    sequence: int
    previous: str | None
    action: str
    dataset: str
    path: str
    checkpoint: str
    tag: str | None
    created_at: str
    group: int = 0
    undoes: int | None = None
    before: str | None = None
    what: str | None = None

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.sequence)

    def to_document(self) -> bytes:
        """Return the canonical document; of what the format got later, only what says something."""
        body = _as_json(self)
        silent = {name for name in _LATER if body[name] is None} | ({"group"} if self.group == self.sequence else set())
        return to_document("operation", {name: value for name, value in body.items() if name not in silent})

    @classmethod
    def from_document(cls, content: bytes) -> Self:
        """Read an operation document."""
        document = parse_document(content, "operation")
        action = document.get("action")
        if may.is_text(action) and action not in ACTIONS:
            raise EnvironmentUnfitError(
                f"An operation is a {action!r}, which this minian_vc does not know.",
                "Nothing was touched. Install a newer minian_vc.",
            )
        try:
            body = {f.name: document[f.name] for f in fields(cls) if f.name in document or f.name not in _LATER}
            may.check_fields("an operation", {**dict.fromkeys(_LATER), **body}, _OPERATION)
            operation = cls(**body)
        except KeyError as error:
            raise DamagedError(f"An operation document lacks {error}.") from error
        if not (operation.undoes or 0) < operation.group <= operation.sequence:
            raise DamagedError(f"Operation {operation.sequence} refers to one that is not before it.")
        return operation


_LATER = ("group", "undoes", "before", "what")

_MAX_DIMS = 64
_SHAPE = {"dims": may.list_of(may.is_text, _MAX_DIMS), "shape": may.list_of(may.is_count, _MAX_DIMS)}
_DESCRIBED = {**_SHAPE, "dtype": may.is_text}
_COORDINATE: Mapping[str, may.Check] = {
    **_DESCRIBED,
    "name": may.is_name,
    "files": may.is_digest,
    "values": may.is_digest,
}
_ARRAY: Mapping[str, may.Check] = {
    **_DESCRIBED,
    "name": may.is_name,
    "folder": may.is_name,
    "variable": lambda value: value == "" or may.is_key(value),
    "zarr_format": lambda value: type(value) is int and value in (2, 3),
    "chunks": may.is_mapping_of(may.is_count),
    "coordinates": may.list_of(lambda value: isinstance(value, dict)),
    "unit_ids": may.optional(may.is_digest),
    "animal": may.optional(may.is_text),
    "session": may.optional(may.is_text),
    "manifest": may.is_digest,
    **dict.fromkeys(("nbytes", "stored_bytes", "missing_chunks"), may.is_count),
    "bytes_kept": lambda value: isinstance(value, bool),
}
_SCALARS = may.is_mapping_of(may.is_scalar)
_FINDING = {"code": may.is_text, "severity": may.is_text, "message": may.is_text, "arrays": may.list_of(may.is_text)}
_PROVENANCE: Mapping[str, may.Check] = {
    "params": lambda value: isinstance(value, dict),
    "chk": may.is_mapping_of(may.is_count),
    "automatic": may.is_text,
    "minian_vc": may.is_text,
    "code": _SCALARS,
    "git": _SCALARS,
    "environment": may.is_mapping_with({"packages": _SCALARS}),
    "check": may.is_mapping_with({"grade": may.is_text, "findings": may.list_of(may.is_mapping_with(_FINDING))}),
    "folders": may.list_of(may.is_name),
}
_is_provenance = may.is_mapping_with(_PROVENANCE)
_CHECKPOINT: Mapping[str, may.Check] = {
    "dataset": may.is_text,
    "parent": may.optional(may.is_digest),
    "sequence": may.is_count,
    "message": may.is_text,
    "author": may.is_text,
    "created_at": may.is_time,
    "provenance": lambda value: may.is_shallow(value) and _is_provenance(value),
}
_SETS: Mapping[str, may.Check] = {
    "arrays": may.list_of(lambda value: isinstance(value, dict)),
    "unit_sets": may.is_mapping_of(may.list_of(may.is_scalar)),
}
_OPERATION: Mapping[str, may.Check] = {
    "sequence": may.is_number,
    "previous": may.optional(may.is_digest),
    "action": may.is_text,
    "dataset": may.is_text,
    "path": may.is_path,
    "checkpoint": may.is_digest,
    "tag": may.optional(may.is_text),
    "created_at": may.is_time,
    "group": may.optional(may.is_number),
    "undoes": may.optional(may.is_number),
    "before": may.optional(may.is_digest),
    "what": may.optional(may.is_text),
}


def _as_json(value: Any) -> dict[str, Any]:
    """Return a flat frozen dataclass as a dict, nested ones too."""

    def plain(item: Any) -> Any:
        if isinstance(item, tuple):
            return [plain(x) for x in item]
        return _as_json(item) if isinstance(item, Coordinate) else item

    return {f.name: plain(getattr(value, f.name)) for f in fields(value)}


def _array_version(entry: Mapping[str, Any], unit_sets: Mapping[str, list[int | str]]) -> ArrayVersion:
    may.check_fields("an array version", entry, _ARRAY)
    _refuse_unlike(entry)
    units = None if entry["unit_ids"] is None else tuple(unit_sets[entry["unit_ids"]])
    shaped = {name: tuple(entry[name]) for name in _SHAPE}
    chunks = {dim: entry["chunks"][dim] for dim in shaped["dims"]}
    coordinates = tuple(map(_coordinate, entry["coordinates"]))
    return ArrayVersion(**{**entry, **shaped, "chunks": chunks, "coordinates": coordinates, "unit_ids": units})


def _coordinate(entry: Mapping[str, Any]) -> Coordinate:
    may.check_fields("a coordinate", entry, _COORDINATE)
    _refuse_unlike(entry)
    return Coordinate(**{**entry, **{name: tuple(entry[name]) for name in _SHAPE}})


def _refuse_unlike(entry: Mapping[str, Any]) -> None:
    if len(entry["dims"]) != len(entry["shape"]):
        raise DamagedError(f"{entry['name']} has the dimensions {entry['dims']} and the shape {entry['shape']}.")
