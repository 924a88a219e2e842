"""The file system of a folder: what it is, what it can do, how much room it has."""

from __future__ import annotations

import errno
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.filesize import decimal

from minian_vc import durable
from minian_vc.doctor.mounts import Mount, find_mount
from minian_vc.doctor.probes import FULL, Probes, probe
from minian_vc.findings import Finding

__all__ = ["FileSystem", "examine", "findings"]

MOUNT_TABLE = Path("/proc/self/mountinfo")
LITTLE = 1 << 30  # bytes free
LITTLE_SHARE = 20  # of this many parts one
CLOCKS_APART = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class FileSystem:
    """What is known of the file system that a folder is on. Sizes are bytes, None where they are not known."""

    folder: Path
    mount: Mount | None
    free_bytes: int | None
    total_bytes: int | None
    reserve: int
    probes: Probes

    @property
    def network(self) -> bool | None:
        """Whether it is a network drive; None where that is not known."""
        if self.mount is not None:
            return self.mount.network
        return True if self.folder.drive.startswith("\\\\") else None

    @property
    def read_only(self) -> bool:
        """Whether it is mounted so that nobody can write."""
        problem = self.probes.problem
        return (self.mount is not None and self.mount.read_only) or (
            problem is not None and problem.errno == errno.EROFS
        )

    @property
    def name(self) -> str:
        """How people know it: type and place."""
        return f"{self.mount.type} at {self.mount.point}" if self.mount else str(self.folder)


def examine(folder: Path, place: Path | None) -> FileSystem:
    """Look at the file system of a folder, trying things in a place on the same one.

    Parameters
    ----------
    folder : Path
        What it is about; nothing is written there.
    place : Path or None
        A folder that is no dataset and in none. Without one, or where it is on another file system, nothing is tried.
    """
    try:
        usage = shutil.disk_usage(folder)
        free, total, reserve = usage.free, usage.total, durable.reserve(folder)
    except OSError:
        free = total = reserve = 0
    same = place is not None and folder.stat().st_dev == place.stat().st_dev
    return FileSystem(
        folder=folder,
        mount=_mount(folder),
        free_bytes=free if total else None,
        total_bytes=total or None,
        reserve=reserve,
        probes=probe(place) if place is not None and same else Probes(),
    )


def _mount(folder: Path) -> Mount | None:
    try:
        return find_mount(MOUNT_TABLE.read_text(errors="surrogateescape"), folder)
    except OSError:  # not Linux
        return None


# -- what it means ----------------------------------------------------------------------------


def findings(system: FileSystem) -> Iterator[Finding]:
    """Yield what is to be known of a file system. Pure."""
    if system.network:
        message = f"{system.name} is a network drive: its locks may lie, and two writers can then damage the catalog."
        fix = "Let one computer at a time use the repository, or keep it on a local disk."
        yield Finding("network-drive", "warning", message, fix=fix)
    if system.probes.locks is False:
        message = f"Locks do nothing on {system.name}: two processes that write at once damage the catalog."
        fix = "Keep the repository on another drive. Until then let one process at a time write."
        yield Finding("locks-lie", "error", message, fix=fix)
    yield from _writing(system)
    if not system.read_only:
        yield from _space(system)
    yield from _abilities(system)


def _writing(system: FileSystem) -> Iterator[Finding]:
    probes = system.probes
    if system.read_only:
        message = f"{system.name} is read-only: old versions can be opened, but nothing can be recorded or restored."
        fix = f"Mount it for writing, or copy {shlex.quote(str(system.folder))} to another drive."
        yield Finding("read-only-mount", "warning", message, fix=fix)
    elif probes.folder is None:
        message = f"The folder above {system.folder} is on another file system: nothing was tried."
        yield Finding("not-probed", "info", message)
    elif probes.problem is not None and probes.problem.errno not in FULL:
        message = f"Nothing can be written in {probes.folder}: {probes.problem.strerror}."
        yield Finding("not-writable", "warning", message, fix=f"See who may: ls -ld {shlex.quote(str(probes.folder))}")


def _space(system: FileSystem) -> Iterator[Finding]:
    free, total, problem = system.free_bytes, system.total_bytes, system.probes.problem
    fix = f"Free some space on {system.name}."
    if problem is not None and problem.errno in FULL:
        message = f"Nothing can be written in {system.probes.folder}: {problem.strerror}."
        yield Finding("disk-full", "error", message, fix=fix)
    elif free is None or total is None:
        return
    elif free < system.reserve:
        message = (
            f"{system.name} is full: {decimal(free)} are free, and a commit leaves {decimal(system.reserve)} alone."
        )
        yield Finding("disk-full", "error", message, fix=fix)
    elif free < LITTLE or free < total // LITTLE_SHARE:
        message = f"{system.name} is nearly full: {decimal(free)} of {decimal(total)} are free."
        yield Finding("disk-nearly-full", "warning", message, fix=fix)


def _abilities(system: FileSystem) -> Iterator[Finding]:
    probes, name = system.probes, system.name
    if probes.case_sensitive is False:
        message = f"{name} does not tell upper from lower case: c.zarr and C.zarr would be one folder."
        yield Finding("case-insensitive", "warning", message, fix="Give arrays names that differ by more than case.")
    if probes.clock_ahead is not None and abs(probes.clock_ahead) > CLOCKS_APART:
        apart = f"{abs(probes.clock_ahead) / 60:.0f} minutes {'ahead of' if probes.clock_ahead > 0 else 'behind'}"
        message = f"The clock of {name} is {apart} this computer's: times in the history may be in the wrong order."
        yield Finding("clock-skew", "warning", message, fix="Set both clocks by the same time server.")
    if probes.reflink is False:
        yield Finding("no-reflink", "info", f"{name} has no reflinks: each copy of a file takes its full size.")
    if probes.hard_links is False:
        message = f"{name} has no hard links: restoring a whole checkpoint copies what did not change."
        yield Finding("no-hard-links", "info", message)
    if probes.exchange is False:
        message = f"{name} cannot exchange two folders in one step: a restore takes two renames and a note."
        yield Finding("no-exchange", "info", message)
    if probes.coarse:
        message = f"{name} has coarse time stamps: a commit right after a save waits up to two seconds."
        yield Finding("coarse-time-stamps", "info", message)
