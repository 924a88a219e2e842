"""What a killed save left is put in order by whoever comes next; what belongs to others stays."""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import INTERMEDIATE, put_stage, tree

import minian_vc as mvc
from minian_vc import staging

GONE = 99_999_999  # no process has such a number


def killed_between_two_renames(dataset: Path) -> dict[str, bytes]:
    """Leave what a save of C leaves that was killed after its first rename; return the files of its new version."""
    stage = dataset.parent / staging.SAVING / f"{staging._host()}-{GONE}-0123456789ab"
    stage.mkdir(parents=True)
    (stage / staging.OWNER).touch()
    shutil.copytree(dataset / "A.zarr", stage / "C.zarr")  # stands for a new version
    new = tree(stage / "C.zarr")
    (dataset / "C.zarr").rename(stage / "C.zarr.old")
    names = {"live": dataset / "C.zarr", "staged": stage / "C.zarr", "aside": stage / "C.zarr.old"}
    (stage / "swap-0123456789abcdef.json").write_text(json.dumps({key: str(path) for key, path in names.items()}))
    return new


@pytest.mark.parametrize(
    "come_by",
    [
        lambda dataset: mvc.open(dataset, create=True),
        mvc.check,
        lambda dataset: mvc.open_minian(dataset, return_dict=True),
    ],
    ids=["open", "check", "open_minian"],
)
def test_a_swap_of_two_renames_is_completed(stages: Path, tmp_path: Path, come_by: Callable[[Path], object]) -> None:
    """The array was missing from the dataset; it is the new version then, and nothing is left beside."""
    dataset = put_stage(stages, "stage-02-first-temporal", tmp_path)
    new = killed_between_two_renames(dataset)
    assert not (dataset / "C.zarr").exists()
    come_by(dataset)
    assert tree(dataset / "C.zarr") == new
    assert not (dataset.parent / staging.SAVING).exists()


def test_what_runs_or_is_kept_is_left_alone(stages: Path, tmp_path: Path) -> None:
    """A save of this process, one of another computer, and a version that could not be put in place."""
    dataset = put_stage(stages, "stage-02-first-temporal", tmp_path)
    staging.make_stage(mine := staging.new_stage(dataset), dataset)
    others = mine.with_name(f"another_host-{GONE}-0123456789ab")
    kept = mine.with_name(f"{staging.KEPT}{staging._host()}-{GONE}-0123456789ab")
    for stage in (others, kept):
        (stage / "C.zarr").mkdir(parents=True)
        (stage / staging.OWNER).touch()
    mvc.check(dataset)
    assert mine.is_dir()
    assert others.is_dir()
    assert kept.is_dir()
    staging.drop_stage(mine)


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks on Windows")
def test_a_lock_that_is_held_tells_a_save_of_another_container(stages: Path, tmp_path: Path) -> None:
    """Its process has a number that is none here."""
    dataset = tmp_path / INTERMEDIATE
    staging.make_stage(mine := staging.new_stage(dataset), dataset)
    seen = mine.with_name(f"{staging._host()}-{GONE}-{mine.name.rpartition('-')[2]}")
    mine.rename(seen)
    assert not staging.is_abandoned(seen)
    staging.drop_stage(mine)
    assert staging.is_abandoned(seen)


def stage_named(dataset: Path, process: int) -> Path:
    """Make the folder of a save of a process of this computer, with a lock that nobody holds."""
    stage = dataset.parent / staging.SAVING / f"{staging._host()}-{process}-0123456789ab"
    (stage / "C.zarr").mkdir(parents=True)
    (stage / staging.OWNER).touch()
    return stage


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks on Windows")
def test_the_number_of_a_process_says_nothing(tmp_path: Path) -> None:
    """In a container that was started again the killed save's number is another's, or our own."""
    for process in (os.getpid(), os.getppid()):
        stage = stage_named(tmp_path / INTERMEDIATE, process)
        assert staging.is_abandoned(stage)
        staging.put_in_order(stage.parent.parent)
        assert not stage.exists()


@pytest.mark.skipif(os.name == "nt", reason="there are no such locks on Windows")
@pytest.mark.parametrize("at", ["mkdir", "lock"])
def test_a_folder_that_is_being_made_may_be_taken_away_and_is_made_again(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread or process looks between its making and its locking: the save has a folder all the same."""
    dataset = tmp_path / INTERMEDIATE
    dataset.mkdir(parents=True)
    owner, name, calls = {"mkdir": (Path, "mkdir"), "lock": (staging, "_wait_for_lock")}[at] + ([],)
    real = getattr(owner, name)

    def after_another_looked(*arguments: object, **options: object) -> object:
        done = real(*arguments, **options) if at == "mkdir" else None
        calls.append(at)
        if len(calls) == 1:
            staging.put_in_order(dataset.parent)
        return real(*arguments, **options) if at == "lock" else done

    monkeypatch.setattr(owner, name, after_another_looked)
    staging.make_stage(stage := staging.new_stage(dataset), dataset)
    monkeypatch.undo()
    assert len(calls) > 1
    assert (stage / staging.OWNER).is_file()
    staging.put_in_order(dataset.parent)
    assert stage.is_dir()
    staging.drop_stage(stage)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_takes_nothing_of_its_parent_away(tmp_path: Path) -> None:
    """It looks, and ends; the parent's save goes on, and its lock is held."""
    dataset = tmp_path / INTERMEDIATE
    staging.make_stage(stage := staging.new_stage(dataset), dataset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: other tests may have left threads
        child = os.fork()
    if child == 0:
        staging.put_in_order(dataset.parent)
        os._exit(0)
    os.waitpid(child, 0)
    assert stage.is_dir()
    assert not staging.is_abandoned(stage)
    staging.drop_stage(stage)


def test_a_folder_with_an_unfinished_swap_is_never_removed(
    stages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it cannot be completed, or its note not be read, both versions stay; then the new one is live."""
    dataset = put_stage(stages, "stage-02-first-temporal", tmp_path)
    new = killed_between_two_renames(dataset)
    (stage,) = (dataset.parent / staging.SAVING).iterdir()
    before = tree(stage)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", fail)
        staging.drop_stage(stage)
    assert tree(stage) == before
    (note,) = stage.glob("swap-*.json")
    content = note.read_bytes()
    note.write_bytes(content[:-1])
    staging.drop_stage(stage)
    note.write_bytes(content)
    assert tree(stage) == before
    assert staging.keep_stage(stage) == stage
    assert tree(stage) == before
    staging.drop_stage(stage)
    assert tree(dataset / "C.zarr") == new
    assert not (dataset.parent / staging.SAVING).exists()
