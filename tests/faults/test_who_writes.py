"""Nobody waits forever, and who is told "busy" is told whom he waits for."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from zarr_trees import write_units

import minian_vc as mvc
from minian_vc import staging
from minian_vc.catalog import Catalog, engine, writer
from minian_vc.catalog.writer import NOTE, Writer
from minian_vc.cli.main import main
from minian_vc.errors import BusyError
from minian_vc.verbs.commit import Request

HOLD = """
import sys
from pathlib import Path
from minian_vc.catalog import Catalog
sys.argv = ["/usr/bin/minian-vc", "prune", "--automatic", "token=hunter2"]
with Catalog(Path({path!r})).write():
    print("holds", flush=True)
    sys.stdin.readline()
"""
READ = """
import sqlite3, sys
connection = sqlite3.connect({path!r}, isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT * FROM operation").fetchall()
print("reads", flush=True)
sys.stdin.readline()
"""
HOLD_OWNER = """
import fcntl, os, sys
from pathlib import Path
descriptor = os.open({path!r}, os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("holds", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def lab(root: Path, monkeypatch: pytest.MonkeyPatch) -> mvc.Dataset:
    """A dataset with a checkpoint, in a process that does not wait."""
    write_units(root / "m/A.zarr", (1, 2), (1, 2))
    dataset = mvc.open(root / "m")
    dataset.record(Request("first", "first", wait=0))
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.0)
    return mvc.open(root / "m")


@contextlib.contextmanager
def running(script: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a file until the block ends."""
    command = [sys.executable, "-c", script.format(path=str(path))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() in ("holds", "reads")
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def catalog_of(dataset: mvc.Dataset) -> Path:
    """The catalog's file."""
    return dataset.repository.folder / "catalog.sqlite"


def note_of(dataset: mvc.Dataset) -> Path:
    """Where the writer's note is."""
    return dataset.repository.folder / NOTE


def ourselves() -> Writer:
    """This process as it would note itself."""
    return writer._ourselves()


def leave(dataset: mvc.Dataset, **changes: object) -> None:
    """Leave a note of this process, with some of it changed."""
    note_of(dataset).write_text(json.dumps({**asdict(ourselves()), **changes}))


@contextlib.contextmanager
def locked(dataset: mvc.Dataset) -> Iterator[None]:
    """Another process holds SQLite's lock, which says nothing of itself."""
    with running(READ.replace('"BEGIN"', '"BEGIN IMMEDIATE"'), catalog_of(dataset)):
        yield


# -- somebody who lives -----------------------------------------------------------------------


def test_busy_names_the_process_the_user_and_the_command(lab: mvc.Dataset) -> None:
    """Not its arguments, which may hold secrets; and nothing is recorded."""
    with running(HOLD, catalog_of(lab)) as process, pytest.raises(BusyError) as caught:
        lab.tag("mine")
    who = rf"Process {process.pid} on host {platform.node()} \(\w+: minian-vc prune\) has been writing .* since 20"
    assert caught.match(who)
    assert "hunter2" not in str(caught.value)
    assert "Nothing was recorded" in caught.value.hint
    assert lab.show("first").tags == ("first",)


def test_a_stopped_writer_is_told_from_one_that_works(lab: mvc.Dataset) -> None:
    """The way out is to let it go on, or to end it; its lock is not taken from it."""
    with running(HOLD, catalog_of(lab)) as process:
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)  # it has stopped
        with pytest.raises(BusyError, match="is stopped") as caught:
            lab.tag("mine")
        assert f"kill -CONT {process.pid}" in caught.value.hint
        process.send_signal(signal.SIGCONT)
        process.communicate("\n")
    lab.tag("mine")
    assert lab.show("mine").tags == ("first", "mine")


def test_every_command_that_writes_says_busy_and_ends(lab: mvc.Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 5 with the process's number, also as JSON; commands that only look are not stopped by a writer."""
    write_units(lab.path / "A.zarr", (1, 2), (3, 4))
    path = str(lab.path)
    with running(HOLD, catalog_of(lab)) as process:
        for command in (
            ["commit", path],
            ["tag", "other", "-d", path],
            ["restore", "@first", "-d", path, "--yes"],
            ["commit", path, "--json"],
        ):
            with pytest.raises(SystemExit) as ended:
                main(command)
            shown = capsys.readouterr()
            assert (ended.value.code, f"Process {process.pid}" in shown.err) == (5, True), command
            assert "--json" not in command or f"Process {process.pid}" in json.loads(shown.out)["error"]["message"]
        for command in (["log", path], ["status", path], ["show", "@first", "-d", path]):
            with pytest.raises(SystemExit) as ended:
                main(command)
            assert ended.value.code == 0
    assert len(lab.history()) == 1


def test_a_catalog_to_be_made_or_brought_up_to_date_is_waited_for_no_longer(lab: mvc.Dataset) -> None:
    """Opening a repository whose catalog has no tables yet writes, and so may be busy."""
    catalog_of(lab).write_bytes(b"")
    hold = READ.replace('"BEGIN"', '"BEGIN IMMEDIATE"').replace("operation", "sqlite_master")
    with running(hold, catalog_of(lab)), pytest.raises(BusyError, match="Another process"):
        mvc.open(lab.path)
    assert len(mvc.open(lab.path).history()) == 1


def test_a_reader_that_does_not_let_go_is_no_writer(lab: mvc.Dataset) -> None:
    """What it keeps from being acknowledged may be there all the same, and is not called unrecorded."""
    with running(READ, catalog_of(lab)), pytest.raises(BusyError, match="is reading the catalog") as caught:
        lab.tag("mine")
    assert "Nothing" not in str(caught.value)
    assert mvc.open(lab.path).show("mine").tags == ("first", "mine")


# -- somebody who does not --------------------------------------------------------------------


def dead() -> dict[str, object]:
    """A process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        started = psutil.Process(process.pid).create_time()
    return {"pid": process.pid, "started": started}


@pytest.mark.parametrize("kind", ["dead", "reused"])
def test_a_note_of_a_process_that_has_ended_is_told_from_a_live_one(lab: mvc.Dataset, kind: str) -> None:
    """Also where another process has its number by now: that one is not blamed."""
    changes = dead() if kind == "dead" else {"started": ourselves().started - 1000}
    leave(lab, **changes)
    with locked(lab), pytest.raises(BusyError, match=r"Another process is writing .* has ended") as caught:
        lab.tag("mine")
    assert "has been writing" not in str(caught.value)
    lab.tag("mine")  # and the note does not stand in the way
    assert not note_of(lab).exists()


def test_a_process_on_another_host_cannot_be_seen(lab: mvc.Dataset) -> None:
    """Whatever has its number here is not looked at."""
    leave(lab, host="otherhost", **dead())
    with locked(lab), pytest.raises(BusyError, match=r"on host otherhost .* has been writing") as caught:
        lab.tag("mine")
    assert "cannot be seen from here: look on otherhost" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"host":"x","pid":1}',
        b"[" * 4096,
        b'{"host":"x","pid":-1,"started":1,"user":"u","command":"c","since":"s"}',
        b'{"host":"x","pid":1e999,"started":1,"user":"u","command":"c","since":"s"}',
        b'{"host":"x","pid":[],"started":{},"user":"u","command":"c","since":"s"}',
    ],
)
def test_a_note_that_is_none_says_nothing(lab: mvc.Dataset, content: bytes) -> None:
    """One that is cut off, or that something else wrote."""
    note_of(lab).write_bytes(content)
    with locked(lab), pytest.raises(BusyError, match="which one is not noted"):
        lab.tag("mine")


def test_what_a_note_says_is_shown_in_one_line(lab: mvc.Dataset) -> None:
    """Somebody else wrote it: no escape sequences for the terminal, no end of it."""
    leave(lab, command="\x1b[2Jrm -rf\n" + "x" * 3000)
    with locked(lab), pytest.raises(BusyError) as caught:
        lab.tag("mine")
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 600


# -- the note ---------------------------------------------------------------------------------


def test_the_note_is_there_while_somebody_writes(lab: mvc.Dataset) -> None:
    """And not before or after, also where writing fails."""
    catalog = Catalog(catalog_of(lab))
    with catalog.write():
        assert Writer(**json.loads(note_of(lab).read_bytes())).state == "runs"
    assert not note_of(lab).exists()
    with pytest.raises(ZeroDivisionError), catalog.write():
        raise ZeroDivisionError
    assert not note_of(lab).exists()


def test_a_note_that_cannot_be_written_stops_nothing(lab: mvc.Dataset) -> None:
    """A folder in its place."""
    note_of(lab).mkdir()
    lab.tag("mine")
    assert lab.show("mine").tags == ("first", "mine")
    assert note_of(lab).is_dir()


def test_a_link_in_the_notes_place_is_not_followed(lab: mvc.Dataset, tmp_path: Path) -> None:
    """Neither written through nor read through."""
    victim = tmp_path / "victim"
    victim.write_text(json.dumps(asdict(ourselves())))
    before = victim.read_bytes()
    note_of(lab).symlink_to(victim)
    with locked(lab), pytest.raises(BusyError, match="not noted"):
        lab.tag("mine")
    lab.tag("mine")
    assert victim.read_bytes() == before


def test_the_next_writers_note_is_not_taken_away(lab: mvc.Dataset) -> None:
    """It may have come between the end of a transaction and the removal of its note."""
    with Catalog(catalog_of(lab)).write():
        leave(lab, pid=os.getpid() + 1)
    assert note_of(lab).exists()


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["/opt/bin/minian-vc", "commit", "-m", "token=hunter2"], "minian-vc commit"),
        (["mvc", "--help"], "mvc"),
        (["/home/anna/secret/run.py", "--password", "hunter2"], "run.py"),
        (["run.py", "hunter2"], "run.py"),
        (["/lib/python/pytest/__main__.py", "hunter2"], "pytest"),
        (["-c"], "python"),
        ([], "python"),
        ([""], "python"),
    ],
)
def test_a_command_line_is_kept_without_what_may_be_a_secret(arguments: list[str], shown: str) -> None:
    """The program, and of our own the command."""
    assert writer._command(arguments) == shown


# -- saves ------------------------------------------------------------------------------------


def test_a_save_does_not_wait_forever_for_a_stopped_process(lab: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was stopped while it looked whether the new folder is abandoned."""
    monkeypatch.setattr(staging, "BUSY_SECONDS", 0.0)
    stage = staging.new_stage(lab.path)
    stage.mkdir(parents=True)
    with running(HOLD_OWNER, stage / staging.OWNER) as process:
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(BusyError, match="does not let go"):
            staging.make_stage(stage, lab.path)
    staging.make_stage(stage, lab.path)
    staging.drop_stage(stage)


def test_a_save_goes_on_where_there_are_no_locks(lab: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive without flock; and then nobody takes an abandoned folder for free."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    stage = staging.new_stage(lab.path)
    staging.make_stage(stage, lab.path)
    assert not staging.is_abandoned(stage)
    staging.drop_stage(stage)
