"""restore: what it brings back, what it leaves alone, and what becomes of work that is not committed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import INTERMEDIATE, put_stage, tree
from originals import assert_same, original, write_array

import minian_vc as mvc
from minian_vc import durable
from minian_vc.errors import AlreadyExistsError, DamagedError, InvalidInputError, MinianVCError, StorageError
from minian_vc.swap import NOTE, UnfinishedSwapError, read_note

EARLY, LATE = "stage-02-first-temporal", "stage-05-second-temporal"


@pytest.fixture(scope="module")
def template(stages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Session 1 after the first and the second temporal update; the folder is as the second left it."""
    root = tmp_path_factory.mktemp("template")
    mvc.Repository.create(root)
    for stage, tag in ((EARLY, "early"), (LATE, "late")):
        mvc.open(put_stage(stages, stage, root)).commit(tag, tag=tag)
    return root


@pytest.fixture
def two(template: Path, tmp_path: Path) -> mvc.Dataset:
    """A copy of the template's dataset."""
    shutil.copytree(template, tmp_path / "lab")
    return mvc.open(tmp_path / "lab" / INTERMEDIATE)


def overwrite(folder: Path, name: str) -> None:
    """Save another array under a name that is there, as the notebook does."""
    shutil.rmtree(folder / f"{name}.zarr", ignore_errors=True)
    write_array(folder, name, np.full((2, 3), 7.0), ("unit_id", "frame"), coords={"unit_id": np.array([0, 1])})


