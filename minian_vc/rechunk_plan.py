"""How an array on disk comes into another chunk grid within a memory limit. Pure: shapes in, steps out.

The idea is that of rechunker (https://rechunker.readthedocs.io): straight across where the memory allows it, else
over an intermediate grid, whose chunks are long in one grid's direction and short in the other's.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from minian_vc.errors import InvalidInputError

__all__ = ["Step", "boxes", "needed", "parts", "plan"]

Box = tuple[slice, ...]
Sizes = tuple[int, ...]

CALL = 256 << 10  # opening, reading or writing a chunk costs about what this many bytes do
ENCODING = 2  # compressing costs about twice what decompressing does
OFTEN = 2.0  # a source chunk may be decoded so often, on average, before an intermediate array is cheaper
TOO_OFTEN = 4.0  # in no step more often than this: rather is more memory asked for
LARGEST = 256 << 20  # bytes of an intermediate chunk, where one grid does not force more
TRIED = 1500  # region sizes looked at for one step


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One copy of the whole array onto another chunk grid.

    Attributes
    ----------
    chunks : tuple of int
        The grid that is written.
    regions : tuple of int
        The part that is held in memory at once: along each dim a multiple of ``chunks``, or the whole dim. Regions
        tile the array, and no two share a chunk of ``chunks``.
    threads : int
        How many chunks may be read or written at once.
    lanes : int
        How many regions may be held at once.
    """

    chunks: Sizes
    regions: Sizes
    threads: int = 1
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class _Copy:
    """Two grids over one array. A chunk may be longer than its dim: it is stored, and decoded, whole."""

    shape: Sizes
    itemsize: int
    read: Sizes
    written: Sizes

    def over(self, grid: Sizes) -> tuple[_Copy, _Copy]:
        """Return the two copies that do the same over an intermediate grid."""
        return replace(self, written=grid), replace(self, read=grid)

    def decodes(self, regions: Sizes) -> int:
        """Return how many chunks are decoded when each region is read once, chunk by chunk."""
        return math.prod(map(_overlaps, self.shape, self.read, regions))

    def memory(self, step: Step) -> int:
        """Return the most bytes that are held: regions, and what reading or writing a chunk takes beside them."""
        piece = math.prod(map(min, self.read, step.regions))
        lies_within = self.decodes(step.regions) == _count(self.shape, step.regions)
        is_chunk = step.regions == self.written and not any(map(operator.mod, self.shape, self.written))
        source, written = math.prod(self.read), math.prod(self.written)
        reading = 2 * source + (0 if lies_within else piece)  # encoded, decoded, and cut out of it
        writing = written * (1 if is_chunk else 2)  # made contiguous, and encoded
        beside = max(reading, writing, source + written)
        return self.itemsize * (step.lanes * math.prod(step.regions) + step.threads * beside)

    def work(self, step: Step) -> float:
        """Return how long a step takes, in bytes that one thread decodes in that time."""
        regions, reads = _count(self.shape, step.regions), self.decodes(step.regions)
        writes = _count(self.shape, self.written)
        reading = reads * (math.prod(self.read) * self.itemsize + CALL)
        writing = writes * (math.prod(self.written) * self.itemsize * ENCODING + CALL)
        readers = min(step.threads, step.lanes * max(1, reads // regions))
        writers = min(step.threads, step.lanes * max(1, writes // regions))
        return reading / readers + writing / writers


def plan(
    shape: Sequence[int],
    itemsize: int,
    source_chunks: Sequence[int],
    target_chunks: Sequence[int],
    budget: int,
    *,
    threads: int = 1,
    exceed: bool = False,
) -> tuple[Step, ...]:
    """Plan how to copy an array onto another chunk grid.

    Parameters
    ----------
    shape : sequence of int
        The array's shape.
    itemsize : int
        Bytes of one element.
    source_chunks, target_chunks : sequence of int
        The chunk grid it has, and the one it shall have.
    budget : int
        Bytes that may be held at once, by all threads together.
    threads : int, default 1
        How many threads there are. Fewer are used where the chunks are large.
    exceed : bool, default False
        Where the budget is below :func:`needed`, hold as little as possible instead of raising.

    Returns
    -------
    tuple of Step
        One step, straight onto the target grid, where each source chunk is then decoded at most twice on average;
        else two, with an intermediate grid between them. None where the array has no elements.

    Raises
    ------
    InvalidInputError
        Not even one chunk can be handled within the budget; the message says how many bytes are needed.
    """
    if 0 in shape:
        return ()
    across = _Copy(tuple(shape), itemsize, tuple(source_chunks), tuple(target_chunks))
    leanest = _leanest(across)
    if budget < (least := _least_memory(leanest)):
        if exceed:
            return tuple(_best_step(copy, budget, threads) or _least_step(copy) for copy in leanest)
        raise InvalidInputError(
            f"Chunks of {across.read} cannot be cut into {across.written} within {budget:,} bytes of memory:"
            f" {least:,} bytes are needed.",
            "Nothing was changed. Give a higher mem_limit, or smaller chunks.",
        )
    if straight := _best_step(across, budget, threads, often=OFTEN):
        return (straight,)
    over_others = map(across.over, _intermediate_grids(across, budget))
    return _fastest(over_others, budget, threads) or _fastest([(across,)], budget, threads)


def needed(shape: Sequence[int], itemsize: int, source_chunks: Sequence[int], target_chunks: Sequence[int]) -> int:
    """Return the smallest budget, in bytes, for which there is a plan."""
    if 0 in shape:
        return 0
    across = _Copy(tuple(shape), itemsize, tuple(source_chunks), tuple(target_chunks))
    return _least_memory(_leanest(across))


def boxes(shape: Sequence[int], sizes: Sequence[int]) -> Iterator[Box]:
    """Yield the boxes of a regular grid over an array of this shape; those at the far edges may be smaller."""
    return parts(tuple(slice(0, size) for size in shape), sizes)


def parts(box: Box, chunks: Sequence[int]) -> Iterator[Box]:
    """Yield the parts of a box that lie in one chunk of a grid each."""
    return itertools.product(*map(_cuts, box, chunks))


def _cuts(along: slice, size: int) -> list[slice]:
    starts = range(along.start - along.start % size, along.stop, size)
    return [slice(max(start, along.start), min(start + size, along.stop)) for start in starts]


def _count(shape: Sizes, sizes: Sizes) -> int:
    return math.prod(-(-size // step) for size, step in zip(shape, sizes, strict=True))


def _overlaps(size: int, chunk: int, region: int) -> int:
    """Return how many pairs of a chunk and a region overlap along one dim."""
    common = math.lcm(chunk, region)
    return -(-size // chunk) + -(-size // region) - -(-size // common)


def _leanest(across: _Copy) -> tuple[_Copy, ...]:
    return min((across,), across.over(_smallest_grid(across)), key=_least_memory)


def _least_memory(route: tuple[_Copy, ...]) -> int:
    return max(copy.memory(_least_step(copy)) for copy in route)


def _fastest(routes: Iterable[tuple[_Copy, ...]], budget: int, threads: int) -> tuple[Step, ...]:
    """Return the steps of the fastest route within the budget; no steps where there is none."""
    found: list[tuple[float, tuple[Step, ...]]] = []
    for route in routes:
        steps = [step for copy in route if (step := _best_step(copy, budget, threads))]
        if len(steps) == len(route):
            found.append((sum(map(_Copy.work, route, steps)), tuple(steps)))
    return min(found, default=(0, ()))[1]


def _best_step(copy: _Copy, budget: int, threads: int, often: float = TOO_OFTEN) -> Step | None:
    """Return the fastest step within the budget that decodes no chunk more often than this. None: there is none."""
    within = [
        step
        for regions in _region_choices(copy, often)
        for count in range(1, threads + 1)
        for lanes in {1, count}
        if copy.memory(step := Step(copy.written, regions, count, lanes)) <= budget
    ]
    return min(within, key=copy.work, default=None)


def _least_step(copy: _Copy) -> Step:
    return min((Step(copy.written, regions) for regions in _region_choices(copy, TOO_OFTEN)), key=copy.memory)


def _region_choices(copy: _Copy, often: float) -> Iterator[Sizes]:
    """Yield region sizes that decode a chunk no more often than this on average; there always are some."""
    most = often * _count(copy.shape, copy.read)
    return (regions for regions in itertools.product(*_region_sizes(copy)) if copy.decodes(regions) <= most)


def _region_sizes(copy: _Copy) -> list[list[int]]:
    """Return, by dim, region sizes worth trying, each of which decodes less than those before."""
    found = [
        _worthwhile(size, read, written)
        for size, read, written in zip(copy.shape, copy.read, copy.written, strict=True)
    ]
    while math.prod(map(len, found)) > TRIED:
        longest = max(found, key=len)
        del longest[1:-1:2]
    return found


def _worthwhile(size: int, read: int, written: int) -> list[int]:
    wanted = [-(-size // count) for count in (*range(1, 9), *(1 << i for i in range(4, size.bit_length())))]
    wanted += [read << i for i in range((size // read).bit_length())]
    sizes = {written, size}
    for grid in (written, math.lcm(read, written)):  # the latter's regions decode nothing twice
        sizes |= {each // grid * grid for each in wanted} | {-(-each // grid) * grid for each in wanted}
    kept: list[int] = []
    for region in sorted({min(size, each) for each in sizes if each}):
        if not kept or _overlaps(size, read, region) < _overlaps(size, read, kept[-1]):
            kept.append(region)
    return kept


def _smallest_grid(across: _Copy) -> Sizes:
    return tuple(map(min, across.shape, across.read, across.written))


def _intermediate_grids(across: _Copy, budget: int) -> list[Sizes]:
    """Return intermediate grids worth trying; the smallest is among them, and fits if any does."""
    source, target = (tuple(map(min, across.shape, chunks)) for chunks in (across.read, across.written))
    grids = {_smallest_grid(across)}
    for share in (2, 3, 4, 8):  # how much of the budget a region can have depends on what is beside it
        room = min(LARGEST, budget // share) // across.itemsize
        taken, made = _grown(source, target, room), _grown(target, source, room)
        grids.add(tuple(map(min, taken, made)))
        grids.add(tuple(map(_fitting, taken, made)))
    return sorted(grids)


def _grown(chunks: Sizes, limits: Sizes, room: int) -> Sizes:
    """Put chunks together along the dims where they are shorter than the limit, the last dim first."""
    grown = list(chunks)
    for dim in reversed(range(len(chunks))):
        most = room // math.prod(grown)
        if chunks[dim] >= limits[dim] or most < 2:
            continue
        pieces = -(-limits[dim] // (chunks[dim] * most))
        grown[dim] = min(limits[dim], -(-limits[dim] // (pieces * chunks[dim])) * chunks[dim])
    return tuple(grown)


def _fitting(taken: int, made: int) -> int:
    """Return the smaller of two lengths, made somewhat smaller where it then divides the larger one."""
    smaller, larger = sorted((taken, made))
    first = -(-larger // smaller)
    return next((larger // count for count in range(first, 2 * first) if larger % count == 0), smaller)
