"""Blocks in C order: together the array, each within its budget, no chunk read twice without need."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minian_vc.export.blocks import c_order_blocks, reads_per_chunk


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    shape = tuple(draw(st.lists(st.integers(0, 7), max_size=4)))
    chunks = tuple(draw(st.integers(1, 9)) for _ in shape)
    return shape, chunks, draw(st.sampled_from([1, 2, 8])), draw(st.integers(1, 700))


def places(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape)


@given(grids())
def test_blocks_one_after_the_other_are_the_array(grid: tuple):
    """Each value once, in C order."""
    shape, *_ = grid
    seen = [places(shape)[block].ravel() for block in c_order_blocks(*grid)]
    assert np.concatenate([*seen, np.empty(0)]).tolist() == list(range(math.prod(shape)))
    assert all(each.size for each in seen)


@given(grids())
def test_no_block_is_larger_than_the_budget(grid: tuple):
    """But for one value, which may be."""
    shape, _, itemsize, budget = grid
    assert all(places(shape)[block].size * itemsize <= max(budget, itemsize) for block in c_order_blocks(*grid))


@given(grids())
def test_what_fits_is_one_block(grid: tuple):
    shape, chunks, itemsize, _ = grid
    blocks = list(c_order_blocks(shape, chunks, itemsize, math.prod(shape) * itemsize + 1))
    assert len(blocks) == (math.prod(shape) > 0)


@given(grids())
def test_reads_are_counted(grid: tuple):
    """As often as blocks and chunks have values in common."""
    shape, chunks, *_ = grid
    starts = [range(0, size, chunk) for size, chunk in zip(shape, chunks, strict=True)]
    boxes = [tuple(slice(a, a + c) for a, c in zip(at, chunks, strict=True)) for at in itertools.product(*starts)]
    common = 0
    for block in c_order_blocks(*grid):
        of_block = np.zeros(shape, bool)
        of_block[block] = True
        common += sum(bool(of_block[box].any()) for box in boxes)
    assert reads_per_chunk(*grid) == pytest.approx(common / len(boxes) if math.prod(shape) else 1)


@pytest.mark.parametrize(
    ("shape", "chunks", "budget", "steps", "reads"),
    [
        ((100, 10, 10), (1, 10, 10), 10_000, 12, 1),  # footprints: as many units as fit
        ((100, 10, 10), (5, 10, 10), 10_000, 10, 1),  # a multiple of the chunk, not the 12 that fit
        ((100, 10, 10), (50, 10, 10), 10_000, 12, 5),  # less than a chunk fits: it is read again
    ],
)
def test_blocks_end_where_chunks_end(shape: tuple, chunks: tuple, budget: int, steps: int, reads: float):
    first, *_ = c_order_blocks(shape, chunks, 8, budget)
    assert first == (slice(0, steps), slice(0, 10), slice(0, 10))
    assert reads_per_chunk(shape, chunks, 8, budget) == reads
