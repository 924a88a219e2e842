"""Giving freed memory back to the system.

glibc keeps some 50 MB of freed chunks for each thread, to use them again. That is fast, and more than a small memory
limit holds.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["given_back_at_once"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # malloc.h
LARGE = 1 << 20
USUAL_TRIM, USUAL_MMAP = 64 << 20, 32 << 20  # where glibc's own thresholds go once arrays of this size were freed


@contextlib.contextmanager
def given_back_at_once() -> Iterator[None]:
    """While the block runs, any memory above 1 MiB goes back to the system when it is freed.

    This holds for the whole process, and costs time. C libraries other than glibc are left alone.
    """
    mallopt = _find_mallopt()
    mallopt(MMAP_THRESHOLD, LARGE)
    try:
        yield
    finally:
        mallopt(MMAP_THRESHOLD, USUAL_MMAP)
        mallopt(TRIM_THRESHOLD, USUAL_TRIM)


def _find_mallopt() -> Callable[[int, int], Any]:
    try:
        found: Callable[[int, int], Any] = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return lambda _option, _value: None
    return found
