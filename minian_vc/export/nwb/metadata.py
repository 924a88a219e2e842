"""The YAML of what MiniAn does not know: written empty, read when it is filled in. Nothing is made up."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minian_vc.errors import InvalidInputError, NotFoundError
from minian_vc.export.formats import FORMATS
from minian_vc.export.nwb.fields import FIELDS, SECTIONS, Field
from minian_vc.names import near

__all__ = ["filled", "read_metadata", "section", "template"]

HEAD = """\
# What an NWB file says of a recording and MiniAn does not know. Fill it in, then:
#   minian-vc export @TAG recording.nwb --format nwb --metadata THIS_FILE
# What is required must not stay empty; the rest may. Nothing is made up for you.
"""
EMPTY = "Nothing was written. Fill in what is required; nothing is made up."


def template() -> str:
    """Return the YAML with each field explained and empty."""
    lines = [HEAD.rstrip()]
    for prefix, title in SECTIONS.items():
        lines += ["", f"# {title}", *([f"{prefix}:"] if prefix else [])]
        indent = "  " if prefix else ""
        for field in FIELDS:
            before, _, name = field.name.rpartition(".")
            if before == prefix:
                lines += [f"{indent}# {'required' if field.required else 'optional'}. {field.what}", f"{indent}{name}:"]
    return "\n".join(lines) + "\n"


def read_metadata(path: str | Path | None) -> dict[str, Any]:
    """Return what a YAML says, by the fields' names; see :func:`filled`.

    Raises
    ------
    EnvironmentUnfitError
        PyYAML is not installed.
    InvalidInputError
        No file is given, or it is no YAML; or what :func:`filled` refuses.
    NotFoundError
        There is no such file.
    """
    if path is None:
        how = "minian-vc export --format nwb --template nwb.yaml writes one to fill in; give it with --metadata."
        raise InvalidInputError("NWB needs a YAML file of what MiniAn does not know.", f"Nothing was written. {how}")
    try:
        import yaml
    except ImportError:
        raise FORMATS["nwb"].needs("pyyaml") from None
    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {path}.", "Nothing was written. Check the path.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInputError(f"{path} is no YAML: {error}", "Nothing was written. Mend it.") from error
    return filled(document, str(path))


def filled(document: Any, where: str) -> dict[str, Any]:
    """Return a YAML's values by field (``subject.species``); those that are empty are not in it.

    Parameters
    ----------
    document : object
        What the YAML holds.
    where : str
        Its path, for messages.

    Raises
    ------
    InvalidInputError
        Required fields are empty: all are named. Or there is a field that there is not, or a value that cannot be.
    """
    values = {name: value for name, value in _flat(document, where).items() if not _is_empty(value)}
    known = {field.name: field for field in FIELDS}
    for name in values:
        if name not in known:
            raise InvalidInputError(f"{where}: there is no field {name}.", near(name, known) or EMPTY)
    lacking = [f.name for f in FIELDS if f.required and f.name not in values and f.instead not in values]
    if lacking:
        raise InvalidInputError(f"{where}: required, and empty: {', '.join(lacking)}.", EMPTY)
    return {name: _value(known[name], value, where) for name, value in values.items()}


def section(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return a section's values by their names in it; with an empty prefix those of no section."""
    cut = {tuple(name.rpartition(".")[::2]): value for name, value in values.items()}
    return {name: value for (before, name), value in cut.items() if before == prefix}


def _flat(document: Any, where: str) -> dict[str, Any]:
    if not isinstance(document, Mapping):
        raise InvalidInputError(f"{where} holds no fields.", "Nothing was written. Write a new one with --template.")
    flat: dict[str, Any] = {}
    for name, value in document.items():
        inner = value if isinstance(value, Mapping) and name in SECTIONS else None
        flat |= {str(name): value} if inner is None else {f"{name}.{key}": each for key, each in inner.items()}
    return {name: value for name, value in flat.items() if name not in SECTIONS or value is not None}


def _is_empty(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_empty, value))
    return value is None or (isinstance(value, str) and not value.strip())


def _value(field: Field, value: Any, where: str) -> Any:
    value = [value] if field.kind == "texts" and not isinstance(value, list) else value
    if not CHECKS[field.kind](field, value):
        hint = f"Nothing was written. It is to be: {field.what}"
        raise InvalidInputError(f"{where}: {field.name} cannot be {value!r}.", hint)
    return float(value) if field.kind == "number" else value


def _is_text(field: Field, value: Any) -> bool:
    return isinstance(value, str) and (field.pattern is None or re.fullmatch(field.pattern, value) is not None)


def _is_number(field: Field, value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and _above(field, value)
    )


def _above(field: Field, value: float) -> bool:
    return value > 0 and value >= field.least


CHECKS: dict[str, Callable[[Field, Any], bool]] = {
    "text": _is_text,
    "texts": lambda field, value: all(_is_text(field, each) for each in value),
    "number": _is_number,
    "time": lambda _, value: isinstance(value, datetime.datetime) and value.tzinfo is not None,
    "date": lambda _, value: isinstance(value, datetime.date),
}
