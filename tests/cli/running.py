"""Running the command line in this process, and looking at everything it may have changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from minian_vc.cli.main import main


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Runner:
    """The command line, in this process."""
    return Runner(capsys)


@dataclass
class Outcome:
    """Exit code and output of one command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """stdout, which holds one JSON document and nothing else."""
        document = json.loads(self.out)
        assert document["schema_version"] == 1
        return document


class Runner:
    """Runs commands through the real entry point."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Outcome:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err, err
        return Outcome(ended.value.code, out, err)

    def ok(self, *arguments: str | Path) -> Outcome:
        """Run a command that must succeed and say nothing on stderr."""
        outcome = self(*arguments)
        assert (outcome.code, outcome.err) == (0, "")
        return outcome

    def json(self, *arguments: str | Path) -> dict[str, Any]:
        """Run a command with ``--json`` and return what it printed."""
        return self.ok(*arguments, "--json").json


def everything(root: Path) -> dict[str, bytes | str | None]:
    """Every file, folder, link and pipe below a folder with what it holds.

    ``.minian_vc/working`` is left out: what was seen last is kept there, and may be lost at any time.
    """
    found: dict[str, bytes | str | None] = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if ".minian_vc/working/" in f"{name}/":
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found
