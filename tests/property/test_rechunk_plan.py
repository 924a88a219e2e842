"""Any plan for rechunking tiles the array, races for no chunk, keeps to its budget and decodes no chunk too often."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minian_vc.errors import InvalidInputError
from minian_vc.rechunk_plan import Step, boxes, needed, parts, plan

MOVIE = (1350, 304, 304)
FRAMES, BLOCKS = (64, 304, 304), (1350, 40, 40)


@st.composite
def tasks(draw: st.DrawFn) -> tuple:
    """Draw shape, itemsize, both grids (also longer than the array), a budget that suffices, threads."""
    ndim = draw(st.integers(0, 4))
    shape, source, target = (
        tuple(draw(st.lists(st.integers(least, 40), min_size=ndim, max_size=ndim))) for least in (0, 1, 1)
    )
    itemsize = draw(st.sampled_from([1, 2, 4, 8]))
    least = needed(shape, itemsize, source, target)
    return shape, itemsize, source, target, least * draw(st.integers(10, 80)) // 10, draw(st.integers(1, 4))


def chunks_touched(box: tuple[slice, ...], grid: tuple[int, ...]) -> set[tuple[int, ...]]:
    """Return the indexes of the chunks that a box overlaps, element by element."""
    return set(itertools.product(*({i // n for i in range(b.start, b.stop)} for b, n in zip(box, grid, strict=True))))


def decoded(shape: tuple[int, ...], read: tuple[int, ...], step: Step) -> float:
    """Return how often a chunk is decoded on average, counted out."""
    regions = list(boxes(shape, step.regions))
    whole = chunks_touched(tuple(slice(0, size) for size in shape), read)
    return sum(len(chunks_touched(region, read)) for region in regions) / len(whole)


def plan_of(task: tuple) -> tuple[Step, ...]:
    shape, itemsize, source, target, budget, threads = task
    return plan(shape, itemsize, source, target, budget, threads=threads)


@settings(max_examples=200, deadline=None)
@given(tasks())
@example(((), 8, (), (), 100, 2))
@example(((10, 0), 8, (3, 1), (4, 1), 100, 2))
@example(((10,), 8, (64,), (128,), 10_000, 2))
def test_regions_tile_the_array_and_share_no_chunk_written(task: tuple) -> None:
    shape, _, _, target, *_ = task
    steps = plan_of(task)
    assert bool(steps) == (0 not in shape)
    assert len(steps) <= 2
    assert not steps or steps[-1].chunks == target
    for step in steps:
        for size, region, chunk in zip(shape, step.regions, step.chunks, strict=True):
            assert region == size or region % chunk == 0
        regions = list(boxes(shape, step.regions))
        volumes = [math.prod(along.stop - along.start for along in region) for region in regions]
        assert sum(volumes) == math.prod(shape)
        assert max(volumes) <= math.prod(step.regions)
        touched = [chunk for region in regions for chunk in chunks_touched(region, step.chunks)]
        assert len(touched) == len(set(touched))


@settings(max_examples=200, deadline=None)
@given(tasks())
def test_regions_and_a_chunk_of_either_grid_fit_the_budget(task: tuple) -> None:
    _, itemsize, source, _, budget, threads = task
    for step in plan_of(task):
        beside = math.prod(source) + math.prod(step.chunks)
        held = step.lanes * math.prod(step.regions) + step.threads * beside
        assert 1 <= step.lanes <= step.threads <= threads
        assert held * itemsize <= budget
        source = step.chunks


@settings(max_examples=200, deadline=None)
@given(tasks())
def test_one_step_decodes_a_chunk_twice_at_most_and_no_step_more_than_four_times(task: tuple) -> None:
    shape, _, read, *_ = task
    steps = plan_of(task)
    for step in steps:
        assert decoded(shape, read, step) <= (2 if len(steps) == 1 else 4)
        read = step.chunks


@settings(max_examples=100, deadline=None)
@given(tasks())
def test_with_room_for_two_arrays_one_step_does_and_decodes_each_chunk_twice_at_most(task: tuple) -> None:
    shape, itemsize, source, target, _, threads = task
    room = itemsize * (math.prod(shape) + 4 * math.prod(source) + 4 * math.prod(target))
    steps = plan(shape, itemsize, source, target, room, threads=threads)
    assert len(steps) == (0 not in shape)
    assert all(decoded(shape, source, step) <= 2 for step in steps)


@settings(max_examples=200, deadline=None)
@given(tasks())
def test_parts_of_a_box_lie_in_one_chunk_each_and_make_up_the_box(task: tuple) -> None:
    shape, _, source, *_ = task
    for step in plan_of(task):
        for region in boxes(shape, step.regions):
            found = list(parts(region, source))
            assert all(len(chunks_touched(part, source)) == 1 for part in found)
            assert sum(math.prod(a.stop - a.start for a in part) for part in found) == math.prod(
                a.stop - a.start for a in region
            )
        source = step.chunks


@settings(max_examples=100, deadline=None)
@given(tasks())
def test_below_what_is_needed_it_refuses_and_with_exactly_that_it_plans(task: tuple) -> None:
    shape, itemsize, source, target, *_ = task
    least = needed(shape, itemsize, source, target)
    plan(shape, itemsize, source, target, least)
    if least:
        with pytest.raises(InvalidInputError, match=f"{least:,} bytes are needed"):
            plan(shape, itemsize, source, target, least - 1)


def test_a_movie_goes_straight_within_much_memory_and_over_an_intermediate_grid_within_little() -> None:
    assert [step.chunks for step in plan(MOVIE, 4, FRAMES, BLOCKS, 400_000_000)] == [BLOCKS]
    between, last = plan(MOVIE, 4, FRAMES, BLOCKS, 80_000_000)
    assert last.chunks == BLOCKS
    assert between.chunks[0] < MOVIE[0]
    assert between.chunks[1:] < MOVIE[1:]
    assert decoded(MOVIE, FRAMES, between) == 1


def test_rather_than_decoding_three_times_it_goes_over_an_intermediate_grid() -> None:
    shape, source, target = (128, 60), (8, 60), (128, 20)
    assert len(plan(shape, 4, source, target, needed(shape, 4, source, target) * 3)) == 1
    assert len(plan(shape, 4, source, target, needed(shape, 4, source, target) * 3 // 2)) == 2


def test_work_is_shared_among_threads_where_the_memory_allows_it() -> None:
    assert plan(MOVIE, 4, FRAMES, BLOCKS, 400_000_000, threads=2)[0].threads == 2
    assert plan(MOVIE, 4, FRAMES, BLOCKS, 80_000_000, threads=2)[0].threads == 1


def test_if_it_must_it_exceeds_the_budget_but_by_no_more_than_what_is_needed() -> None:
    """MiniAn's own chunks are of 256 MiB, and its memory limit is 500 MB."""
    movie, frames, blocks = (30000, 608, 608), (90, 608, 608), (30000, 32, 32)
    least = needed(movie, 8, frames, blocks)
    assert least > 500_000_000
    first, last = plan(movie, 8, frames, blocks, 500_000_000, threads=4, exceed=True)
    assert (first.threads, last.threads) == (1, 1)
    assert last.regions == blocks
    assert 8 * (math.prod(first.regions) + math.prod(frames)) <= 500_000_000
