"""What the real MiniAn does with a folder, written down in the form of a prediction.

Nothing is computed but what MiniAn itself computes on opening. ``padded`` and ``padded_values`` do not come from the
values: each array's shape in its own ``.zarray`` is compared with its shape in the opened result.

An array is padded where it is longer along a dim than on disk; with size 0 along another dim, no value is filled in.
``padded_values`` counts the positions that no folder has. Where several folders hold an array of one name, it is padded
only if there are such positions. Values repeated along a dim that a stored array lacks are not padding.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import xarray as xr

CHECKED_BY_MASK = 2_000_000
"""The most positions of an array for which a mask in memory is made."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """MiniAn and what it imports warn and print a lot; that is theirs."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        logging.disable(logging.ERROR)
        stack.callback(logging.disable, logging.NOTSET)
        yield


def minian() -> Any:
    """Return MiniAn's module of utilities; the first import takes seconds."""
    with quiet():
        from minian import utilities
    return utilities


@dataclass
class Stored:
    """One array folder of a dataset, as MiniAn handed it to the merge, and its shape on disk."""

    array: xr.DataArray
    shape: tuple[int, ...]


@dataclass
class Opened:
    """One dataset that MiniAn opened, and the array folders it is made of."""

    dataset: xr.Dataset
    stored: list[Stored]

    def of(self, name: Any) -> list[Stored]:
        """Return the array folders whose array has this inner name."""
        return [stored for stored in self.stored if stored.array.name == name]


@dataclass
class Watch:
    """What passed through MiniAn's calls while it was opening."""

    paths: list[str] = field(default_factory=list)
    merged: list[xr.DataArray] = field(default_factory=list)
    opened: list[Opened] = field(default_factory=list)
    kept: list[Opened] | None = None


@contextlib.contextmanager
def watching() -> Iterator[Watch]:
    """Look at the arguments of MiniAn's calls without changing what they do."""
    utilities, watch = minian(), Watch()
    from_zarr, merge = utilities.darr.from_zarr, utilities.xr.merge
    open_minian, concat = utilities.open_minian, utilities.xrconcat_recursive

    def watched_from_zarr(path: str, *rest: Any, **options: Any) -> Any:
        watch.paths.append(path)
        return from_zarr(path, *rest, **options)

    def watched_merge(arrays: list[xr.DataArray], **options: Any) -> xr.Dataset:
        watch.merged = list(arrays)
        return merge(arrays, **options)

    def watched_open_minian(*rest: Any, **options: Any) -> Any:
        watch.paths, watch.merged = [], []
        result = open_minian(*rest, **options)
        if isinstance(result, xr.Dataset):
            pairs = zip(watch.merged, watch.paths, strict=True)
            watch.opened.append(Opened(result, [Stored(array, shape_on_disk(path)) for array, path in pairs]))
        return result

    def watched_concat(datasets: Any, dims: list[str]) -> xr.Dataset:
        if watch.kept is None:
            chosen = list(datasets.values())
            watch.kept = [next(opened for opened in watch.opened if opened.dataset is one) for one in chosen]
        return concat(datasets, dims)

    with (
        mock.patch.object(utilities.darr, "from_zarr", watched_from_zarr),
        mock.patch.object(utilities.xr, "merge", watched_merge),
        mock.patch.object(utilities, "open_minian", watched_open_minian),
        mock.patch.object(utilities, "xrconcat_recursive", watched_concat),
    ):
        yield watch


def shape_on_disk(path: str) -> tuple[int, ...]:
    """Return the shape in an array's own ``.zarray``."""
    return tuple(json.loads(Path(path, ".zarray").read_text())["shape"])


def observe(path: Path) -> dict[str, dict[str, Any]]:
    """Open a dataset with the real ``open_minian`` in the three ways a prediction speaks of."""
    return {
        "return_dict": _outcome(lambda: _opened(path, return_dict=True)),
        "merge": _outcome(lambda: _opened(path)),
        "merge_exact": _outcome(lambda: _opened(path, exact=True)),
    }


def observe_mf(root: Path, index_dims: Sequence[str], pattern: str) -> dict[str, dict[str, Any]]:
    """Open all datasets below a root with the real ``open_minian_mf``."""
    return {"open_minian_mf": _outcome(lambda: _opened_mf(root, list(index_dims), pattern))}


