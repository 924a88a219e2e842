"""restore: bring array versions back as ordinary, writable folders."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from minian_vc import durable
from minian_vc.catalog.queries import DatasetRow
from minian_vc.dataset_folders import dataset_above, datasets_below, is_dataset
from minian_vc.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from minian_vc.interrupts import put_off
from minian_vc.model import ArrayVersion, Checkpoint
from minian_vc.names import check_array_name, collisions
from minian_vc.repository import Repository
from minian_vc.swap import UnfinishedSwapError, put_in_place, set_aside
from minian_vc.verbs.before_restore import Asked, recorded, save_first
from minian_vc.verbs.write_back import write_arrays
from minian_vc.working_folder import FileStat, WorkingFolder
from minian_vc.working_folder.scan import list_files
from minian_vc.zarr_format import stem

__all__ = ["Restored", "refuse_without_bytes", "restore_arrays", "restore_checkpoint", "restore_to"]

LEVELS = 3  # of folders below a target that are looked through: datasets lie in a lab as animal/session/dataset


@dataclass(frozen=True, slots=True, repr=False)
class Restored:
    """What a restore did.

    ``arrays`` are the names now on disk as asked; ``removed`` those taken away because the checkpoint has them not;
    ``kept`` those left alone because policy records them without bytes, and ``without_bytes`` those of the checkpoint
    that cannot be brought back for that reason. ``saved_as`` is the checkpoint that was made of uncommitted
    work; ``aside`` where displaced folders lie that could not be recorded.
    """

    arrays: tuple[str, ...]
    folder: Path
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    without_bytes: tuple[str, ...] = ()
    saved_as: Checkpoint | None = None
    aside: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        return "\n".join(self._told())

    def _told(self) -> Iterator[str]:
        if self.saved_as is not None:
            yield f"What was not committed yet is now checkpoint {self.saved_as.short_id}."
        yield f"Restored {', '.join(self.arrays) or 'nothing'} in {self.folder}."
        if self.removed:
            yield f"Taken away, for the checkpoint does not have them: {', '.join(self.removed)}."
        if self.kept:
            yield f"Left as they were, for they are recorded without their bytes: {', '.join(self.kept)}."
        if self.without_bytes:
            yield f"Not brought back, for they are recorded without their bytes: {', '.join(self.without_bytes)}."
        for path in self.aside:
            yield f"Kept aside, for it could not be recorded: {path}"


class _Staging:
    """A folder of our own on the live folder's volume, removed at the end.

    Once something live may have been exchanged into it (``holds_displaced``), an error leaves it where it is.
    """

    def __init__(self, parent: Path, suffix: str = "") -> None:
        self.path = parent / f"restore-{os.urandom(8).hex()}{suffix}"
        self.holds_displaced = False

    def __enter__(self) -> Self:
        with durable.storage_errors("prepare the staging folder", self.path):
            self.path.mkdir(parents=True)
        return self

    def put_in_place(self, staged: Path, live: Path, notes: Path) -> Path | None:
        """Swap a folder of this one with a live one; return where the old one is now, or None."""
        before, self.holds_displaced = self.holds_displaced, True  # first: Ctrl-C may come when it is done
        try:
            return put_in_place(staged, live, notes)
        except UnfinishedSwapError:
            raise
        except StorageError:  # nothing was displaced
            self.holds_displaced = before
            raise

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None or not self.holds_displaced:
            durable.discard(self.path)


def restore_arrays(
    repository: Repository,
    dataset: DatasetRow,
    arrays: Sequence[ArrayVersion],
    asked: Asked,
    *,
    as_name: str | None = None,
) -> Restored:
    """Restore single arrays in place; nothing else in the dataset is touched.

    Parameters
    ----------
    arrays : sequence of ArrayVersion
        What to bring back.
    asked : Asked
        For the operation log.
    as_name : str, optional
        Another name for the one array, inside its folder too.

    Raises
    ------
    InvalidInputError
        ``as_name`` with more than one array, or no name at all.
    NotFoundError
        An array was recorded without its bytes.
    DamagedError
        A stored object is missing or damaged; the working folder is unchanged.
    """
    folders = _folders(arrays, as_name)
    refuse_without_bytes(arrays)
    _refuse_too_large(repository.folder, arrays)
    working = repository.working_folder(dataset.path)
    _refuse_collisions(working, folders)
    with _Staging(repository.staging) as staging:
        write_arrays(repository, folders, staging.path, as_name)
        staged = {folder: list_files(staging.path / folder) for folder in folders}
        before = save_first(repository, dataset, folders, f"before restoring {', '.join(map(stem, folders))}")
        with contextlib.ExitStack() as to_the_end:
            with recorded(repository, dataset, asked, before):
                to_the_end.enter_context(put_off())
                old = {
                    folder: staging.put_in_place(staging.path / folder, working.path / folder, repository.staging)
                    for folder in folders
                }
            aside = [path for folder in folders for path in _let_go(repository, working, old[folder], folder)]
            for folder, array in folders.items() if as_name is None else ():
                _remember(working, folder, array, staged[folder])
            staging.holds_displaced = False
    return Restored(tuple(map(stem, folders)), working.path, saved_as=before.saved_as, aside=tuple(aside))


def restore_checkpoint(repository: Repository, dataset: DatasetRow, asked: Asked) -> Restored:
    """Make the working folder exactly the checkpoint's that was asked for, in one step.

    Folders and files that are no arrays stay; so do arrays recorded without their bytes.
    """
    checkpoint, working = asked.checkpoint, repository.working_folder(dataset.path)
    scan = working.scan()
    policy = repository.config.record_without_bytes
    without = {a.folder for a in checkpoint.arrays if not a.bytes_kept}
    kept = {f for f in scan.arrays if f in without or stem(f) in policy}
    untouched = set() if asked.undoing is None else scan.arrays.keys() - asked.undoing.folders
    wanted = _folders([a for a in checkpoint.arrays if a.bytes_kept and a.folder not in kept], None)
    others = [folder for folder in scan.arrays if folder not in kept | untouched]
    before = save_first(repository, dataset, {*others, *wanted}, f"before restoring {asked.what}")
    same = {
        f
        for f, array in wanted.items()
        if working.records.manifest_of(f, list_files(working.path / f)) == array.manifest
    }
    _refuse_too_large(repository.folder, [array for folder, array in wanted.items() if folder not in same])
    aside: list[Path] = []
    with _Staging(repository.staging) as staging:
        staged = staging.path / "dataset"
        with durable.storage_errors("make the new folder", staged):
            staged.mkdir()
            if working.path.is_dir():
                shutil.copystat(working.path, staged)
        linked = _link_over(working.path, staged, leave=set(others) - same)
        write_arrays(repository, {folder: wanted[folder] for folder in sorted(set(wanted) - same)}, staged)
        written = {folder: list_files(staged / folder) for folder in set(wanted) - same}
        with contextlib.ExitStack() as to_the_end:
            with recorded(repository, dataset, asked, before):
                to_the_end.enter_context(put_off())
                old = staging.put_in_place(staged, working.path, repository.staging)
            if old is not None:
                aside = _sort_out(repository, working, old, linked)
            staging.holds_displaced = False
    for folder in sorted(set(wanted) - same):
        _remember(working, folder, wanted[folder], written[folder])
    for folder in same:
        working.records.refresh(folder, list_files(working.path / folder))
    return Restored(
        arrays=tuple(sorted(map(stem, wanted))),
        folder=working.path,
        removed=tuple(stem(folder) for folder in others if folder not in wanted),
        kept=tuple(sorted(map(stem, kept - untouched))),
        without_bytes=tuple(sorted(map(stem, without - kept))),
        saved_as=before.saved_as,
        aside=tuple(aside),
    )


def restore_to(
    repository: Repository,
    dataset: DatasetRow,
    arrays: Sequence[ArrayVersion],
    target: Path,
    *,
    as_name: str | None = None,
) -> Restored:
    """Write array versions into another folder; the working folder is not touched.

    Raises
    ------
    AlreadyExistsError
        The folder holds one of these arrays already.
    InvalidInputError
        The folder lies in a dataset or in the repository's own folder.
    """
    target = target.resolve()
    above = repository.folder if repository.folder in target.parents else dataset_above(target)
    below = None if is_dataset(target) else next(datasets_below(target, LEVELS), None)
    if below is not None:
        raise InvalidInputError(
            f"{target} holds the dataset {below}: arrays above it would make that part of another.",
            "Nothing was written. Choose a folder elsewhere.",
        )
    if above is not None or target in (repository.folder, repository.root / dataset.path):
        what = f"lies in {above}" if above else "is the dataset itself, or the repository's own folder"
        raise InvalidInputError(f"{target} {what}.", "Nothing was written. Choose a folder elsewhere.")
    if len(arrays) == 1:
        refuse_without_bytes(arrays)
    folders = _folders([array for array in arrays if array.bytes_kept], as_name)
    for folder in folders:
        if (target / folder).exists():
            raise AlreadyExistsError(
                f"{target / folder} is there already.", "Nothing was written. Choose another folder."
            )
    base = next(path for path in (target, *target.parents) if path.exists() and not is_dataset(path))
    _refuse_too_large(base, arrays)
    with _Staging(base, ".tmp") as staging:
        write_arrays(repository, folders, staging.path, as_name)
        with durable.storage_errors("write the restored arrays", target):
            target.mkdir(parents=True, exist_ok=True)
            for folder in folders:
                (staging.path / folder).rename(target / folder)
            durable.sync_folder(target)
    missing = tuple(array.name for array in arrays if not array.bytes_kept)
    return Restored(tuple(map(stem, folders)), target, without_bytes=missing)


# -- before -----------------------------------------------------------------------------------


def _folders(arrays: Sequence[ArrayVersion], as_name: str | None) -> dict[str, ArrayVersion]:
    """Return which folder each array goes to, refusing two for one."""
    if as_name is not None and len(arrays) != 1:
        raise InvalidInputError("--as names one array, and several are to be restored.", "Nothing was changed.")
    folders: dict[str, ArrayVersion] = {}
    for array in arrays:
        name = check_array_name(stem(array.folder) if as_name is None else as_name)
        folder = f"{name}.zarr" if as_name is not None else array.folder
        if folders.setdefault(folder, array) is not array:
            raise InvalidInputError(f"Two versions of {name} cannot both become {folder}.", "Nothing was changed.")
    return folders


def _refuse_collisions(working: WorkingFolder, folders: Iterable[str]) -> None:
    """Refuse a name that is another array's where case or Unicode form does not count."""
    for one, other in collisions(map(stem, {*working.scan().arrays, *folders})):
        raise InvalidInputError(
            f"{one} and {other} in {working.path} would be one name where case or Unicode form does not count.",
            "Nothing was changed. Choose another name: restore SPEC --as NAME",
        )


