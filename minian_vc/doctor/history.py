"""The two records of history, read without touching them: the operation log and the catalog."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from minian_vc.catalog.engine import APPLICATION_ID
from minian_vc.catalog.migrate import HEAD, is_known
from minian_vc.doctor.guard import guarded, unreadable
from minian_vc.errors import DamagedError, EnvironmentUnfitError, StorageError
from minian_vc.findings import Finding
from minian_vc.operations import OperationLog

__all__ = ["Recorded", "compare", "open_it", "read_catalog", "read_log", "run_in"]

WAIT = 2.0  # seconds for a writer to finish
HEADER = 100  # bytes
MAGIC = b"SQLite format 3\0"
WAL = 2  # in the header's read version


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the log or the catalog holds: the digests of all operations, the path of each dataset by its id.

    ``whole`` is false where reading stopped at something damaged.
    """

    digests: tuple[str, ...] = ()
    datasets: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True


def open_it(root: Path) -> str:
    """Return a command that opens a repository, which mends what can be mended."""
    return run_in(root, "config")


def run_in(root: Path, command: str) -> str:
    """Return a line to type that runs a command in a folder."""
    return f"cd {shlex.quote(str(root))} && minian-vc {command}"


def read_log(folder: Path) -> tuple[Recorded, list[Finding]]:
    """Walk the operation log of a ``.minian_vc`` folder as far as it is whole."""
    log = OperationLog(folder / "operations", folder / "staging")
    digests: list[str] = []
    datasets: dict[str, str] = {}
    found = []
    try:
        for operation, digest in log.after(0, None):
            digests.append(digest)
            datasets[str(operation.dataset)] = str(operation.path)
    except EnvironmentUnfitError as error:
        message = _naming(log.path(len(digests) + 1), error.message)
        found.append(Finding("format-newer", "error", message, fix="Install a newer minian_vc."))
    except StorageError as error:
        found.append(unreadable(error))
    except DamagedError as error:
        found.append(_log_damage(folder, _naming(log.path(len(digests) + 1), error.message)))
    else:
        found += guarded(lambda: _gap(folder, log.path(len(digests) + 1)))
    return Recorded(tuple(digests), datasets, whole=not found), found


def _naming(path: Path, message: str) -> str:
    return message if str(path) in message else f"{path}: {message}"


def _gap(folder: Path, following: Path) -> Iterator[Finding]:
    """Yield the end of the log if there are operations beyond it."""
    if not following.parent.is_dir():
        return
    last = max((path.name for path in following.parent.iterdir() if path.name.isdigit()), default="")
    if last > following.name:
        yield _log_damage(folder, f"The operation {following} is missing.")


def _log_damage(folder: Path, message: str) -> Finding:
    return Finding("operations-damaged", "error", message, fix=run_in(folder.parent, "repair"))


def compare(catalog: Recorded, log: Recorded, root: Path) -> Iterator[Finding]:
    """Yield how the catalog differs from the operation log, whose fold it should be. Pure."""
    known, logged = catalog.digests, log.digests
    both = min(len(known), len(logged))
    if known[:both] != logged[:both]:
        message = f"The catalog and the operation log in {root} tell different histories."
        yield Finding("catalog-differs", "error", message, fix=run_in(root, "verify"))
    elif len(known) > len(logged):
        message = f"The operation log in {root} ends at {len(logged)}, but the catalog knows {len(known)} operations."
        yield Finding("catalog-ahead", "error", message, fix=run_in(root, "repair"))
    elif len(known) < len(logged):
        message = f"The catalog in {root} knows {len(known)} of {len(logged)} operations; the next command catches up."
        yield Finding("catalog-behind", "warning", message, fix=open_it(root))


# -- the catalog ------------------------------------------------------------------------------


