"""Parameters by their dotted paths: ``param_first_temporal.p``. Pure: JSON in, data out."""

from __future__ import annotations

from typing import Any

__all__ = ["flatten", "nodes"]


def flatten(params: Any) -> dict[str, Any]:
    """Return parameters by their dotted paths, ``param_first_temporal.p``; lists and slices are single values."""
    return {path: value for path, value in nodes(params).items() if not _is_level(value)}


def nodes(params: Any) -> dict[str, Any]:
    """Return every dotted path with what is there, levels as well."""
    found: dict[str, Any] = {}
    _add_nodes(params if isinstance(params, dict) else {}, "", found)
    return found


def _add_nodes(params: dict[str, Any], prefix: str, found: dict[str, Any]) -> None:
    for name, value in params.items():
        path = prefix + name
        found[path] = value
        if _is_level(value):
            _add_nodes(value, f"{path}.", found)


def _is_level(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and value.keys() != {"slice"}
