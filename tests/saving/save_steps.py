"""The steps of a save: every file opened for writing, every folder made, everything renamed or removed, the flush and
the exchange. Something can happen before each of them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator

from minian_vc import durable

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Steps:
    """Counts steps while it is on; at the one of a number, acts. An audit hook cannot be taken away again: make few."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._number, self._action = 0, lambda: None
        self._on = False
        self._lock = threading.Lock()
        self._hooked = False

    def at(self, number: int, action: Callable[[], object]) -> None:
        """Begin to count; act before the step of that number."""
        if not self._hooked:
            sys.addaudithook(self._hook)
            self._hooked = True
        self._functions = durable.exchange, durable.flush
        durable.exchange = self._as_step("exchange", durable.exchange)
        durable.flush = self._as_step("flush", durable.flush)
        self.names, self._number, self._action, self._on = [], number, action, True

    @contextlib.contextmanager
    def acting(self, number: int, action: Callable[[], object]) -> Iterator[None]:
        """Count within a block only."""
        self.at(number, action)
        try:
            yield
        finally:
            self._on = False
            durable.exchange, durable.flush = self._functions

    def _hook(self, event: str, arguments: tuple) -> None:
        if not self._on or not (event in CHANGES or (event == "open" and arguments[2] & WRITES)):
            return
        is_there = event == "os.mkdir" and os.path.isdir(arguments[0])  # noqa: PTH112 (cheap)
        # a module that is imported late is compiled for the next time
        if not is_there and "__pycache__" not in str(arguments[0]):
            self._step(f"{event} {arguments[0]}")

    def _as_step(self, name: str, function: Callable) -> Callable:
        def step(*arguments: object) -> object:
            if self._on:
                self._step(name)
            return function(*arguments)

        return step

    def _step(self, name: str) -> None:
        with self._lock:
            self.names.append(name)
            is_it = len(self.names) == self._number
        if is_it:
            self._action()
