"""Progress: when it is shown, and that it never costs or breaks the work."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import put_stage

import minian_vc as mvc
from minian_vc import progress as progressing
from minian_vc.cli.main import cli
from minian_vc.progress import follow, progress, silence
from minian_vc.verbs import commit as committing
from minian_vc.verbs import write_back

PATIENCE = 30  # seconds after which a test fails
LARGE = 10 * progressing.SMALL


class Terminal(io.StringIO):
    """A stderr that is a terminal, and tells when something was written to it."""

    def __init__(self, *, is_terminal: bool = True) -> None:
        super().__init__()
        self.drawn = threading.Event()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Tell what it pretends."""
        return self._is_terminal

    def await_text(self, text: str) -> None:
        """Wait until it was written."""
        until = time.monotonic() + PATIENCE
        while text not in self.getvalue():
            assert time.monotonic() < until, self.getvalue()[-200:]
            self.drawn.clear()
            assert self.drawn.wait(PATIENCE)

    def write(self, text: str) -> int:
        """Take it down."""
        self.drawn.set()
        return super().write(text)


class Broken(Terminal):
    """A terminal that was closed meanwhile."""

    def write(self, text: str) -> int:
        """Refuse."""
        super().write(text)
        raise BrokenPipeError


class Slow(int):
    """A number that lets other threads run while it is added."""

    def __radd__(self, other: int) -> int:
        time.sleep(0)
        return other + int(self)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw without delay, and often."""
    monkeypatch.setattr(progressing, "DELAY", 0.0)
    monkeypatch.setattr(progressing, "INTERVAL", 0.001)


def terminal(monkeypatch: pytest.MonkeyPatch, stderr: Any) -> Any:
    """Make it the stderr."""
    monkeypatch.setattr(sys, "stderr", stderr)
    return stderr


def kernel(monkeypatch: pytest.MonkeyPatch, shell: object) -> None:
    """Pretend that IPython runs with such a shell."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))


