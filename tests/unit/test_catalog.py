"""The catalog: its schema, its transactions, its indexes, and that it is the fold of the operation log."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import STAGES
from handmade import make_old, write_array, write_file, write_units
from sqlalchemy import create_engine, event, func, select
from sqlalchemy.pool import NullPool

import minian_vc as mvc
from minian_vc.catalog import Catalog, engine, migrate, queries, schema
from minian_vc.errors import BusyError, DamagedError, EnvironmentUnfitError, MinianVCError, StorageError
from minian_vc.model import Checkpoint, digest_of
from minian_vc.objects import store_object
from minian_vc.operations import OperationLog
from minian_vc.verbs.commit import Request


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """An empty catalog, up to date."""
    made = Catalog(tmp_path / "catalog.sqlite")
    made.prepare()
    return made


@pytest.fixture
def lab(root: Path) -> Path:
    """Two sessions of one animal with some history; the units 0, 1 and 2 are in both."""
    for session, units in (("s1", (0, 1, 2)), ("s2", (0, 1, 2, "x"))):
        coords = {"animal": "m1", "session": session}
        labels = np.array(units, dtype=object if "x" in units else int).astype("U2" if "x" in units else "i8")
        for name in ("A", "C"):
            write_units(root / session / f"{name}.zarr", labels, np.ones((len(units), 4)), coords=coords)
        dataset = mvc.open(root / session)
        dataset.record(Request("first", tag="first", wait=0))
        write_array(root / session / "b.zarr", np.ones(4), ("frame",), coords=coords)
        dataset.record(Request("second", wait=0))
    return root


def dump(path: Path) -> list[str]:
    """Everything in a catalog, as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def rows(repository: mvc.Repository, table: object) -> int:
    """Count the rows of a table."""
    with repository.catalog.read() as connection:
        return connection.scalar(select(func.count()).select_from(table))


# -- the schema -------------------------------------------------------------------------------


def sqlite_schema(path: Path) -> dict[str, str]:
    """Every table and index with the SQL it was made with, blanks apart."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {name: sorted(sql.replace(",", " ").split()) for name, sql in found if name != "alembic_version"}


def test_models_and_migrations_make_the_same_catalog(catalog: Catalog, tmp_path: Path) -> None:
    """Alembic finds no difference, and every table and index is made by the same SQL."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with catalog.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []
    other = create_engine(f"sqlite:///{tmp_path / 'models.sqlite'}", poolclass=NullPool)
    schema.metadata.create_all(other)
    assert sqlite_schema(catalog.path) == sqlite_schema(tmp_path / "models.sqlite")


def test_the_head_is_the_newest_migration() -> None:
    """The program knows the last revision of the script folder, and every revision there by name."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrate.migrations_folder()))
    assert scripts.get_heads() == [migrate.HEAD]
    assert all(migrate.is_known(script.revision) for script in scripts.walk_revisions())
    assert not migrate.is_known("9999")


def test_a_prepared_catalog_is_not_touched_again(catalog: Catalog) -> None:
    """Preparing twice changes nothing on the disk, and Alembic is not asked."""
    before = catalog.path.read_bytes()
    Catalog(catalog.path).prepare()
    assert catalog.path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_catalog_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a migration is rolled back whole; the next open makes the catalog."""
    path = tmp_path / "catalog.sqlite"

    def stop_after(connection: object) -> None:
        migrate.upgrade(connection)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "upgrade", stop_after)
        with pytest.raises(KeyboardInterrupt):
            Catalog(path).prepare()
    assert sqlite_schema(path) == {}
    Catalog(path).prepare()
    assert len(sqlite_schema(path)) > 10


# -- whose catalog it is ----------------------------------------------------------------------


