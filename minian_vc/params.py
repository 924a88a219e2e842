"""Parameters of checkpoints: compared, and found again. Pure: JSON in, data out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from minian_vc.json_values import plain
from minian_vc.param_paths import flatten, nodes

__all__ = ["MISSING", "Missing", "changed_params", "finder"]


class Missing(Enum):
    """The one value that stands where a parameter is not there at all; None is a value."""

    MISSING = "—"

    def __str__(self) -> str:
        return self.value

    __repr__ = __str__


MISSING = Missing.MISSING


def changed_params(old: Any, new: Any) -> dict[str, tuple[Any, Any]]:
    """Return the parameters that differ: dotted path → (old, new), ``MISSING`` where one side has it not."""
    before, after = flatten(old), flatten(new)
    pairs = {path: (before.get(path, MISSING), after.get(path, MISSING)) for path in sorted(before | after)}
    return {path: pair for path, pair in pairs.items() if not _same(*pair)}


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal as JSON: 1 is 1.0, true is not 1."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def finder(wanted: Mapping[str, Any]) -> Callable[[Any], bool]:
    """Return a function that tells whether parameters have all that is wanted.

    Parameters
    ----------
    wanted : mapping of str to value
        A name is a dotted path or the last part of one: ``p``, ``first_temporal.p``, ``param_first_temporal.p``.
        The value is one that :func:`minian_vc.json_values.plain` takes, ``...`` for any. A mapping wants what is in it.
    """
    named = [name for name, value in wanted.items() if value is ...]
    valued: dict[str, Any] = {}
    for name, value in wanted.items():
        valued |= {} if value is ... else flatten(plain({name: value}))

    def holds(params: Any) -> bool:
        known = nodes(params)
        return all(any(True for _ in _fitting(known, name)) for name in named) and all(
            any(_same(value, known[path]) for path in _fitting(known, name)) for name, value in valued.items()
        )

    return holds


def _fitting(paths: Iterable[str], name: str) -> Iterator[str]:
    """Yield the paths that a name is, or is the last part of; MiniAn's ``param_`` in front can be left out."""
    whole, last = (name, f"param_{name}"), f".{name}"
    return (path for path in paths if path.endswith(last) or path in whole)
