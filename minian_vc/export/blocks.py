"""A large array cut into blocks that follow one another in C order. Pure: shapes in, slices out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

__all__ = ["c_order_blocks", "reads_per_chunk"]


def c_order_blocks(
    shape: Sequence[int], chunks: Sequence[int], itemsize: int, budget: int
) -> Iterator[tuple[slice, ...]]:
    """Cut an array into blocks: their values, each flattened in C order, one after the other are the array's.

    Parameters
    ----------
    shape : sequence of int
        The array's shape; any of it may be 0, and there may be no dim.
    chunks : sequence of int
        The array's chunk sizes. A block begins and ends with a chunk where the budget allows it, so that no chunk is
        read twice.
    itemsize : int
        Bytes of a value.
    budget : int
        Bytes that a block may have; one value at least. The chunks that are decoded for it are not counted.

    Yields
    ------
    tuple of slice
        One slice for each dim; none is empty.
    """
    steps = _steps(shape, chunks, itemsize, budget)
    ranges = [range(0, size, step) for size, step in zip(shape, steps, strict=True)]
    for starts in itertools.product(*ranges):
        ends = (min(start + step, size) for start, step, size in zip(starts, steps, shape, strict=True))
        yield tuple(map(slice, starts, ends))


def reads_per_chunk(shape: Sequence[int], chunks: Sequence[int], itemsize: int, budget: int) -> float:
    """Return how many blocks of :func:`c_order_blocks` need the same chunk, on average: 1 where none is read twice."""
    if not math.prod(shape):
        return 1.0
    steps = _steps(shape, chunks, itemsize, budget)
    return math.prod(map(_reads, shape, chunks, steps))


def _steps(shape: Sequence[int], chunks: Sequence[int], itemsize: int, budget: int) -> tuple[int, ...]:
    """Return a block's size along each dim: 1, then what fits along one dim, then all."""
    nbytes = itemsize
    for axis in reversed(range(len(shape))):
        if nbytes * shape[axis] > budget:
            fits = max(1, budget // nbytes)
            aligned = fits - fits % max(1, chunks[axis])
            return (*(1 for _ in shape[:axis]), aligned or fits, *(max(1, size) for size in shape[axis + 1 :]))
        nbytes *= shape[axis]
    return tuple(max(1, size) for size in shape)


def _reads(size: int, chunk: int, step: int) -> float:
    """Return how many steps along a dim need the same chunk, on average."""
    chunk = min(chunk, size)
    needed = sum(-(-min(start + step, size) // chunk) - start // chunk for start in range(0, size, step))
    return needed / -(-size // chunk)
