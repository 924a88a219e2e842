"""A checkpoint's document, composed again out of the catalog's rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Connection, RowMapping, select

from minian_vc.catalog import schema
from minian_vc.model import ArrayVersion, Checkpoint, Coordinate, digest_of

__all__ = ["compose_checkpoint"]


def compose_checkpoint(connection: Connection, checkpoint_id: str) -> bytes | None:
    """Return the document of a checkpoint; None if the rows do not give one with that digest.

    The document names the parent that the checkpoint had when it was made, which may be gone since; so every earlier
    checkpoint of the dataset is tried.
    """
    table, dataset = schema.checkpoint, schema.dataset
    query = select(table, dataset.c.uid).join(dataset, dataset.c.id == table.c.dataset_id)
    row = connection.execute(query.where(table.c.digest == checkpoint_id)).mappings().first()
    if row is None:
        return None
    plain = {name: row[name] for name in ("parent", "sequence", "message", "author", "created_at", "provenance")}
    composed = Checkpoint(dataset=row["uid"], arrays=tuple(_arrays(connection, row["id"])), **plain)
    earlier = select(table.c.digest).where(table.c.dataset_id == row["dataset_id"], table.c.sequence < row["sequence"])
    before = connection.scalars(earlier.order_by(table.c.sequence.desc())).all()
    for parent in dict.fromkeys((row["parent"], *before, None)):
        document = replace(composed, parent=parent).to_document()
        if digest_of(document) == checkpoint_id:
            return document
    return None


def _arrays(connection: Connection, checkpoint_row: int) -> Iterator[ArrayVersion]:
    """Yield the array versions of a checkpoint in the order in which a document has them."""
    table, link, session = schema.array_version, schema.checkpoint_array, schema.session
    query = select(table, session.c.animal, session.c.session).join(link, link.c.array_version_id == table.c.id)
    query = query.outerjoin(session, session.c.id == table.c.session_id)
    query = query.where(link.c.checkpoint_id == checkpoint_row)
    for row in connection.execute(query.order_by(table.c.folder)).mappings():
        yield _array(connection, row)


def _array(connection: Connection, row: RowMapping) -> ArrayVersion:
    plain = ("name", "folder", "variable", "zarr_format", "dtype", "manifest", "chunks", "animal", "session")
    counts = ("nbytes", "stored_bytes", "missing_chunks", "bytes_kept")
    return ArrayVersion(
        **{name: row[name] for name in (*plain, *counts)},
        dims=tuple(row["dims"]),
        shape=tuple(row["shape"]),
        coordinates=tuple(_coordinates(connection, row["id"])),
        unit_ids=_unit_ids(connection, row["unit_set_id"]),
    )


def _coordinates(connection: Connection, array_row: int) -> Iterator[Coordinate]:
    table, link = schema.coordinate, schema.array_coordinate
    query = select(table, link.c.name).join(link, link.c.coordinate_id == table.c.id)
    for row in connection.execute(query.where(link.c.array_version_id == array_row).order_by(link.c.name)).mappings():
        yield Coordinate(
            name=row["name"],
            dims=tuple(row["dims"]),
            shape=tuple(row["shape"]),
            dtype=row["dtype"],
            files=row["files"],
            values=row["digest"],
        )


def _unit_ids(connection: Connection, unit_set: int | None) -> tuple[int | str, ...] | None:
    if unit_set is None:
        return None
    member = schema.unit_set_member
    query = select(member.c.unit_id).where(member.c.unit_set_id == unit_set).order_by(member.c.position)
    return tuple(json.loads(unit) for unit in connection.scalars(query))
