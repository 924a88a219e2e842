"""Copying an array on disk onto another chunk grid, within a memory limit.

Chunks are read and written one per call: zarr 3 would decode several at once, and go beyond the limit.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from minian_vc.arrays.freed_memory import given_back_at_once
from minian_vc.arrays.scratch_array import ScratchArray
from minian_vc.errors import InvalidInputError
from minian_vc.rechunk_plan import Box, Step, boxes, needed, parts, plan

__all__ = ["plan_steps", "rechunk"]

MOST_THREADS = 4  # beyond, they wait for the disk and for one another
USED = 0.8  # of the limit: what codecs take, and malloc keeps, is not in the plan
KEPT = 48_000_000  # of freed memory, by malloc, for each thread


def rechunk(
    source: Any, target: Any, mem_limit: int, scratch: Path, *, advance: Callable[[int], None] = lambda _: None
) -> None:
    """Copy an array onto another chunk grid, chunk by chunk.

    Every chunk of ``target`` is written whole, by one call. Values are copied as they are.

    Parameters
    ----------
    source, target : ScratchArray, ChunkFiles or zarr.Array
        Of one shape and dtype, any number of dims, chunked differently: what has shape, chunks and dtype, and takes or
        gives a chunk.
    mem_limit : int
        Bytes that may be held at once. A chunk must be held decoded and encoded: where the limit holds each
        chunk but not twice (see :func:`minian_vc.rechunk_plan.needed`), as little as possible is held.
    scratch : Path
        An existing folder, on a disk with room for the array, for an intermediate array. Empty again afterwards, also
        after an error.
    advance : callable
        Called with bytes done, from one thread at a time; they add up to the array's bytes.

    Raises
    ------
    InvalidInputError
        The arrays differ in shape or dtype, the dtype is object, or one chunk alone is beyond ``mem_limit``. Nothing
        was written.
    """
    steps, shape = plan_steps(source, target, mem_limit), tuple(source.shape)
    progress = _Progress(math.prod(shape) * source.dtype.itemsize, len(steps), advance)
    with ExitStack() as stack:
        if mem_limit * (1 - USED) < _kept(steps):
            stack.enter_context(given_back_at_once())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rechunk-", dir=scratch))
        between = [ScratchArray(Path(folder), shape, step.chunks, source.dtype) for step in steps[:-1]]
        arrays = [source, *between, target]
        for read, written, step in zip(arrays, arrays[1:], steps, strict=False):  # no steps for no elements
            _Copying(read, written, step, progress).run()


def plan_steps(source: Any, target: Any, mem_limit: int) -> tuple[Step, ...]:
    """Return how :func:`rechunk` will go about it; raises as it does, before ``source`` need be written."""
    _refuse_unlike(source, target)
    _refuse_too_little(source, target, mem_limit)
    threads = min(os.cpu_count() or 1, MOST_THREADS)
    shape, itemsize, budget = tuple(source.shape), source.dtype.itemsize, int(mem_limit * USED)
    return plan(shape, itemsize, source.chunks, target.chunks, budget, threads=threads, exceed=True)


def _kept(steps: tuple[Step, ...]) -> int:
    """Return how much freed memory malloc may keep; zarr 3 has threads of its own for files and codecs."""
    import zarr

    others = 0 if zarr.__version__.startswith("2.") else 4
    return KEPT * (max((step.threads for step in steps), default=0) + others)


def _refuse_unlike(source: Any, target: Any) -> None:
    if source.shape != target.shape or source.dtype != target.dtype or source.dtype.hasobject:
        raise InvalidInputError(
            f"An array of {source.dtype} {source.shape} cannot be rechunked into one of {target.dtype} {target.shape}.",
            "Nothing was changed. Shape and dtype must be equal, and the dtype of fixed size.",
        )


def _refuse_too_little(source: Any, target: Any, mem_limit: int) -> None:
    itemsize = source.dtype.itemsize
    largest = max(math.prod(source.chunks), math.prod(target.chunks)) * itemsize
    if 0 not in source.shape and largest > mem_limit:
        least = needed(source.shape, itemsize, source.chunks, target.chunks)
        raise InvalidInputError(
            f"An array in chunks of {source.chunks} cannot be rechunked into {target.chunks} within {mem_limit:,} bytes"
            f" of memory: one chunk takes {largest:,}, and {least:,} bytes are needed.",
            "Nothing was changed. Give a higher mem_limit, or smaller chunks.",
        )


class _Progress:
    """Tells how many of the array's bytes are done, whatever number of steps they go through."""

    def __init__(self, total: int, steps: int, advance: Callable[[int], None]) -> None:
        self._total, self._steps, self._advance = total, steps, advance
        self._copied = self._told = 0
        self._lock = threading.Lock()

    def add(self, nbytes: int) -> None:
        with self._lock:
            self._copied += nbytes
            done = self._copied // self._steps
            self._advance(done - self._told)
            self._told = done


class _Copying:
    """One step: lanes take regions in turn; each reads its region, then writes it, with the help of the threads."""

    def __init__(self, read: Any, written: Any, step: Step, progress: _Progress) -> None:
        self.read, self.written, self.step, self.progress = read, written, step, progress
        self.regions = boxes(read.shape, step.regions)
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def run(self) -> None:
        """Copy everything; the first error ends all lanes, and is raised."""
        with ExitStack() as stack:
            # as many lanes as threads: each lane reads and writes by itself
            helpers = (
                stack.enter_context(ThreadPoolExecutor(self.step.threads))
                if self.step.lanes < self.step.threads
                else None
            )
            lanes = stack.enter_context(ThreadPoolExecutor(self.step.lanes))
            with self._stopping_all():
                for lane in [lanes.submit(self._lane, helpers) for _ in range(self.step.lanes)]:
                    lane.result()

    def _lane(self, helpers: Executor | None) -> None:
        import numpy as np

        memory = np.empty(math.prod(self.step.regions), self.read.dtype)  # one for all regions: malloc keeps none back
        with self._stopping_all():
            while (region := self._next()) is not None:
                self._copy(region, memory, helpers)

    def _next(self) -> Box | None:
        with self.lock:
            return None if self.stopped.is_set() else next(self.regions, None)

    def _copy(self, region: Box, memory: Any, helpers: Executor | None) -> None:
        import numpy as np

        sizes = [along.stop - along.start for along in region]
        taken = list(parts(region, self.read.chunks))
        block = memory[: math.prod(sizes)].reshape(sizes)

        def read(part: Box) -> None:
            block[_within(region, part)] = self.read[part]

        def read_alone(part: Box) -> None:
            nonlocal block
            block = np.asarray(self.read[part])  # no need to hold it twice

        def write(part: Box) -> None:
            self.written[part] = block[_within(region, part)]

        self._each(read if len(taken) > 1 else read_alone, taken, helpers)
        self._each(write, parts(region, self.written.chunks), helpers)
        if not self.stopped.is_set():
            self.progress.add(block.nbytes)

    def _each(self, action: Callable[[Box], None], boxes: Iterable[Box], helpers: Executor | None) -> None:
        def unless_stopped(part: Box) -> None:
            if not self.stopped.is_set():
                with self._stopping_all():
                    action(part)

        for _ in (helpers.map if helpers else map)(unless_stopped, boxes):
            pass

    @contextlib.contextmanager
    def _stopping_all(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.stopped.set()
            raise


def _within(region: Box, part: Box) -> Box:
    """Return a part's place in its region."""
    return tuple(slice(p.start - r.start, p.stop - r.start) for p, r in zip(part, region, strict=True))
