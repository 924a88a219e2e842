"""What a notebook knows about the step that made an array: the cell, its parameters and chk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["cell_of", "chk_of", "params_of"]

PREFIX = "param_"  # MiniAn's notebook keeps the parameters of each step in dictionaries of such names


def params_of(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameter dictionaries as they stand."""
    return {
        name: value for name, value in list(namespace.items()) if name.startswith(PREFIX) and isinstance(value, Mapping)
    }


def chk_of(namespace: Mapping[str, Any]) -> dict[str, int] | None:
    """Return MiniAn's ``chk``, or None where it is something else."""
    chk = namespace.get("chk")
    try:
        return {str(dim): int(size) for dim, size in chk.items()}  # type: ignore[union-attr]
    except (AttributeError, TypeError, ValueError):
        return None


def cell_of(result: Any) -> dict[str, Any] | None:
    """Return source and number of the cell that an IPython execution result is of."""
    try:
        return None if result.info.silent else {"cell": result.info.raw_cell, "number": result.execution_count}
    except AttributeError:
        return None
