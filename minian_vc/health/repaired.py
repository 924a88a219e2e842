"""What repair healed, and how it looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minian_vc.health.report import Affected, Damage, affected_versions, told
from minian_vc.text import number, printable

__all__ = ["Healed", "Repaired"]


@dataclass(frozen=True, slots=True)
class Healed:
    """Something that was damaged, and what it was healed with."""

    damage: Damage
    source: str

    def __str__(self) -> str:
        return f"{self.damage}; {self.source}"


@dataclass(frozen=True, slots=True, repr=False)
class Repaired:
    """What :func:`minian_vc.repair` healed, or would heal (``dry_run``).

    Attributes
    ----------
    repository : Path
        The folder ``.minian_vc``.
    healed : tuple of Healed
        What was healed, and with what.
    remaining : tuple of Damage
        What is still damaged, for no copy was found.
    dry_run : bool
        Whether nothing was changed.
    """

    repository: Path
    healed: tuple[Healed, ...]
    remaining: tuple[Damage, ...]
    dry_run: bool

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged any more that a checkpoint, the history or the catalog needs."""
        damage = (*self.remaining, *(each.damage for each in self.healed)) if self.dry_run else self.remaining
        return not any(each.serious for each in damage)

    @property
    def affected(self) -> tuple[Affected, ...]:
        """The array versions that cannot be healed."""
        return affected_versions(self.remaining)

    def __repr__(self) -> str:
        return "\n".join(map(printable, self._told()))

    def _told(self) -> Iterator[str]:
        if not self.healed and not self.remaining:
            yield f"{self.repository}: whole; there is nothing to repair."
            return
        can = "can be" if self.dry_run else "was" if len(self.healed) == 1 else "were"
        yield f"{self.repository}: {number(len(self.healed), 'thing')} {can} healed, {len(self.remaining)} cannot be."
        yield from (f"  {'can be  ' if self.dry_run else 'healed  '} {each}" for each in self.healed)
        yield from told(self.remaining)
        if self.affected:
            yield "Versions that stay damaged:"
            yield from (f"  {each}" for each in self.affected)
        kinds = {each.kind for each in self.remaining if each.serious}
        if kinds:
            yield f"What cannot be healed comes back only from a backup of these files. {_until_then(kinds)}"

    def to_dict(self) -> dict[str, Any]:
        """Return what ``minian-vc repair --json`` prints."""
        return {
            "repository": str(self.repository),
            "dry_run": self.dry_run,
            "whole": self.whole,
            "healed": [{**each.damage.to_dict(), "source": each.source} for each in self.healed],
            "remaining": [each.to_dict() for each in self.remaining],
            "affected": [asdict(each) for each in self.affected],
        }


def _until_then(kinds: set[str]) -> str:
    """Say what can be done while such things are damaged."""
    if kinds & {"operation", "checkpoint", "config", "catalog"}:
        return "Until then little or nothing can be recorded."
    refused = "; a prune is refused" if "manifest" in kinds else ""
    return f"Until then all other versions can be used, and new ones recorded{refused}."
