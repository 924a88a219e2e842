"""A repository's ``config.json``: the format version and what the lab decided."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from minian_vc import durable
from minian_vc.errors import DamagedError, EnvironmentUnfitError, InvalidInputError
from minian_vc.fields import check_fields, is_count, is_text
from minian_vc.names import check_array_name, check_text, near
from minian_vc.redaction import redact

__all__ = ["FORMAT", "Config"]

MAX_SIZE = 1 << 20  # bytes

FORMAT = 3  # the newest that this program knows
SETTINGS = ("author", "record_without_bytes", "grace_days")
MAX_DAYS = 36_500
PLAIN = 1  # of a repository where nothing was restored, undone or pruned and no tag has moved


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one repository.

    ``author`` stands in new checkpoints (empty: user@host). ``record_without_bytes`` names arrays whose
    history is kept without their bytes: they can be compared, not brought back. What was pruned or undone can be
    brought back for ``grace_days``.
    """

    repository: str
    author: str = ""
    record_without_bytes: tuple[str, ...] = ()
    grace_days: float = 7.0
    format: int = PLAIN

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file, refusing a newer format.

        Raises
        ------
        EnvironmentUnfitError
            The repository has a format that this program does not know.
        DamagedError
            The file is missing or not what :meth:`save` writes.
        """
        hint = "Make it anew with the usual settings: minian-vc repair; or bring it back from a backup."
        with durable.storage_errors("read the configuration", path):
            try:
                content = durable.read_without_links(path, MAX_SIZE)
            except FileNotFoundError:
                raise DamagedError(f"{path} is missing.", hint) from None
        try:
            document: dict[str, Any] = json.loads(content)
            found = document["format"]
            if type(found) is int and found in range(PLAIN, FORMAT + 1):
                settings = {field.name: document[field.name] for field in fields(cls) if field.name in document}
                check_fields("the configuration", {**asdict(cls("")), **settings}, _FIELDS)
                return cls(**{**settings, "record_without_bytes": tuple(settings["record_without_bytes"])})
        except DamagedError as error:
            raise DamagedError(f"{path} is damaged: {error.message}", hint) from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedError(f"{path} is damaged: {error}.", hint) from error
        raise EnvironmentUnfitError(
            f"The repository {path.parent} has format {found}; this minian_vc knows format {FORMAT}.",
            "Nothing was touched. Install a newer minian_vc.",
        )

    def save(self, path: Path, staging: Path) -> None:
        """Write the file durably."""
        content = json.dumps(asdict(self), indent=2).encode() + b"\n"
        with durable.storage_errors("write the configuration", path):
            durable.write_durably(path, content, staging)

    def with_setting(self, name: str, value: str) -> Config:
        """Return a copy with one setting changed; lists are comma-separated.

        Raises
        ------
        InvalidInputError
            There is no such setting.
        """
        if name == "author":
            return replace(self, author=redact(check_text("author", value)))
        if name == "record_without_bytes":
            names = tuple(check_array_name(part.strip()) for part in value.split(",") if part.strip())
            return replace(self, record_without_bytes=names)
        if name == "grace_days":
            return replace(self, grace_days=_days(value))
        raise InvalidInputError(f"There is no setting {name!r}.", near(name, SETTINGS))


_FIELDS = {
    "repository": is_text,
    "author": is_text,
    "record_without_bytes": lambda value: isinstance(value, (list, tuple)) and all(map(is_text, value)),
    "grace_days": lambda value: type(value) in (int, float) and 0 <= value < MAX_DAYS,
    "format": is_count,
}


def _days(value: str) -> float:
    try:
        days = float(value)
    except ValueError:
        days = -1.0
    if not 0 <= days < MAX_DAYS:
        raise InvalidInputError(f"{value!r} is no number of days.", "Nothing was changed. Write one like 7 or 0.5.")
    return days
