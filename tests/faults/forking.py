"""Running something in a forked process: a kill ends it, and nothing it remembers is there afterwards."""

from __future__ import annotations

import faulthandler
import os
import pickle
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 300.0  # seconds; a case takes a few


@dataclass(frozen=True)
class Ended:
    """How a child ended: what it told before, whether it was killed, and what went wrong."""

    told: tuple[Any, ...]
    killed: bool
    error: str = ""


def in_child(action: Callable[[Callable[[Any], None]], object]) -> Ended:
    """Run ``action(tell)`` in a forked process and wait; what it tells is there even if it is killed afterwards."""
    if threading.active_count() != 1:
        raise SystemExit(f"There are threads ({threading.enumerate()}): no child of this process can be relied on.")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _run(action, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:  # noqa: PTH123 (a descriptor)
        told, error = [], ""
        while True:
            try:
                kind, value = pickle.load(pipe)  # noqa: S301 (our own child)
            except EOFError:
                break
            except pickle.UnpicklingError:  # it was killed while it told
                break
            told, error = ([*told, value], error) if kind == "told" else (told, value)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 1:
        error = f"it did not end within {PATIENCE:.0f} s"
    return Ended(tuple(told), code < 0, error)


def _run(action: Callable, writing: int) -> None:
    def send(kind: str, value: Any) -> None:
        content = pickle.dumps((kind, value))
        while content:
            content = content[os.write(writing, content) :]

    faulthandler.dump_traceback_later(PATIENCE, exit=True)  # with code 1
    try:
        action(lambda value: send("told", value))
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "/minian_vc/" in frame.filename] or frames
        where = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in ours[-3:])
        send("error", f"{type(error).__name__} ({where}): {error}")
        if os.environ.get("MINIAN_VC_TRACE"):
            traceback.print_exc()
    finally:
        os._exit(0)
