"""Writing history: the operation log and the catalog moved forward together, one writer at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection

from minian_vc import durable
from minian_vc.arrays.reading import decode
from minian_vc.catalog import Catalog, queries
from minian_vc.catalog.record import CoordinateValues, apply, set_coordinate_values
from minian_vc.catalog.recorded import recorded_operations
from minian_vc.errors import DamagedError, StorageError
from minian_vc.model import ArrayVersion, Checkpoint, Coordinate, Operation, digest_of, timestamp
from minian_vc.objects import ObjectStore, StoredFiles, list_shards
from minian_vc.operations import OperationLog
from minian_vc.timeline import Timeline

__all__ = ["Decoded", "History", "lost_checkpoints", "open_history", "refuse_unlike_log"]

Decoded = dict[str, tuple[str, CoordinateValues]]  # digest of a coordinate's files → digest of its values, values


class History:
    """The open write transaction. What is appended is acknowledged when the ``with`` block ends."""

    def __init__(self, connection: Connection, operations: OperationLog, objects: ObjectStore) -> None:
        self.connection = connection
        self._operations = operations
        self._objects = objects
        self._decoded: Decoded = {}
        self._gone: Collection[str] = ()  # checkpoints that are undone or pruned in the end
        self._unread: set[str] = set()  # coordinates, by their files, whose values are to be read from a later array

    def catch_up(self) -> None:
        """Apply operations the catalog does not know: of a writer that died, or all of them to a new catalog."""
        coming = list(self._operations.after(*queries.last_operation(self.connection)))
        if not coming:
            return
        self._operations.flush()  # who wrote them may have died before, and the catalog must not outlive them
        timeline = Timeline.of([*recorded_operations(self.connection), *(operation for operation, _ in coming)])
        self._gone = timeline.dropped.keys()
        for operation, digest in coming:
            apply(self.connection, operation, digest, self.read_checkpoint, self._read_values)
        for checkpoint_id in timeline.live if self._unread else ():
            self._read_late(self.read_checkpoint(checkpoint_id))
        self._gone = ()

    def timeline(self) -> Timeline:
        """Return what the operations that the catalog knows amount to."""
        return Timeline.of(recorded_operations(self.connection))

    def read_checkpoint(self, checkpoint_id: str) -> Checkpoint:
        """Read a checkpoint from its document, whose digest is checked."""
        return Checkpoint.from_document(self._objects.read("checkpoints", checkpoint_id))

    def append(
        self,
        action: str,
        path: str,
        checkpoint: Checkpoint,
        tag: str | None = None,
        decoded: Decoded | None = None,
        **more: Any,
    ) -> int:
        """Record an operation on a dataset: rows, then its document; the end of the block commits the rows.

        Parameters
        ----------
        action, path, checkpoint, tag
            As in :class:`Operation`.
        decoded : mapping, optional
            Coordinates that the caller has decoded already, by the digest of their files.
        **more
            The other fields of an operation, where they say something.

        Returns
        -------
        int
            The operation's number.
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
            **more,
        )
        digest = digest_of(operation.to_document())

        def read(checkpoint_id: str) -> Checkpoint:
            return checkpoint if checkpoint_id == checkpoint.id else self.read_checkpoint(checkpoint_id)

        apply(self.connection, operation, digest, read, self._read_values)  # what fails must fail before
        self._operations.publish(operation)
        return operation.sequence

    def _read_late(self, checkpoint: Checkpoint) -> None:
        """Read what could not be read from a checkpoint that is gone, and is in this one too."""
        for array in checkpoint.arrays:
            for coordinate in array.coordinates:
                if coordinate.files in self._unread:
                    set_coordinate_values(self.connection, coordinate.files, self._decode(array, coordinate))
                    self._unread.remove(coordinate.files)

    def _read_values(self, checkpoint: Checkpoint, array: ArrayVersion, coordinate: Coordinate) -> CoordinateValues:
        if checkpoint.id in self._gone:  # its objects may be removed
            self._unread.add(coordinate.files)
            return None
        if coordinate.files in self._decoded:
            return self._decoded[coordinate.files][1]
        return self._decode(array, coordinate)

    def _decode(self, array: ArrayVersion, coordinate: Coordinate) -> CoordinateValues:
        parent = array.variable.rpartition("/")[0]
        files = StoredFiles(self._objects.folder, array.manifest)
        return decode(files, f"{parent}/{coordinate.name}".lstrip("/"))[1]


@contextlib.contextmanager
def open_history(catalog: Catalog, operations: OperationLog, objects: ObjectStore) -> Iterator[History]:
    """Open the write transaction, brought up to date with the operation log."""
    with catalog.write() as connection:
        operations.refuse_gap(refuse_unlike_log(connection, operations))
        history = History(connection, operations, objects)
        history.catch_up()
        yield history


def lost_checkpoints(objects: ObjectStore, named: Collection[str]) -> list[str]:
    """Return the checkpoints in the store that follow one which no operation names: the log has lost both.

    A commit that died may leave one that no operation names, but it follows one that is named, or none.

    Parameters
    ----------
    objects : ObjectStore
        The store.
    named : collection of str
        The ids that operations name.
    """
    lost = []
    with durable.storage_errors("look through the checkpoints", objects.folder):
        there = [found.digest for shard in list_shards(objects, "checkpoints") for found in shard.objects]
    for digest in there:
        if digest not in named:
            with contextlib.suppress(DamagedError, StorageError):  # one that cannot be read tells nothing
                parent = Checkpoint.from_document(objects.read("checkpoints", digest)).parent
                lost += [digest] if parent is not None and parent not in named else []
    return lost


def refuse_unlike_log(connection: Connection, operations: OperationLog) -> int:
    """Return how many operations the catalog knows, if it is the fold of them as far as that is quickly seen.

    Where SQLite's locks do nothing, writers lose each other's rows. The log loses nothing, for its numbers are given
    once; but what is recorded next must not be built on such a catalog.

    Raises
    ------
    DamagedError
        The catalog lacks operations, or knows others than the log.
    """
    last, digest = queries.last_operation(connection)
    logged = operations.digest(last) if last else None
    if digest == logged and queries.is_whole(connection):
        return last
    if last and logged is None:
        raise DamagedError(
            f"The operation {operations.path(last)} is missing.",
            "Nothing was changed. See what can be mended: minian-vc repair",
        )
    raise DamagedError(
        f"The catalog {operations.folder.parent / 'catalog.sqlite'} is not what the operation log amounts to.",
        "Nothing was changed. Make the catalog anew from the log: minian-vc rebuild",
    )
