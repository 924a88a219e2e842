"""Several processes that record at once."""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from zarr_trees import write_units

import minian_vc as mvc
from minian_vc.verbs.commit import Request

ROUNDS = 4
PATIENCE = 120


def record_own_array(folder: str, name: str, barrier: Barrier) -> None:
    """In a process of its own: save an array and commit it, again and again."""
    dataset = mvc.open(folder, create=True)
    barrier.wait(PATIENCE)
    for step in range(ROUNDS):
        write_units(Path(folder) / f"{name}.zarr", (1, 2), (step, step))
        done = dataset.record(Request(f"{name} {step}", tag=f"{name}-{step}", only=[name], wait=30.0))
        if not done.created:
            sys.exit("nothing was recorded")


def record_everything(folder: str, _: str, barrier: Barrier) -> None:
    """In a process of its own: commit the whole dataset as it lies there."""
    dataset = mvc.open(folder)
    barrier.wait(PATIENCE)
    dataset.record(Request("whole", wait=30.0))


def record_or_prune(folder: str, name: str, barrier: Barrier) -> None:
    """In a process of its own: record the same few states automatically, or prune what was recorded so."""
    dataset = mvc.open(folder)
    barrier.wait(PATIENCE)
    for step in range(3 * ROUNDS):
        if name == "prune":
            dataset.prune(automatic=True, grace_days=0, dry_run=False)
        else:
            write_units(Path(folder) / f"{name}.zarr", (1, 2), (step % 3 + 1, 4))
            dataset.record(Request(f"{name} {step % 3 + 1}", None, [name], {"automatic": "notebook"}, wait=30.0))


def at_once(work: object, *arguments: tuple[str, str]) -> None:
    """Run processes that begin together, and see that each is well."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(arguments))
    processes = [context.Process(target=work, args=(*each, barrier)) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    for process in processes:
        if process.is_alive():
            process.kill()
            process.join()
    assert [process.exitcode for process in processes] == [0] * len(processes)


def test_two_processes_in_one_dataset_make_one_line_of_history(root: Path) -> None:
    """Every commit of both is there with its tag; each follows the one before and keeps what the other recorded."""
    write_units(root / "m/first.zarr", (1,), (0,))
    dataset = mvc.open(root / "m")
    dataset.record(Request("begin", wait=0.0))
    at_once(record_own_array, (str(root / "m"), "A"), (str(root / "m"), "C"))

    history = list(reversed(dataset.history()))
    assert len(history) == 1 + 2 * ROUNDS
    assert [entry.parent for entry in history] == [None, *(entry.id for entry in history[:-1])]
    assert [entry.sequence for entry in history] == list(range(1, len(history) + 1))
    for name in ("A", "C"):
        own = [entry.message for entry in history if entry.message.startswith(name)]
        assert own == [f"{name} {step}" for step in range(ROUNDS)]
    held = {array.name: array.manifest for array in dataset.show(history[0].id).arrays}
    for entry in history[1:]:
        checkpoint = dataset.show(entry.id)
        manifests = {array.name: array.manifest for array in checkpoint.arrays}
        name = entry.message.split()[0]
        assert {k: v for k, v in manifests.items() if k != name} == {k: v for k, v in held.items() if k != name}
        held = manifests
        step = entry.message.split()[1]
        assert entry.tags == (f"{name}-{step}",)
        assert dataset.open(entry.tags[0], [name], return_dict=True)[name].values[0, 0] == float(step)


def test_two_processes_in_two_datasets_share_a_repository(root: Path) -> None:
    """Each dataset has its own line of history, whole, though both were new."""
    at_once(record_own_array, (str(root / "m1"), "A"), (str(root / "m2"), "A"))
    repository = mvc.Repository.open(root)
    assert [row.path for row in repository.datasets()] == ["m1", "m2"]
    for name in ("m1", "m2"):
        history = list(reversed(mvc.open(root / name).history()))
        assert [entry.message for entry in history] == [f"A {step}" for step in range(ROUNDS)]
        assert [entry.parent for entry in history] == [None, *(entry.id for entry in history[:-1])]
    operations = list(repository.operations.after(0, None))
    assert [operation.sequence for operation, _ in operations] == list(range(1, 2 * ROUNDS + 1))


def test_the_same_state_is_recorded_once(root: Path) -> None:
    """Two processes that commit the same folder at once make one checkpoint between them."""
    for name in ("A", "C"):
        write_units(root / "m" / f"{name}.zarr", (1, 2), (1, 2))
    at_once(record_everything, (str(root / "m"), ""), (str(root / "m"), ""))
    (entry,) = mvc.open(root / "m").history()
    assert entry.arrays == ("A", "C")


def test_what_is_recorded_while_others_prune_is_whole(root: Path) -> None:
    """Bytes that come back again and again are pruned meanwhile: each checkpoint that remains opens as it was saved."""
    for folder in ("m", "other"):
        write_units(root / folder / "A.zarr", (1, 2), (1, 4))
        mvc.open(root / folder).record(Request("A 1", "begin", wait=0.0))
    at_once(record_or_prune, (str(root / "m"), "A"), (str(root / "m"), "prune"), (str(root / "other"), "A"))
    for folder in ("m", "other"):
        dataset = mvc.open(root / folder)
        for entry in dataset.history():
            value = float(entry.message.split()[1])
            assert dataset.open(entry.id, return_dict=True)["A"].values[:, 0].tolist() == [value, 4.0]
    dataset = mvc.open(root / "m")
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert len(dataset.history()) <= 2
    assert len(mvc.open(root / "other").history()) == 3 * ROUNDS


@pytest.mark.parametrize("count", [3])
def test_processes_that_make_the_repository_at_once_agree_on_it(tmp_path: Path, count: int) -> None:
    """``create=True`` from several notebooks at once makes one repository with all that they record."""
    folders = [(str(tmp_path / f"m{i}"), "A") for i in range(count)]
    at_once(record_own_array, *folders)
    repository = mvc.Repository.open(tmp_path)
    assert [row.path for row in repository.datasets()] == [f"m{i}" for i in range(count)]
    assert len(list(repository.operations.after(0, None))) == count * ROUNDS