def stats(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and modification time of every file and folder."""
    found = ((str(path.relative_to(folder)), path.stat()) for path in folder.rglob("*"))
    return {name: (s.st_ino, s.st_mtime_ns) for name, s in found}


def part(folder: Path, *, without: str) -> dict[str, tuple[int, int]]:
    """The stats of everything but one array."""
    return {name: s for name, s in stats(folder).items() if not name.startswith(f"{without}.zarr")}


# -- uncommitted work -----------------------------------------------------------------------------


def test_uncommitted_work_is_committed_before_one_array_is_replaced(two: mvc.Dataset) -> None:
    """A C that was never committed is a checkpoint afterwards, and can be brought back."""
    overwrite(two.path, "C")
    mine = tree(two.path / "C.zarr")
    done = two.restore("C@early")
    assert done.saved_as is not None
    assert two.latest.id == done.saved_as.id
    assert done.saved_as.parent == two.show("late").id
    two.restore("C@latest")
    assert tree(two.path / "C.zarr") == mine


def test_uncommitted_work_is_committed_before_everything_is_replaced(two: mvc.Dataset) -> None:
    """The checkpoint made before ``restore @early`` is exactly what the folder held."""
    overwrite(two.path, "C")
    shutil.rmtree(two.path / "S.zarr")
    write_array(two.path, "mine", np.arange(3.0), ("frame",))
    held = tree(two.path)
    done = two.restore("@early")
    assert {array.name for array in done.saved_as.arrays} == {Path(name).parts[0][:-5] for name in held}
    two.restore(f"@{done.saved_as.id}")
    assert tree(two.path) == held


def test_nothing_is_committed_where_all_is_recorded(two: mvc.Dataset) -> None:
    """Restoring from a clean folder makes no checkpoint."""
    before = [entry.id for entry in two.history()]
    assert two.restore("@early").saved_as is None
    assert [entry.id for entry in two.history()] == before


def test_going_back_and_forth_leaves_history_as_it_was(two: mvc.Dataset, stages: Path) -> None:
    """A folder that holds a recorded checkpoint has no uncommitted work: moving on from it records nothing."""
    before = [entry.id for entry in two.history()]
    two.restore("@early")
    assert two.restore("@late").saved_as is None
    assert tree(two.path) == tree(stages / LATE / INTERMEDIATE)
    assert [entry.id for entry in two.history()] == before


def test_an_unreadable_array_is_kept_aside_and_named(two: mvc.Dataset) -> None:
    """A half-written array cannot be committed: it lies in .minian_vc/displaced, whole."""
    shutil.rmtree(two.path / "C.zarr/C")
    held = tree(two.path / "C.zarr")
    done = two.restore("C@early")
    (aside,) = done.aside
    assert aside.name == "C.zarr"
    assert aside.is_relative_to(two.repository.folder / "displaced")
    assert tree(aside) == held


def test_an_unreadable_array_is_kept_aside_in_a_whole_restore(two: mvc.Dataset, stages: Path) -> None:
    """The same when the whole checkpoint is restored, and the folder is the checkpoint's."""
    (two.path / "C.zarr/C/.zarray").unlink()
    done = two.restore("@early")
    assert [path.name for path in done.aside] == ["C.zarr"]
    assert (done.aside[0] / "C/0.0").is_file()
    assert tree(two.path) == tree(stages / EARLY / INTERMEDIATE)


# -- what is touched ------------------------------------------------------------------------------


def test_a_named_array_touches_only_that_array(two: mvc.Dataset, stages: Path) -> None:
    """Files and folders of the other arrays keep inode and modification time."""
    (two.path / "notes.txt").write_text("mine")
    before = part(two.path, without="C")
    done = two.restore("C@early")
    assert done.arrays == ("C",)
    assert part(two.path, without="C") == before
    assert tree(two.path / "C.zarr") == tree(stages / EARLY / INTERMEDIATE / "C.zarr")


def test_several_named_arrays_go_back_together(two: mvc.Dataset, stages: Path) -> None:
    """``restore C@early S@early`` brings both back and nothing else."""
    two.restore("C@early", "S@early")
    for name, stage in (("C", EARLY), ("S", EARLY), ("A", LATE)):
        assert tree(two.path / f"{name}.zarr") == tree(stages / stage / INTERMEDIATE / f"{name}.zarr")


def test_the_alias_names_an_array_of_a_tag(two: mvc.Dataset, stages: Path) -> None:
    """``C_early`` is C@early where no array has that name."""
    two.restore("C_early")
    assert tree(two.path / "C.zarr") == tree(stages / EARLY / INTERMEDIATE / "C.zarr")
    assert_same(two["A_early"], original(stages / EARLY / INTERMEDIATE / "A.zarr"))


def test_foreign_files_and_folders_survive_a_whole_restore(two: mvc.Dataset) -> None:
    """Notes, figures and a timestamps file in the dataset are not MiniAn's, and stay as they are."""
    (two.path / "timeStamps.csv").write_text("0,1\n")
    (two.path / "figures/old").mkdir(parents=True)
    (two.path / "figures/old/a.png").write_bytes(b"png")
    (two.path / ".zgroup").write_text('{"zarr_format":2}')
    done = two.restore("@early")
    assert (two.path / "timeStamps.csv").read_text() == "0,1\n"
    assert (two.path / "figures/old/a.png").read_bytes() == b"png"
    assert (two.path / ".zgroup").read_text() == '{"zarr_format":2}'
    assert not done.aside
    assert not list(two.repository.folder.glob("displaced/*"))


def test_an_array_that_the_checkpoint_lacks_is_committed_and_removed(two: mvc.Dataset) -> None:
    """``restore @early`` takes A_mrg away and says so; a never committed array can be had back."""
    write_array(two.path, "mine", np.arange(3.0), ("frame",))
    mine = tree(two.path / "mine.zarr")
    done = two.restore("@early")
    assert {"mine", "A_mrg"} <= set(done.removed)
    assert not (two.path / "mine.zarr").exists()
    two.restore("mine@latest")
    assert tree(two.path / "mine.zarr") == mine


def test_arrays_recorded_without_bytes_are_left_alone(stages: Path, root: Path) -> None:
    """A movie of which only the description is kept is never displaced, removed or rewritten."""
    put_stage(stages, "stage-00-init", root)
    mvc.Repository.open(root).configure("record_without_bytes", "varr_ref,Y_hw_chk")
    ds = mvc.open(root / INTERMEDIATE)
    ds.commit("init", tag="init")
    overwrite(ds.path, "varr_ref")
    before = stats(ds.path / "varr_ref.zarr").keys(), tree(ds.path / "varr_ref.zarr")
    overwrite(ds.path, "C")
    done = ds.restore("@init")
    assert set(done.kept) == {"varr_ref", "Y_hw_chk"}
    assert (stats(ds.path / "varr_ref.zarr").keys(), tree(ds.path / "varr_ref.zarr")) == before
    assert tree(ds.path / "C.zarr") == tree(stages / "stage-00-init" / INTERMEDIATE / "C.zarr")
    with pytest.raises(MinianVCError, match="without its bytes"):
        ds.restore("varr_ref@init")


def test_a_deleted_dataset_folder_is_brought_back(two: mvc.Dataset, stages: Path) -> None:
    """The whole folder is gone: restore makes it anew, from a fresh open."""
    shutil.rmtree(two.path)
    ds = mvc.open(two.path)
    ds.restore("@late")
    assert tree(ds.path) == tree(stages / LATE / INTERMEDIATE)
    assert {state.state for state in ds.status()} == {"unchanged"}


def test_status_is_clean_after_restoring_the_latest(two: mvc.Dataset) -> None:
    """Restoring the latest checkpoint over other work leaves nothing to commit."""
    late = two.show("late")
    overwrite(two.path, "C")
    two.restore("@late")
    two.restore("@latest")
    assert {state.state for state in two.status()} == {"unchanged"}
    assert two.show("late").id == late.id


# -- ordinary files -------------------------------------------------------------------------------


def test_restored_files_are_ordinary_and_share_nothing_with_the_objects(two: mvc.Dataset) -> None:
    """Restored files are writable, have one name and an inode of their own."""
    objects = {path.stat().st_ino for path in (two.repository.folder / "objects").rglob("*") if path.is_file()}
    two.restore("@early")
    for path in two.path.rglob("*"):
        s = path.stat()
        assert s.st_mode & stat.S_IWUSR
        if path.is_file():
            assert s.st_nlink == 1
            assert s.st_ino not in objects


def test_editing_restored_files_does_not_change_history(two: mvc.Dataset, stages: Path) -> None:
    """Writing in place into restored files leaves every version as it was recorded."""
    two.restore("@early")
    for path in (two.path / "C.zarr/C").glob("*.0"):
        with path.open("r+b") as file:
            file.write(b"\0" * 100)
    assert_same(two["C@early"], original(stages / EARLY / INTERMEDIATE / "C.zarr"))
    two.restore("C@early")
    assert tree(two.path / "C.zarr") == tree(stages / EARLY / INTERMEDIATE / "C.zarr")


# -- elsewhere ------------------------------------------------------------------------------------


def test_to_never_touches_the_working_folder(two: mvc.Dataset, stages: Path, tmp_path: Path) -> None:
    """``to=`` writes there only: uncommitted work stays uncommitted."""
    overwrite(two.path, "C")
    before, history = stats(two.path), [entry.id for entry in two.history()]
    done = two.restore("@early", to=tmp_path / "new" / "deep")
    assert done.folder == tmp_path / "new" / "deep"
    assert tree(done.folder) == tree(stages / EARLY / INTERMEDIATE)
    two.restore("C@late", as_="C_late", to=done.folder)
    assert (done.folder / "C_late.zarr/C_late/.zarray").is_file()
    assert stats(two.path) == before
    assert [entry.id for entry in two.history()] == history
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab", "new"]


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("lab/taken", AlreadyExistsError),
        (f"lab/{INTERMEDIATE}", InvalidInputError),
        (f"lab/{INTERMEDIATE}/old", InvalidInputError),
        (f"lab/{INTERMEDIATE}/C.zarr/old", InvalidInputError),
        ("lab/.minian_vc", InvalidInputError),
        ("lab/.minian_vc/objects/old", InvalidInputError),
        (f"lab/taken/../{INTERMEDIATE}/old", InvalidInputError),
        ("link/old", InvalidInputError),
    ],
)
def test_to_refuses_unfit_folders(two: mvc.Dataset, tmp_path: Path, where: str, kind: type[MinianVCError]) -> None:
    """A folder that holds the array already, lies in a dataset or in .minian_vc is refused; nothing is written."""
    (tmp_path / "lab/taken/C.zarr").mkdir(parents=True)
    (tmp_path / "link").symlink_to(two.path)
    before = tree(tmp_path)
    with pytest.raises(kind):
        two.restore("C@early", to=tmp_path / where)
    assert tree(tmp_path) == before


