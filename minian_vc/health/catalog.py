"""Is the catalog whole, and the fold of the history? A copy of it is looked at; the live one is left alone."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from minian_vc.catalog import Catalog, queries
from minian_vc.catalog.backup import copy_database, opened
from minian_vc.catalog.engine import APPLICATION_ID, BUSY_SECONDS
from minian_vc.catalog.migrate import HEAD, is_known
from minian_vc.catalog.recorded import recorded_operations
from minian_vc.errors import EnvironmentUnfitError, MinianVCError
from minian_vc.health.log import KnownOperations
from minian_vc.history import open_history
from minian_vc.model import Operation
from minian_vc.objects import MISSING, NO_FILE
from minian_vc.operations import OperationLog
from minian_vc.repository import Repository

__all__ = ["CatalogCopy", "copied", "made_anew"]

_TABLE = re.compile(r'(?:INSERT INTO|CREATE (?:UNIQUE )?(?:TABLE|INDEX)) "?(\w+)')


class CatalogCopy:
    """A copy of a repository's catalog in a folder of its own.

    Attributes
    ----------
    problem : str
        What is wrong with the catalog; empty if nothing is.
    catalog : Catalog or None
        The copy, brought up to this program's schema, where it can be used at all.
    """

    def __init__(self, repository: Repository, folder: Path, *, quick: bool) -> None:
        self._repository = repository
        self._folder = folder
        self.catalog: Catalog | None = None
        self.problem = self._copy() or self._whose() or self._damage(quick=quick)
        if not self.problem:
            self._prepare()

    def operations(self) -> KnownOperations:
        """Return the operations that the catalog knows, as far as it can be read."""
        if self.catalog is None:
            return {}
        try:
            with self.catalog.read() as connection:
                known = recorded_operations(connection)
                _, last = queries.last_operation(connection)
        except (MinianVCError, ValueError, TypeError):
            return {}
        if not known:
            return {}
        digests = [*(str(operation.previous) for operation in known[1:]), str(last)]
        return {operation.sequence: (operation, digest) for operation, digest in zip(known, digests, strict=True)}

    def differs(self, last: int) -> str:
        """Say how the catalog differs from one made anew, both up to an operation; nothing if it does not.

        Raises
        ------
        MinianVCError
            None can be made anew from the history.
        """
        operations = _Until(self._repository.operations, last)
        fresh = made_anew(self._repository, self._folder / "anew.sqlite", operations)
        if self.catalog is None:
            return self.problem
        try:
            _catch_up(self._repository, self.catalog, operations)
        except MinianVCError as error:
            return error.message
        return _difference(self.catalog.path, fresh.path)

    def _copy(self) -> str:
        live = self._repository.catalog.path
        if live.is_symlink() or (live.exists() and not live.is_file()):
            return NO_FILE
        if not live.exists():
            return MISSING
        try:
            copy_database(live, self._folder / live.name, BUSY_SECONDS)
        except sqlite3.Error as error:
            return str(error)
        self.catalog = Catalog(self._folder / live.name)
        return ""

    def _whose(self) -> str:
        """Tell what is not as minian_vc makes it; a revision may be unknown for the program or for the damage."""
        with opened(self._folder / "catalog.sqlite") as connection:
            try:
                found = _whose(connection)
                if found.isalnum() and not is_known(found):
                    if _schema(connection) != self._schema_anew():
                        raise EnvironmentUnfitError(
                            f"The catalog has schema {found}, which is newer than this minian_vc knows ({HEAD}).",
                            "Nothing was touched. Install a newer minian_vc.",
                        )
                    found = f"it says that its schema is {found}, but that is {HEAD}"
            except sqlite3.Error as error:
                found = str(error)
        if is_known(found):
            return ""
        self.catalog = None
        return found

    def _schema_anew(self) -> list[tuple[object, ...]]:
        empty = Catalog(self._folder / "empty.sqlite")
        empty.prepare()
        with opened(empty.path) as connection:
            return _schema(connection)

    def _damage(self, *, quick: bool) -> str:
        """Let SQLite look through the copy. It may be read all the same."""
        with opened(self._folder / "catalog.sqlite") as connection:
            try:
                (first,) = connection.execute(f"PRAGMA {'quick' if quick else 'integrity'}_check(1)").fetchone()
                orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("CREATE TABLE probe (x)")  # a damaged header may say that it must not be written
                connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                return str(error)
        if first != "ok":
            return str(first).splitlines()[-1].rstrip(".")
        return f"the table {orphan[0]} refers to a row that is not there" if orphan is not None else ""

    def _prepare(self) -> None:
        try:
            if self.catalog is not None:
                self.catalog.prepare()
        except MinianVCError as error:
            self.catalog, self.problem = None, error.message


@contextlib.contextmanager
def copied(repository: Repository, *, quick: bool) -> Iterator[CatalogCopy]:
    """Copy a repository's catalog into a temporary folder elsewhere: the repository may be read-only."""
    with tempfile.TemporaryDirectory(prefix="minian-vc-") as folder:
        yield CatalogCopy(repository, Path(folder), quick=quick)


class _Until(OperationLog):
    """The operation log up to a number: others may go on writing."""

    def __init__(self, log: OperationLog, last: int) -> None:
        super().__init__(log.folder, log.folder)
        self._until = last

    def after(self, sequence: int, digest: str | None) -> Iterator[tuple[Operation, str]]:
        if sequence < self._until:
            yield from itertools.islice(super().after(sequence, digest), self._until - sequence)


def made_anew(repository: Repository, path: Path, operations: OperationLog | None = None) -> Catalog:
    """Make a catalog at a path out of the operation log and the objects.

    Raises
    ------
    MinianVCError
        Something that it is made of cannot be read.
    """
    catalog = Catalog(path)
    catalog.prepare()
    _catch_up(repository, catalog, operations or repository.operations)
    return catalog


def _catch_up(repository: Repository, catalog: Catalog, operations: OperationLog) -> None:
    with open_history(catalog, operations, repository.objects):
        pass


def _whose(connection: sqlite3.Connection) -> str:
    """Return the revision of a catalog of ours, else what it is."""
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    kinds = dict(connection.execute("SELECT name, type FROM sqlite_master").fetchall())
    if not kinds:
        return "it is empty"
    foreign = sorted(str(name) for name, kind in kinds.items() if kind in ("trigger", "view"))
    if foreign:
        return f"it has the triggers or views {', '.join(foreign)}, which minian_vc does not make"
    if owner != APPLICATION_ID or "alembic_version" not in kinds:
        return "it is not as minian_vc makes it"
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else "it does not say what its schema is"


def _schema(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


def _difference(one: Path, other: Path) -> str:
    """Compare everything that two databases say as SQL."""
    with opened(one) as first, opened(other) as second:
        try:
            for ours, theirs in itertools.zip_longest(first.iterdump(), second.iterdump()):
                if ours != theirs:
                    found = _TABLE.match(ours or theirs or "")
                    return f"it differs from the history in {found[1] if found else 'what it holds'}"
        except (sqlite3.Error, UnicodeError) as error:
            return str(error)
    return ""
