"""Progress of work that takes a while, for whoever waits: in a terminal or a notebook, on stderr.

It is shown from ``SMALL`` bytes on and after ``DELAY`` seconds. Workers only add up a number; one thread draws it.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["follow", "progress", "silence"]

SMALL = 50_000_000
DELAY = 1.0
INTERVAL = 0.5

_silent: contextvars.ContextVar[bool] = contextvars.ContextVar("silent", default=False)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Show no progress inside the block."""
    before = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(before)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of so many bytes are done.

    Parameters
    ----------
    what : str
        What is being done, such as ``Recording``.
    total : int
        Bytes that the whole work has.

    Yields
    ------
    callable
        To be called with the number of bytes done since the last call, from any thread.
    """
    if not _is_shown(total):
        yield _ignore
        return
    counter = _Counter()
    with follow(what, total, counter.value):
        yield counter.advance


@contextlib.contextmanager
def follow(what: str, total: int, measure: Callable[[], int]) -> Iterator[None]:
    """Show the progress of work that does not tell of it, by asking again and again.

    Parameters
    ----------
    what : str
        What is being done, such as ``Saving``.
    total : int
        Bytes that the whole work has.
    measure : callable
        Returns the bytes done so far. It is called from another thread; what it cannot read (``OSError``) it may raise.
    """
    if not _is_shown(total):
        yield
        return
    ended = threading.Event()
    # the context tells a notebook which cell the bar belongs to
    drawing = contextvars.copy_context().run
    thread = threading.Thread(target=drawing, args=(_draw, what, total, measure, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Counter:
    """A sum that several threads add to."""

    def __init__(self) -> None:
        self._sum = 0
        self._lock = threading.Lock()

    def advance(self, count: int) -> None:
        with self._lock:
            self._sum += count

    def value(self) -> int:
        return self._sum


def _ignore(_: int) -> None:
    """Take no notice."""


def _is_shown(total: int) -> bool:
    if total < SMALL or _silent.get():
        return False
    return _is_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _is_notebook() -> bool:
    """Tell whether this is a notebook's kernel, without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


def _draw(what: str, total: int, measure: Callable[[], int], ended: threading.Event) -> None:
    """Draw the bar until the work ends."""
    if ended.wait(DELAY):
        return
    with _bar(what, total, _measured(measure, 0)) as bar:
        while not ended.wait(INTERVAL):
            bar.n = min(_measured(measure, bar.n), total)  # a file that changed is read twice
            bar.refresh()
        bar.n = total  # a bar closed short of its end would stay, in red


class _Forgiving:
    """A file that may be closed meanwhile: tqdm would keep its lock, and every later bar would wait for it forever."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _measured(measure: Callable[[], int], otherwise: int) -> int:
    try:
        return measure()
    except OSError:  # what is being written comes and goes
        return otherwise


def _bar(what: str, total: int, done: int) -> Any:
    """Return tqdm's bar; in notebooks without ipywidgets the one of text, and no warning (as tqdm.auto would give)."""
    if _is_notebook() and importlib.util.find_spec("ipywidgets"):
        from tqdm.notebook import tqdm
    else:
        from tqdm.std import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread that stays

    return Bar(
        desc=what,
        total=total,
        initial=min(done, total),
        unit="B",
        unit_scale=True,
        leave=False,
        dynamic_ncols=True,
        file=_Forgiving(sys.stderr),
    )
