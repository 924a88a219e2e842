"""Which folders on disk are datasets, which are arrays or exports, and where datasets lie."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from minian_vc.zarr_format import EXPORTED, is_zarr, stem

__all__ = ["FOLDER", "dataset_above", "datasets_below", "is_array_folder", "is_dataset", "is_export"]

FOLDER = ".minian_vc"  # a repository's own, in which no dataset is looked for
SEARCH_DEPTH = 5


def is_dataset(folder: Path) -> bool:
    """Tell whether a folder holds array folders, and is none itself, nor an export of several arrays."""
    if is_export(folder) or is_array_folder(folder):
        return False
    try:
        return any(is_array_folder(entry) for entry in folder.iterdir() if entry.is_dir())
    except OSError:
        return False


def is_array_folder(folder: Path) -> bool:
    """Tell whether a folder is called as an array's, or is a zarr array or a group with arrays directly in it.

    What an export made of several arrays is none: it may lie beside datasets.
    """
    if is_export(folder) and not (folder / stem(folder.name)).is_dir():
        return False
    if folder.suffix == ".zarr":
        return True
    files = {path.relative_to(folder).as_posix() for pattern in ("*", "*/.zarray") for path in folder.glob(pattern)}
    return is_zarr(files)


def is_export(folder: Path) -> bool:
    """Tell whether a zarr group says of itself that an export wrote it."""
    for name in (".zattrs", "zarr.json"):
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            document = json.loads((folder / name).read_bytes())
            if EXPORTED in document or EXPORTED in document.get("attributes", {}):
                return True
    return False


def dataset_above(folder: Path) -> Path | None:
    """Return the dataset that a folder lies in, at any depth: one with an array as MiniAn lays it out."""
    for parent in folder.parents:
        if parent.suffix == ".zarr":
            return parent.parent
        try:
            if any((array / array.stem).is_dir() for array in parent.glob("*.zarr")):
                return parent
        except OSError:  # not ours to look into
            continue
    return None


def datasets_below(folder: Path, depth: int = SEARCH_DEPTH) -> Iterator[Path]:
    """Yield the datasets at or below a folder, a few levels deep."""
    if is_dataset(folder):
        yield folder
    elif depth:
        try:
            below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
        except OSError:
            return
        for path in below:
            if path.name != FOLDER and not path.name.startswith("."):
                yield from datasets_below(path, depth - 1)
