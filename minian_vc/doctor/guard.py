"""Going on where something cannot be read: that is a finding too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from minian_vc.errors import StorageError
from minian_vc.findings import Finding

__all__ = ["guarded", "is_folder", "unreadable"]


def guarded(look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return what a look finds, up to where it could not read on."""
    found: list[Finding] = []
    try:
        for finding in look():
            found.append(finding)  # one by one: what was found before the error counts
    except OSError as error:
        found.append(unreadable(error))
    return found


def is_folder(path: Path) -> bool:
    """Tell whether there is a folder that we may know of."""
    try:
        return path.is_dir()
    except OSError:
        return False


def unreadable(error: OSError) -> Finding:
    """Return the finding that the system refused to show something."""
    reason = (
        error.message if isinstance(error, StorageError) else f"Could not look at {error.filename}: {error.strerror}."
    )
    return Finding(
        "not-readable", "error", reason, fix="Run it as somebody who may read that, or mend its permissions."
    )