def refuse_without_bytes(arrays: Iterable[ArrayVersion]) -> None:
    """Refuse array versions of which only the description was kept."""
    for array in arrays:
        if not array.bytes_kept:
            raise NotFoundError(
                f"{array.name} was recorded without its bytes (record_without_bytes): it cannot be brought back.",
                "Nothing was changed. See: minian-vc config",
            )


def _refuse_too_large(where: Path, arrays: Iterable[ArrayVersion]) -> None:
    need, free = sum(array.stored_bytes for array in arrays if array.bytes_kept), durable.free_bytes(where)
    if need > free - durable.reserve(where):
        raise StorageError(
            f"The restore needs {need:,} bytes, and {free:,} are free.",
            "Nothing was changed. Free some space.",
        )


def _link_over(live: Path, staged: Path, leave: set[str]) -> set[str]:
    """Give everything in the live dataset a second name in the staged one, but for the arrays to be left behind."""
    linked = set()
    with durable.storage_errors("stage the unchanged files", staged):
        for entry in sorted(live.iterdir()) if live.is_dir() else ():
            if entry.name in leave:
                continue
            linked.add(entry.name)
            if entry.is_dir() and not entry.is_symlink():
                durable.link_tree(entry, staged / entry.name)
            else:
                durable.link_or_copy(entry, staged / entry.name)
    return linked


