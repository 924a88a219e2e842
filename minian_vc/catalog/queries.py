"""What the catalog is asked. Each function takes an open transaction and returns plain data."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, func, select

from minian_vc.catalog.record import CoordinateValues
from minian_vc.catalog.schema import (
    array_version,
    checkpoint,
    checkpoint_array,
    coordinate,
    dataset,
    operation,
    session,
    tag,
    unit_set_member,
)
from minian_vc.errors import DamagedError
from minian_vc.fields import is_path
from minian_vc.model import PREFIX, canonical_json
from minian_vc.params import finder
from minian_vc.units import ArrayUnits

__all__ = [
    "DatasetRow",
    "DatasetSummary",
    "LogEntry",
    "array_names",
    "by_id_prefix",
    "by_tag",
    "coordinate_values",
    "count_checkpoints",
    "dataset_at",
    "datasets",
    "find_arrays",
    "is_whole",
    "last_operation",
    "log",
    "moved_since",
    "newest_ever",
    "parent_of",
    "pruned_at",
    "pruned_since",
    "recorded_manifests",
    "summaries",
    "tags",
    "units_by_checkpoint",
]


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A dataset the catalog knows: its id, its path below the repository's root, its latest checkpoint."""

    uid: str
    path: str
    latest: str | None

    def __post_init__(self) -> None:
        if not is_path(self.path):
            raise DamagedError(
                f"The catalog has a dataset at {str(self.path)[:80]!r}, which is no path below the repository.",
                "Nothing was changed. Make the catalog anew from the log: minian-vc rebuild",
            )


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A checkpoint as the log shows it; ``automatic`` says what made it, if nobody did by hand."""

    id: str
    tags: tuple[str, ...]
    message: str
    author: str
    created_at: str
    parent: str | None
    sequence: int
    arrays: tuple[str, ...]
    automatic: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A dataset with the number of its checkpoints, and its latest one: id, time and message."""

    path: str
    checkpoints: int
    latest: str
    created_at: str
    message: str


def last_operation(connection: Connection) -> tuple[int, str | None]:
    """Return number and digest of the last operation the catalog knows; (0, None) for none."""
    newest = select(operation.c.sequence, operation.c.digest).order_by(operation.c.sequence.desc()).limit(1)
    row = connection.execute(newest).first()
    return (row.sequence, row.digest) if row else (0, None)


def newest_ever(connection: Connection, uid: str) -> str | None:
    """Return the id of the checkpoint that a dataset got last, whether it is still in the history or not."""
    made = select(checkpoint.c.digest).join(dataset).where(dataset.c.uid == uid)
    return connection.scalar(made.order_by(checkpoint.c.sequence.desc()).limit(1))


def is_whole(connection: Connection) -> bool:
    """Tell whether the catalog has as many operations, checkpoints and datasets as its operations tell of."""
    last = func.coalesce(func.max(operation.c.sequence), 0)
    commits = func.count().filter(operation.c.action == "commit")
    told = select(last, commits, func.count(operation.c.dataset_id.distinct())).select_from(operation)
    counts = (select(func.count()).select_from(table).scalar_subquery() for table in (operation, checkpoint, dataset))
    return connection.execute(told).one() == connection.execute(select(*counts)).one()


def datasets(connection: Connection) -> list[DatasetRow]:
    """Return all datasets, by path."""
    rows = connection.execute(select(dataset.c.uid, dataset.c.path, dataset.c.latest).order_by(dataset.c.path))
    return [DatasetRow(*row) for row in rows]


def summaries(connection: Connection) -> list[DatasetSummary]:
    """Return the datasets that have checkpoints, by path, each with its latest."""
    count = select(checkpoint.c.dataset_id, func.count().label("n")).where(checkpoint.c.pruned_at.is_(None))
    counted = count.group_by(checkpoint.c.dataset_id).subquery()
    rows = connection.execute(
        select(dataset.c.path, counted.c.n, checkpoint.c.digest, checkpoint.c.created_at, checkpoint.c.message)
        .join(counted, counted.c.dataset_id == dataset.c.id)
        .join(checkpoint, checkpoint.c.digest == dataset.c.latest)
        .order_by(dataset.c.path)
    )
    return [DatasetSummary(*row) for row in rows]


