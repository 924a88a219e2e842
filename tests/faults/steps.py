"""The durable steps of the product below one folder: every file opened for writing, every write to it, every folder
made, everything renamed, linked or removed, every flush, every statement that writes to the catalog, and its commit.

Something can happen before and after each of them. Python's own functions are replaced, so what C code does by itself
(SQLite between the beginning and the end of a transaction) is not seen.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from sqlalchemy import Engine, event
from sqlalchemy.engine.default import DefaultDialect

from minian_vc import durable

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PATHS = {"mkdir": 1, "rename": 2, "replace": 2, "link": 2, "unlink": 1, "remove": 1, "rmdir": 1}


class Step(NamedTuple):
    """One step: its kind, the path it is about, and for those that have two the other."""

    kind: str
    path: str
    other: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.kind, self.path, self.other)))


class Steps:
    """Hears of each step below ``root`` while it is on; one at a time, whichever thread it is in.

    Parameters
    ----------
    root : Path
        Only what happens below is a step.
    before, after : callable
        Told of each step; what ``before`` raises keeps the step from being made.
    flushing : bool
        Whether flushes reach the disk: those who only kill need not wait for it.
    without : set of str
        C functions that this system does not have: ``renameat2`` for two renames, ``syncfs`` for one flush per file.
    short : callable
        Given a step that writes, tells whether it writes only half of what it was given.
    """

    def __init__(
        self,
        root: Path,
        before: Callable[[Step], object] = lambda _: None,
        after: Callable[[Step], object] = lambda _: None,
        *,
        flushing: bool = False,
        without: set[str] = frozenset(),
        short: Callable[[Step], bool] = lambda _: False,
    ) -> None:
        self._root = f"{os.path.realpath(root)}/"
        self._before, self._after, self._flushing, self._short = before, after, flushing, short
        self._without = without | {"sync_file_range"}
        self._lock = threading.RLock()
        self._inside = False

    @contextlib.contextmanager
    def heard(self) -> Iterator[None]:
        """Hear of steps within a block."""
        with ExitStack() as stack:
            for name in PATHS:
                stack.enter_context(patch.object(os, name, self._step_of(name, getattr(os, name))))
            opening = self._opening(open)
            for owner, name, new in (
                (os, "fsync", self._fsync(os.fsync)),
                (os, "open", self._os_open(os.open)),
                (builtins, "open", opening),
                (io, "open", opening),
                (durable, "_c_function", self._c_functions(durable._c_function)),
                (DefaultDialect, "do_commit", self._commit(DefaultDialect.do_commit)),
            ):
                stack.enter_context(patch.object(owner, name, new))
            event.listen(Engine, "before_cursor_execute", self._statement)
            stack.callback(event.remove, Engine, "before_cursor_execute", self._statement)
            yield

    def _is_watched(self, path: str) -> bool:
        return f"{path}/".startswith(self._root)

    @contextlib.contextmanager
    def _step(self, kind: str, path: str, other: str = "") -> Iterator[None]:
        with self._lock:
            if self._inside or not (self._is_watched(path) or (kind in ("rename", "link") and self._is_watched(other))):
                yield  # what those who were told do themselves is no step
                return
            step = Step(kind, path, other)
            self._told(self._before, step)
            yield
            self._told(self._after, step)

    def _told(self, listener: Callable[[Step], object], step: Step) -> None:
        self._inside = True
        try:
            listener(step)
        finally:
            self._inside = False

    # -- what is put in the place of the system's functions ------------------------------------

    def _step_of(self, name: str, real: Callable) -> Callable:
        kind = {"replace": "rename", "remove": "unlink"}.get(name, name)

        def call(*arguments: Any, **options: Any) -> Any:
            ends = (options.get("src_dir_fd", options.get("dir_fd")), options.get("dst_dir_fd"))
            paths = [_path(path, fd) for path, fd in zip(arguments[: PATHS[name]], ends, strict=False)]
            with self._step(kind, *paths):
                return real(*arguments, **options)

        return call

    def _fsync(self, real: Callable) -> Callable:
        def fsync(descriptor: int) -> None:
            with self._step("fsync", _path(descriptor)):
                if self._flushing:
                    real(descriptor)

        return fsync

    def _os_open(self, real: Callable) -> Callable:
        def opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if not flags & WRITES:
                return real(path, flags, *arguments, **options)
            with self._step("open", _path(path, options.get("dir_fd"))):
                return real(path, flags, *arguments, **options)

        return opened

    def _opening(self, real: Callable) -> Callable:
        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if not set(mode) & set("wxa+") or isinstance(file, int) or not self._is_watched(_path(file)):
                return real(file, mode, *arguments, **options)
            path = _path(file)
            with self._step("open", path):
                raw = _Raw(self, path, mode.replace("b", "").replace("t", ""))
            buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, "utf-8")

        return opened

    def _c_functions(self, real: Callable) -> Callable:
        makers = {"syncfs": self._syncfs, "renameat2": self._exchange}

        def c_function(name: str) -> Callable | None:
            function = None if name in self._without else real(name)
            return makers[name](function) if function is not None and name in makers else function

        return c_function

    def _syncfs(self, real: Callable) -> Callable:
        def syncfs(descriptor: int) -> int:
            with self._step("syncfs", _path(descriptor)):
                return real(descriptor) if self._flushing else 0

        return _as_c(syncfs)

    def _exchange(self, real: Callable) -> Callable:
        def exchange(one_fd: int, one: bytes, other_fd: int, other: bytes, flag: int) -> int:
            with self._step("exchange", _path(one), _path(other)):
                return real(one_fd, one, other_fd, other, flag)

        return _as_c(exchange)

    def _commit(self, real: Callable) -> Callable:
        def do_commit(dialect: Any, connection: Any) -> None:
            if connection.total_changes == 0:  # it only read
                return real(dialect, connection)
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            with self._step("commit", path):
                return real(dialect, connection)

        return do_commit

    def _statement(self, connection: Any, _: object, statement: str, *__: object) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA", "WITH", "ROLLBACK")) and statement != "BEGIN":
            with self._step("sql", str(connection.engine.url.database), " ".join(statement.split()[:3])):
                pass


class _Raw(io.FileIO):
    """A file whose writes are steps."""

    def __init__(self, steps: Steps, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._steps = steps

    def write(self, content: Any) -> int:
        step = Step("write", str(self.name))
        with self._steps._step(*step):
            short = len(content) > 1 and self._steps._short(step)
            return super().write(memoryview(content)[: len(content) // 2] if short else content)


def _as_c(function: Callable[..., int]) -> Callable[..., int]:
    """Tell of an error as C does."""

    def call(*arguments: Any) -> int:
        try:
            return function(*arguments)
        except OSError as error:
            ctypes.set_errno(error.errno or 0)
            return -1

    return call


def _path(path: Any, folder: int | None = None) -> str:
    """Return the absolute path of a file name, or of a descriptor."""
    if isinstance(path, int):
        return _target(path)
    above = _target(folder) if folder is not None else os.getcwd()  # noqa: PTH109
    name = os.fsdecode(path)
    return os.path.normpath(name if name.startswith("/") else f"{above}/{name}")


def _target(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
