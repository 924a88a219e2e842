"""Writing an encoded group into a folder: metadata as bytes, chunks through zarr, whichever major is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minian_vc import durable
from minian_vc.arrays.encoding import Encoded, EncodedGroup, grid_of
from minian_vc.arrays.rechunking import plan_steps, rechunk
from minian_vc.arrays.scratch_array import ScratchArray
from minian_vc.progress import follow, progress
from minian_vc.zarr_layout import metadata_files

__all__ = ["Writing", "plan_writing", "write_metadata"]


def write_metadata(group: EncodedGroup, folder: Path) -> None:
    """Write all metadata, and the values of the coordinates."""
    stored = [each.stored for each in (group.array, *group.coordinates)]
    for key, content in metadata_files(stored, group.attributes).items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for coordinate in group.coordinates:
        lazy = hasattr(coordinate.values, "compute")
        _open_to_write(folder / coordinate.name)[...] = coordinate.values.compute() if lazy else coordinate.values


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
    target = _open_to_write(folder / array.name)
    if not hasattr(array.values, "dask"):
        return Writing(lambda _: None, lambda _: _write(array.values, target))
    if grid_of(array.values.chunks) == array.stored.chunks:
        return Writing(lambda now: _store(array, target, folder / array.name, now), lambda _: None)
    if 2 * array.values.nbytes <= mem_limit:
        return Writing(lambda now: array.values.compute() if now else array.values, lambda v: _write(v, target))
    for name in ("source", "between"):
        (scratch / name).mkdir()
    source = ScratchArray(scratch / "source", array.stored.shape, grid_of(array.values.chunks), target.dtype)
    plan_steps(source, target, mem_limit)  # what is beyond the limit is refused before anything is computed

    def cut(_: Any) -> None:
        with progress(f"Cutting {array.name}", array.values.nbytes) as advance:
            rechunk(source, target, mem_limit, scratch / "between", advance=advance)

    return Writing(lambda now: _store(array, source, scratch / "source", now), cut)


class _Target:
    """A zarr array to write whole chunks to. What is written starts on its way to the disk at once, so that the
    flush at the end waits for little.
    """

    def __init__(self, array: Any, folder: Path) -> None:
        self._array = array
        self._folder = folder
        self.shape, self.chunks, self.dtype, self.ndim = array.shape, array.chunks, array.dtype, array.ndim

    def __setitem__(self, place: Any, values: Any) -> None:
        self._array[place] = values
        if place is not Ellipsis and place:
            index = (each.start // size for each, size in zip(place, self.chunks, strict=True))
            durable.begin_flush(self._folder / ".".join(map(str, index)))

    def __getitem__(self, place: Any) -> Any:
        return self._array[place]


def _open_to_write(path: Path) -> _Target:
    """Open the zarr array in a folder; every chunk will be written, also where it is all fill value."""
    import zarr

    if int(zarr.__version__.partition(".")[0]) < 3:
        return _Target(zarr.open_array(str(path), mode="r+", write_empty_chunks=True), path)
    with zarr.config.set({"array.write_empty_chunks": True}):  # its config= is for new arrays alone
        return _Target(zarr.open_array(str(path), mode="r+", zarr_format=2), path)


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


def _write(values: Any, target: Any) -> None:
    """Write values in memory chunk by chunk in threads: blosc gives the same bytes there each time."""
    import dask.array as da

    if not target.ndim or 0 in target.shape or values.dtype.kind == "O":
        target[...] = values
        return
    da.from_array(values, chunks=target.chunks).store(target, lock=False, scheduler="threads")
