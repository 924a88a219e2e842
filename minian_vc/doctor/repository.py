"""The repository: its configuration, its two records of history, its objects, its datasets.

Nothing is opened the usual way, which would mend, make and migrate: a broken repository is described, not changed.
"""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minian_vc.arrays.netcdf_mirror import is_netcdf_name
from minian_vc.config import Config
from minian_vc.doctor.guard import guarded, is_folder
from minian_vc.doctor.history import Recorded, compare, read_catalog, read_log, run_in
from minian_vc.errors import DamagedError, EnvironmentUnfitError
from minian_vc.findings import Finding
from minian_vc.history import lost_checkpoints
from minian_vc.objects import ObjectStore
from minian_vc.repository import FOLDER, has_repository

__all__ = ["Examined", "examine", "find"]

PARTS = ("objects", "operations", "staging", "catalog.sqlite")


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found in a repository, the folders of its datasets that exist, and whether this program knows it."""

    findings: tuple[Finding, ...]
    datasets: tuple[Path, ...] = ()
    known: bool = True


def find(start: Path) -> Path | None:
    """Return the nearest folder, at or above a path, that has a ``.minian_vc``, whole or not."""
    return next((folder for folder in (start, *start.parents) if is_folder(folder / FOLDER)), None)


def examine(root: Path, *, writable: bool) -> Examined:
    """Look at the repository of a folder.

    Parameters
    ----------
    root : Path
        The folder that has a ``.minian_vc``.
    writable : bool
        Whether files can be written there at all; if so, parts that cannot be written are told.
    """
    folder = root / FOLDER
    found = guarded(lambda: _config(folder / "config.json"))
    if any(finding.code == "format-newer" for finding in found):
        return Examined(tuple(found), known=False)
    catalog, more = read_catalog(folder / "catalog.sqlite")
    log, damage = read_log(folder)  # after the catalog: an operation is in the log before it is in the catalog
    found += [*more, *damage, *guarded(lambda: _structure(folder, catalog, log))]
    if catalog is not None and log.whole:
        found += compare(catalog, log, root)
    if writable:
        found += guarded(lambda: _not_writable(folder))
    paths = sorted({**(catalog.datasets if catalog else {}), **log.datasets}.values())
    for path in paths:
        found += guarded(functools.partial(_dataset, root, path))
    return Examined(tuple(found), tuple(root / path for path in paths if is_folder(root / path)))


def _config(path: Path) -> Iterator[Finding]:
    root = path.parents[1]
    fix = run_in(root, "repair --yes" if has_repository(root) else "init")  # without history it was only half made
    if not path.is_file():
        yield Finding("config-missing", "error", f"The configuration {path} is missing.", fix=fix)
        return
    try:
        Config.load(path)
    except EnvironmentUnfitError as error:
        yield Finding("format-newer", "error", error.message, fix="Install a newer minian_vc.")
    except (DamagedError, RecursionError) as error:
        message = error.message if isinstance(error, DamagedError) else f"{path} is damaged: {error}."
        yield Finding("config-damaged", "error", message, fix=fix)


def _structure(folder: Path, catalog: Recorded | None, log: Recorded) -> Iterator[Finding]:
    """Yield which parts of a repository with history are missing."""
    objects, operations = folder / "objects", folder / "operations"
    if (log.digests or (catalog and catalog.digests)) and not objects.is_dir():
        message = f"The object store {objects} is missing: no old version can be opened."
        yield Finding("objects-missing", "error", message, fix=f"Restore {objects} from a backup.")
    has_begun = log.digests or (catalog and catalog.digests)
    store = ObjectStore(objects, folder)
    are_there = (objects / "checkpoints").is_dir() if catalog is None else lost_checkpoints(store, ())
    if not has_begun and log.whole and are_there:
        message = f"The operation log {operations} is empty or missing, but there are checkpoints."
        yield Finding("operations-missing", "error", message, fix=f"Restore {operations} from a backup.")


def _not_writable(folder: Path) -> Iterator[Finding]:
    for part in (folder, *(folder / name for name in PARTS)):
        if part.exists() and not os.access(part, os.W_OK):
            message = f"You may not write to {part}: nothing can be recorded."
            yield Finding("not-writable", "warning", message, fix=f"See who may: ls -ld {shlex.quote(str(part))}")


def _dataset(root: Path, path: str) -> Iterator[Finding]:
    folder = root / path
    if not folder.exists():
        message = f"The dataset {path} has a history, but {folder} is not there."
        again = "export @latest {0} --format netcdf -d {0}" if is_netcdf_name(folder) else "restore @latest -d {0}"
        fix = f"minian-vc {again.format(shlex.quote(str(folder)))}"
        yield Finding("dataset-missing", "warning", message, fix=fix)
    elif folder.stat().st_dev != (root / FOLDER).stat().st_dev:
        message = f"The dataset {path} is on another drive than the repository, so nothing can be restored in place."
        yield Finding("dataset-on-other-drive", "warning", message, fix="minian-vc restore @latest --to FOLDER")
