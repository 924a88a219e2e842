"""Putting a finished folder in the place of a live one."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import tree

from minian_vc import durable, swap
from minian_vc.errors import StorageError

LONG_AGO = 1_000_000_000


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A staged folder, a live one, and the staging folder."""
    staging = tmp_path / "repository/staging"
    staged, live = staging / "restore-1/A.zarr", tmp_path / "dataset/A.zarr"
    for folder, content in ((staged, b"new"), (live, b"old")):
        folder.mkdir(parents=True)
        (folder / "0").write_bytes(content)
    return staged, live, staging


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system's exchange of two folders, and without."""
    if request.param == "two renames":
        monkeypatch.setattr(durable, "exchange", lambda *_: False)
    return request.param


def renaming(
    monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException, *, after: bool = False, on: bool = False
) -> None:
    """Let the rename of that number fail, before or after it is done; with ``on`` those that follow as well."""
    real, count = Path.rename, [0]

    def rename(self: Path, target: Path) -> Path:
        count[0] += 1
        if (count[0] == at and not after) or (on and count[0] > at):
            raise error
        done = real(self, target)
        if count[0] == at:
            raise error
        return done

    monkeypatch.setattr(Path, "rename", rename)


def recover_later(staging: Path, displaced: Path) -> None:
    """Recover as a command does that comes long after."""
    for note in staging.glob(swap.NOTE):
        os.utime(note, (LONG_AGO, LONG_AGO))
    swap.recover(staging, displaced)


def test_the_staged_folder_is_live_and_the_old_one_still_there(place: tuple[Path, Path, Path], way: str) -> None:
    """Either way: new content under the live name, the old content where the answer says, no note left."""
    staged, live, staging = place
    old = swap.put_in_place(staged, live, staging)
    assert tree(live) == {"0": b"new"}
    assert old is not None
    assert tree(old) == {"0": b"old"}
    assert list(staging.glob(swap.NOTE)) == []


def test_where_nothing_was_there_is_no_old_folder(place: tuple[Path, Path, Path], way: str) -> None:
    """A live folder that is missing, with the folders above it, is made."""
    staged, live, staging = place
    target = live.parent / "more/B.zarr"
    assert swap.put_in_place(staged, target, staging) is None
    assert tree(target) == {"0": b"new"}
    assert tree(live) == {"0": b"old"}


@pytest.mark.parametrize(("at", "after"), [(1, False), (1, True), (2, False), (2, True)])
def test_a_kill_between_the_renames_is_completed_by_the_next_command(
    place: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, at: int, after: bool
) -> None:
    """Whenever it is killed, recovery leaves the old or the new content live, and loses neither."""
    staged, live, staging = place
    monkeypatch.setattr(durable, "exchange", lambda *_: False)
    with monkeypatch.context() as patch:
        kill_after_rename(patch, at, after=after)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: other tests may have left threads
            child = os.fork()
        if child == 0:  # a real kill: neither except nor finally runs
            swap.put_in_place(staged, live, staging)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 77
    displaced = staging.parent / "displaced"
    recover_later(staging, displaced)
    assert tree(live) == {"0": b"old" if (at, after) == (1, False) else b"new"}
    if tree(live) == {"0": b"new"}:
        assert b"old" in tree(displaced).values()
    assert list(staging.glob(swap.NOTE)) == []
    before = tree(live), tree(displaced) if displaced.exists() else None
    recover_later(staging, displaced)
    assert (tree(live), tree(displaced) if displaced.exists() else None) == before


