"""rebuild, and the copies of the catalog that are kept: the same rows again, in one step, and nothing lost."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from old_catalogs import take_back_to
from pruning import dump, messages, notebook, save

import minian_vc as mvc
from minian_vc import durable
from minian_vc.catalog import Catalog, backup, engine, migrate
from minian_vc.errors import BusyError, DamagedError, StorageError
from minian_vc.health import rebuild as rebuilding
from minian_vc.verbs.commit import Request


@pytest.fixture
def lab(root: Path) -> mvc.Dataset:
    """A history with a moved tag, a prune, an undo and a second dataset."""
    dataset = notebook(root)
    dataset.record(Request("again", "good", wait=0, move_tag=True))
    save(dataset.path, "C", 7, 7)
    dataset.record(Request("moved", "good", wait=0, move_tag=True))
    dataset.prune(automatic=True, dry_run=False)
    dataset.undo()
    save(root / "n", "A", 1)
    other = mvc.open(root / "n")
    other.record(Request("one", "same", wait=0))
    other.tag("another")
    save(root / "n", "A", 2)
    other.record(Request("taken back", wait=0))
    other.undo()
    return dataset


@contextmanager
def held(catalog: Path, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """A lock that another connection holds on a database."""
    with closing(sqlite3.connect(catalog, isolation_level=None)) as connection:
        connection.execute(begin)
        yield connection
        connection.execute("ROLLBACK")


# -- rebuild ----------------------------------------------------------------------------------


def test_a_catalog_made_anew_is_the_one_that_was_lost(lab: mvc.Dataset, root: Path) -> None:
    """Row for row, whether the old one is whole, emptied or gone; staging is left empty."""
    before = dump(root)
    catalog = root / ".minian_vc/catalog.sqlite"
    for lose in (lambda: None, catalog.unlink, lambda: catalog.write_bytes(b"")):
        lose()
        done = mvc.rebuild(root)
        assert dump(root) == before
        assert (done.catalog, done.operations) == (catalog, len(list((root / ".minian_vc/operations").iterdir())))
        assert not [path for path in (root / ".minian_vc/staging").iterdir() if "rebuild" in path.name]
    assert messages(mvc.open(lab.path))


def test_the_old_catalog_is_kept_as_a_copy_and_only_the_newest_few(lab: mvc.Dataset, root: Path) -> None:
    """The copy holds what the old one held, even what was wrong."""
    with closing(sqlite3.connect(root / ".minian_vc/catalog.sqlite")) as connection, connection:
        connection.execute("UPDATE tag SET name = 'wrong' WHERE name = 'same'")
    wrong = dump(root)
    kept = mvc.rebuild(root).kept
    with closing(sqlite3.connect(kept)) as connection:
        assert list(connection.iterdump()) == wrong
    later = [mvc.rebuild(root).kept for _ in range(backup.KEPT)]
    assert sorted((root / ".minian_vc/backups").iterdir()) == sorted(later)


def test_others_see_the_old_catalog_or_the_new_one(lab: mvc.Dataset, root: Path) -> None:
    """A connection that was open before goes on with the same file; what it recorded meanwhile is there."""
    catalog = root / ".minian_vc/catalog.sqlite"
    inode = catalog.stat().st_ino
    with closing(sqlite3.connect(catalog)) as connection:
        before = connection.execute("SELECT count(*) FROM operation").fetchone()
        mvc.rebuild(root)
        assert connection.execute("SELECT count(*) FROM operation").fetchone() == before
    assert catalog.stat().st_ino == inode


def test_a_commit_while_the_catalog_is_made_anew_is_not_lost(
    lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is acknowledged after the new catalog was made and before it is put in place."""
    real = rebuilding._put_in_place
    save(lab.path, "C", 8, 8)

    def commit_first(*arguments: object) -> object:
        lab.record(Request("meanwhile", "meanwhile", wait=0))
        return real(*arguments)

    monkeypatch.setattr(rebuilding, "_put_in_place", commit_first)
    mvc.rebuild(root)
    assert mvc.open(lab.path).latest.tags == ("meanwhile",)
    assert mvc.verify(root).damage == ()


@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_locked_catalog_is_busy_and_stays_as_it_is(
    lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch, begin: str
) -> None:
    """It is waited for no longer than for any writer."""
    for module in (engine, rebuilding):
        monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr("minian_vc.health.catalog.BUSY_SECONDS", 0.05)
    before = dump(root)
    with held(root / ".minian_vc/catalog.sqlite", begin), pytest.raises(BusyError):
        mvc.rebuild(root)
    assert dump(root) == before