def test_a_catalog_of_a_newer_program_is_refused_and_not_touched(lab: Path) -> None:
    """An unknown revision asks for a newer minian_vc; not one byte changes."""
    path = lab / ".minian_vc/catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    before = path.read_bytes()
    with pytest.raises(EnvironmentUnfitError, match="0999") as refused:
        mvc.open(lab / "s1")
    assert "newer minian_vc" in refused.value.hint
    assert path.read_bytes() == before
    assert not path.with_name("catalog.sqlite-journal").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER t AFTER INSERT ON tag BEGIN DELETE FROM checkpoint; END",
        "CREATE VIEW v AS SELECT * FROM tag",
        "PRAGMA application_id = 7",
        "DROP TABLE alembic_version",
    ],
)
def test_a_catalog_that_others_changed_is_refused_and_not_touched(lab: Path, sql: str) -> None:
    """Triggers, views, another owner and a missing revision are none of ours."""
    path = lab / ".minian_vc/catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)
    before = path.read_bytes()
    with pytest.raises(DamagedError, match="not one that minian_vc made"):
        mvc.open(lab / "s1")
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_not_touched(root: Path) -> None:
    """A SQLite file of somebody else is not migrated."""
    path = root / ".minian_vc/catalog.sqlite"
    path.unlink()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()
    with pytest.raises(DamagedError):
        mvc.Repository.open(root)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_what_is_no_database_is_refused(root: Path, content: bytes) -> None:
    """Garbage is one clear error, and stays as it is for whoever wants to look at it."""
    path = root / ".minian_vc/catalog.sqlite"
    path.write_bytes(content)
    with pytest.raises((DamagedError, StorageError)):
        mvc.Repository.open(root)
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b", "a b", "ä&=;", "100%"])
def test_the_catalog_lies_in_its_repository_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    """Letters that mean something in a URL mean nothing in a path."""
    root = tmp_path / name
    root.mkdir()
    mvc.Repository.create(root)
    assert (root / ".minian_vc/catalog.sqlite").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


# -- transactions -----------------------------------------------------------------------------


def test_the_database_is_set_up_to_lose_nothing(catalog: Catalog) -> None:
    """Rollback journal, every flush, foreign keys, no trust in the schema; the file says whose it is."""
    with catalog.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "application_id")
        }
    assert found == {
        "journal_mode": "delete",
        "synchronous": 3,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "application_id": engine.APPLICATION_ID,
    }


