"""Opening the catalog: SQLite set up so that an acknowledged write is durable and writers wait in line."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import NullPool

from minian_vc.catalog.backup import keep_copy
from minian_vc.catalog.migrate import HEAD, is_known, upgrade
from minian_vc.catalog.writer import noted, told
from minian_vc.errors import BusyError, DamagedError, EnvironmentUnfitError, MinianVCError, StorageError
from minian_vc.interrupts import put_off

__all__ = ["Catalog"]

APPLICATION_ID = 0x6D766331  # "mvc1"
BUSY_SECONDS = 30.0
FAILED = {  # what SQLite says, and what to do then
    "full": "Free some space; a prune can do that even now: minian-vc prune --yes",
    "readonly": "The disk is read-only, or you may not write there; what is recorded can be read all the same.",
}


class Catalog:
    """A repository's ``catalog.sqlite``.

    Parameters
    ----------
    path : Path
        The database file; it is made or brought up to date by :meth:`prepare`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = _engine(path)

    def prepare(self) -> None:
        """Make the catalog, or bring it up to date; before that, a copy of it is kept.

        Raises
        ------
        StorageError
            No copy could be kept; the catalog is as it was.
        EnvironmentUnfitError
            It was made by a newer program; nothing was touched.
        DamagedError
            The file is no catalog of ours.
        """
        if self._state() == HEAD:
            return
        with self.write() as connection:
            revision = _state(connection, self.path)
            if revision != HEAD:  # another process may have been faster
                if revision is not None:
                    keep_copy(self.path, revision, BUSY_SECONDS)
                upgrade(connection)
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")

    def _state(self) -> str | None:
        if not self.path.exists():
            return None
        with self.read() as connection:
            return _state(connection, self.path)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one state of the catalog.

        Raises
        ------
        StorageError
            The catalog is not there any more; nothing is made in its place.
        """
        if not self.path.exists():  # SQLite would make an empty one
            raise StorageError(f"The catalog {self.path} is not there.", "Nothing was changed. Check the path.")
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Open the one write transaction that can be open; it commits when the block ends.

        Ctrl-C takes effect after that.

        Raises
        ------
        BusyError
            Another writer kept the catalog for longer than ``BUSY_SECONDS``, and is named; or a reader did, when
            the transaction was to commit.
        """
        with contextlib.ExitStack() as to_the_end, self._transaction("BEGIN IMMEDIATE") as connection:
            to_the_end.enter_context(put_off())
            to_the_end.enter_context(noted(self.path.parent))
            yield connection

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        engine = self._engine.execution_options(begin=begin)
        holds_lock = False
        try:
            with engine.begin() as connection:
                holds_lock = begin != "BEGIN"
                yield connection
        except DatabaseError as error:
            raise _explained(error, self.path, holds_lock=holds_lock) from error


def _state(connection: Connection, path: Path) -> str | None:
    """Return the schema revision, or None for an empty database, after checking whose database it is."""
    owner = connection.exec_driver_sql("PRAGMA application_id").scalar()
    tables = {name for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    foreign = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')").first()
    if owner != APPLICATION_ID or "alembic_version" not in tables or foreign:
        raise DamagedError(
            f"The catalog {path} is not one that minian_vc made.",
            "Nothing was touched. It is made anew from the history: minian-vc rebuild",
        )
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if not is_known(str(revision)):
        raise EnvironmentUnfitError(
            f"The catalog {path} has schema {revision}, which is newer than this minian_vc knows ({HEAD}).",
            "Nothing was touched. Install a newer minian_vc.",
        )
    return str(revision)


def _engine(path: Path) -> Engine:
    """Return an engine whose transactions are ours alone: SQLAlchemy's defaults lose concurrent updates."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: Any) -> None:
        for pragma in (
            "journal_mode = DELETE",
            "synchronous = EXTRA",
            "foreign_keys = ON",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options()["begin"])

    return engine


def _explained(error: DatabaseError, path: Path, *, holds_lock: bool) -> MinianVCError:
    """Return what an error of SQLite's means for the user."""
    text = str(error.orig)
    if not isinstance(error, OperationalError):
        return DamagedError(
            f"The catalog {path} is damaged: {text}.", "It is made anew from the history: minian-vc rebuild"
        )
    if "locked" not in text and "busy" not in text:
        hints = [hint for words, hint in FAILED.items() if words in text]
        return StorageError(f"The catalog {path} cannot be used: {text}.", " ".join(["Nothing was recorded.", *hints]))
    if holds_lock:  # then a reader does not let the transaction commit
        return BusyError(
            f"Another process is reading the catalog {path} and does not let go of it.",
            "What was to be recorded may be in the history all the same. See: minian-vc log",
        )
    return BusyError(*told(path))
