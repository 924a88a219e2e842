"""Where SQLite's locks do nothing, as on some network drives: nothing acknowledged is lost, and it is noticed."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import lying_locks
import pytest
from zarr_trees import write_units

import minian_vc as mvc
from minian_vc import durable, operations
from minian_vc.doctor import locks, probes
from minian_vc.errors import BusyError, DamagedError
from minian_vc.model import Operation, digest_of
from minian_vc.objects import store_object
from minian_vc.operations import OperationLog
from minian_vc.verbs.commit import Request

NAMES = "ACSbfW"
ROUNDS = int(os.environ.get("MINIAN_VC_ROUNDS", "3"))


@pytest.fixture
def lab(root: Path) -> Path:
    """A dataset with an array per writer, committed once."""
    for name in NAMES:
        write_units(root / "m" / f"{name}.zarr", (1,), (1,))
    mvc.open(root / "m").record(Request("begin", wait=0))
    return root


@pytest.fixture
def writers(lab: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes for which no lock holds, each with an array of its own."""
    command = [sys.executable, lying_locks.__file__, str(lab / "m")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    found = [subprocess.Popen([*command, name], **pipes) for name in NAMES]
    yield found
    for process in found:
        process.communicate()
        assert process.returncode == 0


def drop_catalog(lab: Path) -> None:
    """Lose the catalog, with what writers left to roll back."""
    for path in (lab / ".minian_vc").glob("catalog.sqlite*"):
        path.unlink()


def test_nothing_acknowledged_is_lost_where_no_lock_holds(lab: Path, writers: list[subprocess.Popen[str]]) -> None:
    """The catalog loses rows and breaks; the log has every commit that was acknowledged, and makes it anew in one line.

    Each round begins with a whole catalog. How often what the writers leave is refused, or is wrong without a word, as
    no look at a few numbers can tell, is printed.
    """
    acknowledged: list[str] = []
    failed = told = unseen = 0
    for step in range(ROUNDS):
        for process in writers:
            process.stdin.write(f"{step}\n")
            process.stdin.flush()
        for process in writers:
            outcome, _, rest = process.stdout.readline().strip().partition(" ")
            failed += outcome == "failed"
            acknowledged += [rest] if outcome == "acknowledged" else []
        repository = mvc.Repository(lab)
        logged = [operation.checkpoint for operation, _ in repository.operations.after(0, None)]
        assert set(acknowledged) <= set(logged)
        assert len(set(logged)) == len(logged)
        try:
            unseen += [entry.id for entry in reversed(mvc.open(lab / "m").history())] != logged
        except DamagedError:
            told += 1
        drop_catalog(lab)
        history = list(reversed(mvc.open(lab / "m").history()))
        assert [entry.id for entry in history] == logged
        assert [entry.parent for entry in history] == [None, *logged[:-1]]
        assert [entry.sequence for entry in history] == list(range(1, len(logged) + 1))
    print(f"{len(acknowledged)} acknowledged, 0 lost; {failed} refused; of {ROUNDS} catalogs {told} told, {unseen} not")
    assert len(acknowledged) >= ROUNDS


# -- a catalog that is not the log's fold -----------------------------------------------------


def run_sql(*statements: str) -> Callable[[Path], None]:
    """Change the catalog as a writer would whose rows others overwrote."""

    def change(lab: Path) -> None:
        with closing(sqlite3.connect(lab / ".minian_vc/catalog.sqlite")) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return change


UNLIKE = {
    "an operation lost": run_sql("DELETE FROM operation WHERE sequence = 2"),
    "the first operation lost": run_sql("DELETE FROM operation WHERE sequence = 1"),
    "a checkpoint lost": run_sql(
        "DELETE FROM checkpoint_array WHERE checkpoint_id = 3",
        "UPDATE operation SET checkpoint_id = 2 WHERE checkpoint_id = 3",
        "DELETE FROM checkpoint WHERE id = 3",
    ),
    "a dataset lost": run_sql("DELETE FROM dataset"),
    "another last operation": run_sql("UPDATE operation SET digest = 'blake3:0' WHERE sequence = 4"),
}


@pytest.fixture
def history(lab: Path) -> Path:
    """Four operations: three commits and a tag."""
    dataset = mvc.open(lab / "m")
    for value in (2, 3):
        write_units(lab / "m/A.zarr", (1,), (value,))
        dataset.record(Request(f"{value}", wait=0))
    dataset.tag("three")
    return lab


@pytest.mark.parametrize("what", UNLIKE)
def test_a_catalog_that_lost_rows_is_not_gone_on_with(history: Path, what: str) -> None:
    """Opening it is refused with the way to make it anew, and so is a write through a repository that is open."""
    opened = mvc.open(history / "m")
    UNLIKE[what](history)
    with pytest.raises(DamagedError, match="not what the operation log amounts to") as caught:
        mvc.open(history / "m")
    assert "minian-vc rebuild" in caught.value.hint
    with pytest.raises(DamagedError), opened.repository.history():
        pass
    assert len(list(opened.repository.operations.after(0, None))) == 4
    drop_catalog(history)
    assert len(mvc.open(history / "m").history()) == 3


def test_a_log_that_was_written_on_such_a_catalog_can_be_read(history: Path) -> None:
    """Two checkpoints have one number in their documents: they follow each other as they were recorded."""
    dataset = mvc.open(history / "m")
    (*_, (last, digest)) = dataset.repository.operations.after(0, None)
    again = replace(dataset.show("latest~1"), message="again")
    document = again.to_document()
    store_object(dataset.repository.objects, "checkpoints", document)
    twin = Operation(5, digest, "commit", again.dataset, "m", digest_of(document), None, last.created_at)
    dataset.repository.operations.publish(twin)
    for _ in ("caught up", "made anew"):
        entries = list(reversed(mvc.open(history / "m").history()))
        assert [(entry.message, entry.sequence) for entry in entries] == [
            ("begin", 1),
            ("2", 2),
            ("3", 3),
            ("again", 4),
        ]
        assert [entry.parent for entry in entries] == [None, *(entry.id for entry in entries[:-1])]
        drop_catalog(history)


def test_a_log_that_lost_its_end_is_told(history: Path) -> None:
    """Not written on from where the catalog stands, for then an operation would be missing for good."""
    (history / ".minian_vc/operations/00000004").unlink()
    with pytest.raises(DamagedError, match="operations/00000004 is missing") as caught:
        mvc.open(history / "m")
    assert "minian-vc repair" in caught.value.hint


# -- doctor -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("vfs", "told"), [("unix", True), ("unix-none", False)])
def test_doctor_tries_whether_a_second_process_is_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vfs: str, told: bool
) -> None:
    """With a real second process, that is let in where the first one's locks do nothing; nothing is left behind."""
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: real(f"file:{path}?vfs={vfs}", uri=True, **options))
    assert locks.locks_hold(tmp_path / "probe") is told
    assert probes.probe(tmp_path).locks is told
    assert list(tmp_path.iterdir()) == []


