"""What a killed save left is put in order by whoever comes next; what belongs to others stays."""

from __future__ import annotations

import json
import os
import shutil
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
