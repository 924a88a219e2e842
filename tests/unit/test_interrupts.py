"""Ctrl-C waits for what must not be left in the middle."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest
import running
from running import Runner

from minian_vc.interrupts import put_off

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


def test_the_second_does_not() -> None:
    """Whoever insists is heard."""
    done = []

    def act() -> None:
        with put_off():
            signal.raise_signal(signal.SIGINT)
            done.append("after the first")
            signal.raise_signal(signal.SIGINT)
            done.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        act()
    assert done == ["after the first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_is_not_hidden() -> None:
    """It comes first."""

    def act() -> None:
        with put_off():
            signal.raise_signal(signal.SIGINT)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        act()


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


def test_what_is_told_is_true(run_cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something may have been recorded before Ctrl-C came."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("minian_vc.cli.look.find_dataset", interrupted)
    ended = run_cli("log")
    assert ended.code == 3
    assert "Interrupted. Nothing is half done" in ended.err
    assert "nothing was changed" not in ended.err
