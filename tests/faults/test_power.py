"""What was acknowledged survives a power cut, whole; and each flush is needed for that."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import GROUPS, NEEDS_LINUX, drive, share, told, wrong
from power import Cut, Recording, lay_out
from scenarios import SCENARIOS
from steps import Step, Steps

from minian_vc import durable

pytestmark = NEEDS_LINUX

NEEDLESS = {
    ".minian_vc/objects/chunks/* by remove": "A chunk object that comes back takes space until the next prune.",
    ".minian_vc/staging/removing-*.* by write_durably": "Without the list a prune may call garbage missing history.",
}


@pytest.mark.counted
@pytest.mark.parametrize("group", GROUPS)
def test_nothing_acknowledged_is_lost_in_a_power_cut(
    group: str, record_property: Callable[[str, object], None]
) -> None:
    """Whatever the disk had not flushed is lost, torn or kept: all that can be seen is whole.
    ``MINIAN_VC_CUTS`` says how many cuts there are in all groups together.
    """
    seen = drive("cuts", GROUPS[group], share("MINIAN_VC_CUTS", 60, group))
    assert not wrong(seen), told(seen)
    acknowledged = sum(case["acknowledged"] for case in seen)
    assert acknowledged >= len(GROUPS[group])
    record_property("faults", f"power cuts of {group}: {len(seen)} ({acknowledged} when it was done); 0 lost, 0 torn")


@pytest.mark.many
def test_each_flush_is_needed(record_property: Callable[[str, object], None]) -> None:
    """Take one away, and something is lost in a power cut: no flush is there that nothing depends on, and the cuts
    see each that is not there. New flushes are found by themselves.
    """
    seen = drive("flushes", list(SCENARIOS), 1)
    sites = {case["site"] for case in seen}
    missed = {case["site"] for case in seen if case["missed"]}
    assert sites - missed == set(NEEDLESS)
    assert len(missed) > 20
    record_property("faults", f"flushes taken away: {len(sites)}; {len(missed)} missed, {len(NEEDLESS)} not needed")


# -- the model --------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path: Path) -> tuple[Path, Recording]:
    """A folder with one file, heard."""
    root = tmp_path / "disk"
    (root / "there").mkdir(parents=True)
    (root / "there/old").write_bytes(b"old")
    return root, Recording(root)


def left(recording: Recording, target: Path) -> dict[str, bytes]:
    """What is there afterwards that was flushed."""
    lay_out(Cut(recording, len(recording.events)).nothing_kept(), target)
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}


FLUSHES = {
    "nothing": (lambda _: None, {"there/old": b"old"}),
    "the file": (lambda root: durable.flush([root / "new/b"], []), {"there/old": b"old"}),
    "its folder": (lambda root: durable.sync_folder(root / "new"), {"there/old": b"old"}),
    "the folder above": (lambda root: durable.sync_folder(root), {"there/old": b"old"}),
    "both folders": (lambda root: durable.flush([], [root, root / "new"]), {"there/old": b"old", "new/b": b""}),
    "the file and the folders": (
        lambda root: durable.flush([root / "new/b"], [root, root / "new"]),
        {"there/old": b"old", "new/b": b"new"},
    ),
}


@pytest.mark.parametrize("flush", FLUSHES)
def test_what_was_not_flushed_is_not_there(flush: str, recording: tuple[Path, Recording], tmp_path: Path) -> None:
    """Of a new file in a new folder, the entry in the one above, the entry in the new one, and the bytes are flushed
    each for itself.
    """
    root, heard = recording
    flushing, expected = FLUSHES[flush]
    with Steps(root, after=heard.hear, without={"syncfs"}).heard():
        (root / "new").mkdir()
        (root / "new/a").write_bytes(b"new")
        (root / "new/a").rename(root / "new/b")
        flushing(root)
    assert left(heard, tmp_path / "after") == expected


def test_what_failed_to_be_flushed_stays_lost(recording: tuple[Path, Recording], tmp_path: Path) -> None:
    """A second flush that the system calls a success brings nothing back."""
    root, heard = recording

    def before(step: Step) -> None:
        if step.kind == "fsync":
            heard.failed(step)

    with Steps(root, before, heard.hear).heard():
        (root / "there/new").write_bytes(b"new")
        durable.flush([root / "there/new"], [root / "there"])
    assert left(heard, tmp_path / "after")["there/new"] == b""


def test_chance_reaches_old_torn_and_new(recording: tuple[Path, Recording]) -> None:
    """A file that was written over in its place and not flushed may be anything in between."""
    root, heard = recording
    with Steps(root, after=heard.hear).heard():
        (root / "there/old").write_bytes(b"newer")
    cut = Cut(heard, len(heard.events))
    seen = {cut.by_chance(random.Random(seed)).contents[file] for seed in range(60) for file in heard.before.contents}  # noqa: S311
    assert seen == {b"old", b"newer", b"ne", bytes(5)}
