"""A folder beside a dataset for a save that is not whole yet. Nothing of it ever lies in the dataset.

``<parent>/.minian_vc-saving/<host>-<process>-<random>`` belongs to one save and goes away with it. What a killed
save left there is put in order by the next save, or whoever opens or checks a dataset beside it, on the same computer,
when the process is gone.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
from pathlib import Path

from minian_vc import durable
from minian_vc.errors import StorageError
from minian_vc.swap import recover

if sys.platform != "win32":
    import fcntl

__all__ = ["KEPT", "SAVING", "drop_stage", "is_abandoned", "keep_stage", "make_stage", "new_stage", "put_in_order"]

SAVING = ".minian_vc-saving"
KEPT = "kept-"
OWNER = "owner"  # a file in each stage, locked as long as its save runs
TRIES = 5
_OURS = re.compile(r"(?P<host>.+)-(?P<process>\d+)-[0-9a-f]{12}")
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
    with durable.storage_errors("make a folder for the save beside the dataset", stage.parent):
        _locks[stage] = _make(stage)
        _lock(_locks[stage])
        put_in_order(dataset.parent)
    if dataset.is_dir() and dataset.stat().st_dev != stage.stat().st_dev:
        raise StorageError(
            f"{dataset} is on another volume than its parent: a save beside it could not be put in place in one step.",
            "Nothing was saved. Give a folder inside that volume.",
        )


def drop_stage(stage: Path) -> None:
    """Remove what a save no longer needs; what cannot be removed is left for the next save."""
    _release(stage)
    _dropped.add(stage)  # threads that an interrupt did not stop may still write there
    with contextlib.suppress(OSError):
        durable.remove_tree(stage)
    with contextlib.suppress(OSError):  # others may be saving
        stage.parent.rmdir()


def keep_stage(stage: Path) -> Path:
    """Put what is whole but could not be put in place where no later save removes it; return where it lies."""
    _release(stage)
    kept = stage.with_name(f"{KEPT}{stage.name}")
    with contextlib.suppress(OSError):
        stage.rename(kept)
        return kept
    return stage


def is_abandoned(stage: Path) -> bool:
    """Tell whether a folder in :data:`SAVING` is of a save of this computer whose process is gone."""
    found = _OURS.fullmatch(stage.name)
    if found is None or found["host"] != _host() or _runs(int(found["process"])):
        return False
    try:  # processes of another container are not seen here, but their locks are
        descriptor = os.open(stage / OWNER, os.O_RDWR)
    except FileNotFoundError:  # killed when it began, or when it had done
        return True
    except OSError:
        return False
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)


def _make(stage: Path) -> int:
    """Make the folder and its owner's file; another save may take away what is still empty at the same time."""
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return _make_once(stage)
    return _make_once(stage)


def _make_once(stage: Path) -> int:
    stage.mkdir(parents=True, exist_ok=True)
    return os.open(stage / OWNER, os.O_CREAT | os.O_RDWR)


def put_in_order(parent: Path) -> None:
    """Complete the swaps of killed saves of the datasets in a folder, and remove what they and ours left behind.

    What cannot be done, as on a read-only drive, is left as it is.
    """
    home = parent / SAVING
    for stage in list(home.iterdir()) if home.is_dir() else []:
        if stage in _dropped or is_abandoned(stage):
            with contextlib.suppress(OSError):
                recover(stage, None, under_way=0)
                drop_stage(stage)


def _lock(descriptor: int) -> bool:
    """Take the lock, which goes with the process; tell whether that was possible."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _release(stage: Path) -> None:
    descriptor = _locks.pop(stage, None)
    if descriptor is not None:
        os.close(descriptor)


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", platform.node()) or "localhost"


def _runs(process: int) -> bool:
    if os.name == "nt":  # signal 0 would end it there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