def count_checkpoints(connection: Connection, uid: str) -> int:
    """Return how many checkpoints a dataset has."""
    counted = select(func.count()).select_from(checkpoint).join(dataset)
    return connection.scalar(counted.where(dataset.c.uid == uid, checkpoint.c.pruned_at.is_(None))) or 0


def dataset_at(connection: Connection, path: str) -> DatasetRow | None:
    """Return the dataset of that path below the root."""
    found = select(dataset.c.uid, dataset.c.path, dataset.c.latest).where(dataset.c.path == path)
    row = connection.execute(found).first()
    return DatasetRow(*row) if row else None


def by_tag(connection: Connection, uid: str, name: str) -> str | None:
    """Return the id of the checkpoint with that tag."""
    found = select(checkpoint.c.digest).join(tag, tag.c.checkpoint_id == checkpoint.c.id)
    found = found.join(dataset, dataset.c.id == tag.c.dataset_id)
    return connection.scalar(found.where(dataset.c.uid == uid, tag.c.name == name))


def by_id_prefix(connection: Connection, uid: str, prefix: str) -> dict[str, str | None]:
    """Return the ids of the dataset's checkpoints that begin so (hexadecimal digits), each with when it was pruned."""
    begin = PREFIX + prefix
    span = and_(checkpoint.c.digest >= begin, checkpoint.c.digest < begin + "g")
    found = select(checkpoint.c.digest, checkpoint.c.pruned_at).join(dataset).where(dataset.c.uid == uid, span)
    return {row.digest: row.pruned_at for row in connection.execute(found.order_by(checkpoint.c.sequence))}


def pruned_at(connection: Connection, checkpoint_id: str) -> str | None:
    """Return when a checkpoint was pruned, if it was."""
    return connection.scalar(select(checkpoint.c.pruned_at).where(checkpoint.c.digest == checkpoint_id))


def pruned_since(connection: Connection, sequence: int) -> bool:
    """Tell whether objects were removed by an operation after that number."""
    since = select(operation.c.sequence).where(operation.c.sequence > sequence)
    return connection.scalar(since.where(operation.c.action.in_(("prune", "sweep"))).limit(1)) is not None


def moved_since(connection: Connection, uid: str, sequence: int) -> bool:
    """Tell whether a dataset has operations after that number."""
    since = select(operation.c.sequence).join(dataset, dataset.c.id == operation.c.dataset_id)
    since = since.where(operation.c.sequence > sequence, dataset.c.uid == uid)
    return connection.scalar(since.limit(1)) is not None


def parent_of(connection: Connection, checkpoint_id: str) -> str | None:
    """Return the id of a checkpoint's parent."""
    return connection.scalar(select(checkpoint.c.parent).where(checkpoint.c.digest == checkpoint_id))


def tags(connection: Connection, uid: str) -> dict[str, tuple[str, ...]]:
    """Return the tags of a dataset, by checkpoint id, in the order they were given."""
    rows = connection.execute(
        select(checkpoint.c.digest, tag.c.name)
        .join(tag, tag.c.checkpoint_id == checkpoint.c.id)
        .join(dataset, dataset.c.id == tag.c.dataset_id)
        .where(dataset.c.uid == uid)
        .order_by(tag.c.id)
    )
    found: dict[str, tuple[str, ...]] = {}
    for digest, name in rows:
        found[digest] = (*found.get(digest, ()), name)
    return found


