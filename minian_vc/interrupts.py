"""Putting Ctrl-C off while something must not be left in the middle."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["put_off"]


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Let a first Ctrl-C take effect when the block has ended; a second one does so at once.

    What the block changes and what it records of that stay together. In other threads than the main one nothing is
    done, for Ctrl-C does not come there.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            before(number, frame)
        came = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)
