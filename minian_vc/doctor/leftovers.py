"""What should not be there: stopped work, folders put aside, folders in a dataset that are no arrays."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from rich.filesize import decimal

from minian_vc import swap
from minian_vc.dataset_folders import datasets_below, is_dataset
from minian_vc.doctor.history import open_it
from minian_vc.doctor.probes import PROBE
from minian_vc.findings import Finding
from minian_vc.repository import FOLDER
from minian_vc.staging import KEPT, SAVING, is_abandoned
from minian_vc.zarr_format import is_zarr

__all__ = ["beside_datasets", "in_dataset", "in_staging", "put_aside"]

OLD = 3600.0  # seconds: what is younger may belong to a command that runs
_OURS = re.compile(rf"{re.escape(FOLDER)}|{re.escape(PROBE)}.*|restore-[0-9a-f]{{16}}(\.tmp)?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def in_staging(root: Path, now: float) -> Iterator[Finding]:
    """Yield what stopped commands left in a repository's staging folder.

    Parameters
    ----------
    root : Path
        The folder that has the ``.minian_vc``.
    now : float
        The file system's time, in seconds since the epoch.
    """
    for path in _entries(root / FOLDER / "staging"):
        if path.match(swap.NOTE):
            yield from _note(path, root, now)
        else:
            yield from _staged(path, now)


def put_aside(root: Path) -> Iterator[Finding]:
    """Yield what restores displaced and could not record."""
    for folder in _entries(root / FOLDER / "displaced"):
        size, newest = _weigh(folder)
        what = ", ".join(path.name for path in _entries(folder)) or "nothing"
        message = f"A restore put {what} aside in {folder} ({decimal(size)}, {_day(newest)}): it was not recorded."
        fix = f"Take what you need from it, then: rm -r {shlex.quote(str(folder))}"
        yield Finding("displaced-folder", "info", message, fix=fix)


def _note(path: Path, root: Path, now: float) -> Iterator[Finding]:
    if now - path.stat().st_mtime < swap.UNDER_WAY:
        return
    names = swap.read_note(path)
    if names is None:
        message = f"The note {path} of a stopped restore is damaged: the restore is neither completed nor taken back."
        fix = f"Look for your dataset in {path.parent}, then: rm {shlex.quote(str(path))}"
        yield Finding("swap-note-damaged", "error", message, fix=fix)
    else:
        message = f"A restore of {names['live']} was stopped between its two renames; the next command completes it."
        yield Finding("swap-unfinished", "warning", message, fix=open_it(root))


def _staged(path: Path, now: float) -> Iterator[Finding]:
    size, newest = _weigh(path)
    if now - newest < OLD:
        return
    remove = f"rm -r {shlex.quote(str(path))}"
    told = f"{path} ({decimal(size)}, {_day(newest)})"
    if path.name.startswith("restore-"):
        message = f"A restore was stopped and left {told}, which may hold what it replaced."
        yield Finding("leftover-restore", "warning", message, fix=f"Take what you need from it, then: {remove}")
    else:
        yield Finding("leftover-staging", "warning", f"A stopped command left {told}; nothing needs it.", fix=remove)


def beside_datasets(parent: Path) -> Iterator[Finding]:
    """Yield what saves that were killed, or could not be put in place, left beside the datasets in a folder."""
    for stage in _entries(parent / SAVING):
        size, newest = _weigh(stage)
        told = f"{stage} ({decimal(size)}, {_day(newest)})"
        if stage.name.startswith(KEPT):
            what = f"A save could not be put in place; the new version is whole in {told}."
            fix = f"Move the .zarr folder in it into your dataset, then: rm -r {shlex.quote(str(stage))}"
            yield Finding("save-kept", "warning", what, fix=fix)
        elif is_abandoned(stage) and swap.is_unfinished(stage):
            yield _unfinished(stage, told)
        elif is_abandoned(stage):
            what = f"A save was killed and left {told}; the next save beside it removes it."
            yield Finding("leftover-save", "info", what, fix=f"rm -r {shlex.quote(str(stage))}")


def _unfinished(stage: Path, told: str) -> Finding:
    for names in map(swap.read_note, stage.glob(swap.NOTE)):
        if names is not None:
            what = f"A save was stopped between its two renames and left {told}, which may hold the only versions."
            fix = f"minian-vc check {shlex.quote(str(names['live'].parent))}"
            return Finding("swap-unfinished", "warning", what, fix=fix)
    what = f"The note of a stopped save is damaged in {told}: the save is neither completed nor taken back."
    fix = f"Move the .zarr folder in it into your dataset, then: rm -r {shlex.quote(str(stage))}"
    return Finding("swap-note-damaged", "error", what, fix=fix)


def in_dataset(dataset: Path) -> Iterator[Finding]:
    """Yield the folders in a dataset that MiniAn would take for arrays and that are none."""
    for folder in _entries(dataset):
        if not folder.is_dir():
            continue
        message, here = f"MiniAn takes {folder} for an array and cannot open the dataset", shlex.quote(str(folder))
        move = f"mv {here} {shlex.quote(str(dataset.parent))}"
        if _OURS.fullmatch(folder.name):
            yield Finding("ours-in-dataset", "error", f"{message}: it belongs to minian_vc.", fix=move)
        elif _UUID.fullmatch(folder.name):
            message += ": an array is being rechunked, or that was stopped."
            yield Finding("rechunker-folder", "warning", message, fix=f"If no save is running: rm -r {here}")
        elif not folder.name.endswith(".zarr") and (inner := next(datasets_below(folder), None)) is not None:
            yield from _above(dataset, inner)
        elif not folder.name.endswith(".zarr") and not _is_array(folder):
            yield Finding("foreign-folder", "warning", f"{message}: it holds no zarr array.", fix=move)


def _above(dataset: Path, inner: Path) -> Iterator[Finding]:
    """Yield that arrays lie above a dataset; where they were taken away again, nothing is wrong."""
    if is_dataset(dataset):
        message = f"Arrays lie in {dataset}, above the dataset {inner}: MiniAn would take that for one of them."
        fix = "Move what came there by mistake elsewhere: those .zarr folders, or that dataset."
        yield Finding("array-above-dataset", "warning", message, fix=fix)


def _is_array(folder: Path) -> bool:
    keys = [path.name for path in _entries(folder)]
    return is_zarr([*keys, *(f"{name}/.zarray" for name in keys if (folder / name / ".zarray").is_file())])


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _weigh(path: Path) -> tuple[int, float]:
    """Return the bytes of a file or of all files in a folder, and when the newest of them was written."""
    total, newest = 0, path.lstat().st_mtime
    for root, folders, files in os.walk(path):
        for name in (*folders, *files):
            try:
                found = Path(root, name).lstat()
            except FileNotFoundError:  # a command is running
                continue
            newest = max(newest, found.st_mtime)
            total += found.st_size if name in files else 0
    return (total or (path.lstat().st_size if path.is_file() else 0)), newest


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M")