def log(
    connection: Connection,
    uid: str,
    *,
    limit: int | None = None,
    array: str | None = None,
    manual: bool = False,
    params: Mapping[str, Any] | None = None,
) -> list[LogEntry]:
    """Return a dataset's checkpoints, newest first.

    With ``manual``, only those made by hand; with ``array``, only those of them that hold another version of it than
    the one before; with ``params``, only those that have all of these parameters.
    """
    shown = ("digest", "message", "author", "created_at", "parent", "sequence", "id")
    automatic = checkpoint.c.provenance["automatic"].as_string().label("automatic")
    query = select(*(checkpoint.c[name] for name in shown), automatic).join(dataset)
    query = query.where(dataset.c.uid == uid, checkpoint.c.pruned_at.is_(None))
    if manual:
        query = query.where(automatic.is_(None))
    query = query.order_by(checkpoint.c.sequence.desc())
    if array is None and not params:
        query = query.limit(limit)
    rows = connection.execute(query).mappings().all()
    if array is not None:
        rows = _with_new_version(connection, uid, array, rows)
    if params:
        found = _with_params(connection, uid, params)
        rows = [row for row in rows if row["digest"] in found]
    rows = rows[:limit]
    names = array_names(connection, [row["id"] for row in rows])
    given = tags(connection, uid)
    return [
        LogEntry(
            id=row["digest"],
            tags=given.get(row["digest"], ()),
            message=row["message"],
            author=row["author"],
            created_at=row["created_at"],
            parent=row["parent"],
            sequence=row["sequence"],
            arrays=names.get(row["id"], ()),
            automatic=row["automatic"],
        )
        for row in rows
    ]


def _with_new_version(connection: Connection, uid: str, name: str, rows: Sequence[RowMapping]) -> Sequence[RowMapping]:
    held = connection.execute(
        select(checkpoint.c.digest, array_version.c.manifest)
        .join(checkpoint_array, checkpoint_array.c.checkpoint_id == checkpoint.c.id)
        .join(array_version, array_version.c.id == checkpoint_array.c.array_version_id)
        .join(dataset, dataset.c.id == checkpoint.c.dataset_id)
        .where(dataset.c.uid == uid, array_version.c.name == name)
    )
    version = {digest: manifest for digest, manifest in held}  # noqa: C416 (rows are not tuples to mypy)
    before = [*(version.get(row["digest"]) for row in rows[1:]), None]
    return [row for row, old in zip(rows, before, strict=False) if version.get(row["digest"], old) != old]


def _with_params(connection: Connection, uid: str, wanted: Mapping[str, Any]) -> set[str]:
    held = select(checkpoint.c.digest, checkpoint.c.provenance["params"]).join(dataset).where(dataset.c.uid == uid)
    holds = finder(wanted)
    return {digest for digest, params in connection.execute(held) if holds(params)}


