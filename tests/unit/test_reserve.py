"""The megabyte that is held back for a full disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from pruning import messages, notebook

import minian_vc as mvc
from minian_vc import durable, reserve


def test_a_new_repository_holds_it(root: Path) -> None:
    """As real bytes, not as a hole."""
    held = (root / ".minian_vc/reserve").stat()
    assert held.st_size == reserve.SIZE
    assert held.st_blocks * 512 >= reserve.SIZE


def test_a_prune_on_a_full_disk_gives_it_up_and_holds_it_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it works the space is there; afterwards, with room again, so is the reserve."""
    dataset = notebook(root)
    path = root / ".minian_vc/reserve"
    there: list[bool] = []
    real = mvc.operations.OperationLog.publish

    def publish(self: mvc.operations.OperationLog, *arguments: object) -> str:
        there.append(path.exists())
        return real(self, *arguments)

    monkeypatch.setattr(mvc.operations.OperationLog, "publish", publish)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "free_bytes", lambda _: 0)
        dataset.prune(automatic=True, dry_run=False)
        assert not path.exists()  # still full
    assert there == [False, False]
    assert messages(dataset) == ["begin", "auto 2", "by hand", "auto 4"]
    dataset.prune(dry_run=False)
    assert path.stat().st_size == reserve.SIZE


def test_what_cannot_be_held_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of it stays where the disk is full meanwhile, and a read-only one is no error."""

    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(reserve, "bytes", write, raising=False)
        reserve.hold(tmp_path)
    assert list(tmp_path.iterdir()) == []
    reserve.hold(tmp_path / "missing")
