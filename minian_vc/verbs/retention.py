"""Which checkpoints of a dataset to keep. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from minian_vc.catalog.queries import LogEntry
from minian_vc.errors import InvalidInputError

__all__ = ["Retention"]

NOTEBOOK = "notebook"  # what a restore recorded of uncommitted work is automatic too, and may be the only copy


@dataclass(frozen=True, slots=True)
class Retention:
    """Rules; a checkpoint stays if any of them keeps it. The latest and tagged ones always stay.

    Attributes
    ----------
    automatic : bool
        Consider only what the notebook extension recorded: everything else stays.
    keep_last : int or None
        Keep the newest so many of those considered.
    keep_daily : int or None
        Keep the newest of each of the last so many days (UTC) that have any.
    """

    automatic: bool = False
    keep_last: int | None = None
    keep_daily: int | None = None

    def __post_init__(self) -> None:
        for name, number in (("keep_last", self.keep_last), ("keep_daily", self.keep_daily)):
            if number is not None and number < 0:
                raise InvalidInputError(f"{name}={number}: so many cannot be kept.", "Nothing was changed.")

    @property
    def drops(self) -> bool:
        """Whether the rules drop anything at all."""
        return self.automatic or self.keep_last is not None or self.keep_daily is not None

    def to_drop(self, entries: Sequence[LogEntry], latest: str) -> tuple[LogEntry, ...]:
        """Return the checkpoints to drop out of a history, newest first as it is."""
        if not self.drops:
            return ()
        considered = [entry for entry in entries if not self.automatic or entry.automatic == NOTEBOOK]
        kept = {latest, *(entry.id for entry in considered[: self.keep_last or 0]), *self._daily(considered)}
        return tuple(entry for entry in considered if not entry.tags and entry.id not in kept)

    def _daily(self, entries: Sequence[LogEntry]) -> Iterator[str]:
        newest: dict[str, str] = {}
        for entry in entries:
            newest.setdefault(entry.created_at[:10], entry.id)
        yield from list(newest.values())[: self.keep_daily or 0]
