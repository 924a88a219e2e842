"""Saves that run at the same time, and what dead ones left."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from conftest import tree
from save_cases import DATASET, traces

from minian_vc import durable, save_minian, staging
from minian_vc.staging import OWNER, SAVING

ROUNDS = 6
PATIENCE = 120


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset with X."""
    monkeypatch.setattr(durable, "flush", lambda *_: None)
    save_minian(traces(), tmp_path / DATASET)
    return tmp_path / DATASET


def gone() -> int:
    """Return the id of a process that is no more."""
    return int(subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True).stdout)


def stage_of(dataset: Path, process: int, host: str | None = None) -> Path:
    """Make the folder of a save of some process, half written."""
    folder = dataset.parent / SAVING / f"{host or staging._host()}-{process}-0123456789ab"
    (folder / "X.zarr/X").mkdir(parents=True)
    (folder / "X.zarr/X/0.0").write_bytes(b"half")
    (folder / OWNER).touch()
    return folder


def save_anything(dataset: Path) -> None:
    """Save another array, which looks at what lies beside."""
    save_minian(traces().rename("Z"), dataset, overwrite=True)


@pytest.mark.parametrize("process", [gone, os.getpid, os.getppid], ids=["gone", "ours again", "another's again"])
@pytest.mark.parametrize("lacks", [None, OWNER], ids=["whole", "killed when it began"])
def test_what_a_dead_save_left_is_removed(lacks: str | None, process: Callable[[], int], dataset: Path) -> None:
    """Nobody holds its lock, whether or not its process's number is in use again."""
    stage = stage_of(dataset, process())
    if lacks:
        (stage / lacks).unlink()
    save_anything(dataset)
    assert not stage.exists()
    assert not (dataset.parent / SAVING).exists()


def test_what_a_living_process_saves_is_left_alone(dataset: Path) -> None:
    """Its lock is held."""
    script = (
        "import sys; from pathlib import Path; from minian_vc import staging; dataset = Path(sys.argv[1]); "
        "stage = staging.new_stage(dataset); staging.make_stage(stage, dataset); print(stage, flush=True); input()"
    )
    command = [sys.executable, "-c", script, str(dataset)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        stage = Path(process.stdout.readline().decode().strip())
        (stage / "X.zarr").mkdir()
        before = tree(stage)
        save_anything(dataset)
        assert tree(stage) == before
    finally:
        process.communicate(b"\n")
    save_anything(dataset)
    assert not (dataset.parent / SAVING).exists()


def test_a_lock_tells_that_a_process_lives_that_cannot_be_seen(dataset: Path) -> None:
    """In another container it has an id that is nobody's here."""
    stage = stage_of(dataset, gone())
    descriptor = os.open(stage / OWNER, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    before = tree(stage)
    save_anything(dataset)
    assert tree(stage) == before
    os.close(descriptor)
    save_anything(dataset)
    assert not (dataset.parent / SAVING).exists()


def test_what_another_computer_saves_is_left_alone(dataset: Path) -> None:
    """Its processes cannot be seen from here; nor is what is not named as ours are."""
    stage, kept = stage_of(dataset, gone(), host="other"), dataset.parent / SAVING / "kept-for-me"
    kept.mkdir()
    before = tree(dataset.parent / SAVING)
    save_anything(dataset)
    assert tree(dataset.parent / SAVING) == before
    assert stage.exists()


def save_again_and_again(dataset: str, name: str, first: int, barrier: Barrier) -> None:
    """In a process of its own: save an array of one value all over, again and again."""
    barrier.wait(PATIENCE)
    for value in range(first, first + ROUNDS):
        values = da.full((4, 30), float(value), chunks=(1, -1))
        save_minian(xr.DataArray(values, {"unit_id": range(4)}, ("unit_id", "frame"), name), dataset, overwrite=True)


@pytest.mark.parametrize("names", [("A", "C"), ("C", "C")], ids=["two arrays", "one array"])
def test_two_processes_save_at_once(names: tuple[str, str], dataset: Path) -> None:
    """Each array is one whole version: one process's last, or in one array's case the last of either."""
    for name in set(names):
        save_minian(traces().rename(name), dataset)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=save_again_and_again, args=(str(dataset), name, 100 * number, barrier))
        for number, name in enumerate(names, start=1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0, 0]
    last = {100 + ROUNDS - 1, 200 + ROUNDS - 1}
    found = {name: np.unique(da.from_zarr(str(dataset / f"{name}.zarr/{name}")).compute()) for name in names}
    assert [len(values) for values in found.values()] == [1] * len(found)
    assert {float(values[0]) for values in found.values()} <= last
    assert len(found) == 1 or {float(values[0]) for values in found.values()} == last
    assert [path.name for path in dataset.parent.iterdir()] == ["minian"]
