"""How sizes, times, unit ids, shapes and parameters are written for people, in the terminal and in HTML alike."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.filesize import decimal

__all__ = [
    "as_runs",
    "by_dim",
    "cut",
    "in_brackets",
    "number",
    "printable",
    "read_value",
    "short",
    "shown",
    "size",
    "sizes",
    "when",
]

PYTHON_WORDS = {"None": None, "True": True, "False": False}


def size(count: int) -> str:
    """Return bytes as people read them."""
    return decimal(count)


def short(digest: str) -> str:
    """Return the beginning of an id, as people read and type it: ten digits."""
    return digest.rpartition(":")[2][:10]


def in_brackets(tags: Sequence[str]) -> str:
    """Return tags to stand behind a checkpoint's id: in brackets, or nothing."""
    return f" ({', '.join(tags)})" if tags else ""


def when(timestamp: str) -> str:
    """Return a recorded time in local time, to the second."""
    return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def as_runs(units: Sequence[int | str], most: int = 12) -> str:
    """Return unit ids as people read them: runs as a–b, long lists cut."""
    runs: list[list[int | str]] = []
    for unit in units:
        last = runs[-1][-1] if runs else None
        if isinstance(unit, int) and isinstance(last, int) and unit == last + 1:
            runs[-1] = [runs[-1][0], unit]
        else:
            runs.append([unit])
    parts = ["-".join(map(str, run)) for run in runs]
    return ",".join(parts[:most]) + (f",… ({len(units)} units)" if len(parts) > most else "")


def sizes(dims: Sequence[str], shape: Sequence[int]) -> str:
    """Return dims and shape as ``unit_id 10 x frame 190``; ``scalar`` where there are none."""
    return " x ".join(f"{dim} {n}" for dim, n in zip(dims, shape, strict=True)) or "scalar"


def by_dim(numbers: Mapping[str, int], between: str = ",") -> str:
    """Return a number per dimension as ``frame=190,height=111``."""
    return between.join(f"{dim}={n}" for dim, n in numbers.items())


def number(count: int, what: str) -> str:
    """Return a number of things, as ``1 array`` or ``5 arrays``."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def cut(text: str, most: int) -> str:
    """Return a text, cut where it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def printable(text: str, keep: str = "") -> str:
    """Return a text with its control characters spelled out, but for those to keep.

    So no name or message can move the cursor, turn the writing direction, or be no Unicode.
    """
    return "".join(sign if sign in keep or _is_harmless(sign) else repr(sign)[1:-1] for sign in text)


def _is_harmless(sign: str) -> bool:
    return sign.isprintable() or unicodedata.category(sign) == "Zs"


def read_value(text: str) -> Any:
    """Read a value as it is typed: JSON, else ``None``, ``True`` or ``False``, else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return PYTHON_WORDS.get(text, text)


def shown(value: Any) -> str:
    """Return a value in one line, as Python people read it; a text is quoted where it could be taken for another."""
    if isinstance(value, dict) and value.keys() == {"slice"} and isinstance(value["slice"], list):
        return f"slice({', '.join(map(shown, value['slice']))})"
    if isinstance(value, str):
        return value if value and value.isprintable() and read_value(value) == value else repr(value)
    return repr(value)