# -- damaged --------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["@early", "C@early"])
def test_a_damaged_object_leaves_the_folder_as_it_was(two: mvc.Dataset, spec: str) -> None:
    """When stored bytes are not what was recorded, restore refuses and the folder keeps every file."""
    entries = two.repository.stored_files(two.show("early").array("C").manifest).entries
    path = two.repository.objects.path("chunks", entries["C/0.0"].digest)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # of the same size: a torn one commit would mend
    before = stats(two.path)
    with pytest.raises(DamagedError, match=path.name):
        two.restore(spec)
    assert stats(two.path) == before
    assert not any((two.repository.folder / "staging").iterdir())


def test_as_takes_the_name_of_an_array_that_is_there_only_after_committing_it(two: mvc.Dataset) -> None:
    """``as_="S"`` replaces S; the S that was there is recorded first."""
    overwrite(two.path, "S")
    mine = tree(two.path / "S.zarr")
    done = two.restore("C@early", as_="S")
    assert done.saved_as is not None
    assert (two.path / "S.zarr/S/.zarray").is_file()
    assert not (two.path / "S.zarr/C").exists()
    two.restore(f"S@{done.saved_as.id}", as_="S_mine_under_another_name")
    two.restore(f"S@{done.saved_as.id}")
    assert tree(two.path / "S.zarr") == mine


