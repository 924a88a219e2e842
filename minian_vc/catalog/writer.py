"""Who writes: a note beside the catalog, for those who wait and are told that it is busy.

SQLite's lock goes with its process and is never stale; the note only says whose it is. Nothing is decided by it, and a
write never fails because of it.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from minian_vc import durable
from minian_vc.environment import OWN_PROGRAMS, user_and_host
from minian_vc.json_values import clean_text
from minian_vc.model import timestamp

__all__ = ["NOTE", "Writer", "noted", "told"]

NOTE = "writer.json"
MAX_NOTE = 4096  # bytes
MAX_TEXT = 80  # characters of what a note says
CLOCK = 2.0  # seconds by which a process's start may seem to move when the clock is set
WAIT = "Nothing was recorded. Run the command again when it is done."


@dataclass(frozen=True, slots=True)
class Writer:
    """A process that writes: where and since when it runs (seconds since the epoch), who runs what, and since when."""

    host: str
    pid: int
    started: float
    user: str
    command: str
    since: str

    def __str__(self) -> str:
        return f"Process {self.pid} on host {self.host} ({self.user}: {self.command})"

    @property
    def state(self) -> str:
        """What can be seen of it: ``runs``, ``stopped``, ``gone``, or ``elsewhere`` where that cannot be seen."""
        import psutil

        if self.host != user_and_host()[1]:
            return "elsewhere"
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > CLOCK:  # another process has its number now
                return "gone"
            status = process.status()
        except psutil.NoSuchProcess:
            return "gone"
        except psutil.Error:  # its number is in use, and more is not to be seen
            return "runs"
        if status == psutil.STATUS_ZOMBIE:
            return "gone"
        return "stopped" if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP) else "runs"


@contextlib.contextmanager
def noted(folder: Path) -> Iterator[None]:
    """Say, as long as the block runs, that this process writes to the catalog in a folder."""
    with contextlib.suppress(OSError):
        if os.path.lexists(folder / NOTE):  # of a writer that died; and a link there is not followed
            (folder / NOTE).unlink()
        with (folder / NOTE).open("xb") as file:
            file.write(json.dumps(asdict(_ourselves())).encode())
    try:
        yield
    finally:
        found = _read(folder)
        if found is not None and (found.host, found.pid) == (user_and_host()[1], os.getpid()):  # not the next one's
            with contextlib.suppress(OSError):
                (folder / NOTE).unlink()


def told(catalog: Path) -> tuple[str, str]:
    """Return who keeps a catalog from being written, and what to do, for people."""
    writer = _read(catalog.parent)
    another = f"Another process is writing to the catalog {catalog}"
    if writer is None:
        return f"{another}; which one is not noted.", WAIT
    if (state := writer.state) == "gone":
        return f"{another}; which one is not noted. {writer} did before, and has ended.", WAIT
    message = f"{writer} has been writing to the catalog {catalog} since {writer.since}"
    if state == "stopped":
        what = f"Let it go on (kill -CONT {writer.pid}) or end it (kill {writer.pid}), then run the command again."
        return f"{message}, and is stopped.", f"Nothing was recorded. {what}"
    if state == "elsewhere":
        what = f"Whether it still runs cannot be seen from here: look on {writer.host}, then run the command again."
        return f"{message}.", f"Nothing was recorded. {what}"
    return f"{message}.", WAIT


def _ourselves() -> Writer:
    user, host = user_and_host()
    return Writer(host, os.getpid(), _started(os.getpid()), user, _command(sys.argv), timestamp())


@functools.cache
def _started(pid: int) -> float:
    import psutil

    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:  # /proc is hidden
        return 0.0


def _command(arguments: list[str]) -> str:
    """Return the program's name, of our own with the command's: what else is on a command line may be a secret."""
    program = Path(arguments[0] if arguments else "")
    name = clean_text(program.parent.name if program.name == "__main__.py" else program.name, MAX_TEXT)
    if name in OWN_PROGRAMS and len(arguments) > 1 and re.fullmatch("[a-z]{1,20}", arguments[1]):
        return f"{name} {arguments[1]}"
    return name if name not in ("", "-c", "-m") else "python"


def _read(folder: Path) -> Writer | None:
    """Return the writer that the note names; None where there is no note or only a part of one."""
    try:
        source = durable.open_without_links(folder / NOTE)
        try:
            document = json.loads(durable.read_block(source, MAX_NOTE))
        finally:
            os.close(source)
        kinds: dict[str, Callable[[Any], Any]] = {"pid": int, "started": float}
        found = Writer(**{field.name: kinds.get(field.name, _line)(document[field.name]) for field in fields(Writer)})
        return found if 0 < found.pid < 1 << 31 else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _line(value: object) -> str:
    """Return a text that somebody else wrote, fit to be printed in one line."""
    return "".join(letter for letter in str(value)[:MAX_TEXT] if letter.isprintable())
