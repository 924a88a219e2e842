"""Trying what a file system can do, with small files that live for a moment.

Never in a dataset folder, and never with folders, which MiniAn would take for arrays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minian_vc import durable
from minian_vc.doctor.locks import locks_hold

if sys.platform == "linux":
    import fcntl

__all__ = ["FULL", "PROBE", "Probes", "probe"]

PROBE = ".minian_vc-probe-"
FULL = (errno.ENOSPC, errno.EDQUOT)
COARSE = 1_000_000  # ns by which a time stamp may be off
ODD_TIME = 1_600_000_001_234_567_891  # ns: an odd second, for FAT has even ones
_FICLONE = 0x40049409


@dataclass(frozen=True, slots=True)
class Probes:
    """What was tried in a folder; None where it could not be.

    ``problem`` is why nothing could be written. ``clock_ahead`` is by how many seconds the file system's clock is
    ahead of ours.
    """

    folder: Path | None = None
    problem: OSError | None = None
    reflink: bool | None = None
    case_sensitive: bool | None = None
    hard_links: bool | None = None
    exchange: bool | None = None
    coarse: bool | None = None
    clock_ahead: float | None = None
    locks: bool | None = None

    @property
    def writable(self) -> bool | None:
        """Whether files can be written; None if that was not tried."""
        return None if self.folder is None else self.problem is None


def probe(folder: Path) -> Probes:
    """Try what a folder's file system can do, with small files that are removed again."""
    stem = f"{PROBE}{os.urandom(8).hex()}"
    first, second, third = (folder / f"{stem}-{letter}" for letter in "abc")
    try:
        first.write_bytes(bytes(4096))
        return Probes(
            folder=folder,
            clock_ahead=(first.stat().st_mtime_ns - time.time_ns()) / 1e9,
            reflink=_tried(lambda: _reflink(first, second)),
            exchange=_tried(lambda: _exchange(first, second)),
            hard_links=_tried(lambda: _link(first, third)),
            case_sensitive=_tried(lambda: not first.with_name(first.name.upper()).exists()),
            coarse=_tried(lambda: _is_coarse(first)),
            locks=locks_hold(folder / f"{stem}-d"),
        )
    except OSError as error:
        return Probes(folder=folder, problem=error)
    finally:
        for path in (first, second, third):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _tried(trial: Callable[[], bool | None]) -> bool | None:
    """Return what a trial tells; False where the system refuses, None where a full or broken disk does."""
    try:
        return trial()
    except OSError as error:
        return None if error.errno in (*FULL, errno.EIO) else False


def _reflink(source: Path, target: Path) -> bool | None:
    if sys.platform != "linux":
        return None
    with source.open("rb") as old, target.open("wb") as new:
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
    return True


def _exchange(one: Path, other: Path) -> bool:
    other.touch()
    return durable.exchange(one, other)


def _link(source: Path, target: Path) -> bool:
    os.link(source, target)
    return True


def _is_coarse(path: Path) -> bool:
    os.utime(path, ns=(ODD_TIME, ODD_TIME))
    return abs(path.stat().st_mtime_ns - ODD_TIME) >= COARSE
