"""What the fields of a document may hold. Whoever wrote it, and with whatever digest: nothing else gets past here.

Only what is safe is asked for, not what is allowed in new names: rules for those may grow, and old history must stay
readable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from minian_vc.errors import DamagedError

__all__ = [
    "Check",
    "check_fields",
    "is_count",
    "is_digest",
    "is_key",
    "is_mapping_of",
    "is_mapping_with",
    "is_name",
    "is_number",
    "is_path",
    "is_scalar",
    "is_shallow",
    "is_text",
    "is_time",
    "list_of",
    "optional",
]

Check = Callable[[Any], bool]

LIMIT = 1 << 63  # of integers in the catalog
MAX_LIST = 10_000_000
MAX_DEPTH = 64
OURS = (".minian_vc", ".minian_vc-saving")
_DIGEST = re.compile("blake3:[0-9a-f]{64}")
_NO_PART = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")  # nothing, . or .. between slashes
_UNSAFE = re.compile(r"[\x00\\:\ud800-\udfff]" if os.name == "nt" else r"[\x00\\\ud800-\udfff]")
_NO_TEXT = re.compile(r"[\ud800-\udfff]")


def check_fields(what: str, body: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Refuse a document with a field that cannot hold what it does.

    Raises
    ------
    DamagedError
        It is named, with a little of what it holds.
    """
    for name, is_good in checks.items():
        if not is_good(body[name]):
            raise DamagedError(f"The {name} of {what} cannot be {repr(body[name])[:80]}.")


def is_text(value: Any) -> bool:
    """Tell text that UTF-8 and the catalog can hold."""
    return isinstance(value, str) and _NO_TEXT.search(value) is None


def is_count(value: Any) -> bool:
    """Tell an integer from 0 on that the catalog can hold."""
    return type(value) is int and 0 <= value < LIMIT


def is_number(value: Any) -> bool:
    """Tell an integer from 1 on that the catalog can hold."""
    return type(value) is int and 0 < value < LIMIT


def is_scalar(value: Any) -> bool:
    """Tell what is neither a list nor a mapping, nor too large."""
    return value is None or isinstance(value, (bool, float)) or is_text(value) or type(value) is int


def is_digest(value: Any) -> bool:
    """Tell a digest."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def is_time(value: Any) -> bool:
    """Tell a time as documents have it."""
    try:
        return isinstance(value, str) and value.endswith("Z") and datetime.fromisoformat(value) is not None
    except ValueError:
        return False


def is_name(value: Any) -> bool:
    """Tell the name of one file or folder, which leads nowhere else."""
    return is_key(value) and "/" not in value


def is_key(value: Any) -> bool:
    """Tell a path of a file or, with a slash at the end, of a folder, that does not lead out of the folder it is in."""
    return isinstance(value, str) and not _UNSAFE.search(value) and not _NO_PART.search(value.removesuffix("/"))


def is_path(value: Any) -> bool:
    """Tell the path of a dataset below a repository's root: it leads neither out of it nor into what is ours."""
    if not is_text(value) or "\0" in value or _NO_PART.search(value) or (os.name == "nt" and _UNSAFE.search(value)):
        return False
    return not any(part.casefold() in OURS for part in value.split("/"))


def is_shallow(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Tell a value that is not nested deeper than that."""
    if not isinstance(value, (list, dict)):
        return True
    return depth > 0 and all(
        is_shallow(each, depth - 1) for each in (value.values() if isinstance(value, dict) else value)
    )


def is_mapping_with(checks: Mapping[str, Check]) -> Check:
    """Return a check for a mapping where what has one of these names passes its check; other names are free."""
    return lambda value: (
        isinstance(value, dict) and all(is_good(value[name]) for name, is_good in checks.items() if name in value)
    )


def optional(check: Check) -> Check:
    """Return a check that lets None pass as well."""
    return lambda value: value is None or check(value)


def list_of(check: Check, most: int = MAX_LIST) -> Check:
    """Return a check for a list, not longer than ``most``, of what passes another."""
    return lambda value: isinstance(value, list) and len(value) <= most and all(map(check, value))


def is_mapping_of(check: Check) -> Check:
    """Return a check for a mapping whose values pass another."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))
