"""Hearing of array folders that are made, removed or replaced, from Python itself.

Python tells audit hooks of each folder that is made or removed (PEP 578). Nothing is patched, and it does not matter
who saves: MiniAn, xarray or minian_vc. A hook cannot be taken away again; without a listener it returns at once.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minian_vc.repository import FOLDER
from minian_vc.staging import SAVING
from minian_vc.verbs.save import REPLACE

__all__ = ["Listener", "listen"]

Listener = Callable[[Path, bool], None]  # an array folder, and whether it is about to go

_GOING = {"shutil.rmtree": True, REPLACE: True, "os.mkdir": False}
_SUFFIX = ".zarr"
_OURS = (FOLDER, SAVING)

_listener: Listener | None = None
_installed = False
_process = os.getpid()  # a forked child inherits the hook, and must not record
_busy = threading.local()


def listen(listener: Listener | None) -> None:
    """Tell a listener of array folders from now on; None for nobody any more."""
    global _listener, _installed, _process
    _listener, _process = listener, os.getpid()
    if listener is not None and not _installed:
        sys.addaudithook(_hook)
        _installed = True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _GOING or _listener is None or getattr(_busy, "now", False) or os.getpid() != _process:
        return
    _busy.now = True  # what the listener itself makes and removes is not told
    try:
        path = os.fsdecode(arguments[0]).rstrip("/\\")
        relative_to_folder = len(arguments) > 1 and event != REPLACE and arguments[-1] not in (None, -1)
        if path.endswith(_SUFFIX) and not relative_to_folder and not any(part in path for part in _OURS):
            _listener(Path(os.path.realpath(path)), _GOING[event])
    except Exception:  # noqa: S110 (an error here would stop whoever makes the folder)
        pass
    finally:
        _busy.now = False
