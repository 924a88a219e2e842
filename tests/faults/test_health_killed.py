"""repair and rebuild are killed at each of their steps: nothing gets worse, and running them again heals all."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import damaging
import pytest
from damaging import Lab

import minian_vc as mvc

PROGRAM = Path(__file__).with_name("kill_health.py")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The history, with damage of every kind that can be healed."""
    with pytest.MonkeyPatch.context() as patch:
        lab = damaging.build(tmp_path_factory.mktemp("whole") / "lab", patch)
    latest = {array.name: array for array in mvc.open(lab.root / "m").latest.arrays}
    repository = mvc.open(lab.root / "m").repository
    entries = repository.objects.read_manifest(latest["C"].manifest)
    damaging.flip(repository.objects.path("chunks", entries["C/0.0"].digest), 0.5)
    damaging.flip(repository.objects.path("manifests", latest["A"].manifest), 0.5)
    damaging.truncate(repository.objects.path("checkpoints", mvc.open(lab.root / "m").latest.id))
    damaging.flip(lab.folder / "operations/00000003", 0.5)
    return lab


def kill(act: str, lab: Lab, copies: Path) -> list[Lab]:
    """Kill an act at each step, each time on a copy of its own; return what was left, the last one unharmed."""
    path = os.pathsep.join([str(Path(mvc.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(PROGRAM), act, str(lab.root), str(copies)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path})
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["killed"] for each in found] == [True] * (len(found) - 1) + [False]
    return [dataclasses.replace(lab, root=copies / str(each["step"])) for each in found]


def test_repair_is_killed_at_each_step(
    built: Lab, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Whatever it was doing: the next repair heals everything, byte for byte, and the bad bytes are kept."""
    left = kill("repair", built, tmp_path)
    assert len(left) > 10
    for lab in left:
        assert mvc.repair(lab.root, dry_run=False).whole
        damaging.assert_all_there(lab)
        assert len([path for path in (lab.folder / "quarantine").rglob("*") if path.is_file()]) == 4
    record_property("faults", f"repair killed {len(left) - 1} times")


@pytest.mark.parametrize("catalog", ["whole", "no database"])
def test_rebuild_is_killed_at_each_step(
    tmp_path: Path, catalog: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """There is the old catalog, the new one, or none, and the next command or rebuild makes it."""
    whole = damaging.build(tmp_path / "lab", monkeypatch)
    if catalog != "whole":
        whole.catalog.write_bytes(b"something else" * 1000)
    left = kill("rebuild", whole, tmp_path)
    assert len(left) > 5
    for lab in left:
        if catalog != "whole":
            mvc.rebuild(lab.root)
        damaging.assert_all_there(lab)
    record_property("faults", f"rebuild killed {len(left) - 1} times")