def array_names(connection: Connection, checkpoint_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Return the names of the arrays in some checkpoints, by the checkpoints' row ids."""
    rows = connection.execute(
        select(checkpoint_array.c.checkpoint_id, array_version.c.name)
        .join(array_version, array_version.c.id == checkpoint_array.c.array_version_id)
        .where(checkpoint_array.c.checkpoint_id.in_(checkpoint_ids))
        .order_by(array_version.c.name)
    )
    found: dict[int, list[str]] = {}
    for row_id, name in rows:
        found.setdefault(row_id, []).append(name)
    return {row_id: tuple(names) for row_id, names in found.items()}


def coordinate_values(connection: Connection, files: str) -> tuple[str, CoordinateValues] | None:
    """Return digest and decoded values of the coordinate with these files, if it is known."""
    row = connection.execute(
        select(coordinate.c.digest, coordinate.c.content).where(coordinate.c.files == files)
    ).first()
    return (row.digest, row.content) if row else None


def recorded_manifests(connection: Connection, manifests: Iterable[str]) -> set[str]:
    """Return those of some manifests that an array version with its bytes has."""
    kept = select(array_version.c.manifest).where(array_version.c.bytes_kept)
    return set(connection.scalars(kept.where(array_version.c.manifest.in_(list(manifests)))))


def find_arrays(
    connection: Connection,
    *,
    name: str | None = None,
    animal: str | None = None,
    session_name: str | None = None,
    unit_id: int | str | None = None,
) -> list[dict[str, Any]]:
    """Return the array versions of that name, session or unit, one row per checkpoint that has them."""
    query = (
        select(
            dataset.c.path.label("dataset"),
            checkpoint.c.digest.label("checkpoint"),
            checkpoint.c.created_at,
            array_version.c.name,
            session.c.animal,
            session.c.session,
            array_version.c.manifest,
        )
        .select_from(array_version)
        .join(checkpoint_array, checkpoint_array.c.array_version_id == array_version.c.id)
        .join(checkpoint, checkpoint.c.id == checkpoint_array.c.checkpoint_id)
        .join(dataset, dataset.c.id == checkpoint.c.dataset_id)
        .outerjoin(session, session.c.id == array_version.c.session_id)
        .order_by(dataset.c.path, checkpoint.c.sequence, array_version.c.name)
    )
    if name is not None:
        query = query.where(array_version.c.name == name)
    if animal is not None:
        query = query.where(session.c.animal == animal)
    if session_name is not None:
        query = query.where(session.c.session == session_name)
    if unit_id is not None:
        member = unit_set_member.c.unit_id == canonical_json(unit_id).decode()
        query = query.where(array_version.c.unit_set_id.in_(select(unit_set_member.c.unit_set_id).where(member)))
    return [dict(row) for row in connection.execute(query).mappings()]


def units_by_checkpoint(
    connection: Connection, uid: str, *, only_new: bool = False
) -> list[tuple[str, dict[str, ArrayUnits]]]:
    """Return, oldest first, each checkpoint's arrays with their versions and unit ids.

    With ``only_new``, of each array version only the first checkpoint that has it: of a long history that is little.
    """
    query = (
        select(checkpoint.c.digest, array_version.c.name, array_version.c.manifest, array_version.c.unit_set_id)
        .join(checkpoint_array, checkpoint_array.c.checkpoint_id == checkpoint.c.id)
        .join(array_version, array_version.c.id == checkpoint_array.c.array_version_id)
        .join(dataset, dataset.c.id == checkpoint.c.dataset_id)
        .where(dataset.c.uid == uid)
        .order_by(checkpoint.c.sequence, array_version.c.name)
    )
    if only_new:
        since = select(checkpoint_array.c.array_version_id, func.min(checkpoint.c.sequence).label("sequence"))
        since = since.select_from(checkpoint_array).join(checkpoint).join(dataset).where(dataset.c.uid == uid)
        first = since.group_by(checkpoint_array.c.array_version_id).subquery()
        is_first = and_(first.c.array_version_id == array_version.c.id, first.c.sequence == checkpoint.c.sequence)
        query = query.join(first, is_first)
    rows = connection.execute(query).all()
    sets = _unit_sets(connection, {row.unit_set_id for row in rows if row.unit_set_id is not None})
    found: dict[str, dict[str, ArrayUnits]] = {}
    for digest, name, manifest, unit_set_id in rows:
        found.setdefault(digest, {})[name] = ArrayUnits(manifest, sets.get(unit_set_id))
    return list(found.items())


def _unit_sets(connection: Connection, ids: set[int]) -> dict[int, tuple[int | str, ...]]:
    members = select(unit_set_member.c.unit_set_id, unit_set_member.c.unit_id)
    members = members.where(unit_set_member.c.unit_set_id.in_(ids))
    found: dict[int, list[int | str]] = {row_id: [] for row_id in ids}
    for row_id, unit in connection.execute(members.order_by(*unit_set_member.primary_key.columns)):
        found[row_id].append(json.loads(unit))
    return {row_id: tuple(units) for row_id, units in found.items()}
