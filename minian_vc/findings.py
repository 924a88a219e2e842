"""What a look at something found: one finding is one sentence with its severity and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Finding", "Severity", "worst", "worst_first"]

Severity = Literal["info", "warning", "error"]
_ORDER: tuple[Severity, ...] = ("info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Parameters
    ----------
    code : str
        Its kind, in kebab-case. Codes are stable: scripts may rely on them.
    severity : {"info", "warning", "error"}
        How much it matters.
    message : str
        What was found and where, in one sentence.
    arrays : tuple of str
        The arrays it is about, by name.
    dim : str, optional
        The dimension it is about.
    fix : str
        One command or one line to try; empty where there is nothing to do.
    """

    code: str
    severity: Severity
    message: str
    arrays: tuple[str, ...] = ()
    dim: str | None = None
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it with the keys that ``--json`` prints."""
        return {
            "code": self.code,
            "severity": self.severity,
            "arrays": list(self.arrays),
            "dim": self.dim,
            "message": self.message,
            "fix": self.fix,
        }


def worst(findings: Iterable[Finding]) -> Severity | None:
    """Return the gravest severity among findings, or None if there are none."""
    return max((finding.severity for finding in findings), key=_ORDER.index, default=None)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in order of severity, the gravest first, else as they came."""
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity), reverse=True))