def test_doctor_takes_a_file_that_is_locked_by_nobody_for_a_drive_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is how SQLite sees it; and what cannot be tried is not known."""
    first = sqlite3.connect(tmp_path / "probe", isolation_level=None)
    first.execute("BEGIN EXCLUSIVE")
    assert locks.locks_hold(tmp_path / "probe") is False
    first.close()
    monkeypatch.setattr(locks.sys, "executable", str(tmp_path / "no python"))
    assert locks.locks_hold(tmp_path / "probe") is None
    assert locks.locks_hold(tmp_path / "no folder/probe") is None


# -- numbers without links --------------------------------------------------------------------


def no_links(*_: object, **__: object) -> None:
    """As on exFAT."""
    raise OSError(errno.EPERM, "Operation not permitted")


def test_a_number_is_given_once_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if somebody publishes after we looked: the system refuses the rename, and the other one's stays."""
    for name in ("operations", "staging"):
        (tmp_path / name).mkdir()
    log = OperationLog(tmp_path / "operations", tmp_path / "staging")
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(Path, "exists", lambda _: False)  # nobody was there when we looked
    ours, theirs = (
        Operation(1, None, "commit", "uid", "m", digest_of(text), None, "2025-01-01T00:00:00.000000Z")
        for text in (b"ours", b"theirs")
    )
    digest = log.publish(theirs)
    with pytest.raises(BusyError, match="just written by somebody else"):
        log.publish(ours)
    assert [found for _, found in log.after(0, None)] == [digest]
    assert list((tmp_path / "staging").iterdir()) == []


def test_without_links_and_exclusive_renames_it_is_looked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is left on some drives, under the catalog's lock."""
    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(durable, "rename_exclusively", lambda *_: False)
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    operations._move_exclusively(tmp_path / "one", tmp_path / "target")
    with pytest.raises(FileExistsError):
        operations._move_exclusively(tmp_path / "two", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "one"


def test_a_rename_that_is_exclusive_replaces_nothing(tmp_path: Path) -> None:
    """A free name is taken, one that is taken stays."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    if not durable.rename_exclusively(tmp_path / "one", tmp_path / "target"):
        pytest.skip("the system cannot")
    with pytest.raises(FileExistsError):
        durable.rename_exclusively(tmp_path / "two", tmp_path / "target")
    assert ((tmp_path / "target").read_text(), (tmp_path / "two").read_text()) == ("one", "two")
