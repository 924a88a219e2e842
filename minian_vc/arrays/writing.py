"""Writing an encoded group into a folder: its metadata, and its values as they are computed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minian_vc import durable
from minian_vc.arrays.chunk_files import ChunkFiles
from minian_vc.arrays.encoding import Encoded, EncodedGroup, grid_of
from minian_vc.arrays.rechunking import plan_steps, rechunk
from minian_vc.arrays.scratch_array import ScratchArray
from minian_vc.progress import follow, progress
from minian_vc.rechunk_plan import boxes
from minian_vc.zarr_layout import metadata_files

__all__ = ["Writing", "plan_writing", "write_group", "write_metadata"]

THREADS = min(4, os.cpu_count() or 1)


def write_metadata(group: EncodedGroup, folder: Path) -> None:
    """Write all metadata, and the values of the coordinates."""
    _write_documents((group.array, *group.coordinates), group.attributes, folder)
    for coordinate in group.coordinates:
        _write_in_memory(coordinate, folder)


def write_group(variables: Sequence[Encoded], attributes: Mapping[str, Any], folder: Path) -> None:
    """Write a whole group: its metadata, and all values, block by block as dask computes them.

    Parameters
    ----------
    variables : sequence of Encoded
        Arrays and coordinates; what is lazy is cut in blocks of its chunk grid.
    attributes : mapping
        The group's attributes.
    folder : Path
        The group's folder; it is made.
    """
    _write_documents(variables, attributes, folder)
    for each in variables:
        if each.is_lazy and grid_of(each.values.chunks) == each.stored.chunks:
            _store(each, ChunkFiles(each.stored, folder), folder / each.name, True)
        else:
            _write_in_memory(each, folder)


def _write_documents(variables: Sequence[Encoded], attributes: Mapping[str, Any], folder: Path) -> None:
    for key, content in metadata_files([each.stored for each in variables], attributes).items():
        with durable.storage_errors("make a folder to write in", folder):
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
        durable.write_file(folder / key, content)


def _write_in_memory(variable: Encoded, folder: Path) -> None:
    values = variable.values.compute() if variable.is_lazy else variable.values
    _write(values, ChunkFiles(variable.stored, folder))


@dataclass(frozen=True, slots=True)
class Writing:
    """How an array's values come into their folder: first dask computes, then ``finish`` does the rest here.

    ``compute(True)`` computes and returns what ``finish`` wants; ``compute(False)`` returns the same as a dask
    collection that has still to be computed.
    """

    compute: Callable[[bool], Any]
    finish: Callable[[Any], None]


def plan_writing(array: Encoded, folder: Path, scratch: Path, mem_limit: int) -> Writing:
    """Return how to write an array's values into ``folder``, where its metadata lies already.

    Parameters
    ----------
    array : Encoded
        What to write.
    folder : Path
        The group's folder.
    scratch : Path
        An empty folder for what is needed on the way, on a disk with room for the array.
    mem_limit : int
        Bytes that cutting it otherwise than it is computed may take. The computation itself is dask's.

    Raises
    ------
    InvalidInputError
        One chunk alone is beyond ``mem_limit``.
    """
    target = ChunkFiles(array.stored, folder)
    if not array.is_lazy:
        return Writing(lambda _: None, lambda _: _write(array.values, target))
    if grid_of(array.values.chunks) == array.stored.chunks:
        return Writing(lambda now: _store(array, target, folder / array.name, now), lambda _: None)
    if 2 * array.values.nbytes <= mem_limit:
        return Writing(lambda now: array.values.compute() if now else array.values, lambda v: _write(v, target))
    with durable.storage_errors("make a folder beside it to write in", scratch):
        for each in ("source", "between"):
            (scratch / each).mkdir()
    source = ScratchArray(scratch / "source", array.stored.shape, grid_of(array.values.chunks), target.dtype)
    plan_steps(source, target, mem_limit)  # what is beyond the limit is refused before anything is computed

    name, nbytes = array.name, array.values.nbytes  # not the array: dask hands ``cut`` on with compute=False

    def cut(_: Any) -> None:
        with progress(f"Cutting {name}", nbytes) as advance:
            rechunk(source, target, mem_limit, scratch / "between", advance=advance)

    return Writing(lambda now: _store(array, source, scratch / "source", now), cut)


def _store(array: Encoded, target: Any, folder: Path, now: bool) -> Any:
    """Compute an array into its target, or return what will do so. Progress is told by the files that are there."""
    import dask.array as da

    if not now:
        return da.store(array.values, target, lock=False, compute=False)
    each = array.values.nbytes / max(1, array.values.npartitions)

    def done() -> int:
        return int(each * sum(len(files) for _, _, files in os.walk(folder)))

    with follow(f"Saving {array.name}", array.values.nbytes, done):
        return da.store(array.values, target, lock=False, compute=True)


def _write(values: Any, target: ChunkFiles) -> None:
    """Write values in memory chunk by chunk in threads: blosc gives the same bytes there each time."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda box: target.__setitem__(box, values[box]), boxes(target.shape, target.chunks)):
            pass
