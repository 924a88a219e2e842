"""The operation log: one numbered document per step of history. Latest and tags are its fold."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from minian_vc import durable
from minian_vc.errors import BusyError, DamagedError, StorageError
from minian_vc.model import Operation, digest_of

__all__ = ["OperationLog"]

MAX_OPERATION = 16 << 20  # bytes


class OperationLog:
    """The folder ``.minian_vc/operations``."""

    def __init__(self, folder: Path, staging: Path) -> None:
        self.folder = folder
        self._staging = staging

    def path(self, sequence: int) -> Path:
        """Return where the operation of that number lies or would lie."""
        return self.folder / f"{sequence:08d}"

    def after(self, sequence: int, digest: str | None) -> Iterator[tuple[Operation, str]]:
        """Yield each operation after a number, with its digest, checking that the chain is unbroken.

        Raises
        ------
        DamagedError
            An operation does not follow the one before it.
        """
        while True:
            path = self.path(sequence + 1)
            try:
                content = durable.read_without_links(path, MAX_OPERATION)
            except FileNotFoundError:
                if self._last() > path.name:
                    raise _missing(path) from None
                return
            except OSError as error:
                raise StorageError(f"The operation {path} cannot be read: {error.strerror}.") from error
            operation = Operation.from_document(content)
            if (operation.sequence, operation.previous) != (sequence + 1, digest):
                raise DamagedError(
                    f"The operation {path} does not follow the one before it.",
                    "Nothing was changed. See: minian-vc verify",
                )
            sequence, digest = operation.sequence, digest_of(content)
            yield operation, digest

    def refuse_gap(self, last: int) -> None:
        """Refuse a log that lacks one of the operations up to a number; only their names are looked at.

        Raises
        ------
        DamagedError
            One is missing.
        """
        with durable.storage_errors("read the operation log", self.folder):
            names = {path.name for path in self.folder.iterdir()} if last else set()
        missing = next((number for number in range(1, last + 1) if f"{number:08d}" not in names), None)
        if missing is not None:
            raise _missing(self.path(missing))

    def digest(self, sequence: int) -> str | None:
        """Return the digest of the operation of that number, unread; None if there is none."""
        path = self.path(sequence)
        try:
            return digest_of(durable.read_without_links(path, MAX_OPERATION))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"The operation {path} cannot be read: {error.strerror}.") from error

    def _last(self) -> str:
        """Return the name of the last operation there is."""
        with durable.storage_errors("read the operation log", self.folder):
            names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return max(filter(str.isdigit, names), default="")

    def flush(self) -> None:
        """Make sure that the operations which are there stay there."""
        with durable.storage_errors("flush the operation log", self.folder):
            durable.sync_folder(self.folder)

    def publish(self, operation: Operation) -> str:
        """Write the next operation durably, never over another; return its digest."""
        content = operation.to_document()
        path = self.path(operation.sequence)
        staged = self._staging / f"operation-{os.urandom(8).hex()}"
        with durable.storage_errors("write the operation log", path):
            try:
                durable.write_durably(staged, content, self._staging)
                _move_exclusively(staged, path)
                durable.sync_folder(self.folder)
            except FileExistsError:
                raise BusyError(
                    f"Operation {operation.sequence} was just written by somebody else.",
                    "Nothing was recorded. Run the command again.",
                ) from None
            finally:
                staged.unlink(missing_ok=True)
        return digest_of(content)


def _missing(path: Path) -> DamagedError:
    return DamagedError(
        f"The operation {path} is missing.", "Nothing was changed. See what can be mended: minian-vc repair"
    )


def _move_exclusively(staged: Path, path: Path) -> None:
    """Give a staged file its final name, failing if that exists: by a link, or a rename that replaces nothing."""
    try:
        os.link(staged, path)
        return
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            raise
    if durable.rename_exclusively(staged, path):  # no links here (exFAT)
        return
    if path.exists():  # nor that: the catalog's lock alone keeps others away
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    staged.rename(path)
