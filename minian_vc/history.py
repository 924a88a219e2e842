"""Writing history: the operation log and the catalog moved forward together, one writer at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection

from minian_vc.arrays.reading import decode
from minian_vc.catalog import Catalog, queries
from minian_vc.catalog.record import CoordinateValues, apply
from minian_vc.model import ArrayVersion, Checkpoint, Coordinate, Operation, digest_of, timestamp
from minian_vc.objects import ObjectStore, StoredFiles
from minian_vc.operations import OperationLog

__all__ = ["Decoded", "History", "open_history"]

Decoded = dict[str, tuple[str, CoordinateValues]]  # digest of a coordinate's files → digest of its values, values


class History:
    """The open write transaction. What is appended is acknowledged when the ``with`` block ends."""

    def __init__(self, connection: Connection, operations: OperationLog, objects: ObjectStore) -> None:
        self.connection = connection
        self._operations = operations
        self._objects = objects
        self._decoded: Decoded = {}

    def catch_up(self) -> None:
        """Apply operations the catalog does not know: of a writer that died, or all of them to a new catalog."""
        for operation, digest in self._operations.after(*queries.last_operation(self.connection)):
            document = self._objects.read("checkpoints", operation.checkpoint)
            apply(self.connection, operation, digest, Checkpoint.from_document(document), self._read_values)

    def append(
        self, action: str, path: str, checkpoint: Checkpoint, tag: str | None, decoded: Decoded | None = None
    ) -> None:
        """Record an operation on a dataset: rows, then its document; the end of the block commits the rows.

        ``decoded`` holds coordinates that the caller has decoded already, by the digest of their files.
        """
        self._decoded = decoded or {}
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
        digest = digest_of(operation.to_document())
        apply(self.connection, operation, digest, checkpoint, self._read_values)  # what fails must fail before
        self._operations.publish(operation)

    def _read_values(self, array: ArrayVersion, coordinate: Coordinate) -> CoordinateValues:
        if coordinate.files in self._decoded:
            return self._decoded[coordinate.files][1]
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
