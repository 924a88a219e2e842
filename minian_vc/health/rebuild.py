"""rebuild: make the catalog anew, out of the operation log and the objects alone."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from minian_vc import durable
from minian_vc.catalog import Catalog, schema
from minian_vc.catalog.backup import keep_copy, transfer
from minian_vc.catalog.engine import BUSY_SECONDS
from minian_vc.errors import BusyError, DamagedError, StorageError
from minian_vc.health.catalog import copied, made_anew
from minian_vc.health.log import read_log
from minian_vc.health.verify import repository_at
from minian_vc.repository import Repository
from minian_vc.text import number, printable

__all__ = ["Rebuilt", "rebuild", "rebuild_repository"]

DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
BESIDE = ("-journal", "-wal", "-shm")  # what SQLite keeps beside a database


@dataclass(frozen=True, slots=True, repr=False)
class Rebuilt:
    """What :func:`minian_vc.rebuild` made.

    Attributes
    ----------
    catalog : Path
        The catalog.
    operations, checkpoints : int
        How many it has; dropped checkpoints are counted too.
    kept : Path or None
        Where the old one is now: a copy of it, or itself if it was too damaged to be copied; None if there was none.
    """

    catalog: Path
    operations: int
    checkpoints: int
    kept: Path | None

    def __repr__(self) -> str:
        kept = f" The old one is kept: {self.kept}" if self.kept else ""
        what = f"{number(self.operations, 'operation')}, {number(self.checkpoints, 'checkpoint')}"
        return printable(f"The catalog {self.catalog} was made anew ({what}).{kept}")

    def to_dict(self) -> dict[str, Any]:
        """Return what ``minian-vc rebuild --json`` prints."""
        return {**asdict(self), "catalog": str(self.catalog), "kept": str(self.kept) if self.kept else None}


def rebuild(path: str | os.PathLike[str] = ".") -> Rebuilt:
    """Make a repository's catalog anew, out of the operation log and the objects alone.

    It is what it was: tags, times, order and all. Others can use the repository meanwhile, and see the old catalog or
    the new one.

    Parameters
    ----------
    path : path
        A dataset, or any folder in the repository's.

    Returns
    -------
    Rebuilt
        What was made, and where the old catalog is kept.

    Raises
    ------
    NotFoundError
        There is no repository at or above the path.
    DamagedError
        The operation log or a checkpoint's document is damaged; the catalog is as it was.
    EnvironmentUnfitError
        A newer minian_vc made the repository.
    BusyError
        Another process kept the catalog locked; it is as it was.
    StorageError
        The disk is full or read-only; the catalog is as it was.
    """
    return rebuild_repository(repository_at(path))


def rebuild_repository(repository: Repository) -> Rebuilt:
    """Make a repository's catalog anew; see :func:`rebuild`."""
    _refuse_damaged_log(repository)
    live = repository.catalog.path
    folder = repository.staging / f"rebuild-{os.urandom(8).hex()}"
    try:
        with durable.storage_errors("make the catalog anew", folder):
            folder.mkdir(parents=True)
            fresh = made_anew(repository, folder / "catalog.sqlite")
            kept = _keep(live)
            kept = _put_in_place(fresh.path, repository) or kept
    finally:
        durable.discard(folder)
    with repository.history():
        pass  # what others recorded meanwhile
    return Rebuilt(
        live, _count(repository.catalog, schema.operation), _count(repository.catalog, schema.checkpoint), kept
    )


def _refuse_damaged_log(repository: Repository) -> None:
    """Refuse to make a catalog that knows less than the one that is there."""
    _ = repository.config  # refuses a newer format
    with copied(repository, quick=True) as copy:
        log = read_log(repository.operations, copy.operations())
    if log.damage:
        knows = "The catalog is as it was, and may know what is lost there. Heal that first: minian-vc repair"
        lost = f"Nothing was changed. Bring that back from a backup, or all of {repository.operations.folder}."
        hint = knows if repository.catalog.path.exists() else lost
        raise DamagedError(f"The operation log is damaged: {log.damage[0]}.", hint)
    repository.refuse_lost_log(log.named, log.last)


def _keep(live: Path) -> Path | None:
    """Keep a copy of the old catalog, if it can be read."""
    if not live.is_file():
        return None
    try:
        return keep_copy(live, "rebuild", BUSY_SECONDS)
    except BusyError:
        raise
    except StorageError as error:
        if isinstance(error.__cause__, sqlite3.Error):
            return None
        raise


def _put_in_place(fresh: Path, repository: Repository) -> Path | None:
    """Make the live catalog what the fresh one is; return where the old one lies if that had to be moved away.

    Never by renaming: who has the old one open would apply the journal of one file to the other.
    """
    live = repository.catalog.path
    if live.is_file() and not live.is_symlink() and _transferred(fresh, live):
        return None
    aside = _set_aside(live, repository.objects.quarantine) if os.path.lexists(live) else None
    repository.catalog.prepare()
    if not _transferred(fresh, live):
        raise StorageError(f"The catalog {live} could not be written.", "The next command makes it anew.")
    return aside


def _transferred(fresh: Path, live: Path) -> bool:
    """Make the live catalog what the fresh one is; tell whether it was whole enough for that."""
    try:
        transfer(fresh, live, BUSY_SECONDS)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in DISK:
            raise StorageError(f"The catalog {live} could not be written: {error}.", "It is as it was.") from error
        return False  # a damaged header may even say that it must not be written to
    return True


def _set_aside(live: Path, quarantine: Path) -> Path:
    """Move a catalog that SQLite cannot write to into the quarantine, its journal first."""
    folder = quarantine / "catalog" / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.urandom(4).hex()}"
    folder.mkdir(parents=True)
    for suffix in (*BESIDE, ""):
        beside = live.with_name(live.name + suffix)
        if os.path.lexists(beside):
            beside.rename(folder / beside.name)
    durable.flush((), (folder, folder.parent, quarantine, live.parent))
    return folder / live.name


def _count(catalog: Catalog, table: object) -> int:
    with catalog.read() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0  # type: ignore[arg-type]
