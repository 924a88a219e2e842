"""Errors of the disk, raised at a step in the way that Python would hear of them."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable

from sqlalchemy.exc import OperationalError
from steps import Step

__all__ = ["ERRORS", "Failing", "raise_from"]

ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EACCES", "EROFS")
REMOVES = ("unlink", "rmdir")  # a full disk does not keep them from working
OF_SQLITE = {
    "ENOSPC": "database or disk is full",
    "EDQUOT": "database or disk is full",
    "EACCES": "attempt to write a readonly database",
    "EROFS": "attempt to write a readonly database",
    "EIO": "disk I/O error",
}


def raise_from(name: str, step: Step) -> None:
    """Raise an error as that step would."""
    if step.kind == "commit":
        raise sqlite3.OperationalError(OF_SQLITE[name])
    if step.kind == "sql":
        raise OperationalError(step.other, {}, sqlite3.OperationalError(OF_SQLITE[name]))
    code = getattr(errno, name)
    named = () if step.kind in ("write", "fsync", "syncfs") else (step.path,)  # by a descriptor: no name is known
    raise OSError(code, os.strerror(code), *named)


class Failing:
    """Fails at the step of a number, once or from then on; hears steps before they are made."""

    def __init__(
        self, name: str, number: int, *, stays: bool, heard: Callable[[Step], object] = lambda _: None
    ) -> None:
        self._name, self._number, self._stays, self._heard = name, number, stays, heard
        self._count = 0

    def __call__(self, step: Step) -> None:
        self._count += 1
        if self._count != self._number and not (self._stays and self._count > self._number):
            return
        if self._name in ("ENOSPC", "EDQUOT") and step.kind in REMOVES:
            return
        self._heard(step)
        raise_from(self._name, step)
