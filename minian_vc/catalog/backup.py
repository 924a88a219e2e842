"""Copies of a catalog, by SQLite's own means: one state of it, whoever else reads or writes.

A database file is never opened by hand here: closing any descriptor of it would drop the locks that SQLite holds.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from minian_vc import durable
from minian_vc.catalog.writer import told
from minian_vc.errors import BusyError, StorageError

__all__ = ["BACKUPS", "copy_database", "keep_copy", "opened", "transfer"]

BACKUPS = "backups"
KEPT = 3  # copies; older ones are removed
PAUSE = 0.05


@contextlib.contextmanager
def opened(path: Path, wait: float = 5.0) -> Iterator[sqlite3.Connection]:
    """Open a database that is there; none is made. Each statement waits so many seconds for a lock."""
    name = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(name, uri=True, timeout=wait, isolation_level=None)
    with contextlib.closing(connection):
        connection.execute("PRAGMA trusted_schema = OFF")
        yield connection


def copy_database(source: Path, target: Path, wait: float) -> None:
    """Copy one state of a database into a new file.

    Raises
    ------
    BusyError
        Somebody kept it locked for longer than ``wait`` seconds.
    sqlite3.DatabaseError
        It cannot be read.
    """
    with opened(source, 0.0) as one, contextlib.closing(sqlite3.connect(target)) as other:
        one.backup(other, progress=_until(time.monotonic() + wait, source), sleep=PAUSE)


def transfer(source: Path, live: Path, wait: float) -> None:
    """Make a live database what another is, in one transaction: others see the old state or the new.

    Raises
    ------
    BusyError
        Somebody kept it locked for longer than ``wait`` seconds; it is as it was.
    sqlite3.DatabaseError
        It is too damaged to be written to.
    """
    deadline = time.monotonic() + wait
    with opened(source) as one, opened(live, wait) as other:
        try:
            other.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            if _is_locked(error.sqlite_errorcode):
                raise _busy(live) from error
            raise
        other.execute("PRAGMA synchronous = EXTRA")
        other.execute("PRAGMA busy_timeout = 0")
        one.backup(other, progress=_until(deadline, live), sleep=PAUSE)


def keep_copy(catalog: Path, revision: str, wait: float) -> Path:
    """Keep a copy of a catalog in the folder of backups beside it, and the newest few before it.

    Raises
    ------
    StorageError
        It cannot be made.
    BusyError
        Somebody kept the catalog locked.
    """
    backups, staging = catalog.parent / BACKUPS, catalog.parent / "staging"
    staged = staging / f"backup-{os.urandom(8).hex()}.sqlite"
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        with durable.storage_errors("keep a copy of the catalog", backups):
            staging.mkdir(exist_ok=True)
            backups.mkdir(exist_ok=True)
            copy_database(catalog, staged, wait)
            durable.flush((staged,), ())
            staged.rename(kept := backups / f"catalog-{revision}-{moment}.sqlite")
            durable.flush((), (backups, backups.parent))
            for old in sorted(backups.glob("catalog-*.sqlite"), key=lambda path: path.name.rpartition("-")[2])[:-KEPT]:
                old.unlink()
    except sqlite3.Error as error:
        raise StorageError(
            f"Could not keep a copy of the catalog {catalog}: {error}.", "Nothing was changed."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
    return kept


def _until(deadline: float, path: Path) -> Callable[[int, int, int], None]:
    """Return what ends a copy that is waiting for a lock: left alone, it would wait forever."""

    def look(status: int, *_: int) -> None:
        if _is_locked(status) and time.monotonic() >= deadline:
            raise _busy(path)

    return look


def _is_locked(code: int) -> bool:
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _busy(path: Path) -> BusyError:
    return BusyError(*told(path))
