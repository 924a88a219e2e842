"""Applying operations to the catalog: the one place that makes rows.

A new checkpoint, one rolled forward after a crash and one replayed into a fresh catalog all come through
:func:`apply`, so the catalog is always the fold of the operation log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from minian_vc.catalog import schema
from minian_vc.catalog.recorded import next_sequence, recorded_operations
from minian_vc.catalog.removal import hide_checkpoint, let_follow
from minian_vc.model import ArrayVersion, Checkpoint, Coordinate, Operation, canonical_json, digest_of
from minian_vc.timeline import Timeline

__all__ = ["CoordinateValues", "apply", "set_coordinate_values", "values_digest"]

CoordinateValues = list[Any] | str | int | float | bool | None
ReadValues = Callable[[Checkpoint, ArrayVersion, Coordinate], CoordinateValues]
ReadCoordinate = Callable[[Coordinate], CoordinateValues]
ReadCheckpoint = Callable[[str], Checkpoint]

_GROUPING = ("undoes", "before", "what")


def values_digest(dtype: str, shape: tuple[int, ...], values: CoordinateValues) -> str:
    """Return the digest of a coordinate's values, however they are stored."""
    return digest_of(canonical_json([dtype, list(shape), values]))


def apply(
    connection: Connection,
    operation: Operation,
    digest: str,
    read_checkpoint: ReadCheckpoint,
    read_values: ReadValues,
) -> None:
    """Bring the catalog from the state before an operation to the state after it.

    Parameters
    ----------
    connection : Connection
        An open write transaction.
    operation, digest : Operation, str
        The operation and the digest of its document.
    read_checkpoint : callable
        Returns the checkpoint of an id.
    read_values : callable
        Decodes the values of a coordinate of an array version of a checkpoint; called once per coordinate that is not
        in the catalog.
    """
    dataset_id = _dataset(connection, operation)
    if operation.action == "undo":
        _undo(connection, dataset_id, operation, read_checkpoint, read_values)
    elif operation.action == "commit":
        _show(connection, dataset_id, read_checkpoint(operation.checkpoint), read_values)
    elif operation.action == "prune":
        hide_checkpoint(connection, operation.checkpoint, operation.created_at)
    if operation.tag is not None:
        _give(connection, dataset_id, operation.tag, operation)
    entry = {name: getattr(operation, name) for name in ("sequence", "action", "tag", "created_at", *_GROUPING)}
    entry |= {"digest": digest, "group_sequence": operation.group, "dataset_id": dataset_id}
    entry["checkpoint_id"] = connection.scalar(_where(schema.checkpoint, "digest", operation.checkpoint))
    connection.execute(insert(schema.operation).values(**entry))


def _undo(
    connection: Connection,
    dataset_id: int,
    operation: Operation,
    read_checkpoint: ReadCheckpoint,
    read_values: ReadValues,
) -> None:
    """Take back what some operations did, or bring it back."""
    timeline = Timeline.of([*recorded_operations(connection), operation])
    effects, forward = timeline.effect(operation)
    for each in effects:
        if (each.action, forward) in (("commit", True), ("prune", False)):
            _show(connection, dataset_id, read_checkpoint(each.checkpoint), read_values)
        elif each.action in ("commit", "prune"):
            hide_checkpoint(connection, each.checkpoint, operation.created_at)
    for tag in {each.tag: None for each in effects if each.tag is not None}:
        _give(connection, dataset_id, tag, timeline.owner_of_tag(operation.dataset, tag))


def _show(connection: Connection, dataset_id: int, checkpoint: Checkpoint, read_values: ReadValues) -> None:
    """Make a checkpoint's rows, or those that it lost when it was hidden."""
    table = schema.checkpoint
    found = connection.scalar(_where(table, "digest", checkpoint.id))
    checkpoint_id = _checkpoint(connection, dataset_id, checkpoint) if found is None else int(found)
    connection.execute(update(table).where(table.c.id == checkpoint_id).values(pruned_at=None))
    for array in checkpoint.arrays:
        array_id = _array_version(connection, array, partial(read_values, checkpoint, array))
        link = {"checkpoint_id": checkpoint_id, "array_version_id": array_id}
        connection.execute(insert(schema.checkpoint_array).values(link))
    number = connection.scalar(select(table.c.sequence).where(table.c.id == checkpoint_id)) or 0
    for sequence in (number, number + 1):
        let_follow(connection, dataset_id, sequence)