def read_catalog(path: Path) -> tuple[Recorded | None, list[Finding]]:
    """Check a catalog and read it; None if it cannot be used."""
    problem = guarded(lambda: _header(path))
    if problem:
        return None, problem
    try:
        with _opened(path) as connection:
            found = list(_whose(connection, path)) or list(_damage(connection, path))
            if found:
                return None, found
            return _recorded(connection), list(_age(connection, path))
    except sqlite3.DatabaseError as error:
        return None, [_explained(error, path)]


def _header(path: Path) -> Iterator[Finding]:
    """Look at a database's first bytes: SQLite itself would write files beside one in WAL mode."""
    if not path.exists():
        yield _missing(path, "is missing")
        return
    with path.open("rb") as file:
        head = file.read(HEADER)
    if not head:
        yield _missing(path, "is empty")
    elif len(head) < HEADER or not head.startswith(MAGIC):
        yield _damaged(path, "it is no SQLite database")
    elif head[19] == WAL:
        message = f"The catalog {path} is in WAL mode, which another program set and no network drive can do."
        yield Finding("catalog-wal", "warning", message, fix=open_it(path.parents[1]))


def _missing(path: Path, what: str) -> Finding:
    message = f"The catalog {path} {what}; the next command makes it anew from the operation log."
    return Finding("catalog-missing", "warning", message, fix=open_it(path.parents[1]))


def _damaged(path: Path, what: str) -> Finding:
    message = f"The catalog {path} is damaged: {what}."
    return Finding("catalog-damaged", "error", message, fix=run_in(path.parents[1], "rebuild"))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database so that nothing is written, not even what a dead writer left to roll back."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=WAIT)) as connection:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("BEGIN")
        yield connection


def _explained(error: sqlite3.DatabaseError, path: Path) -> Finding:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        message = f"Another process is writing to the catalog {path}, so it was not looked into."
        return Finding("catalog-busy", "warning", message, fix="minian-vc doctor")
    if path.with_name(f"{path.name}-journal").exists():
        message = f"A process was stopped while it wrote to the catalog {path}; the next command takes that back."
        return Finding("catalog-interrupted", "warning", message, fix=open_it(path.parents[1]))
    return _damaged(path, str(error))


def _whose(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    """Yield why a database is no catalog of ours, or none that this program knows."""
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    kinds: dict[str, set[str]] = {"table": set(), "trigger": set(), "view": set()}
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master"):
        kinds.setdefault(str(kind), set()).add(str(name))
    foreign = sorted(kinds["trigger"] | kinds["view"])
    if not kinds["table"]:
        yield _missing(path, "has no tables")
    elif owner != APPLICATION_ID or "alembic_version" not in kinds["table"] or foreign:
        what = f"has the triggers or views {', '.join(foreign)}" if foreign else "is another program's database"
        message = f"The catalog {path} {what}; every command refuses it."
        yield Finding("catalog-foreign", "error", message, fix=run_in(path.parents[1], "rebuild"))
    elif not _known(revision := _revision(connection)):
        message = f"The catalog {path} has schema {revision}, which is newer than this minian_vc knows ({HEAD})."
        yield Finding("catalog-newer", "error", message, fix="Install a newer minian_vc.")


def _age(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    if (revision := _revision(connection)) != HEAD:
        message = f"The catalog {path} has schema {revision}; the next command brings it to {HEAD}."
        yield Finding("catalog-older", "info", message, fix=open_it(path.parents[1]))


def _revision(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else "none"


def _known(revision: str) -> bool:
    return revision.isalnum() and is_known(revision)


def _damage(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    (first,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if first != "ok":
        yield _damaged(path, str(first).splitlines()[-1].rstrip("."))


def _recorded(connection: sqlite3.Connection) -> Recorded:
    digests = tuple(str(digest) for (digest,) in connection.execute("SELECT digest FROM operation ORDER BY sequence"))
    datasets = {str(uid): str(path) for uid, path in connection.execute("SELECT uid, path FROM dataset")}
    return Recorded(digests, datasets)