def _outcome(attempt: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the status of an attempt, the name of its error, and its arrays."""
    try:
        with quiet():
            arrays = attempt()
    except OracleError:
        raise
    except Exception as error:
        return {"status": "error", "error": type(error).__name__, "message": str(error)}
    return {"status": "ok", "error": None, "arrays": arrays}


class OracleError(Exception):
    """The oracle cannot say what it saw; never an outcome."""


def _opened(path: Path, *, return_dict: bool = False, exact: bool = False) -> dict[str, Any]:
    with watching() as watch, xr.set_options(use_new_combine_kwarg_defaults=exact):
        result = minian().open_minian(str(path), return_dict=return_dict)
    if not isinstance(result, xr.Dataset):
        return {str(name): _described(array, padded=False, padded_values=0) for name, array in result.items()}
    return described_dataset(watch.opened[0])


def _opened_mf(root: Path, index_dims: list[str], pattern: str) -> dict[str, Any]:
    with watching() as watch:
        result = minian().open_minian_mf(str(root), index_dims, pattern=pattern)
    arrays = {}
    for name, array in result.data_vars.items():
        padding = [_padding_in_part(opened, name, array, index_dims) for opened in watch.kept or []]
        padded_values = array.size - sum(covered for _, covered in padding)
        padded = padded_values > 0 or any(longer for longer, _ in padding)
        arrays[str(name)] = _described(array, padded=padded, padded_values=padded_values)
    return arrays


def described_dataset(opened: Opened) -> dict[str, Any]:
    """Describe the arrays of one opened dataset; one read from a file holds what is stored, and no more."""
    arrays = {}
    for name, array in opened.dataset.data_vars.items():
        stored = opened.of(name)
        missing = array.size - _covered(opened, name, array)
        padded = missing > 0 or (len(stored) == 1 and _longer(array, stored[0]))
        arrays[str(name)] = _described(array, padded=padded, padded_values=missing)
    return arrays


def _described(array: xr.DataArray, *, padded: bool, padded_values: int) -> dict[str, Any]:
    return {
        "dims": [str(dim) for dim in array.dims],
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "padded": padded,
        "padded_values": int(padded_values),
        "nbytes": int(array.nbytes),
    }


def _longer(array: xr.DataArray, stored: Stored) -> bool:
    """Whether the opened array has more positions than the stored one along a dim of the stored one."""
    sizes = dict(zip(stored.array.dims, stored.shape, strict=True))
    return any(array.sizes[dim] > size for dim, size in sizes.items())


def _covered(opened: Opened, name: Any, array: xr.DataArray) -> int:
    """Count the positions of a merged array which some array folder has stored."""
    stored = opened.of(name)
    if not stored:  # read from a file
        return array.size
    if len(stored) == 1:
        return math.prod(stored[0].shape)
    if array.size > CHECKED_BY_MASK:
        raise OracleError(f"{name} lies in several folders and is too large to look at: {array.size} positions")
    mask = xr.DataArray(np.zeros(array.shape, dtype=bool), dims=array.dims, coords=_indexes(array))
    for each in stored:
        one = xr.DataArray(np.ones(each.shape, dtype=bool), dims=each.array.dims, coords=_indexes(each.array))
        mask = mask | one.reindex_like(mask, fill_value=False)
    return int(mask.sum())


def _indexes(array: xr.DataArray) -> dict[Any, Any]:
    return {dim: array.indexes[dim] for dim in array.dims if dim in array.indexes}


def _padding_in_part(opened: Opened, name: Any, array: xr.DataArray, index_dims: list[str]) -> tuple[bool, int]:
    """Compare one dataset's array with what became of it: is it longer there, and how many positions does it fill?

    Along a dim which the dataset's array lacks, values are repeated, not filled in.
    """
    if name not in opened.dataset:
        return True, 0
    part = opened.dataset[name]
    covered = _covered(opened, name, part)
    for dim, size in array.sizes.items():
        if dim not in part.dims:
            covered *= opened.dataset.sizes.get(dim, 1) if dim in index_dims else size
    shared = [dim for dim in part.dims if dim not in index_dims]
    stored = opened.of(name)
    longer = any(array.sizes[dim] > part.sizes[dim] for dim in shared)
    return longer or (len(stored) == 1 and _longer(part, stored[0])), covered