# -- after ------------------------------------------------------------------------------------


def _let_go(repository: Repository, working: WorkingFolder, old: Path | None, folder: str) -> list[Path]:
    """Remove a displaced array folder if it is exactly what was recorded, else keep it aside."""
    if old is None:
        return []
    if working.records.manifest_of(folder, list_files(old)) is not None:
        durable.discard(old)  # restored is restored
        return []
    return [set_aside(old, repository.folder / "displaced")]


def _sort_out(repository: Repository, working: WorkingFolder, old: Path, linked: set[str]) -> list[Path]:
    """Go through a displaced dataset: what is neither linked over nor recorded is kept aside."""
    aside: list[Path] = []
    for entry in sorted(old.iterdir()):
        if entry.name in linked and _same_files(entry, working.path / entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            aside += _let_go(repository, working, entry, entry.name)
        else:
            aside.append(set_aside(entry, repository.folder / "displaced"))
    return aside


def _same_files(one: Path, other: Path) -> bool:
    """Tell whether two names or folders hold files of the same names, sizes and times."""

    def listing(path: Path) -> dict[str, tuple[int, int]]:
        found = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
        stats = {str(each.relative_to(path)): each.lstat() for each in found if each.is_symlink() or not each.is_dir()}
        return {name: (s.st_size, s.st_mtime_ns) for name, s in stats.items()}

    return listing(one) == listing(other)


def _remember(
    working: WorkingFolder,
    folder: str,
    array: ArrayVersion,
    staged: Mapping[str, FileStat],
) -> None:
    """Record the restored files as they were before anyone else could touch them."""
    working.records.remember(folder, staged, max(s[1] for s in staged.values()), array.manifest, with_bytes=True)
