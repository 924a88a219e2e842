"""Values of any kind as plain JSON that can be kept forever: bounded, without secrets, and never computed.

numpy, pandas and xarray are not imported here: whoever holds one of their values has imported them.
"""

from __future__ import annotations

import dataclasses
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, time
from enum import Enum
from typing import Any

from minian_vc.model import canonical_json
from minian_vc.redaction import HIDDEN, names_a_secret, redact

__all__ = ["clean_text", "plain"]

MAX_DEPTH = 20
MAX_ELEMENTS = 1_000  # of an array; a larger one is told by its kind, dtype and shape
MAX_TEXT = 10_000  # characters
MAX_CODE = 256 * 1024  # characters of source text
MAX_SIZE = 64 * 1024  # bytes of JSON, about, of one list or mapping
MAX_VISITS = 200_000  # values looked at in all, however they are nested
MAX_INT_BITS = 1_024  # Python refuses to write out very long ones
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it. It never raises, and never computes what is lazy.

    Numbers of numpy become Python's, tuples and sets lists, a slice ``{"slice": [start, stop, step]}``, keys text,
    functions and classes their names, and what is unknown its text. What is too large or nested too deeply becomes
    a short text, such as ``ndarray float64 (10, 190)``; secrets become ``***``.
    """
    try:
        return _Walk().visit(value)
    except Exception:  # whatever a stranger's object does, the checkpoint is made
        return _kind(value)


def clean_text(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text without secrets, that UTF-8 can hold, cut after ``limit`` characters with a note."""
    clean = redact(text[: 2 * limit]).encode("utf-8", "backslashreplace").decode()  # a secret is not cut in two
    return clean if max(len(clean), len(text)) <= limit else f"{clean[:limit]}… ({len(text):,} characters)"


class _Walk:
    """One walk down a value; it knows what it is inside of, and how much it has seen."""

    def __init__(self) -> None:
        self._inside: list[int] = []
        self._visits = 0

    def visit(self, value: Any) -> Any:
        self._visits += 1
        opened = _opened(value)
        if opened is None or isinstance(opened, (bool, int, float, str)):
            return _scalar(opened)
        if not isinstance(opened, (Mapping, AbstractSet, list, tuple)):
            return _described(opened)
        if id(value) in self._inside:
            return f"{_kind(value)} that holds itself"
        if len(self._inside) >= MAX_DEPTH:
            return _left_out(value, "too deep")
        if self._visits > MAX_VISITS:
            return _left_out(value)
        self._inside.append(id(value))
        try:
            kept = self._mapping(opened) if isinstance(opened, Mapping) else self._items(opened)
        finally:
            self._inside.pop()
        return _left_out(value) if kept is None else kept

    def _items(self, items: Iterable[Any]) -> list[Any] | None:
        """Return the items, those of a set in order; None where they are too large."""
        kept, size = [], 0
        for item in items:
            kept.append(self.visit(item))
            size += _size(kept[-1])
            if size > MAX_SIZE:
                return None
        return _in_order(kept) if isinstance(items, AbstractSet) else kept

    def _mapping(self, items: Mapping[Any, Any]) -> dict[str, Any] | None:
        kept: dict[str, Any] = {}
        size = 0
        for key, item in items.items():
            name = clean_text(str(key))
            name = clean_text(repr(key)) if name in kept else name  # 1 and "1" are two keys
            kept[name] = self.visit(item)
            if kept[name] is not None and not isinstance(kept[name], bool) and names_a_secret(name):
                kept[name] = HIDDEN
            size += len(name) + _size(kept[name])
            if size > MAX_SIZE:
                return None
        return kept


def _size(kept: Any) -> int:
    if isinstance(kept, (list, dict)):
        return len(canonical_json(kept))
    return len(kept) if isinstance(kept, str) else 8


def _in_order(kept: list[Any]) -> list[Any]:
    try:
        return sorted(kept)
    except TypeError:  # numbers beside texts
        return sorted(kept, key=canonical_json)


def _opened(value: Any) -> Any:
    """Return what is in a slice, a dataclass, or a small array in memory, as Python's own; any other value as it is."""
    if isinstance(value, (Enum, type)):
        return value if isinstance(value, type) else f"{type(value).__name__}.{value.name}"
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, (pandas.Series, pandas.DataFrame, pandas.Index)):
        small = value.size <= MAX_ELEMENTS
        return value if not small else list(value) if isinstance(value, pandas.Index) else value.to_dict()
    return _from_numpy(value)


def _from_numpy(value: Any) -> Any:
    """Return a scalar or small array of numpy as Python's numbers and lists; a DataArray's too, if it is in memory."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return value
    variable = getattr(value, "variable", None)  # of a DataArray; one that is not in memory would be read
    if getattr(variable, "_in_memory", False) is True and value.size <= MAX_ELEMENTS:
        value = value.values
    if not isinstance(value, (numpy.ndarray, numpy.generic)) or value.size > MAX_ELEMENTS:
        return value
    dated = value.dtype.kind in "mM"  # tolist() would give nanoseconds
    return (value.astype(str) if dated else value).tolist()


def _scalar(value: bool | int | float | str | None) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if value.bit_length() <= MAX_INT_BITS else f"int of {value.bit_length()} bits"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    return clean_text(str(value))


def _described(value: Any) -> str:
    """Return a text for a value that JSON does not have."""
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{_kind(value)} ({len(value)})"
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__ or 'builtins'}.{value.__qualname__}"
    return _array(value) or clean_text(_ADDRESS.sub("", str(value)))


def _array(value: Any) -> str | None:
    """Return kind, dtype and shape of an array, whatever library it is of; None for what is none."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.dtype, numpy.generic)):
        return str(value)
    shape = getattr(value, "shape", None)
    if not isinstance(shape, tuple) or not all(isinstance(size, (int, float)) for size in shape):
        return None
    dims = getattr(value, "dims", None)
    named = dims if isinstance(dims, tuple) and len(dims) == len(shape) else ("",) * len(shape)
    sizes = ", ".join(f"{dim} {size}".strip() for dim, size in zip(named, shape, strict=True))
    return clean_text(" ".join(f"{_kind(value)} {getattr(value, 'dtype', '')} ({sizes})".split()))


def _left_out(value: Any, why: str = "too large") -> str:
    count = f" ({len(value):,})" if isinstance(value, (Sequence, Mapping, AbstractSet)) else ""
    return f"{_kind(value)}{count}, left out: {why}"


def _kind(value: Any) -> str:
    """Return the name of a value's type, with its library where that is neither Python nor numpy."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return kind.__name__ if library in ("builtins", "numpy") else f"{library} {kind.__name__}"