def _give(connection: Connection, dataset_id: int, name: str, owner: Operation | None) -> None:
    """Give a tag to the checkpoint of an operation, or to none."""
    taken = (schema.tag.c.dataset_id == dataset_id) & (schema.tag.c.name == name)
    connection.execute(delete(schema.tag).where(taken))
    if owner is not None:
        row = {"dataset_id": dataset_id, "name": name, "created_at": owner.created_at}
        row["checkpoint_id"] = connection.scalar(_where(schema.checkpoint, "digest", owner.checkpoint))
        connection.execute(insert(schema.tag).values(row))


def set_coordinate_values(connection: Connection, files: str, values: CoordinateValues) -> None:
    """Give a coordinate its decoded values, where they could not be read when its row was made."""
    table = schema.coordinate
    connection.execute(update(table).where(table.c.files == files).values(content=values))


def _where(table: Table, column: str, value: Any) -> Any:
    return select(table.c.id).where(table.c[column] == value)


def _insert(connection: Connection, table: Table, row: Mapping[str, Any]) -> int:
    """Make a row and return its id."""
    return int(connection.scalars(insert(table).returning(table.c.id), [dict(row)]).one())


def _shared(connection: Connection, table: Table, digest: str, values: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the id of the row with that digest, and whether it had to be made."""
    found = connection.scalar(_where(table, "digest", digest))
    if found is not None:
        return int(found), False
    return _insert(connection, table, {"digest": digest, **values}), True


def _dataset(connection: Connection, operation: Operation) -> int:
    table = schema.dataset
    found = connection.scalar(_where(table, "uid", operation.dataset))
    if found is None:
        return _insert(connection, table, {"uid": operation.dataset, "path": operation.path})
    connection.execute(update(table).where(table.c.id == found).values(path=operation.path))
    return int(found)


def _checkpoint(connection: Connection, dataset_id: int, checkpoint: Checkpoint) -> int:
    plain = ("parent", "message", "author", "created_at")
    row = {"digest": checkpoint.id, "dataset_id": dataset_id, "provenance": dict(checkpoint.provenance)}
    # the one in the document, unless that was recorded where locks do nothing, on a catalog that had lost rows
    row["sequence"] = max(checkpoint.sequence, next_sequence(connection, checkpoint.dataset))
    return _insert(connection, schema.checkpoint, row | {name: getattr(checkpoint, name) for name in plain})


def _array_version(connection: Connection, array: ArrayVersion, read_values: ReadCoordinate) -> int:
    found = connection.scalar(_where(schema.array_version, "digest", array.digest))
    if found is not None:
        return int(found)
    plain = ("name", "folder", "variable", "zarr_format", "dtype", "manifest")
    counts = ("nbytes", "stored_bytes", "missing_chunks", "bytes_kept")
    row = {name: getattr(array, name) for name in (*plain, *counts)}
    row |= {"dims": list(array.dims), "shape": list(array.shape), "chunks": dict(array.chunks)}
    row |= {"unit_set_id": _unit_set(connection, array), "session_id": _session(connection, array)}
    array_id, _ = _shared(connection, schema.array_version, array.digest, row)
    for coordinate in array.coordinates:
        coordinate_id = _coordinate(connection, coordinate, read_values)
        link = {"array_version_id": array_id, "name": coordinate.name, "coordinate_id": coordinate_id}
        connection.execute(insert(schema.array_coordinate).values(link))
    return array_id


def _unit_set(connection: Connection, array: ArrayVersion) -> int | None:
    if array.unit_ids is None:
        return None
    digest = digest_of(canonical_json(array.unit_ids))
    row_id, made = _shared(connection, schema.unit_set, digest, {"size": len(array.unit_ids)})
    if made and array.unit_ids:
        members = [
            {"unit_set_id": row_id, "position": position, "unit_id": canonical_json(unit).decode()}
            for position, unit in enumerate(array.unit_ids)
        ]
        connection.execute(insert(schema.unit_set_member), members)
    return row_id


def _session(connection: Connection, array: ArrayVersion) -> int | None:
    if array.animal is None and array.session is None:
        return None
    values = {"animal": array.animal, "session": array.session}
    return _shared(connection, schema.session, digest_of(canonical_json(values)), values)[0]


def _coordinate(connection: Connection, coordinate: Coordinate, read_values: ReadCoordinate) -> int:
    table = schema.coordinate
    found = connection.scalar(_where(table, "files", coordinate.files))
    if found is not None:
        return int(found)
    row = {
        "files": coordinate.files,
        "digest": coordinate.values,
        "dims": list(coordinate.dims),
        "shape": list(coordinate.shape),
        "dtype": coordinate.dtype,
        "content": read_values(coordinate),
    }
    return _insert(connection, table, row)
