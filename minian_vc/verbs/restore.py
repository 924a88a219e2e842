"""restore: bring array versions back as ordinary, writable folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from minian_vc import durable, zarr_format
from minian_vc.catalog.queries import DatasetRow
from minian_vc.errors import AlreadyExistsError, InvalidInputError, MinianVCError, NotFoundError, StorageError
from minian_vc.model import ArrayVersion, Checkpoint, FileEntry
from minian_vc.names import check_array_name, check_key
from minian_vc.repository import Repository, dataset_above
from minian_vc.swap import put_in_place, set_aside
from minian_vc.verbs.commit import Request, commit
from minian_vc.working_folder import FileStat, WorkingFolder
from minian_vc.working_folder.folder import WORKERS
from minian_vc.working_folder.scan import list_files
from minian_vc.zarr_format import METADATA_NAMES, stem

__all__ = ["Restored", "refuse_without_bytes", "restore_arrays", "restore_checkpoint", "restore_to"]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    ``arrays`` are the names now on disk as asked; ``removed`` those taken away because the checkpoint has them not;
    ``kept`` those left alone because they are recorded without bytes. ``saved_as`` is the checkpoint that
    was made of uncommitted work; ``aside`` where displaced folders lie that could not be recorded.
    """

    arrays: tuple[str, ...]
    folder: Path
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    saved_as: Checkpoint | None = None
    aside: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Staging:
    """A folder of our own beside the live one, on the same volume."""

    path: Path
    made: bool = field(default=False)

    def __enter__(self) -> Path:
        with durable.storage_errors("prepare the staging folder", self.path):
            self.path.mkdir(parents=True)
        return self.path

    def __exit__(self, *_: object) -> None:
        durable.remove_tree(self.path)


