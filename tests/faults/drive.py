"""Do something bad to the scenarios, case by case, each in a process of its own; print what came of each as JSON lines.

Run by the tests as a program: it must have no threads when it forks.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from errors import ERRORS, Failing
from forking import Ended, in_child
from judging import age_notes, claim_both_or_neither
from mutants import MUTANTS
from power import Cut, Disk, Recording, lay_out
from scenarios import SCENARIOS
from stage import Stage, warm_up
from steps import Step, Steps

from minian_vc.errors import MinianVCError

# -- kills ------------------------------------------------------------------------------------


def killed_at(stage: Stage, number: int) -> dict:
    """Kill before the step of a number."""
    stage.set()
    steps = Steps(stage.root, _at(number, lambda: os.kill(os.getpid(), signal.SIGKILL)), without=stage.scenario.without)
    return _told(stage, f"step {number}", in_child(lambda tell: stage.act(steps, tell)))


def killed_after(stage: Stage, seconds: float) -> dict:
    """Kill after a time: the system does it, in the midst of whatever is done then."""
    stage.set()
    steps = Steps(stage.root, without=stage.scenario.without)

    def arm() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    return _told(stage, f"{seconds * 1000:.2f} ms", in_child(lambda tell: stage.act(steps, tell, arm)))


def _told(stage: Stage, when: str, ended: Ended) -> dict:
    wrong = ended.error or stage.judged(acknowledged=bool(ended.told))
    return {"when": when, "killed": ended.killed, "acknowledged": bool(ended.told), "wrong": wrong}


def kills(stage: Stage, count: int, chance: random.Random) -> Iterator[dict]:
    """Kill at the steps in turn, or at some of them where there are too many, and at random moments."""
    names = stage.steps()
    at_steps = min(len(names), max(1, count * 2 // 3))
    chosen = sorted(chance.sample(range(1, len(names) + 1), at_steps))
    for number in chosen:
        yield {**killed_at(stage, number), "step": str(names[number - 1])}
    seconds = _duration(stage)
    for _ in range(count - at_steps):
        yield killed_after(stage, chance.uniform(0, seconds * 1.1))


def _duration(stage: Stage) -> float:
    began = time.perf_counter()
    stage.steps()
    return time.perf_counter() - began


# -- errors -----------------------------------------------------------------------------------


def failed(stage: Stage, steps: Steps) -> dict:
    """Give the command while something fails; return whether it told of that as it should, and what is left."""
    stage.set()

    def act(tell: Callable) -> None:
        try:
            stage.act(steps, tell)
        except MinianVCError as error:
            tell(f"{type(error).__name__}: {error}")

    ended = in_child(act)
    acknowledged = ended.told[:1] == ("acknowledged",)
    refused = "" if acknowledged or not ended.told else ended.told[0]
    wrong = ended.error or ("" if acknowledged or "\n" in refused else f"no hint: {refused}")
    left = stage.judged(acknowledged=acknowledged)
    return {"acknowledged": acknowledged, "refused": refused, "wrong": " / ".join(filter(None, (wrong, left)))}


def errors(stage: Stage, count: int, chance: random.Random) -> Iterator[dict]:
    """Let some of the steps fail, each with any of the errors, once or from then on; or let writes be short."""
    names = stage.steps()
    without = stage.scenario.without
    for case in range(count):
        number, name = chance.randint(1, len(names)), ERRORS[case % len(ERRORS)]
        stays = chance.random() < 0.4
        seen = failed(stage, Steps(stage.root, Failing(name, number, stays=stays), without=without))
        when = f"{name} {'from' if stays else 'at'} step {number}"
        yield {"when": when, "step": str(names[number - 1]), **seen}
    for each in (lambda _: True, lambda _: chance.random() < 0.5):
        seen = failed(stage, Steps(stage.root, short=each, without=without))
        seen["wrong"] = seen["wrong"] or ("" if seen["acknowledged"] else "a short write is no error")
        yield {"when": "short writes", **seen}


class Dead(BaseException):
    """The process is no more: this is raised at a step and at each after it."""


def again(stage: Stage, count: int, chance: random.Random) -> Iterator[dict]:
    """Let a flush fail, or the process die; give the command once more, and cut the power when that was acknowledged.

    What the first left behind is not durable only because it is there.
    """
    ways = stage.scenario.without | {"syncfs"}, stage.scenario.without
    for case in range(count if stage.scenario.repeatable else 0):
        without = ways[case % 3 == 2]
        names = stage.steps(without)
        flushing = [i for i, step in enumerate(names, 1) if step.kind in ("fsync", "syncfs")]
        dies = not flushing or case % 2 == 0
        number = chance.choice(range(1, len(names) + 1) if dies else flushing)
        yield {"when": f"{'dies' if dies else 'EIO'} at step {number}", "step": str(names[number - 1])} | twice(
            stage, number, without, dies=dies
        )


def twice(stage: Stage, number: int, without: frozenset[str], *, dies: bool) -> dict:
    """Fail at a step, give the command again, cut the power; return what is wrong then."""

    def act(tell: Callable) -> None:
        recorded_twice(stage, _dying(number) if dies else number, without, tell)

    ended = in_child(act)
    wrong = ended.error
    if not wrong:
        recording = ended.told[-1]
        disk = Cut(recording, len(recording.events)).nothing_kept()
        wrong = after_cut(stage, disk, acknowledged=True)
    return {"acknowledged": len(ended.told) > 1, "wrong": wrong}


def recorded_twice(stage: Stage, failing: Callable | int, without: frozenset[str], tell: Callable) -> None:
    """Give the command twice, the first time failing (a number: its flush at that step), and tell what was heard."""
    stage.set()
    recording = Recording(stage.root)
    if isinstance(failing, int):
        failing = Failing("EIO", failing, stays=False, heard=recording.failed)
    try:
        stage.act(Steps(stage.root, failing, recording.hear, without=without), tell)
    except (MinianVCError, Dead):
        age_notes(stage.root)
    stage.act(Steps(stage.root, after=recording.hear, without=without), lambda _: None)
    tell(recording)


def _dying(number: int) -> Callable[[Step], None]:
    count = 0

    def before(_: Step) -> None:
        nonlocal count
        count += 1
        if count >= number:
            raise Dead

    return before


# -- Ctrl-C -----------------------------------------------------------------------------------


def interrupts(stage: Stage, count: int, chance: random.Random) -> Iterator[dict]:
    """Press Ctrl-C at the steps in turn, or at some of them where there are too many."""
    names = stage.steps()
    for number in sorted(chance.sample(range(1, len(names) + 1), min(len(names), count))):
        yield {"when": f"step {number}", "step": str(names[number - 1]), **interrupted_at(stage, number)}


def interrupted_at(stage: Stage, number: int) -> dict:
    """Press Ctrl-C before the step of a number; what is changed and what is recorded must not part."""
    stage.set()
    steps = Steps(stage.root, _at(number, lambda: os.kill(os.getpid(), signal.SIGINT)), without=stage.scenario.without)

    def act(tell: Callable) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            stage.act(steps, tell)
        claim_both_or_neither(stage.root, stage.expected)

    ended = in_child(act)
    wrong = ended.error or stage.judged(acknowledged=bool(ended.told))
    return {"acknowledged": bool(ended.told), "wrong": wrong}


def _at(number: int, action: Callable[[], object]) -> Callable[[Step], None]:
    """Return a listener that acts at the step of a number."""
    count = 0

    def before(_: Step) -> None:
        nonlocal count
        count += 1
        if count == number:
            action()

    return before


# -- power cuts -------------------------------------------------------------------------------


def recorded(stage: Stage, without: frozenset[str]) -> Recording:
    """Return the events of an act that is not disturbed."""
    stage.set()
    recording = Recording(stage.root)
    return stage.undisturbed(Steps(stage.root, after=recording.hear, without=without), recording)


def cuts(stage: Stage, count: int, chance: random.Random) -> Iterator[dict]:
    """Cut the power after some of the events, and most often after the last."""
    ways = stage.scenario.without | {"syncfs"}, stage.scenario.without
    recordings = [recorded(stage, way) for way in ways]
    for number in range(count):
        recording = recordings[number % 4 == 3]  # one flush of all that there is hides flushes that are missing
        events = len(recording.events)
        at = events if number < max(2, count // 5) else chance.randint(1, events)
        wrong = after_cut(stage, Cut(recording, at).by_chance(chance), acknowledged=at == events)
        step = recording.steps[at - 1]
        yield {"when": f"after event {at} of {events}", "step": step, "acknowledged": at == events, "wrong": wrong}


def after_cut(stage: Stage, disk: Disk, *, acknowledged: bool) -> str:
    """Return what is wrong on a disk as a cut left it."""
    shutil.rmtree(stage.root, ignore_errors=True)
    lay_out(disk, stage.root)
    return stage.judged(acknowledged=acknowledged)


missed: set[str] = set()


def flushes(stage: Stage, *_: object) -> Iterator[dict]:
    """Take away each flush in turn, and cut the power until something is lost.

    Each place in the program that flushes a kind of thing is tried until one scenario misses it.
    """
    recording = recorded(stage, stage.scenario.without | {"syncfs"})
    for site in recording.sites:
        if site not in missed:
            wrong = without_flush(stage, recording, site)
            if wrong:
                missed.add(site)
            yield {"site": site, "missed": bool(wrong), "wrong": wrong}
    if stage.scenario.name in ("commit", "tag", "prune"):
        yield from _flushes_of_second(stage, set(recording.sites))


def _flushes_of_second(stage: Stage, known: set[str]) -> Iterator[dict]:
    """The same for flushes that only a command makes that comes after one that died."""
    without = stage.scenario.without | {"syncfs"}
    for number, step in enumerate(stage.steps(without), 1):
        if step.kind != "fsync":
            continue
        ended = in_child(lambda tell, at=number: recorded_twice(stage, _dying(at), without, tell))
        recording = ended.told[-1]
        for site in recording.sites:
            if site not in known | missed:
                cut = Cut(recording, len(recording.events), site)
                wrong = after_cut(stage, cut.nothing_kept(), acknowledged=True)
                missed.update({site} if wrong else ())
                yield {"site": site, "missed": bool(wrong), "wrong": wrong}


def without_flush(stage: Stage, recording: Recording, site: str) -> str:
    """Return what is lost where the flushes of a site are taken away."""
    events, seen = len(recording.events), set()
    first = next(i for i, event in enumerate(recording.events) if getattr(event, "site", "") == site)
    for at in (events, *range(first + 1, events)):
        cut, with_it = Cut(recording, at, site), Cut(recording, at)
        for kept in (Cut.all_kept_but_missed, Cut.nothing_kept):
            disk, usual = kept(cut), kept(with_it)
            key = (at == events, repr(disk))
            if disk != usual and key not in seen and (wrong := after_cut(stage, disk, acknowledged=at == events)):
                return wrong
            seen.add(key)
    return ""


# -- the test of the test ---------------------------------------------------------------------


def mutants(stage: Stage, *_: object) -> Iterator[dict]:
    """Kill at each step, or cut the power after each event, until something is wrong; the last ones first."""
    tries = _each_kill if stage.mutant.kind == "kills" else _each_cut
    yield {"missed": (wrong := next(filter(None, tries(stage)), "")) != "", "wrong": wrong}


def _each_kill(stage: Stage) -> Iterator[str]:
    count = len(stage.steps())
    for number in range(count + 1, 0, -1):  # the first of these comes too late: it was acknowledged
        yield killed_at(stage, number)["wrong"]


def _each_cut(stage: Stage) -> Iterator[str]:
    recording = recorded(stage, stage.scenario.without | {"syncfs"})
    events = len(recording.events)
    for at in range(events, 0, -1):
        yield after_cut(stage, Cut(recording, at).nothing_kept(), acknowledged=at == events)


KINDS: dict[str, Callable] = {
    "kills": kills,
    "errors": errors,
    "again": again,
    "interrupts": interrupts,
    "cuts": cuts,
    "flushes": flushes,
    "mutants": mutants,
}


def main(kind: str, names: str, count: str, seed: str) -> None:
    """Play a kind of disaster with some scenarios, ``count`` times in all; or with some mutants."""
    os.environ["PATH"] = ""  # no git: it takes as long as all the rest
    chosen = json.loads(names)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (flushing is free there)
    with tempfile.TemporaryDirectory(dir=memory, prefix="faults-") as folder:
        work = Path(folder) / "work"
        warm_up(work)
        for number, name in enumerate(chosen):
            mutant = MUTANTS.get(name)
            scenario = SCENARIOS[mutant.scenario if mutant is not None else name]
            shutil.rmtree(work)
            share = int(count) * (number + 1) // len(chosen) - int(count) * number // len(chosen)
            stage = Stage(scenario, work, mutant)
            for seen in KINDS[kind](stage, share, random.Random(f"{seed} {scenario.name}")):  # noqa: S311
                print(json.dumps({"scenario": name, **seen}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
