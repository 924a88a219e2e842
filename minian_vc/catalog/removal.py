"""Taking a checkpoint out of the catalog that was pruned or undone: what remains is its row, which says when."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, delete, select, update

from minian_vc.catalog import schema

__all__ = ["hide_checkpoint", "let_follow"]

_SHARED = (  # what array versions share, and the column that refers to it
    (schema.coordinate, schema.array_coordinate.c.coordinate_id),
    (schema.unit_set, schema.array_version.c.unit_set_id),
    (schema.session, schema.array_version.c.session_id),
)


def hide_checkpoint(connection: Connection, checkpoint_id: str, when: str) -> None:
    """Mark a checkpoint as gone: the next one follows the one before it, and what it alone held is removed."""
    table, link = schema.checkpoint, schema.checkpoint_array
    row = connection.execute(select(table).where(table.c.digest == checkpoint_id)).one()
    connection.execute(update(table).where(table.c.id == row.id).values(pruned_at=when))
    let_follow(connection, row.dataset_id, row.sequence)
    connection.execute(delete(schema.tag).where(schema.tag.c.checkpoint_id == row.id))
    held = connection.scalars(select(link.c.array_version_id).where(link.c.checkpoint_id == row.id)).all()
    connection.execute(delete(link).where(link.c.checkpoint_id == row.id))
    _remove_array_versions(connection, _unused(connection, schema.array_version, held, link.c.array_version_id))


def let_follow(connection: Connection, dataset_id: int, sequence: int) -> None:
    """Let the first checkpoint from that number on follow the last one before it; the dataset's last is its latest."""
    table = schema.checkpoint
    there = select(table.c.id, table.c.digest).where(table.c.dataset_id == dataset_id, table.c.pruned_at.is_(None))
    last = table.c.sequence.desc()
    before = connection.execute(there.where(table.c.sequence < sequence).order_by(last).limit(1)).first()
    after = connection.execute(there.where(table.c.sequence >= sequence).order_by(table.c.sequence).limit(1)).first()
    if after is not None:
        parent = before.digest if before is not None else None
        connection.execute(update(table).where(table.c.id == after.id).values(parent=parent))
    latest = connection.execute(there.order_by(last).limit(1)).first()
    dataset = update(schema.dataset).where(schema.dataset.c.id == dataset_id)
    connection.execute(dataset.values(latest=latest.digest if latest is not None else None))


def _unused(
    connection: Connection, table: Table, rows: Sequence[int], reference: ColumnElement[int | None]
) -> Sequence[int]:
    """Return those of some rows that nothing refers to any more."""
    used = select(reference).where(reference.in_(rows))
    return connection.scalars(select(table.c.id).where(table.c.id.in_(rows), table.c.id.not_in(used))).all()


def _remove_array_versions(connection: Connection, rows: Sequence[int]) -> None:
    version, coordinate = schema.array_version, schema.array_coordinate
    owner = {version: version.c.id, coordinate: coordinate.c.array_version_id}
    shared = [
        connection.scalars(select(column).where(owner[column.table].in_(rows), column.is_not(None)).distinct()).all()
        for _, column in _SHARED
    ]
    connection.execute(delete(coordinate).where(coordinate.c.array_version_id.in_(rows)))
    connection.execute(delete(version).where(version.c.id.in_(rows)))
    for (table, column), candidates in zip(_SHARED, shared, strict=True):
        unused = _unused(connection, table, candidates, column)
        if table is schema.unit_set:
            member = schema.unit_set_member
            connection.execute(delete(member).where(member.c.unit_set_id.in_(unused)))
        connection.execute(delete(table).where(table.c.id.in_(unused)))
