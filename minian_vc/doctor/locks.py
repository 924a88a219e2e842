"""Trying whether SQLite's locks keep a second process out, which on network drives they may not."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

__all__ = ["locks_hold"]

SECONDS = 20.0
REFUSED, UNTRIED = 3, 4
SECOND_PROCESS = f"""
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError as error:
    sys.exit({REFUSED} if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY else {UNTRIED})
"""


def locks_hold(path: Path) -> bool | None:
    """Tell whether a second process is refused a database that this one writes; None where that cannot be tried.

    Parameters
    ----------
    path : Path
        Where the database may be made, for a moment.
    """
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE probe (id INTEGER)")
            connection.execute("BEGIN EXCLUSIVE")
            return _is_refused(path)
    except sqlite3.OperationalError as error:  # nobody else knows the file: where it is "locked", there are no locks
        return False if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY else None
    except (sqlite3.Error, OSError, subprocess.SubprocessError):
        return None
    finally:
        for each in (path, path.with_name(f"{path.name}-journal")):
            with contextlib.suppress(OSError):
                each.unlink(missing_ok=True)


def _is_refused(path: Path) -> bool | None:
    command = [sys.executable, "-I", "-S", "-c", SECOND_PROCESS, str(path)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)  # noqa: S603 (our own words)
    return {0: False, REFUSED: True}.get(done.returncode)
