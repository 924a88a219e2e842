"""Many processes record at once: all is recorded, nothing is lost, and each dataset has one line of history.

``MINIAN_VC_COMMITS`` says how many commits each of the eight makes.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import committing
import pytest
from zarr_trees import write_units

import minian_vc as mvc
from minian_vc.verbs.commit import Request

WRITERS = "ABCDEFGH"
COMMITS = int(os.environ.get("MINIAN_VC_COMMITS", "8"))
PATIENCE = 1800
ONE = dict.fromkeys(WRITERS, "m")
A_FEW = max(8, COMMITS // 5)
SEVERAL = {name: f"m{i % 3}" for i, name in enumerate(WRITERS)}


def prepare(root: Path, datasets: dict[str, str]) -> None:
    """Make each writer's array, and the first checkpoint of each dataset."""
    for name, dataset in datasets.items():
        write_units(root / dataset / f"{name}.zarr", (1,), (1,))
    for dataset in set(datasets.values()):
        mvc.open(root / dataset).record(Request("begin", wait=0))


def all_at_once(root: Path, datasets: dict[str, str], commits: int) -> dict[str, list[tuple[str, str, float]]]:
    """Let the writers begin together; return what was acknowledged, by dataset: id, tag and value."""
    script = [sys.executable, committing.__file__]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = {
        name: subprocess.Popen([*script, str(root / dataset), name, str(commits)], cwd=root, **pipes)
        for name, dataset in datasets.items()
    }
    for process in processes.values():
        assert process.stdout.readline() == "ready\n"
    for process in processes.values():
        process.stdin.write("\n")
        process.stdin.flush()
    told: dict[str, list[tuple[str, str, float]]] = {dataset: [] for dataset in datasets.values()}
    for name, process in processes.items():
        lines = process.communicate(timeout=PATIENCE)[0].splitlines()
        assert (process.returncode, len(lines)) == (0, commits), name
        told[datasets[name]] += [(found[0], found[1], float(found[2])) for found in map(str.split, lines)]
    return told


def dump(root: Path) -> list[str]:
    """Everything in the catalog, as SQL."""
    with closing(sqlite3.connect(root / ".minian_vc/catalog.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return list(connection.iterdump())


@pytest.mark.counted
@pytest.mark.parametrize(
    ("datasets", "commits"), [(ONE, COMMITS), (SEVERAL, A_FEW)], ids=["one dataset", "three datasets"]
)
def test_all_that_eight_processes_record_is_there(
    root: Path, datasets: dict[str, str], commits: int, record_property: Callable[[str, object], None]
) -> None:
    """Each acknowledged commit has tag, value and its place in one line, in the catalog and in one made anew."""
    prepare(root, datasets)
    began = time.monotonic()
    told = all_at_once(root, datasets, commits)
    seconds = time.monotonic() - began
    repository = mvc.Repository.open(root)
    operations = [operation for operation, _ in repository.operations.after(0, None)]
    begun = len(set(datasets.values()))
    total = begun + len(WRITERS) * commits
    assert [operation.sequence for operation in operations] == list(range(1, total + 1))
    assert len({operation.checkpoint for operation in operations}) == total

    for dataset, acknowledged in told.items():
        opened = mvc.open(root / dataset)
        history = list(reversed(opened.history()))
        assert {(entry.id, entry.tags[0]) for entry in history[1:]} == {(id_, tag) for id_, tag, _ in acknowledged}
        assert [entry.sequence for entry in history] == list(range(1, len(acknowledged) + 2))
        assert [entry.parent for entry in history] == [None, *(entry.id for entry in history[:-1])]
        checkpoints = [opened.show(entry.id) for entry in history]
        assert [checkpoint.parent for checkpoint in checkpoints] == [entry.parent for entry in history]
        for before, checkpoint in itertools.pairwise(checkpoints):
            own = checkpoint.message.split()[0]
            others = [{a.name: a.manifest for a in each.arrays if a.name != own} for each in (before, checkpoint)]
            assert others[0] == others[1]
        for id_, tag, value in acknowledged[:: max(1, len(acknowledged) // 16)]:
            name = tag.partition("-")[0]
            assert opened.open(id_, [name], return_dict=True)[name].values[0, 0] == value

    recorded = dump(root)
    (root / ".minian_vc/catalog.sqlite").unlink()
    mvc.Repository.open(root)
    assert dump(root) == recorded
    rate = f"{seconds:.0f} s, {len(WRITERS) * commits / seconds:.1f} a second"
    record_property("faults", f"{len(WRITERS)} x {commits} commits at once on {begun} dataset(s): 0 lost ({rate})")