# -- shown --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_a_terminal_sees_what_is_done_and_in_the_end_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar has the name and the bytes; it has no colors (NO_COLOR holds always), and is wiped away."""
    stderr = terminal(monkeypatch, Terminal())
    with progress("Recording", LARGE) as advance:
        advance(LARGE // 4)
        stderr.await_text(" 25%")
    said = stderr.getvalue()
    assert "Recording" in said
    assert "500M" in said
    assert "\x1b" not in said
    assert said.rstrip("\r").rpartition("\r")[2].strip() == ""


@pytest.mark.usefixtures("at_once")
def test_follow_asks_how_far_the_work_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is drawn; more than there is, is all of it; what cannot be measured now may raise."""
    stderr = terminal(monkeypatch, Terminal())
    answers = iter([0, OSError("gone"), LARGE // 2])
    asked = threading.Event()

    def measure() -> int:
        answer = next(answers, 3 * LARGE)
        if answer == 3 * LARGE:
            asked.set()
        if isinstance(answer, OSError):
            raise answer
        return answer

    with follow("Saving", LARGE, measure):
        assert asked.wait(PATIENCE)
        stderr.await_text("100%")
    assert "Saving" in stderr.getvalue()
    assert "50%" in stderr.getvalue()
    assert "300%" not in stderr.getvalue()


@pytest.mark.usefixtures("at_once")
def test_every_thread_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost when many threads advance at the same time."""
    terminal(monkeypatch, Terminal())
    measures = []
    original = progressing.follow
    monkeypatch.setattr(
        progressing, "follow", lambda what, total, measure: measures.append(measure) or original(what, total, measure)
    )
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with progress("Recording", LARGE) as advance, ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(lambda: [advance(Slow(1)) for _ in range(500)])
    finally:
        sys.setswitchinterval(before)
    assert measures[0]() == 4000


def test_a_notebook_sees_it_though_stderr_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel is known by its shell; IPython in a terminal is a terminal."""
    terminal(monkeypatch, Terminal(is_terminal=False))
    kernel(monkeypatch, types.SimpleNamespace(kernel=object()))
    assert progressing._is_shown(LARGE)
    kernel(monkeypatch, types.SimpleNamespace())
    assert not progressing._is_shown(LARGE)
    kernel(monkeypatch, None)
    assert not progressing._is_shown(LARGE)


@pytest.mark.usefixtures("at_once")
def test_a_notebook_without_widgets_has_text_and_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """tqdm.auto would warn of a missing ipywidgets; warnings are errors here."""
    stderr = terminal(monkeypatch, Terminal(is_terminal=False))
    kernel(monkeypatch, types.SimpleNamespace(kernel=object()))
    monkeypatch.setattr(progressing.importlib.util, "find_spec", lambda _: None)
    with progress("Recording", LARGE):
        assert stderr.drawn.wait(PATIENCE)
    assert "Recording" in stderr.getvalue()


# -- not shown ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("why", ["small", "piped", "silenced", "no stderr"])
def test_it_is_not_shown(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Not of small work, not where nobody looks, not where JSON was asked for; there is no thread then."""
    stderr = terminal(monkeypatch, None if why == "no stderr" else Terminal(is_terminal=why != "piped"))
    total = progressing.SMALL - 1 if why == "small" else LARGE
    threads = threading.active_count()
    with silence() if why == "silenced" else contextlib.nullcontext(), progress("Recording", total) as advance:
        advance(1)
        with follow("Saving", total, lambda: pytest.fail("asked")):
            assert threading.active_count() == threads
    assert stderr is None or stderr.getvalue() == ""


def test_silence_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the block raises."""
    terminal(monkeypatch, Terminal())
    with contextlib.suppress(KeyError), silence():
        assert not progressing._is_shown(LARGE)
        raise KeyError
    assert progressing._is_shown(LARGE)


def test_work_that_ends_before_the_delay_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it wait for the delay, nor load tqdm."""
    stderr = terminal(monkeypatch, Terminal())
    monkeypatch.setattr(progressing, "DELAY", 3600.0)
    monkeypatch.setattr(progressing, "_bar", lambda *_: pytest.fail("drawn"))
    with progress("Recording", LARGE) as advance:
        advance(LARGE)
    assert stderr.getvalue() == ""


# -- the work goes on ---------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_an_error_of_the_work_is_raised_and_the_bar_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread stays behind."""
    stderr = terminal(monkeypatch, Terminal())
    threads = threading.active_count()

    def work() -> None:
        with progress("Recording", LARGE):
            assert stderr.drawn.wait(PATIENCE)
            raise KeyError("of the work")

    with pytest.raises(KeyError, match="of the work"):
        work()
    assert threading.active_count() == threads
    assert stderr.getvalue().rstrip("\r").rpartition("\r")[2].strip() == ""


@pytest.mark.usefixtures("at_once")
def test_a_terminal_that_was_closed_does_not_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor later bars: tqdm's lock is free again."""
    stderr = terminal(monkeypatch, Broken())
    with progress("Recording", LARGE) as advance:
        assert stderr.drawn.wait(PATIENCE)
        advance(1)
    stderr = terminal(monkeypatch, Terminal())
    with progress("Recording", LARGE):
        stderr.await_text("Recording")


# -- where it is used ---------------------------------------------------------------------------


class Spy:
    """In the place of ``progress``: keeps totals and what was advanced, and whether it would be shown."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.totals: list[int] = []
        self.done: list[int] = []
        self.shown: list[bool] = []

    @contextlib.contextmanager
    def __call__(self, _: str, total: int) -> Any:
        """Take the place."""
        self.totals.append(total)
        self.shown.append(progressing._is_shown(LARGE))
        yield self.done.append


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """Watch commit and restore."""
    spying = Spy()
    monkeypatch.setattr(committing, "progress", spying)
    monkeypatch.setattr(write_back, "progress", spying)
    return spying


def test_a_commit_tells_of_all_that_it_reads(dataset: mvc.Dataset, spy: Spy) -> None:
    """All bytes of the folder, but for files so small that they lie in the manifest; if nothing changed, nothing."""
    files = [path.stat().st_size for path in dataset.path.rglob("*") if path.is_file()]
    dataset.commit()
    assert spy.totals == [sum(files)]
    assert max(files) in spy.done
    assert 0.5 * sum(files) < sum(spy.done) <= sum(files)
    spy.done.clear()
    dataset.commit()
    assert spy.totals[1:] == [0]
    assert spy.done == []


def test_a_commit_tells_of_movies_too_whose_bytes_it_does_not_keep(dataset: mvc.Dataset, spy: Spy) -> None:
    """They are read all the same."""
    dataset.repository.configure("record_without_bytes", "A")
    files = [path.stat().st_size for path in dataset.path.rglob("*") if path.is_file()]
    mvc.open(dataset.path).commit()
    assert spy.totals == [sum(files)]
    assert sum(spy.done) > 0.5 * sum(files)


def test_a_restore_tells_of_all_that_it_writes(history: mvc.Dataset, spy: Spy, tmp_path: Any) -> None:
    """One array, a whole checkpoint, and into another folder: every byte of what is written."""
    old = history.show("stage-02-first-temporal")
    array = old.array("C")
    assert array is not None
    history.restore("C@stage-02-first-temporal")
    assert spy.totals == [array.stored_bytes]
    assert sum(spy.done) == array.stored_bytes
    spy.forget()
    history.restore("@stage-02-first-temporal", to=tmp_path / "elsewhere")
    assert spy.totals == [sum(each.stored_bytes for each in old.arrays)]
    assert sum(spy.done) == spy.totals[0]
    spy.forget()
    history.restore("@stage-01-first-spatial")
    assert sum(spy.done) >= spy.totals[-1] > 0


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_command_shows_progress_beside_json(
    stages: Any, root: Any, spy: Spy, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    """On a terminal a commit shows it, and with --json it does not; afterwards all is as before."""
    folder = put_stage(stages, "stage-00-init", root)
    terminal(monkeypatch, Terminal())
    cli.main(["commit", str(folder), *options], standalone_mode=False)
    assert spy.shown == [not options]
    assert progressing._is_shown(LARGE)
