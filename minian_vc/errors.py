"""Errors by what a caller would do about them, and the exit codes of the command line.

Every error says what failed, on which path, what is unchanged, and (``hint``) what to do next.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AlreadyExistsError",
    "BusyError",
    "ConflictError",
    "DamagedError",
    "EnvironmentUnfitError",
    "InvalidInputError",
    "MinianVCError",
    "NotFoundError",
    "StorageError",
    "UnreadableError",
]


class MinianVCError(Exception):
    """Root of all errors meant for the user.

    Parameters
    ----------
    message : str
        What failed and where, in one sentence.
    hint : str, optional
        What to do next.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class InvalidInputError(MinianVCError, ValueError):
    """What was asked cannot be meant: a bad name, a bad option, a path that is no dataset."""

    exit_code = 2


class NotFoundError(MinianVCError, LookupError):
    """No such repository, dataset, tag, checkpoint or array."""

    exit_code = 4


class AlreadyExistsError(MinianVCError):
    """The name or path is taken."""


class ConflictError(MinianVCError):
    """The arrays cannot be brought together without inventing values."""


class BusyError(MinianVCError):
    """Somebody else is writing: try again shortly."""

    exit_code = 5


class DamagedError(MinianVCError):
    """Stored bytes are not what was recorded."""

    exit_code = 6


class EnvironmentUnfitError(MinianVCError):
    """The program is too old for the data, or a package is missing or unfit."""

    exit_code = 7


class UnreadableError(MinianVCError):
    """A folder or an array on disk is not what MiniAn writes."""


class StorageError(MinianVCError, OSError):
    """The disk refused: full, read-only, no permission."""

    def __str__(self) -> str:  # OSError would print its own arguments
        return MinianVCError.__str__(self)
