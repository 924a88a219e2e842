"""Writing history: the operation log and the catalog moved forward together, one writer at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection

from minian_vc.arrays.reading import decode
from minian_vc.catalog import Catalog, queries
from minian_vc.catalog.record import CoordinateValues, apply
from minian_vc.model import ArrayVersion, Checkpoint, Coordinate, Operation, timestamp
from minian_vc.objects import ObjectStore, StoredFiles
from minian_vc.operations import OperationLog

__all__ = ["History", "open_history"]


class History:
    """The open write transaction. What is appended is acknowledged when the ``with`` block ends."""

    def __init__(self, connection: Connection, operations: OperationLog, objects: ObjectStore) -> None:
        self.connection = connection
        self._operations = operations
        self._objects = objects

    def catch_up(self) -> None:
        """Apply operations the catalog does not know: of a writer that died, or all of them to a new catalog."""
        for operation, digest in self._operations.after(*queries.last_operation(self.connection)):
            document = self._objects.read("checkpoints", operation.checkpoint)
            apply(self.connection, operation, digest, Checkpoint.from_document(document), self._read_values)

    def append(self, action: str, path: str, checkpoint: Checkpoint, tag: str | None) -> None:
        """Record an operation on a dataset: its document first, then the catalog's rows."""
        sequence, previous = queries.last_operation(self.connection)
        operation = Operation(
            sequence=sequence + 1,
            previous=previous,
            action=action,
            dataset=checkpoint.dataset,
            path=path,
            checkpoint=checkpoint.id,
            tag=tag,
            created_at=checkpoint.created_at if action == "commit" else timestamp(),
        )
        digest = self._operations.publish(operation)
        apply(self.connection, operation, digest, checkpoint, self._read_values)

    def _read_values(self, array: ArrayVersion, coordinate: Coordinate) -> CoordinateValues:
        parent = array.variable.rpartition("/")[0]
        files = StoredFiles(self._objects.folder, array.manifest)
        return decode(files, f"{parent}/{coordinate.name}".lstrip("/"))[1]


@contextlib.contextmanager
def open_history(catalog: Catalog, operations: OperationLog, objects: ObjectStore) -> Iterator[History]:
    """Open the write transaction, brought up to date with the operation log."""
    with catalog.write() as connection:
        history = History(connection, operations, objects)
        history.catch_up()
        yield history
