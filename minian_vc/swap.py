"""Putting a finished folder in the place of a live one, so that a kill leaves the old or the new.

Where the system exchanges two folders in one step, that is all. Elsewhere it takes two renames, and a note
says what is under way: :func:`recover` completes it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path

from minian_vc import durable
from minian_vc.errors import StorageError

__all__ = ["UnfinishedSwapError", "is_unfinished", "put_in_place", "read_note", "recover", "set_aside"]

NOTE = "swap-*.json"
MAX_NOTE = 64 << 10  # bytes
UNDER_WAY = 10.0  # seconds within which another process may still be between its two renames


class UnfinishedSwapError(StorageError):
    """Neither the new folder nor the old one could be put in place; both are there, and the note of the swap."""


def put_in_place(staged: Path, live: Path, staging: Path, *, replace: bool = True) -> Path | None:
    """Make ``staged`` the folder at ``live``; return where the old one is now, or None.

    Whatever else is raised, Ctrl-C too, leaves the old folder or the new one at ``live``; the old one may then be
    in the place of ``staged`` or beside it.

    Parameters
    ----------
    staged : Path
        The new folder, whole, on the volume of ``live``.
    live : Path
        Where it goes.
    staging : Path
        The folder for the note of a swap that takes two renames.
    replace : bool
        If False, only a rename is used, which fails where there is something at ``live``.

    Raises
    ------
    UnfinishedSwapError
        The disk failed between two renames and again when the first was taken back: :func:`recover` has to complete
        the swap, and ``staging`` must not be moved or removed before.
    StorageError
        It cannot be done; the live folder is as it was.
    """
    with durable.storage_errors("put the new folder in place", live):
        try:
            if replace and live.exists():
                return staged if durable.exchange(staged, live) else _rename_twice(staged, live, staging)
            live.parent.mkdir(parents=True, exist_ok=True)
            staged.rename(live)
            durable.sync_folder(live.parent)
            return None
        except StorageError:
            raise
        except OSError as error:
            raise _explained(error, live) from error


def _explained(error: OSError, live: Path) -> OSError:
    """Return what an error means where the live folder cannot be exchanged at all."""
    if error.errno not in (errno.EBUSY, errno.EXDEV):
        return error
    return StorageError(
        f"{live} is a mount point, or on another volume than its parent: it cannot be replaced in one step.",
        "Nothing was changed. Write into another folder (restore: --to).",
    )


def _rename_twice(staged: Path, live: Path, staging: Path) -> Path:
    aside = staged.with_name(f"{staged.name}.old")
    note = staging / f"swap-{os.urandom(8).hex()}.json"
    names = {"live": str(live), "staged": str(staged), "aside": str(aside)}
    try:
        durable.write_durably(note, json.dumps(names).encode(), staging)
        live.rename(aside)
        staged.rename(live)
    except BaseException as error:  # Ctrl-C may come after a rename as well as before it
        try:
            if aside.exists() and not live.exists():
                aside.rename(live)
            note.unlink(missing_ok=True)
        except OSError as again:
            raise UnfinishedSwapError(
                f"Could not put the new folder in place, nor the old one back: {again.strerror or again} ({live}).",
                f"Nothing is lost: the new version is {staged}, the old one {aside}. Leave both where they are: the "
                "next command that opens or checks the dataset completes the swap.",
            ) from error
        raise
    with contextlib.suppress(OSError):  # done is done: the caller must know what is live now
        durable.sync_folder(live.parent)
        note.unlink()
    return aside


def recover(staging: Path, displaced: Path | None, *, under_way: float = UNDER_WAY) -> None:
    """Complete swaps that were killed between their two renames; a note that cannot be read is left for doctor.

    What was replaced is kept in ``displaced``, or removed where that is None. Notes younger than ``under_way``
    seconds may be of a swap that still runs.
    """
    for note in staging.glob(NOTE):
        if time.time() - note.stat().st_mtime < under_way:
            continue
        names = read_note(note)
        if names is None:  # damaged: doctor names it, and nothing else must stop for it
            continue
        if not names["live"].exists() and names["staged"].exists():
            names["staged"].rename(names["live"])
        elif not names["live"].exists() and names["aside"].exists():
            names["aside"].rename(names["live"])
        if names["aside"].exists() and displaced is not None:
            set_aside(names["aside"], displaced)
        elif names["aside"].exists():
            durable.remove_tree(names["aside"])
        note.unlink()


def is_unfinished(staging: Path) -> bool:
    """Tell whether a folder holds the note of a swap: what lies beside it may be the only version there is."""
    return any(staging.glob(NOTE))


def read_note(note: Path) -> dict[str, Path] | None:
    """Return the folders that a note of a swap names, ``live``, ``staged`` and ``aside``; None if it is damaged.

    A note that names others than it could have been written for is damaged too: whoever comes by would move or remove
    them. ``live`` lies below the folder that holds ours (``.minian_vc/staging``, or one save's), the others in ours.
    """
    try:
        document = json.loads(durable.read_without_links(note, MAX_NOTE))
        names = {key: Path(document[key]) for key in ("live", "staged", "aside")}
        ours, around = note.parent.resolve(), note.parent.resolve().parents[1]
        within = [ours in _real(names[key]).parents for key in ("staged", "aside")]
        return names if all(within) and around in _real(names["live"]).parents else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _real(path: Path) -> Path:
    """Return where a name is, its folder's links followed."""
    return path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()


def set_aside(folder: Path, displaced: Path) -> Path:
    """Keep a displaced folder that is not recorded; return where it lies now."""
    target = displaced / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.urandom(4).hex()}" / folder.name
    with durable.storage_errors("keep the displaced folder", folder):
        target.parent.mkdir(parents=True)
        folder.rename(target)
    return target
