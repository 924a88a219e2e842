"""Findings: their order and their JSON."""

from __future__ import annotations

from minian_vc.findings import Finding, worst


def test_the_gravest_finding_counts() -> None:
    """Nothing is less than information, which is less than a warning, which is less than an error."""
    info, warning, error = (Finding("x", severity, "x.") for severity in ("info", "warning", "error"))
    assert worst([]) is None
    assert worst([info]) == "info"
    assert worst(iter([warning, info])) == "warning"
    assert worst([info, error, warning]) == "error"


def test_a_finding_is_printed_with_all_its_keys() -> None:
    """Also those that are empty."""
    assert Finding("a-b", "info", "A.", ("C", "A"), "frame", "do it").to_json() == {
        "code": "a-b", "severity": "info", "arrays": ["C", "A"], "dim": "frame", "message": "A.", "fix": "do it",
    }  # fmt: skip
    assert (
        Finding("a", "info", "A.").to_json() | {"arrays": [], "dim": None, "fix": ""}
        == Finding("a", "info", "A.").to_json()
    )
