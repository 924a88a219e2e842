"""What is kept about how a checkpoint came to be, as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minian_vc.version import __version__

__all__ = ["of_commit", "plain"]


def of_commit(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the provenance of a commit by hand."""
    kept: dict[str, Any] = {"minian_vc": __version__}
    return kept | {"params": plain(params)} if params else kept


def plain(value: Any) -> Any:
    """Return a parameter as JSON can hold it: numpy values as Python's, tuples as lists, what is unknown as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, slice):
        return {"slice": [plain(value.start), plain(value.stop), plain(value.step)]}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
