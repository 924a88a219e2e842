"""A megabyte held back, so that what frees space works on a full disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from minian_vc import durable

__all__ = ["SIZE", "given_up_if_full", "hold"]

NAME = "reserve"
SIZE = 1 << 20


def hold(folder: Path) -> None:
    """Hold the reserve in a ``.minian_vc`` folder, if it is not held yet and the disk has room to spare."""
    path = folder / NAME
    with contextlib.suppress(OSError):
        if path.exists() or durable.free_bytes(folder) < durable.reserve(folder) + SIZE:
            return
        try:
            with path.open("xb") as file:
                file.write(bytes(SIZE))
        except OSError:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def given_up_if_full(folder: Path) -> Iterator[None]:
    """Give the reserve up for the time of the block, if the disk is full."""
    with contextlib.suppress(OSError):
        if durable.free_bytes(folder) < SIZE:
            (folder / NAME).unlink(missing_ok=True)
    try:
        yield
    finally:
        hold(folder)