def kill_after_rename(patch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
    """End the process at the rename of that number."""
    real, count = Path.rename, [0]

    def rename(self: Path, target: Path) -> Path:
        count[0] += 1
        if count[0] == at and not after:
            os._exit(77)
        done = real(self, target)
        if count[0] == at:
            os._exit(77)
        return done

    patch.setattr(Path, "rename", rename)


def test_a_swap_under_way_in_another_process_is_left_alone(
    place: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note that was just written may be of a process that is still running."""
    staged, live, staging = place
    aside = staged.with_name("A.zarr.old")
    live.rename(aside)
    note = staging / "swap-1.json"
    note.write_text(json.dumps({"live": str(live), "staged": str(staged), "aside": str(aside)}))
    moment = note.stat().st_mtime
    monkeypatch.setattr(swap.time, "time", lambda: moment + swap.UNDER_WAY / 2)
    swap.recover(staging, staging.parent / "displaced")
    assert not live.exists()
    assert note.exists()


def test_without_a_staged_folder_the_old_one_comes_back(place: tuple[Path, Path, Path]) -> None:
    """If only the old folder is left, it is live again."""
    staged, live, staging = place
    aside = staged.with_name("A.zarr.old")
    live.rename(aside)
    durable.remove_tree(staged)
    (staging / "swap-1.json").write_text(json.dumps({"live": str(live), "staged": str(staged), "aside": str(aside)}))
    recover_later(staging, staging.parent / "displaced")
    assert tree(live) == {"0": b"old"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"live": 1}'])
def test_a_damaged_note_stops_nobody(place: tuple[Path, Path, Path], tmp_path: Path, content: bytes) -> None:
    """What cannot be read is left where it is: the repository still opens, and doctor names it."""
    _, live, staging = place
    note = staging / "swap-1.json"
    note.write_bytes(content)
    os.utime(note, (LONG_AGO, LONG_AGO))
    swap.recover(staging, tmp_path / "displaced")
    assert note.read_bytes() == content
    assert tree(live) == {"0": b"old"}


@pytest.mark.parametrize(
    ("at", "after", "make_error"),
    [
        (1, False, lambda: PermissionError(errno.EACCES, "Permission denied")),
        (2, False, lambda: PermissionError(errno.EACCES, "Permission denied")),
        (1, False, KeyboardInterrupt),
        (1, True, KeyboardInterrupt),
        (2, False, KeyboardInterrupt),
    ],
    ids=["error at the first", "error at the second", "Ctrl-C", "Ctrl-C after the first", "Ctrl-C at the second"],
)
def test_an_error_between_the_renames_leaves_the_live_folder_as_it_was(
    place: tuple[Path, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    after: bool,
    make_error: Callable[[], BaseException],
) -> None:
    """When a rename fails, the old folder is live, for the caller removes what is in staging."""
    staged, live, staging = place
    monkeypatch.setattr(durable, "exchange", lambda *_: False)
    with monkeypatch.context() as patch:
        renaming(patch, at, make_error(), after=after)
        with pytest.raises((StorageError, KeyboardInterrupt)):
            swap.put_in_place(staged, live, staging)
    durable.remove_tree(staged.parent)
    recover_later(staging, staging.parent / "displaced")
    assert live.exists()
    assert tree(live) == {"0": b"old"}


def test_an_interrupt_after_both_renames_leaves_the_new_folder(
    place: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done then: the new folder is live, and no note is left."""
    staged, live, staging = place
    monkeypatch.setattr(durable, "exchange", lambda *_: False)
    with monkeypatch.context() as patch:
        renaming(patch, 2, KeyboardInterrupt(), after=True)
        with pytest.raises(KeyboardInterrupt):
            swap.put_in_place(staged, live, staging)
    assert tree(live) == {"0": b"new"}
    assert not swap.is_unfinished(staging)


def test_a_rename_that_cannot_be_taken_back_says_where_both_versions_are(
    place: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails twice: the note stays, both folders are named, and the next command completes the swap."""
    staged, live, staging = place
    monkeypatch.setattr(durable, "exchange", lambda *_: False)
    with monkeypatch.context() as patch:
        renaming(patch, 2, OSError(errno.EIO, os.strerror(errno.EIO)), on=True)
        with pytest.raises(swap.UnfinishedSwapError) as caught:
            swap.put_in_place(staged, live, staging)
    aside = staged.with_name("A.zarr.old")
    assert str(staged) in caught.value.hint
    assert str(aside) in caught.value.hint
    assert (tree(staged), tree(aside)) == ({"0": b"new"}, {"0": b"old"})
    assert swap.is_unfinished(staging)
    recover_later(staging, staging.parent / "displaced")
    assert tree(live) == {"0": b"new"}
    assert b"old" in tree(staging.parent / "displaced").values()


def test_what_may_not_be_replaced_is_not(place: tuple[Path, Path, Path], way: str) -> None:
    """A folder that came meanwhile stays, and so does the staged one."""
    staged, live, staging = place
    with pytest.raises(StorageError):
        swap.put_in_place(staged, live, staging, replace=False)
    assert (tree(live), tree(staged)) == ({"0": b"old"}, {"0": b"new"})
    assert not swap.is_unfinished(staging)


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EXDEV])
def test_a_mount_point_is_refused_with_the_way_out(
    place: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """What cannot be renamed is said, with what to do instead; nothing changes."""
    staged, live, staging = place

    def refuse(*_: object) -> bool:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable, "exchange", refuse)
    with pytest.raises(StorageError, match="mount point") as caught:
        swap.put_in_place(staged, live, staging)
    assert "--to" in caught.value.hint
    assert tree(live) == {"0": b"old"}


def test_what_is_set_aside_keeps_its_name_and_never_meets_another(tmp_path: Path) -> None:
    """Two folders of one name are both kept."""
    kept = []
    for content in (b"1", b"2"):
        folder = tmp_path / "A.zarr"
        folder.mkdir()
        (folder / "0").write_bytes(content)
        kept.append(swap.set_aside(folder, tmp_path / "displaced"))
    assert [path.name for path in kept] == ["A.zarr", "A.zarr"]
    assert [tree(path) for path in kept] == [{"0": b"1"}, {"0": b"2"}]
