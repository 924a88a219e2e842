"""What the catalog has recorded so far: its operations, and the numbers that are given."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from minian_vc.catalog.schema import checkpoint, dataset, operation
from minian_vc.model import Operation

__all__ = ["next_sequence", "recorded_operations"]


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


def next_sequence(connection: Connection, uid: str) -> int:
    """Return the number of a dataset's next checkpoint; numbers of those that are gone are not given again."""
    numbers = select(func.max(checkpoint.c.sequence)).join(dataset).where(dataset.c.uid == uid)
    return (connection.scalar(numbers) or 0) + 1
