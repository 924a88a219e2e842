"""doctor: look at the environment, the repository, the file system and what was left behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from minian_vc.cli.output import as_json, print_json, size
from minian_vc.cli.targets import current_folder
from minian_vc.doctor import Diagnosis, Part, examine
from minian_vc.findings import Finding, worst

__all__ = ["COMMANDS"]

FINDINGS, UNFIT = 1, 7
SHOWN = ("minian_vc", "minian", "xarray", "zarr", "numcodecs", "dask")


@click.command()
@click.argument("path", default=".")
@as_json
def doctor(path: str, json_: bool) -> int:
    """Say what is wrong with the environment, the repository at or above PATH and its file system.

    It only looks. The exit code is 7 if packages do not go together, 1 if there is any other warning or error.
    """
    diagnosis = examine(current_folder() / path)
    if json_:
        print_json(_document(diagnosis))
    else:
        for part, findings in diagnosis.findings.items():
            click.echo(f"{part}: {', '.join(_facts(part, diagnosis))}".removesuffix(": "))
            _tell(findings)
        click.echo(_summary(diagnosis.all_findings))
    return _exit_code(diagnosis)


def _exit_code(diagnosis: Diagnosis) -> int:
    if worst(diagnosis.findings["environment"]) == "error":
        return UNFIT
    return FINDINGS if worst(diagnosis.all_findings) in ("warning", "error") else 0


def _facts(part: Part, diagnosis: Diagnosis) -> Iterator[str]:
    """Yield what is so in a part, in a few words."""
    system = diagnosis.file_system
    if part == "environment":
        yield f"Python {diagnosis.python}"
        yield from (f"{name} {diagnosis.packages[name]}" for name in SHOWN if diagnosis.packages[name])
    elif part == "repository":
        yield str(diagnosis.repository or "none")
    elif part == "file system":
        yield system.name
        if system.free_bytes is not None:
            yield f"{size(system.free_bytes)} free"


def _tell(findings: tuple[Finding, ...]) -> None:
    if worst(findings) in (None, "info"):
        click.echo("  ok")
    for finding in findings:
        click.echo(f"  {finding.severity:<8} {finding.code}: {finding.message}")
        if finding.fix:
            click.echo(f"           → {finding.fix}")


def _summary(findings: tuple[Finding, ...]) -> str:
    counts = {kind: sum(finding.severity == kind for finding in findings) for kind in ("error", "warning")}
    told = [f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items() if count]
    return f"{', '.join(told)}." if told else "Nothing to mend."


def _document(diagnosis: Diagnosis) -> dict[str, Any]:
    system, probes = diagnosis.file_system, diagnosis.file_system.probes
    return {
        "environment": {"python": diagnosis.python, "packages": dict(diagnosis.packages)},
        "repository": None if diagnosis.repository is None else str(diagnosis.repository),
        "filesystem": {
            "type": system.mount.type if system.mount else None,
            "mount": str(system.mount.point) if system.mount else None,
            "free_bytes": system.free_bytes,
            "total_bytes": system.total_bytes,
            "writable": False if system.read_only else probes.writable,
            "network": system.network,
            "reflink": probes.reflink,
            "case_sensitive": probes.case_sensitive,
            "hard_links": probes.hard_links,
            "exchange": probes.exchange,
        },
        "findings": [finding.to_json() for finding in diagnosis.all_findings],
    }


COMMANDS = (doctor,)
