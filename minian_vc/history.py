"""Writing history: the operation log and the catalog moved forward together, one writer at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection

from minian_vc.arrays.reading import decode
from minian_vc.catalog import Catalog, queries
from minian_vc.catalog.record import CoordinateValues, apply, set_coordinate_values
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
        self._unread: set[str] = set()  # coordinates, by their files, whose values are to be read from a later array

    def catch_up(self) -> None:
        """Apply operations the catalog does not know: of a writer that died, or all of them to a new catalog."""
        coming = list(self._operations.after(*queries.last_operation(self.connection)))
        if coming:  # who wrote them may have died before flushing, and the catalog must not outlive them
            self._operations.flush()
        pruned = {operation.checkpoint for operation, _ in coming if operation.action == "prune"}
        for operation, digest in coming:
            checkpoint = Checkpoint.from_document(self._objects.read("checkpoints", operation.checkpoint))
            gone = checkpoint.id in pruned
            apply(self.connection, operation, digest, checkpoint, self._leave_unread if gone else self._read_values)
            if not gone:
                self._read_late(checkpoint)

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

    def _leave_unread(self, _: ArrayVersion, coordinate: Coordinate) -> None:
        """Stand in for the values of a coordinate of a checkpoint whose objects were removed since."""
        self._unread.add(coordinate.files)

    def _read_late(self, checkpoint: Checkpoint) -> None:
        """Read what could not be read from a pruned checkpoint and is in this one too."""
        for array in checkpoint.arrays if self._unread else ():
            for coordinate in array.coordinates:
                if coordinate.files in self._unread:
                    set_coordinate_values(self.connection, coordinate.files, self._read_values(array, coordinate))
                    self._unread.remove(coordinate.files)

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
