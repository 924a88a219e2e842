"""The operations as the catalog has them."""

from __future__ import annotations

from sqlalchemy import Connection, select

from minian_vc.catalog.schema import checkpoint, dataset, operation
from minian_vc.model import Operation

__all__ = ["recorded_operations"]


def recorded_operations(connection: Connection) -> list[Operation]:
    """Return all operations, in their order; each with the path where its dataset lies now."""
    names = ("sequence", "action", "tag", "created_at", "undoes", "before", "what")
    query = select(
        *(operation.c[name] for name in names),
        operation.c.digest,
        operation.c.group_sequence,
        dataset.c.uid,
        dataset.c.path,
        checkpoint.c.digest.label("checkpoint"),
    )
    query = query.join(dataset, dataset.c.id == operation.c.dataset_id)
    query = query.join(checkpoint, checkpoint.c.id == operation.c.checkpoint_id).order_by(operation.c.sequence)
    found: list[Operation] = []
    previous = None
    for row in connection.execute(query):
        common = {name: getattr(row, name) for name in (*names, "path", "checkpoint")}
        found.append(Operation(previous=previous, dataset=row.uid, group=row.group_sequence, **common))
        previous = row.digest
    return found