def test_a_log_that_lost_its_end_is_not_made_a_catalog_of(lab: mvc.Dataset, root: Path) -> None:
    """The catalog knows what is lost: it stays, and repair brings the operation back."""
    before = dump(root)
    last = max((root / ".minian_vc/operations").iterdir())
    content = last.read_bytes()
    last.unlink()
    with pytest.raises(DamagedError, match="repair"):
        mvc.rebuild(root)
    assert dump(root) == before
    assert mvc.repair(root, dry_run=False).whole
    assert last.read_bytes() == content


def test_a_damaged_document_leaves_the_catalog(lab: mvc.Dataset, root: Path) -> None:
    """Nothing is put in place that is not whole."""
    before = dump(root)
    for path in (root / ".minian_vc/objects/checkpoints").rglob("??????*"):
        path.write_bytes(b"")
    with pytest.raises(DamagedError):
        mvc.rebuild(root)
    assert dump(root) == before


def test_an_open_of_a_damaged_repository_says_what_to_do(lab: mvc.Dataset, root: Path) -> None:
    """The error names the command that helps."""
    (root / ".minian_vc/catalog.sqlite").write_bytes(b"something else" * 1000)
    with pytest.raises(DamagedError, match="minian-vc rebuild"):
        mvc.open(lab.path)
    kept = mvc.rebuild(root).kept
    assert kept.read_bytes() == b"something else" * 1000
    assert kept.is_relative_to(root / ".minian_vc/quarantine")
    assert messages(mvc.open(lab.path))


def test_a_journal_beside_a_lost_catalog_is_not_applied_to_the_new_one(lab: mvc.Dataset, root: Path) -> None:
    """Whether SQLite takes it away or it is moved with the old one."""
    catalog = root / ".minian_vc/catalog.sqlite"
    before = dump(root)
    catalog.write_bytes(b"something else" * 1000)
    Path(f"{catalog}-journal").write_bytes(b"old journal")
    mvc.rebuild(root)
    assert not Path(f"{catalog}-journal").exists()
    assert dump(root) == before


# -- copies before migrations -----------------------------------------------------------------


def test_a_copy_is_kept_before_a_migration(lab: mvc.Dataset, root: Path) -> None:
    """As it was before, under the name of its schema; a catalog that is up to date, or new, is not copied."""
    catalog = root / ".minian_vc/catalog.sqlite"
    assert not (root / ".minian_vc/backups").exists()
    take_back_to(catalog, "0002")
    old = dump(root)
    mvc.Repository.open(root)
    (kept,) = (root / ".minian_vc/backups").iterdir()
    assert kept.name.startswith("catalog-0002-")
    with closing(sqlite3.connect(kept)) as connection:
        assert list(connection.iterdump()) == old
    mvc.Repository.open(root)
    assert list((root / ".minian_vc/backups").iterdir()) == [kept]


def test_a_catalog_that_alembic_made_at_0001_is_copied_and_migrated(tmp_path: Path) -> None:
    """One that really is old."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    path = tmp_path / "catalog.sqlite"
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_folder()))
    with create_engine(f"sqlite:///{path}", poolclass=NullPool).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(f"PRAGMA application_id = {engine.APPLICATION_ID}")
    Catalog(path).prepare()
    (kept,) = (tmp_path / "backups").iterdir()
    found = []
    for each in (kept, path):
        with closing(sqlite3.connect(each)) as connection:
            found += connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert found == ["0001", engine.HEAD]


@pytest.mark.parametrize("fault", ["full disk", "cannot be read", "no folder"])
def test_a_migration_without_a_copy_is_refused(
    lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Whatever keeps the copy from being made: the catalog is as it was, and the next open tries again."""
    catalog = root / ".minian_vc/catalog.sqlite"
    take_back_to(catalog, "0002")
    old = dump(root)
    with monkeypatch.context() as patch:
        if fault == "full disk":
            patch.setattr(durable, "flush", raising(OSError(28, "No space left on device")))
        elif fault == "cannot be read":
            patch.setattr(backup, "copy_database", raising(sqlite3.OperationalError("disk I/O error")))
        else:
            (root / ".minian_vc/backups").write_bytes(b"")
        with pytest.raises(StorageError, match="copy of the catalog"):
            mvc.Repository.open(root)
    assert dump(root) == old
    assert [path.name for path in (root / ".minian_vc/staging").iterdir()] == []
    shutil.rmtree(root / ".minian_vc/backups", ignore_errors=True)
    (root / ".minian_vc/backups").unlink(missing_ok=True)
    mvc.Repository.open(root)
    assert dump(root) != old


def raising(error: Exception) -> object:
    """A function that fails."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_copy_is_kept_while_the_writer_holds_its_lock(lab: mvc.Dataset, root: Path) -> None:
    """The migration's own transaction does not keep the copy from being read."""
    catalog = root / ".minian_vc/catalog.sqlite"
    with held(catalog):
        kept = backup.keep_copy(catalog, "0003", 0.0)
    with closing(sqlite3.connect(kept)) as connection:
        assert list(connection.iterdump()) == dump(root)
