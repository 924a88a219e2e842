"""The operation log."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from minian_vc.errors import BusyError, DamagedError, StorageError
from minian_vc.model import Operation, digest_of
from minian_vc.operations import OperationLog


@pytest.fixture
def log(tmp_path: Path) -> OperationLog:
    """An empty log."""
    for name in ("operations", "staging"):
        (tmp_path / name).mkdir()
    return OperationLog(tmp_path / "operations", tmp_path / "staging")


def operation(sequence: int, previous: str | None, tag: str | None = None) -> Operation:
    """An operation of that number."""
    checkpoint = digest_of(b"checkpoint")
    return Operation(sequence, previous, "commit", "uid", "m1", checkpoint, tag, "2025-01-01T00:00:00.000000Z")


def fill(log: OperationLog, count: int) -> list[str]:
    """Publish some operations, each after the other; return their digests."""
    digests: list[str] = []
    for i in range(count):
        digests.append(log.publish(operation(i + 1, digests[-1] if digests else None, f"t{i}")))
    return digests


def test_operations_come_back_in_order_with_their_digests(log: OperationLog) -> None:
    """What was published is read again from any number on."""
    digests = fill(log, 4)
    assert [digest for _, digest in log.after(0, None)] == digests
    assert [each.tag for each, _ in log.after(2, digests[1])] == ["t2", "t3"]
    assert list(log.after(4, digests[3])) == []
    assert digests == [digest_of(log.path(i).read_bytes()) for i in range(1, 5)]


def test_an_empty_log_has_no_operations(log: OperationLog) -> None:
    """Nothing published, nothing read."""
    assert list(log.after(0, None)) == []


@pytest.mark.parametrize("links", [True, False])
def test_an_operation_never_replaces_another(log: OperationLog, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """A number that is taken is refused, with links and without; the first one stays, staging is empty."""
    if not links:

        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", fail)
    first = fill(log, 1)
    with pytest.raises(BusyError):
        log.publish(operation(1, None, "another"))
    assert [digest for _, digest in log.after(0, None)] == first
    assert list((log.folder.parent / "staging").iterdir()) == []


def test_a_full_disk_publishes_nothing(log: OperationLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error on the way is a storage error, and there is no operation."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StorageError, match="No space"):
        fill(log, 1)
    assert list(log.folder.iterdir()) == []
    assert list((log.folder.parent / "staging").iterdir()) == []


@pytest.mark.parametrize("which", [1, 2, 3])
@pytest.mark.parametrize("damage", ["flipped", "emptied", "swapped", "another"])
def test_a_broken_chain_is_damage(log: OperationLog, which: int, damage: str) -> None:
    """An operation that is not the one that followed is never applied as if it were."""
    digests = fill(log, 4)
    path = log.path(which)
    content = path.read_bytes()
    if damage == "flipped":
        path.write_bytes(content.replace(b'"tag":"t', b'"tag":"x'))
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "swapped":
        path.write_bytes(log.path(which + 1).read_bytes())
        log.path(which + 1).write_bytes(content)
    else:
        path.write_bytes(operation(which, digest_of(b"else")).to_document())
    with pytest.raises(DamagedError):
        list(log.after(0, None))
    if damage == "flipped":  # it is the next one that does not follow
        assert [digest for _, digest in zip(range(which - 1), digests, strict=False)] == digests[: which - 1]


def test_a_missing_operation_is_damage_and_not_the_end(log: OperationLog) -> None:
    """A log with a gap is not read as a shorter history: what comes after would be lost without a word."""
    fill(log, 4)
    log.path(2).unlink()
    with pytest.raises(DamagedError):
        list(log.after(0, None))


def test_a_catalog_of_another_history_is_damage(log: OperationLog) -> None:
    """Operations do not follow a digest that is not in their chain."""
    fill(log, 2)
    with pytest.raises(DamagedError, match="does not follow"):
        list(log.after(1, digest_of(b"else")))
