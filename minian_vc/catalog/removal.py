"""Taking a pruned checkpoint out of the catalog: what remains is its row, which says when it was pruned."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Table, delete, select, update

from minian_vc.catalog import schema

__all__ = ["remove_checkpoint"]

_SHARED = (  # what array versions share, and the column that refers to it
    (schema.coordinate, schema.array_coordinate.c.coordinate_id),
    (schema.unit_set, schema.array_version.c.unit_set_id),
    (schema.session, schema.array_version.c.session_id),
)


def remove_checkpoint(connection: Connection, checkpoint_id: str, pruned_at: str) -> None:
    """Mark a checkpoint as pruned; its children follow its parent, and what it alone held is removed."""
    table, link = schema.checkpoint, schema.checkpoint_array
    row = connection.execute(select(table).where(table.c.digest == checkpoint_id)).one()
    children = (table.c.dataset_id == row.dataset_id) & (table.c.parent == checkpoint_id)
    connection.execute(update(table).where(children).values(parent=row.parent))
    connection.execute(update(table).where(table.c.id == row.id).values(pruned_at=pruned_at))
    held = connection.scalars(select(link.c.array_version_id).where(link.c.checkpoint_id == row.id)).all()
    connection.execute(delete(link).where(link.c.checkpoint_id == row.id))
    _remove_array_versions(connection, _unused(connection, schema.array_version, held, link.c.array_version_id))


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
