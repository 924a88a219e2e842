"""Names as the user writes them: arrays, tags, SPEC and REV. Pure text, no disk.

A SPEC is ``ARRAY@REV``, ``@REV`` (all arrays) or MiniAn-style ``C_first_iteration``. A REV is a tag, the
beginning of an id, ``latest`` or ``latest~2``.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from minian_vc.errors import InvalidInputError
from minian_vc.fields import is_key

__all__ = [
    "Spec",
    "alias_splits",
    "check_array_name",
    "check_key",
    "check_tag_name",
    "check_text",
    "collisions",
    "near",
    "parse_spec",
    "split_ancestor",
]

MAX_NAME = 200
MAX_STEPS = 9  # digits of N in latest~N
_RESERVED = re.compile(r"(con|conin\$|conout\$|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])( *\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')
_FORBIDDEN_IN_TAG = re.compile(r"[@~\s]")
_ANCESTOR = re.compile(r"(?P<base>.+?)(?:~(?P<steps>\d+))?")


@dataclass(frozen=True, slots=True)
class Spec:
    """What to bring back: one array or (None) all of them, at a revision."""

    array: str | None
    revision: str


def _check_name(kind: str, name: str) -> None:
    problem = ""
    if not _is_text(name):
        problem = "it is not Unicode text"
    elif not name or not name.strip() or name in (".", ".."):
        problem = "it is empty or a path"
    elif _FORBIDDEN.search(name):
        problem = 'it has a slash, a control character or one of : * ? " < > | in it'
    elif _RESERVED.fullmatch(name) or name != name.strip() or name.endswith("."):
        problem = "Windows cannot have a file of that name"
    elif len(name.encode()) > MAX_NAME:
        problem = f"it is longer than {MAX_NAME} bytes"
    if problem:
        raise InvalidInputError(f"{name!r} cannot be the name of {kind}: {problem}.", "Nothing was changed.")


def check_array_name(name: str) -> str:
    """Return the name, or refuse one that could leave the dataset or is no file name everywhere."""
    _check_name("an array", name)
    if name.startswith("."):
        raise InvalidInputError(
            f"{name!r} cannot be the name of an array: it begins with a dot.", "Nothing was changed."
        )
    return name


def check_key(key: str) -> str:
    """Return a manifest's key, or refuse one that would be written outside its array folder, or is no text."""
    if not is_key(key):
        raise InvalidInputError(f"{key!r} cannot be the name of a file in an array folder.", "Nothing was written.")
    return key


def _is_text(name: str) -> bool:
    """Tell whether a name is Unicode: file systems may hold any bytes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def check_text(kind: str, text: str) -> str:
    """Return a text, or refuse one that is not Unicode."""
    if not _is_text(text):
        raise InvalidInputError(f"The {kind} is not Unicode text: {text!r}.", "Nothing was recorded.")
    return text


def check_tag_name(name: str) -> str:
    """Return the name, or refuse one that REV could not tell from something else."""
    _check_name("a tag", name)
    if _FORBIDDEN_IN_TAG.search(name) or name == "latest" or name.startswith("-"):
        raise InvalidInputError(
            f"{name!r} cannot be a tag: tags have no blanks, no @ or ~, no leading -, and are not 'latest'.",
            "Try one like first_iteration.",
        )
    return name


def parse_spec(text: str) -> Spec:
    """Read ``ARRAY@REV`` or ``@REV``; a text without ``@`` is left to :func:`alias_splits`."""
    array, _, revision = text.partition("@")
    if not revision:
        raise InvalidInputError(f"{text!r} names no revision.", "Write ARRAY@REV or @REV, as in C@first_iteration.")
    return Spec(check_array_name(array) if array else None, revision)


def alias_splits(text: str) -> list[Spec]:
    """Return the ways in which ``C_first_iteration`` can be an array and a tag, shortest array first."""
    cuts = [i for i, letter in enumerate(text) if letter == "_" and 0 < i < len(text) - 1]
    return [Spec(text[:i], text[i + 1 :]) for i in cuts]


def split_ancestor(revision: str) -> tuple[str, int]:
    """Split ``latest~2`` into its base and how many parents to go back."""
    match = _ANCESTOR.fullmatch(revision.removeprefix("@"))
    if match is None:
        raise InvalidInputError(
            f"{revision!r} is no revision.", "Write a tag, the beginning of an id, latest or latest~2."
        )
    steps = match["steps"] or "0"
    if len(steps) > MAX_STEPS:
        raise InvalidInputError(f"@{match['base']}~… goes back too far.", "See how far history goes: minian-vc log")
    return match["base"], int(steps)


def near(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the names most like this one, or the first few that there are."""
    known = sorted(set(known))
    longer = [other for other in known if name and other.startswith(name)]
    matches = longer[:3] or difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if matches:
        return f"Did you mean {' or '.join(matches)}?"
    more = ", …" if len(known) > 8 else ""
    return f"There is: {', '.join(known[:8])}{more}." if known else "There is none yet."


def collisions(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of names that are one file where case or Unicode form does not count."""
    seen: dict[str, str] = {}
    pairs = []
    for name in names:
        folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if folded in seen:
            pairs.append((seen[folded], name))
        seen[folded] = name
    return pairs
