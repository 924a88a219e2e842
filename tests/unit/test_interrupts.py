"""Ctrl-C waits for what must not be left in the middle."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import running
from pruning import notebook, operations
from running import Runner

import minian_vc as mvc
from minian_vc import durable
from minian_vc.interrupts import put_off
from minian_vc.verbs import restore

run_cli = running.run_cli


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be heard, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_waits_for_the_end() -> None:
    """Of the outermost block; and it comes through."""
    done = []

    def act() -> None:
        with put_off():
            with put_off():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        act()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_second_does_not(depth: int) -> None:
    """Whoever insists is heard, however many blocks wait."""
    done = []

    def act() -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(depth):
                stack.enter_context(put_off())
            signal.raise_signal(signal.SIGINT)
            done.append("after the first")
            signal.raise_signal(signal.SIGINT)
            done.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        act()
    assert done == ["after the first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_blocks_need_not_lie_in_each_other() -> None:
    """What began in a block may go on after it."""
    done = []

    def act() -> None:
        with contextlib.ExitStack() as to_the_end:
            with put_off():
                to_the_end.enter_context(put_off())
                signal.raise_signal(signal.SIGINT)
            done.append("after the first block")
        done.append("after both")

    with pytest.raises(KeyboardInterrupt):
        act()
    assert done == ["after the first block"]
    with put_off():
        done.append("and it is forgotten then")


def test_it_comes_through_an_error() -> None:
    """Whoever catches the error must not go on as if nothing had been said; the error is told too."""

    def act() -> None:
        with contextlib.suppress(ValueError), put_off():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("mine")

    with pytest.raises(KeyboardInterrupt) as caught:
        act()
    assert isinstance(caught.value.__context__, ValueError)


def test_other_threads_are_left_alone() -> None:
    """They cannot set handlers, and need not."""
    seen = []

    def work() -> None:
        with put_off():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_a_restore_that_was_interrupted_cleans_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is done, recorded, and nothing of what it displaced is left in the staging folder."""
    dataset = notebook(root)
    real = restore._sort_out

    def interrupted(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(restore, "_sort_out", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dataset.restore("@begin")
    assert operations(root)[-1] == "restore"
    assert list((root / ".minian_vc/staging").iterdir()) == []
    dataset.undo()
    assert mvc.open_minian(dataset.path, return_dict=True)["C"].values[0, 0] == 4.0


def test_what_nobody_needs_is_removed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves no half of a staged folder."""
    staged = tmp_path / "staged"
    (staged / "deep").mkdir(parents=True)
    real = durable.remove_tree
    monkeypatch.setattr(durable, "remove_tree", lambda path: signal.raise_signal(signal.SIGINT) or real(path))
    with pytest.raises(KeyboardInterrupt):
        durable.discard(staged)
    assert not staged.exists()


def test_what_is_told_is_true(run_cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something may have been recorded before Ctrl-C came."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("minian_vc.cli.look.find_dataset", interrupted)
    ended = run_cli("log")
    assert ended.code == 3
    assert "Interrupted. No dataset is half changed" in ended.err
    assert "nothing was changed" not in ended.err
