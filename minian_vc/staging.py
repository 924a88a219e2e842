"""A folder beside a dataset, or an export's place, for a save or export that is not whole yet; never in a dataset.

``<parent>/.minian_vc-saving/<host>-<process>-<random>`` belongs to one save and goes away with it. What a killed
save left there is put in order by the next save, or whoever opens or checks a dataset beside it, on the same computer.
That a save runs is told by the lock that it holds on a file in its folder, and by nothing else: the number of its
process may be another's by now.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from minian_vc import durable
from minian_vc.errors import BusyError, StorageError
from minian_vc.swap import is_unfinished, recover

if sys.platform != "win32":
    import fcntl

__all__ = ["KEPT", "SAVING", "drop_stage", "is_abandoned", "keep_stage", "make_stage", "new_stage", "put_in_order"]

SAVING = ".minian_vc-saving"
KEPT = "kept-"
OWNER = "owner"  # a file in each stage, locked as long as its save runs
TRIES = 5
BUSY_SECONDS = 30.0
PAUSE = 0.05
_OURS = re.compile(r"(?P<host>.+)-\d+-[0-9a-f]{12}")
_locks: dict[Path, int] = {}
_dropped: set[Path] = set()


def new_stage(dataset: Path) -> Path:
    """Return where one save may write; :func:`make_stage` makes the folder and :func:`drop_stage` removes it."""
    return dataset.parent / SAVING / f"{_host()}-{os.getpid()}-{os.urandom(6).hex()}"


def make_stage(stage: Path, dataset: Path) -> None:
    """Make the folder for one save of a dataset.

    Raises
    ------
    StorageError
        It cannot be made there, or the dataset is on another volume than its parent.
    """
    with durable.storage_errors("make a folder beside it to write in", stage.parent):
        _locks[stage] = _make(stage)
        put_in_order(dataset.parent)
    if dataset.is_dir() and dataset.stat().st_dev != stage.stat().st_dev:
        raise StorageError(
            f"{dataset} is on another volume than its parent: nothing beside it can be put in place in one step.",
            "Nothing was written there. Give a folder inside that volume.",
        )


def drop_stage(stage: Path) -> None:
    """Remove what a save no longer needs; what cannot be removed is left for the next save."""
    _release(stage)
    _dropped.add(stage)  # threads that an interrupt did not stop may still write there
    _remove(stage)


def _remove(stage: Path) -> None:
    """Complete a swap that stopped between its two renames, then remove the folder.

    As long as the swap cannot be completed nothing is removed: both versions lie here.
    """
    with contextlib.suppress(OSError):
        recover(stage, None, under_way=0)
        if not is_unfinished(stage):
            durable.remove_tree(stage)
    with contextlib.suppress(OSError):  # others may be saving
        stage.parent.rmdir()


def keep_stage(stage: Path) -> Path:
    """Put what is whole but could not be put in place where no later save removes it; return where it lies.

    If its swap is unfinished it stays, for the note of it names this place. If it cannot be renamed it stays too, and
    locked, as long as this process runs.
    """
    if is_unfinished(stage):
        _release(stage)
        return stage
    if sys.platform == "win32":  # where nothing is renamed that has an open file in it
        _release(stage)
    kept = stage.with_name(f"{KEPT}{stage.name}")
    with contextlib.suppress(OSError):
        stage.rename(kept)
        _release(stage)
        return kept
    return stage


def is_abandoned(stage: Path) -> bool:
    """Tell whether a folder in :data:`SAVING` is of a save of this computer that does not run any more."""
    with _claim(stage, os.O_RDWR) as is_free:
        return is_free


@contextlib.contextmanager
def _claim(stage: Path, flags: int) -> Iterator[bool]:
    """Hold the lock of a save's folder, if it is of this computer and free; give whether that is so.

    A save of this process holds it too, whichever thread it is in; so does a fork of one that runs.
    """
    found = _OURS.fullmatch(stage.name)
    descriptor, is_ours = None, False
    with contextlib.suppress(OSError):
        if found is not None and found["host"] == _host():
            descriptor = os.open(stage / OWNER, flags)
            _lock(descriptor)
            is_ours = True
    try:
        yield is_ours
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _make(stage: Path) -> int:
    """Make the folder and its owner's file, and lock that; another save may take away what is not locked yet."""
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return _make_once(stage)
    return _make_once(stage)


def _make_once(stage: Path) -> int:
    stage.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(stage / OWNER, os.O_CREAT | os.O_RDWR)
    try:
        _wait_for_lock(descriptor, stage)
        if not os.path.samestat(os.fstat(descriptor), (stage / OWNER).stat()):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(stage))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def put_in_order(parent: Path) -> None:
    """Complete the swaps of killed saves of the datasets in a folder, and remove what they and ours left behind.

    What cannot be done, as on a read-only drive, is left as it is.
    """
    home = parent / SAVING
    for stage in list(home.iterdir()) if home.is_dir() else []:
        if stage in _locks:
            continue
        if stage in _dropped:
            _remove(stage)
            continue
        with _claim(stage, os.O_RDWR | os.O_CREAT) as is_free:  # one killed when it began has no file to lock
            if is_free:
                _remove(stage)


def _wait_for_lock(descriptor: int, stage: Path) -> None:
    """Take the lock of our own folder; somebody else may hold it while he looks whether it is abandoned."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return _lock(descriptor)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"Another process holds {stage / OWNER} and does not let go of it: it may be stopped.",
                    "Nothing was saved. Let that process go on, or end it, then save again.",
                ) from None
        except OSError:  # there are no locks here
            return None
        time.sleep(PAUSE)


def _lock(descriptor: int) -> None:
    """Take a lock that goes with the process; an error where another holds it, or where there are no locks."""
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _release(stage: Path) -> None:
    descriptor = _locks.pop(stage, None)
    if descriptor is not None:
        os.close(descriptor)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", platform.node()) or "localhost"