def restore_arrays(
    repository: Repository, dataset: DatasetRow, arrays: Sequence[ArrayVersion], *, as_name: str | None = None
) -> Restored:
    """Restore single arrays in place; nothing else in the dataset is touched.

    Parameters
    ----------
    arrays : sequence of ArrayVersion
        What to bring back.
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
    if as_name is not None:
        check_array_name(as_name)
        if len(arrays) != 1:
            raise InvalidInputError("--as names one array, and several are to be restored.", "Nothing was changed.")
    refuse_without_bytes(arrays)
    _refuse_too_large(repository.folder, arrays)
    working = repository.working_folder(dataset.path)
    folders = {f"{as_name}.zarr" if as_name else array.folder: array for array in arrays}
    with _Staging(repository.staging / f"restore-{os.urandom(8).hex()}") as staging:
        for folder, array in folders.items():
            _write_array(repository, array, staging / folder, as_name)
        _flush(staging)
        saved = _commit_first(repository, dataset, folders, f"before restoring {', '.join(map(stem, folders))}")
        aside = []
        for folder, array in folders.items():
            staged = list_files(staging / folder)
            old = put_in_place(staging / folder, working.path / folder, repository.staging)
            aside += _let_go(repository, working, old, folder)
            if as_name is None:
                _remember(working, folder, array, staged)
    return Restored(tuple(map(stem, folders)), working.path, saved_as=saved, aside=tuple(aside))


def restore_checkpoint(repository: Repository, dataset: DatasetRow, checkpoint: Checkpoint) -> Restored:
    """Make the working folder exactly a checkpoint's, in one step.

    Folders and files that are no arrays stay; so do arrays recorded without their bytes.
    """
    working = repository.working_folder(dataset.path)
    scan = working.scan()
    policy = repository.config.record_without_bytes
    without = {a.folder for a in checkpoint.arrays if not a.bytes_kept}
    kept = {f for f in scan.arrays if f in without or stem(f) in policy}
    wanted = {array.folder: array for array in checkpoint.arrays if array.bytes_kept and array.folder not in kept}
    others = [folder for folder in scan.arrays if folder not in kept]
    saved = _commit_first(repository, dataset, others, f"before restoring @{checkpoint.short_id}")
    same = {
        f
        for f, array in wanted.items()
        if working.records.manifest_of(f, list_files(working.path / f)) == array.manifest
    }
    _refuse_too_large(repository.folder, [array for folder, array in wanted.items() if folder not in same])
    aside: list[Path] = []
    with _Staging(repository.staging / f"restore-{os.urandom(8).hex()}") as staging:
        staged = staging / "dataset"
        staged.mkdir()
        if working.path.is_dir():
            shutil.copystat(working.path, staged)
        linked = _link_over(working.path, staged, leave=set(others) - same)
        for folder in sorted(set(wanted) - same):
            _write_array(repository, wanted[folder], staged / folder, None)
        _flush(staged)
        written = {folder: list_files(staged / folder) for folder in set(wanted) - same}
        old = put_in_place(staged, working.path, repository.staging)
        if old is not None:
            aside = _sort_out(repository, working, old, linked)
    for folder in sorted(set(wanted) - same):
        _remember(working, folder, wanted[folder], written[folder])
    for folder in same:
        working.records.refresh(folder, list_files(working.path / folder))
    removed = tuple(stem(folder) for folder in others if folder not in wanted)
    return Restored(
        tuple(sorted(map(stem, wanted))),
        working.path,
        removed,
        tuple(sorted(map(stem, kept | without))),
        saved,
        tuple(aside),
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
    if as_name is not None and len(arrays) != 1:
        raise InvalidInputError("--as names one array, and several are to be restored.", "Nothing was changed.")
    above = dataset_above(target, repository.root)
    above = repository.root / dataset.path if target == repository.root / dataset.path else above
    if above is not None or repository.folder in (target, *target.parents):
        raise InvalidInputError(
            f"{target} lies in {above or repository.folder}.",
            "Nothing was written. Choose a folder elsewhere.",
        )
    folders = {f"{check_array_name(as_name)}.zarr" if as_name else a.folder: a for a in arrays if a.bytes_kept}
    refuse_without_bytes(arrays if len(arrays) == 1 else ())
    for folder in folders:
        if (target / folder).exists():
            raise AlreadyExistsError(
                f"{target / folder} is there already.", "Nothing was written. Choose another folder."
            )
    parent = next(path for path in target.parents if path.exists())
    _refuse_too_large(parent, arrays)
    with _Staging(parent / f".restore-{os.urandom(8).hex()}.tmp") as staging:
        for folder, array in folders.items():
            _write_array(repository, array, staging / folder, as_name)
        _flush(staging)
        with durable.storage_errors("write the restored arrays", target):
            target.mkdir(parents=True, exist_ok=True)
            for folder in folders:
                (staging / folder).rename(target / folder)
            durable.sync_folder(target)
    kept = tuple(array.name for array in arrays if not array.bytes_kept)
    return Restored(tuple(map(stem, folders)), target, kept=kept)


# -- before -----------------------------------------------------------------------------------


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


def _commit_first(
    repository: Repository, dataset: DatasetRow, folders: Iterable[str], message: str
) -> Checkpoint | None:
    """Commit what would be overwritten, as far as it can be read; return the checkpoint if one was made."""
    working = repository.working_folder(dataset.path)
    present = working.scan().arrays
    readable = []
    for folder in folders:
        if folder in present:
            try:
                working.describe(folder, present[folder])
                readable.append(stem(folder))
            except MinianVCError:
                continue  # cannot be recorded: it will be kept aside, and named
    if not readable:
        return None
    done = commit(repository, dataset, Request(message, only=readable, provenance={"automatic": "restore"}))
    return done.checkpoint if done.created else None


def _holds(working: WorkingFolder, folder: str, array: ArrayVersion) -> bool:
    """Tell whether the folder, just committed, is that array version already."""
    return working.records.manifest_of(folder, list_files(working.path / folder)) == array.manifest


# -- writing ----------------------------------------------------------------------------------


def _write_array(repository: Repository, array: ArrayVersion, target: Path, as_name: str | None) -> None:
    """Write an array's files into a new folder, each checked against its digest."""
    entries = dict(repository.stored_files(array.manifest).entries)
    for key in entries:
        check_key(key)
    if as_name is not None and array.variable:
        entries = _renamed(array, entries, as_name)
    with durable.storage_errors("write the restored files", target):
        for folder in sorted({target / key.rpartition("/")[0] for key in entries}):
            folder.mkdir(parents=True, exist_ok=True)
    files = [(key, entry) for key, entry in entries.items() if not key.endswith("/")]
    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(lambda item: repository.objects.write_file(item[1], target / item[0]), files):
            pass


def _renamed(array: ArrayVersion, entries: Mapping[str, FileEntry], name: str) -> dict[str, FileEntry]:
    parent, _, _ = array.variable.rpartition("/")
    new = f"{parent}/{name}".lstrip("/")
    if array.coordinate(name) is not None:
        raise InvalidInputError(
            f"{array.name} has a coordinate called {name!r}.", "Nothing was changed. Choose another name."
        )
    metadata = {
        key: entry.inline
        for key, entry in entries.items()
        if entry.inline is not None and key.rpartition("/")[2] in METADATA_NAMES
    }
    documents = zarr_format.rename_variable(metadata, array.variable, new)
    prefix = f"{array.variable}/"
    moved = {
        (f"{new}/{key.removeprefix(prefix)}" if key.startswith(prefix) else key): entry
        for key, entry in entries.items()
        if key not in metadata
    }
    return moved | {key: FileEntry.of(content) for key, content in documents.items()}


def _flush(folder: Path) -> None:
    files, folders = [], [folder]
    for root, names, file_names in os.walk(folder):
        folders += [Path(root) / name for name in names]
        files += [Path(root) / name for name in file_names]
    with durable.storage_errors("flush the restored files", folder):
        durable.flush(files, folders)


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
        durable.remove_tree(old)
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
