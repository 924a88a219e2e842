"""Writing stored array versions as ordinary files, each checked against its digest."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from minian_vc import durable, zarr_format
from minian_vc.errors import InvalidInputError
from minian_vc.model import ArrayVersion, FileEntry
from minian_vc.names import check_key
from minian_vc.progress import progress
from minian_vc.repository import Repository
from minian_vc.zarr_format import METADATA_NAMES

__all__ = ["write_arrays"]

WORKERS = min(8, 2 * (os.cpu_count() or 1))


def write_arrays(
    repository: Repository, folders: Mapping[str, ArrayVersion], target: Path, as_name: str | None = None
) -> None:
    """Write each array into a new folder of that name below the target, flushed; show progress."""
    with progress("Restoring", sum(array.stored_bytes for array in folders.values())) as advance:
        for folder, array in folders.items():
            _write_array(repository, array, target / folder, as_name, advance)
        durable.flush_tree(target)


def _write_array(
    repository: Repository, array: ArrayVersion, target: Path, as_name: str | None, advance: Callable[[int], None]
) -> None:
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

    def write(item: tuple[str, FileEntry]) -> None:
        key, entry = item
        repository.objects.write_file(entry, target / key)
        advance(entry.size)

    with ThreadPoolExecutor(WORKERS) as pool:
        for _ in pool.map(write, files):
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
