"""Putting Ctrl-C off while something must not be left in the middle."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

__all__ = ["put_off"]


class _Waiting:
    """How many blocks put Ctrl-C off now, whether it came, and what it does otherwise."""

    blocks = 0
    came = False
    usual: Callable[[int, FrameType | None], Any] | int | None = None

    def begin(self) -> None:
        if self.blocks == 0:
            self.came, self.usual = False, signal.getsignal(signal.SIGINT)
            if callable(self.usual):  # else it is not heard at all
                signal.signal(signal.SIGINT, self._note)
        self.blocks += 1

    def end(self) -> None:
        self.blocks -= 1
        if self.blocks == 0 and callable(self.usual):
            signal.signal(signal.SIGINT, self.usual)
            if self.came:
                signal.raise_signal(signal.SIGINT)

    def _note(self, number: int, frame: FrameType | None) -> None:
        is_second, self.came = self.came, not self.came
        if is_second and callable(self.usual):
            self.usual(number, frame)


_waiting = _Waiting()  # there is one Ctrl-C in a process


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Let a first Ctrl-C take effect when the last such block has ended, and a second one at once.

    What is changed meanwhile and what is recorded of that stay together. An error that ends the block is then the
    interrupt's context. In other threads than the main one nothing is done, for Ctrl-C does not come there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _waiting.begin()
    try:
        yield
    finally:
        _waiting.end()
