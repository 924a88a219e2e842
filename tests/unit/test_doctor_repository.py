"""doctor: each way in which a repository can be broken is described, nothing is changed, and fixes work."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import doctoring
import pytest
from doctoring import codes, fail, give_device, look, mend, the

import minian_vc as mvc
from minian_vc import durable
from minian_vc.doctor import examine, history

lab, surroundings, template = doctoring.lab, doctoring.surroundings, doctoring.template
pytestmark = pytest.mark.usefixtures("surroundings")


def config_missing(folder: Path) -> None:
    (folder / "config.json").unlink()


def config_torn(folder: Path) -> None:
    (folder / "config.json").write_bytes((folder / "config.json").read_bytes()[:20])


def config_deep(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


def config_of_a_newer_format(folder: Path) -> None:
    (folder / "config.json").write_text('{"format": 4}')
    (folder / "catalog.sqlite").unlink()  # nobody knows whether format 2 has one, or what it stages
    (folder / "staging/batch-1").write_bytes(b"x")
    os.utime(folder / "staging/batch-1", (1_000_000_000, 1_000_000_000))


def catalog_missing(folder: Path) -> None:
    (folder / "catalog.sqlite").unlink()


def catalog_empty(folder: Path) -> None:
    (folder / "catalog.sqlite").write_bytes(b"")


def catalog_without_tables(folder: Path) -> None:
    (folder / "catalog.sqlite").unlink()
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 1")


def catalog_of_text(folder: Path) -> None:
    (folder / "catalog.sqlite").write_text("not a database, but longer than the header of one " * 9)


def catalog_short(folder: Path) -> None:
    (folder / "catalog.sqlite").write_bytes((folder / "catalog.sqlite").read_bytes()[:50])


def catalog_cut(folder: Path) -> None:
    (folder / "catalog.sqlite").write_bytes((folder / "catalog.sqlite").read_bytes()[:8192])


def catalog_with_a_bad_page(folder: Path) -> None:
    """Damage a table that is not read when the catalog is compared with the log."""
    path = folder / "catalog.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'coordinate'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    content[size * (page - 1) : size * page] = b"\xff" * size
    path.write_bytes(content)


def run_sql(sql: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "catalog.sqlite")) as connection, connection:
            connection.execute(sql)

    return damage


def operation_missing(folder: Path) -> None:
    (folder / "operations/00000003").unlink()


def operations_missing_from_two_on(folder: Path) -> None:
    for number in (2, 3):
        (folder / f"operations/0000000{number}").unlink()


def operation_changed(folder: Path) -> None:
    path = folder / "operations/00000002"
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, "created_at": "1999"}))


def operation_torn(folder: Path) -> None:
    path = folder / "operations/00000004"
    path.write_bytes(path.read_bytes()[:30])


def operation_of_a_newer_version(folder: Path) -> None:
    path = folder / "operations/00000004"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "version": 9}))


def last_operation_lost(folder: Path) -> None:
    (folder / "operations/00000004").unlink()


def all_operations_lost(folder: Path) -> None:
    shutil.rmtree(folder / "operations")


def all_operations_and_catalog_lost(folder: Path) -> None:
    shutil.rmtree(folder / "operations")
    (folder / "catalog.sqlite").unlink()


def objects_lost(folder: Path) -> None:
    shutil.rmtree(folder / "objects")


def objects_and_operations_lost(folder: Path) -> None:
    shutil.rmtree(folder / "objects")
    shutil.rmtree(folder / "operations")


def a_dataset_gone(folder: Path) -> None:
    shutil.rmtree(folder.parent / "s2")


def all_of_it(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


BROKEN = {
    config_missing: {"config-missing": "error"},
    config_torn: {"config-damaged": "error"},
    config_deep: {"config-damaged": "error"},
    config_of_a_newer_format: {"format-newer": "error"},
    catalog_missing: {"catalog-missing": "warning"},
    catalog_empty: {"catalog-missing": "warning"},
    catalog_without_tables: {"catalog-missing": "warning"},
    catalog_of_text: {"catalog-damaged": "error"},
    catalog_short: {"catalog-damaged": "error"},
    catalog_cut: {"catalog-damaged": "error"},
    catalog_with_a_bad_page: {"catalog-damaged": "error"},
    run_sql("PRAGMA application_id = 1"): {"catalog-foreign": "error"},
    run_sql("DROP TABLE alembic_version"): {"catalog-foreign": "error"},
    run_sql("CREATE VIEW v AS SELECT 1"): {"catalog-foreign": "error"},
    run_sql("CREATE TRIGGER t AFTER INSERT ON tag BEGIN DELETE FROM tag; END"): {"catalog-foreign": "error"},
    run_sql("UPDATE alembic_version SET version_num = '9999'"): {"catalog-newer": "error"},
    run_sql("UPDATE alembic_version SET version_num = '/'"): {"catalog-newer": "error"},
    run_sql("DELETE FROM alembic_version"): {"catalog-newer": "error"},
    run_sql("DROP TABLE operation"): {"catalog-damaged": "error"},
    run_sql("PRAGMA journal_mode = WAL"): {"catalog-wal": "warning"},
    run_sql("DELETE FROM operation WHERE sequence = 4"): {"catalog-behind": "warning"},
    run_sql("UPDATE operation SET digest = 'x' WHERE sequence = 2"): {"catalog-differs": "error"},
    operation_missing: {"operations-damaged": "error"},
    operations_missing_from_two_on: {"operations-damaged": "error"},
    operation_changed: {"operations-damaged": "error"},
    operation_torn: {"operations-damaged": "error"},
    operation_of_a_newer_version: {"format-newer": "error"},
    last_operation_lost: {"catalog-ahead": "error"},
    all_operations_lost: {"catalog-ahead": "error"},
    all_operations_and_catalog_lost: {"catalog-missing": "warning", "operations-missing": "error"},
    objects_lost: {"objects-missing": "error"},
    objects_and_operations_lost: {"catalog-ahead": "error", "objects-missing": "error"},
    a_dataset_gone: {"dataset-missing": "warning"},
    all_of_it: {"config-missing": "error", "catalog-missing": "warning"},
}


@pytest.mark.parametrize(
    ("damage", "told"), BROKEN.items(), ids=[f"{each.__name__}-{i}" for i, each in enumerate(BROKEN)]
)
def test_a_broken_repository_is_described_and_not_changed(
    lab: Path, damage: Callable[[Path], None], told: dict[str, str]
) -> None:
    """Each damage is one finding that names where and what to do, and is no reason to stop looking."""
    damage(lab / ".minian_vc")
    diagnosis = look(lab)
    assert {each: the(diagnosis, each).severity for each in codes(diagnosis)} == told
    assert all(str(lab) in the(diagnosis, code).message + the(diagnosis, code).fix for code in told)
    assert sorted(codes(diagnosis)) == sorted(told)


@pytest.mark.parametrize(
    "damage",
    [
        catalog_missing,
        catalog_empty,
        catalog_without_tables,
        catalog_of_text,
        catalog_with_a_bad_page,
        run_sql("CREATE VIEW v AS SELECT 1"),
        run_sql("PRAGMA journal_mode = WAL"),
        a_dataset_gone,
    ],
)
def test_what_can_be_mended_is_mended_by_the_command_that_is_given(lab: Path, damage: Callable[[Path], None]) -> None:
    """The fix is run as it stands; after it there is nothing to mend, and the history is there."""
    damage(lab / ".minian_vc")
    (code,) = codes(look(lab))
    mend(the(look(lab), code), lab)
    assert codes(look(lab)) == []
    assert [entry.tags for entry in mvc.open(lab / "s1").history()] == [("second",), ()]


def test_a_writer_that_died_is_told_and_mended(lab: Path) -> None:
    """An operation that the catalog does not have is applied by the command that is given."""
    backup = (lab / ".minian_vc/catalog.sqlite").read_bytes()
    mvc.open(lab / "s1").tag("later")
    (lab / ".minian_vc/catalog.sqlite").write_bytes(backup)
    finding = the(look(lab), "catalog-behind")
    assert "4 of 5" in finding.message
    mend(finding, lab)
    assert codes(look(lab)) == []


def test_a_transaction_that_was_killed_is_told_and_mended(lab: Path) -> None:
    """What is left to roll back stays as it is until another command does it."""
    path = lab / ".minian_vc/catalog.sqlite"
    script = """if True:
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE checkpoint SET message = hex(zeroblob(9999))")
        os._exit(0)"""
    subprocess.run([sys.executable, "-c", script, path], check=True)
    assert path.with_name("catalog.sqlite-journal").exists()
    finding = the(look(lab), "catalog-interrupted")
    mend(finding, lab)
    assert codes(look(lab)) == []


def test_a_catalog_that_is_being_written_is_not_looked_into(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and the rest is told."""
    monkeypatch.setattr(history, "WAIT", 0.0)
    with closing(sqlite3.connect(lab / ".minian_vc/catalog.sqlite", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert codes(look(lab)) == ["catalog-busy"]


def test_an_older_catalog_is_no_fault(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next command brings it up to date."""
    monkeypatch.setattr(history, "HEAD", "9999")
    diagnosis = look(lab)
    assert codes(diagnosis) == []
    assert the(diagnosis, "catalog-older").severity == "info"


def test_parts_that_one_may_not_write_are_named(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a repository that a colleague made; where nothing can be written at all that is said once."""
    theirs = lab / ".minian_vc/objects"
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == theirs and mode == os.W_OK))
    finding = the(look(lab), "not-writable")
    assert (finding.severity, str(theirs) in finding.message) == ("warning", True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(Path, "write_bytes", fail(errno.EACCES))
    assert "staging" in the(look(lab), "not-writable").message


@pytest.mark.parametrize("part", ["config.json", "catalog.sqlite", "operations", "staging", "displaced", "00000002"])
def test_what_may_not_be_read_is_told_and_the_rest_as_well(
    lab: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """No permission for one part: one finding that names it, and what else there is to tell."""
    (lab / ".minian_vc/displaced/x").mkdir(parents=True)
    shutil.rmtree(lab / "s2")
    with monkeypatch.context() as patch:
        for name in ("open", "read_bytes", "iterdir"):
            patch.setattr(Path, name, refusing(getattr(Path, name), part))
        patch.setattr(durable, "open_without_links", refusing(durable.open_without_links, part))
        diagnosis = examine(lab)
    assert part in the(diagnosis, "not-readable").message
    assert sorted(codes(diagnosis)) == sorted(["dataset-missing", "not-readable"])


def refusing(real: Callable, part: str) -> Callable:
    def method(self: Path, *given: object, **options: object) -> object:
        if self.name == part:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, *given, **options)

    return method


def test_a_repository_that_is_closed_to_us_is_told(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even a stat is allowed: findings that name the parts, and the dataset is looked into."""
    (lab / "s1/figures").mkdir()
    inside = lab / ".minian_vc"
    with monkeypatch.context() as patch:
        for name in ("stat", "open", "read_bytes", "iterdir"):
            real = getattr(Path, name)
            patch.setattr(Path, name, lambda self, *a, _real=real, **o: _refuse(self, inside) or _real(self, *a, **o))
        diagnosis = examine(lab / "s1")
    assert set(codes(diagnosis)) == {"not-readable", "foreign-folder"}
    told = " ".join(each.message for each in diagnosis.all_findings)
    for part in ("config.json", "catalog.sqlite", "operations", "staging", "displaced"):
        assert str(inside / part) in told


def _refuse(path: Path, inside: Path) -> None:
    if inside in path.parents:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_a_dataset_on_another_drive_is_told(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be recorded, but not restored in place."""
    give_device(monkeypatch, lab / "s2", 12345)
    finding = the(look(lab), "dataset-on-other-drive")
    assert (finding.severity, "s2" in finding.message) == ("warning", True)


def test_every_dataset_is_known_from_either_record(lab: Path) -> None:
    """A dataset that is gone is told without the catalog, and with a log that lost its end."""
    shutil.rmtree(lab / "s2")
    backup = (lab / ".minian_vc/catalog.sqlite").read_bytes()
    (lab / ".minian_vc/catalog.sqlite").unlink()
    assert "dataset-missing" in codes(look(lab))
    (lab / ".minian_vc/catalog.sqlite").write_bytes(backup)
    shutil.rmtree(lab / ".minian_vc/operations")
    assert "dataset-missing" in codes(look(lab))