def test_writers_take_the_lock_at_once_and_readers_none(catalog: Catalog) -> None:
    """A write transaction begins with BEGIN IMMEDIATE, before anything is read."""
    said: list[str] = []

    def hear(connection: object, cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    event.listen(catalog._engine, "before_cursor_execute", hear)
    with (
        catalog.write(),
        closing(sqlite3.connect(catalog.path, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")
    with catalog.read(), closing(sqlite3.connect(catalog.path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    assert [text for text in said if text.startswith("BEGIN")] == ["BEGIN IMMEDIATE", "BEGIN"]


def test_a_second_writer_is_told_that_it_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the wait is over, the error says that another process is writing."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.0)
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.prepare()
    with catalog.write(), pytest.raises(BusyError, match=f"Process {os.getpid()} "), catalog.write():
        pass


def test_a_transaction_that_fails_leaves_nothing(catalog: Catalog) -> None:
    """What was written before the error is taken back."""

    def write_and_fail() -> None:
        with catalog.write() as connection:
            connection.execute(schema.dataset.insert().values(uid="u", path="p"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    with catalog.read() as connection:
        assert queries.datasets(connection) == []


# -- rows -------------------------------------------------------------------------------------


def test_unit_sets_sessions_coordinates_and_versions_are_shared_rows(lab: Path) -> None:
    """Eight recorded arrays of two sessions make two unit sets, two sessions and six array versions."""
    repository = mvc.Repository.open(lab)
    assert rows(repository, schema.checkpoint_array) == 2 * (2 + 3)
    assert rows(repository, schema.array_version) == 2 * 3
    assert rows(repository, schema.unit_set) == 2
    assert rows(repository, schema.unit_set_member) == 3 + 4
    assert rows(repository, schema.session) == 2
    assert rows(repository, schema.coordinate) == 2 + 1 + 2  # two unit_id, one animal, two session


def test_units_and_sessions_are_found_over_all_history(lab: Path) -> None:
    """By unit, by session, by name, alone and together; text ids are not numbers."""
    repository = mvc.Repository.open(lab)
    assert len(repository.arrays(unit_id=2)) == 4
    assert len(repository.arrays(unit_id="2")) == 4
    assert set(repository.arrays(unit_id="x")["dataset"]) == {"s2"}
    assert len(repository.arrays(unit_id=99)) == 0
    assert len(repository.arrays(session="s1")) == 5
    assert len(repository.arrays(animal="m1", name="b")) == 2
    assert len(repository.arrays(session="s1", unit_id=0, name="A")) == 2
    assert len(repository.arrays(session="'; DROP TABLE tag; --")) == 0


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({"unit_id": 1}, "ix_unit_set_member_unit_id"),
        ({"session_name": "s1"}, "ix_session_session"),
        ({"animal": "m1"}, "ix_session_animal"),
        ({"name": "A"}, "ix_array_version_name"),
    ],
)
def test_questions_about_units_and_sessions_are_answered_by_an_index(lab: Path, asked: dict, index: str) -> None:
    """SQLite's own plan for the query that is really sent names the index and scans no table."""
    repository = mvc.Repository.open(lab)
    sent: list[tuple[str, object]] = []

    def hear(connection: object, cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT"):
            sent.append((statement, parameters))

    event.listen(repository.catalog._engine, "before_cursor_execute", hear)
    with repository.catalog.read() as connection:
        assert queries.find_arrays(connection, **asked)
    (statement, parameters), *more = sent
    assert more == []
    with closing(sqlite3.connect(repository.catalog.path)) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert any(index in line for line in plan), plan
    assert not [line for line in plan if line.startswith("SCAN")], plan


# -- the fold of the operation log ------------------------------------------------------------


def rebuilt(root: Path) -> list[str]:
    """Delete the catalog, open the repository, and return what is in the catalog then."""
    (root / ".minian_vc/catalog.sqlite").unlink()
    mvc.Repository.open(root)
    return dump(root / ".minian_vc/catalog.sqlite")


def test_a_lost_catalog_is_made_again_from_the_operations(history: mvc.Dataset) -> None:
    """After the real run, with more tags and a restore, every row comes back as it was."""
    root = history.repository.root
    history.tag("merged", STAGES[3])
    history.restore(f"@{STAGES[1]}")
    history.commit("again", tag="again")
    history.tag("and_again")
    before = dump(history.repository.catalog.path)
    assert len(before) > 200
    assert rebuilt(root) == before


def test_a_catalog_from_a_backup_catches_up(lab: Path) -> None:
    """What was recorded after the backup is applied when the repository is opened."""
    path = lab / ".minian_vc/catalog.sqlite"
    backup = path.read_bytes()
    write_units(lab / "s1/A.zarr", [0, 1], np.zeros((2, 4)))
    mvc.open(lab / "s1").record(Request("later", tag="later", wait=0))
    before = dump(path)
    path.write_bytes(backup)
    assert mvc.open(lab / "s1").show("later").message == "later"
    assert dump(path) == before


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture
def killed_after_publishing(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The process ends when the operation is durable and the catalog's transaction not yet committed."""
    real = OperationLog.publish

    def publish(self: OperationLog, operation: object) -> str:
        real(self, operation)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(OperationLog, "publish", publish)
        yield patch


def test_a_crash_between_operation_and_catalog_is_rolled_forward(
    lab: Path, killed_after_publishing: pytest.MonkeyPatch
) -> None:
    """The checkpoint and its tag are there at the next open; the one after follows it."""
    dataset = mvc.open(lab / "s1")
    latest = dataset.latest
    write_units(lab / "s1/A.zarr", [0, 1], np.zeros((2, 4)))
    with pytest.raises(Killed):
        dataset.record(Request("killed", tag="killed", wait=0))
    with dataset.repository.catalog.read() as connection:
        assert queries.by_tag(connection, dataset._row.uid, "killed") is None
    killed_after_publishing.undo()
    again = mvc.open(lab / "s1")
    assert again.show("killed").message == "killed"
    assert again.show("killed").parent == latest.id
    write_units(lab / "s1/A.zarr", [0], np.zeros((1, 4)))
    done = again.record(Request("next", wait=0))
    assert done.checkpoint.parent == again.show("killed").id
    assert rebuilt(lab) == dump(lab / ".minian_vc/catalog.sqlite")


def test_a_writer_that_is_already_open_rolls_forward_too(
    lab: Path, killed_after_publishing: pytest.MonkeyPatch
) -> None:
    """A running notebook sees the checkpoint of a process that died, when it writes."""
    dataset, other = mvc.open(lab / "s1"), mvc.open(lab / "s2")
    write_units(lab / "s1/A.zarr", [0, 1], np.zeros((2, 4)))
    with pytest.raises(Killed):
        dataset.record(Request("killed", tag="killed", wait=0))
    killed_after_publishing.undo()
    other.tag("t")
    assert dataset.show("killed").message == "killed"


@pytest.mark.parametrize(
    "document",
    [{"shape": [2**62, 8], "chunks": [2**60, 8]}, {"shape": [2**31] * 4, "chunks": [1] * 4}],
    ids=["nbytes", "chunks"],
)
def test_an_array_that_the_catalog_cannot_hold_does_not_break_the_repository(lab: Path, document: dict) -> None:
    """Absurd metadata is recorded or refused with one clear error; the repository opens and records as before."""
    more = {"zarr_format": 2, "dtype": "<f8", "fill_value": 0, "compressor": None, "filters": None, "order": "C"}
    write_file(lab / "s1/huge.zarr/.zgroup", b'{"zarr_format":2}')
    write_file(lab / "s1/huge.zarr/huge/.zarray", json.dumps({**document, **more}).encode())
    make_old(lab / "s1/huge.zarr")
    told: list[str] = []
    try:
        mvc.open(lab / "s1").record(Request("huge", wait=0))
    except MinianVCError as refused:
        told.append(refused.message)
    assert all("huge" in message for message in told)
    shutil.rmtree(lab / "s1/huge.zarr")
    write_units(lab / "s1/A.zarr", [0, 1], np.zeros((2, 4)))
    assert mvc.open(lab / "s1").record(Request("after", tag="after", wait=0)).created
    assert mvc.open(lab / "s1").show("after").array("huge") is None


def test_an_error_while_applying_leaves_no_operation(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the catalog refuses is not in the log either, or no later command could get past it."""
    dataset = mvc.open(lab / "s1")
    before = sorted((lab / ".minian_vc/operations").iterdir())
    write_units(lab / "s1/A.zarr", [0, 1], np.zeros((2, 4)))

    def refuse(*_: object) -> None:
        raise OverflowError("too large")

    with monkeypatch.context() as patch:
        patch.setattr("minian_vc.history.apply", refuse)
        with pytest.raises(Exception, match="too large"):
            dataset.record(Request("refused", wait=0))
    assert sorted((lab / ".minian_vc/operations").iterdir()) == before
    assert mvc.open(lab / "s1").record(Request("after", wait=0)).created


@pytest.mark.parametrize("folder", ["../../evil.zarr", "{root}/evil", "..", "a/b", "a\\b.zarr"])
def test_a_document_cannot_make_restore_write_outside_the_dataset(lab: Path, folder: str, tmp_path: Path) -> None:
    """An array folder in a checkpoint document is a name; a path is refused and nothing is written."""
    dataset = mvc.open(lab / "s1")
    latest = dataset.latest
    arrays = (replace(latest.arrays[0], folder=folder.format(root=lab)), *latest.arrays[1:])
    document = replace(latest, parent=latest.id, sequence=9, arrays=arrays).to_document()
    store_object(dataset.repository.objects, "checkpoints", document)
    bad = replace(latest, parent=latest.id, sequence=9, arrays=arrays, id=digest_of(document))
    with dataset.repository.history() as history:
        history.append("commit", "s1", bad, "bad")
    before = {str(path) for path in tmp_path.rglob("*") if ".minian_vc" not in path.parts}
    for spec, to in (("@bad", tmp_path / "out/deep"), ("@bad", None), (f"{latest.arrays[0].name}@bad", None)):
        with pytest.raises(MinianVCError):
            dataset.restore(spec, to=to)
        after = {str(path) for path in tmp_path.rglob("*") if ".minian_vc" not in path.parts}
        assert after - before <= {str(tmp_path / "out")}


def test_a_checkpoint_document_that_is_lost_stops_the_replay_with_its_name(lab: Path) -> None:
    """History is not made again without one of its checkpoints."""
    latest = mvc.open(lab / "s1").latest
    assert isinstance(latest, Checkpoint)
    mvc.Repository.open(lab).objects.path("checkpoints", latest.id).unlink()
    (lab / ".minian_vc/catalog.sqlite").unlink()
    with pytest.raises(DamagedError, match=latest.id.removeprefix("blake3:")[2:20]):
        mvc.Repository.open(lab)