def test_a_name_that_is_a_coordinate_is_refused(two: mvc.Dataset) -> None:
    """``as_="frame"`` would put the array over its own coordinate."""
    before = tree(two.path)
    with pytest.raises(InvalidInputError, match="coordinate"):
        two.restore("C@early", as_="frame")
    assert tree(two.path) == before


def test_concurrent_reader_never_sees_a_missing_dataset(two: mvc.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step of a whole restore the dataset folder holds a whole C, the old or the new."""
    seen = set()
    for function in ("rename", "replace", "link", "unlink", "fsync", "mkdir"):
        real = getattr(os, function)

        def watching(*args: object, _real: object = real, **options: object) -> object:
            seen.add((two.path / "C.zarr/C/.zarray").read_bytes())
            return _real(*args, **options)

        monkeypatch.setattr(os, function, watching)
    two.restore("@early")
    assert len(seen) == 2


@pytest.mark.parametrize("way", ["exchange", "two renames"])
@pytest.mark.parametrize("spec", ["@early", "C@early"])
def test_an_interrupt_right_after_the_swap_loses_nothing(
    two: mvc.Dataset, monkeypatch: pytest.MonkeyPatch, spec: str, way: str
) -> None:
    """Ctrl-C comes when the old folder is out of the way: what came into it after the commit is still somewhere."""
    late = b"written after the commit"
    swapped, rename = durable.exchange, Path.rename

    def interrupted(real: Callable[[Path, Path], object]) -> Callable[[Path, Path], object]:
        def once(one: Path, other: Path) -> object:
            live = two.path / "C.zarr"
            if other in (two.path, live) or one in (two.path, live):
                (live / "C/late").write_bytes(late) if live.is_dir() else None
                real(one, other)
                raise KeyboardInterrupt
            return real(one, other)

        return once

    with monkeypatch.context() as patch:
        if way == "exchange":
            patch.setattr(durable, "exchange", interrupted(swapped))
        else:
            patch.setattr(durable, "exchange", lambda *_: False)
            patch.setattr(Path, "rename", interrupted(rename))
        with pytest.raises(KeyboardInterrupt):
            two.restore(spec)
    for note in two.repository.staging.glob(NOTE):
        os.utime(note, (1_000_000_000, 1_000_000_000))
    again = mvc.open(two.path)
    assert (again.path / "C.zarr/C/.zarray").is_file()
    assert late in tree(two.repository.root).values()


@pytest.mark.parametrize("spec", ["@early", "C@early"])
def test_a_swap_that_is_refused_leaves_nothing_behind(
    two: mvc.Dataset, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    """Nothing was displaced: the folder is as it was, and what was staged is removed."""
    before = tree(two.path)

    def refuse(*_: object) -> bool:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(durable, "exchange", refuse)
    with pytest.raises(StorageError, match="mount point"):
        two.restore(spec)
    assert tree(two.path) == before
    assert not any((two.repository.folder / "staging").iterdir())


@pytest.mark.parametrize("spec", ["@early", "C@early"])
def test_a_disk_that_fails_between_two_renames_and_again_loses_nothing(
    two: mvc.Dataset, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    """Both versions stay where the note says, and the next command completes the swap."""
    renames, real = [], Path.rename
    moved = two.path if spec == "@early" else two.path / "C.zarr"

    def rename(self: Path, target: Path) -> Path:
        if self == moved or target == moved:
            renames.append(target)
            if len(renames) > 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "exchange", lambda *_: False)
        patch.setattr(Path, "rename", rename)
        with pytest.raises(UnfinishedSwapError):
            two.restore(spec)
    assert not moved.exists()
    (note,) = two.repository.staging.glob(NOTE)
    names = read_note(note)
    assert names["staged"].is_dir()
    assert names["aside"].is_dir()
    os.utime(note, (1_000_000_000, 1_000_000_000))
    again = mvc.open(two.path)
    again.restore("C@early")
    assert tree(again.path / "C.zarr")
    assert not list(two.repository.staging.glob(NOTE))
