"""Commit, overwrite, delete, tag, restore, open, prune, undo, redo and die at any step, against a dictionary model."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from steps import Steps
from zarr_trees import write_units

import minian_vc as mvc
from minian_vc.errors import AlreadyExistsError, ConflictError, MinianVCError, NotFoundError, UnreadableError
from minian_vc.objects import stored_files
from minian_vc.verbs.commit import Request

settings.load_profile("minian_vc")

Array = tuple[tuple[int, ...], tuple[float, ...]]  # unit ids and one value each
ARRAYS = st.sampled_from(["A", "C", "S"])
TAGS = st.sampled_from(["one", "two", "three"])
CONTENT = st.lists(st.integers(1, 5), unique=True, min_size=1, max_size=3).flatmap(
    lambda ids: st.tuples(st.just(tuple(ids)), st.tuples(*[st.sampled_from([0.0, 1.0, 2.5])] * len(ids)))
)


@dataclass
class Past:
    """What the history held."""

    checkpoints: list[tuple[str, dict[str, Array]]]
    tags: dict[str, str]
    automatic: set[str]


@dataclass
class Command:
    """What a command changed, and how it was before and after: in the history, or in some arrays of the folder."""

    number: int
    history: tuple[Past, Past] | None = None
    folder: tuple[dict[str, Array], dict[str, Array], set[str]] | None = None  # before, after, which arrays


class Died(BaseException):
    """What a command meets from some step on: it can do nothing more to the disk, not even clean up."""


@contextlib.contextmanager
def dying(root: Path, step: int) -> Iterator[None]:
    """Let a command die before one of its steps, if it has so many."""
    left = itertools.count(step, -1)

    def die(_: object) -> None:
        if next(left) <= 0:
            raise Died

    with Steps(root, before=die).heard(), contextlib.suppress(Died):
        yield
    stored_files._load_manifest.cache_clear()


class History(RuleBasedStateMachine):
    """The real dataset beside what it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="stateful-"))
        mvc.Repository.create(self.root)
        (self.root / "m").mkdir()
        self.working: dict[str, Array] = {}
        self.checkpoints: list[tuple[str, dict[str, Array]]] = []  # oldest first
        self.tags: dict[str, str] = {}
        self.automatic: set[str] = set()
        self.number = 0
        self.knows_all = True  # commands: those before a prune that freed at once may or may not be undone
        self.commands: list[Command] = []  # in force, oldest first
        self.undone: list[Command] = []  # that can be redone, the last one first

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @property
    def dataset(self) -> mvc.Dataset:
        """Opened anew each time, as a new process would."""
        return mvc.open(self.root / "m", create=True)

    @property
    def latest(self) -> dict[str, Array]:
        """What the latest checkpoint holds."""
        return self.checkpoints[-1][1] if self.checkpoints else {}

    def refused(self, kind: type[MinianVCError], act: Callable[[], object]) -> None:
        """It must fail so, and the invariants then show that nothing changed."""
        with pytest.raises(kind):
            act()

    # -- what can be undone -------------------------------------------------------------------

    def past(self) -> Past:
        """The history as it is now."""
        return Past(list(self.checkpoints), dict(self.tags), set(self.automatic))

    def did(self, before: Past | None = None, folder: tuple | None = None) -> None:
        """Remember that a command was done: now it can be undone, and what was undone before cannot be redone."""
        self.number += 1
        history = (before, self.past()) if before is not None else None
        self.commands.append(Command(self.number, history, folder))
        self.undone.clear()

    def move(self, command: Command, *, back: bool) -> None:
        """Take a command back, or bring it back, in the model; the real one was asked to do so."""
        done = self.dataset.undo(redo=not back)
        if command.folder is not None:
            before, after, names = command.folder
            lay = {name: content for name, content in self.working.items() if name in names}
            self.saved_first(names, done.restored.saved_as)
            wanted = before if back else after
            self.working = {k: v for k, v in self.working.items() if k not in names}
            self.working |= {k: v for k, v in wanted.items() if k in names}
            command.folder = (command.folder[0], lay if back else after, names)
        else:
            old, new = command.history if back else reversed(command.history)
            gone, known = {each[0] for each in new.checkpoints} - {each[0] for each in old.checkpoints}, self.made
            self.checkpoints = [each for each in self.checkpoints if each[0] not in gone]
            self.checkpoints += [each for each in old.checkpoints if each not in new.checkpoints]
            self.checkpoints.sort(key=lambda each: known.index(each[0]))
            self.automatic = self.automatic - gone | (old.automatic - new.automatic)
            self.tags = dict(old.tags)

    @precondition(lambda self: self.commands or self.knows_all)
    @rule()
    def undo(self) -> None:
        if not self.commands:
            return self.refused(NotFoundError, lambda: self.dataset.undo())
        command = self.commands.pop()
        self.move(command, back=True)
        self.undone.append(command)
        return None

    @precondition(lambda self: self.undone or self.knows_all)
    @rule()
    def redo(self) -> None:
        if not self.undone:
            return self.refused(NotFoundError, lambda: self.dataset.undo(redo=True))
        command = self.undone.pop()
        self.move(command, back=False)
        self.commands = sorted([*self.commands, command], key=lambda each: each.number)
        return None

    # -- the notebook -------------------------------------------------------------------------

    @initialize(name=ARRAYS, content=CONTENT)
    def begin(self, name: str, content: Array) -> None:
        self.save(name, content, old=True)

    @rule(name=ARRAYS, content=CONTENT, old=st.booleans())
    def save(self, name: str, content: Array, old: bool) -> None:
        write_units(self.root / "m" / f"{name}.zarr", *content, old=old)
        self.working[name] = content

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.working)))
        shutil.rmtree(self.root / "m" / f"{name}.zarr")
        del self.working[name]

    # -- recording ----------------------------------------------------------------------------

    @rule(tag=st.none() | TAGS, only=st.none() | st.lists(ARRAYS, unique=True, min_size=1, max_size=2))
    def commit(self, tag: str | None, only: list[str] | None) -> None:
        def act() -> object:
            return self.dataset.record(Request("by hand", tag, only, wait=0.0))

        taken = self.tags.get(tag or "", None)
        elsewhere = taken is not None and taken != self.checkpoints[-1][0]
        if not self.working:
            return self.refused(AlreadyExistsError if elsewhere else UnreadableError, act)
        if only is not None and set(only) - set(self.working):
            return self.refused(AlreadyExistsError if elsewhere else NotFoundError, act)
        new = {**self.latest, **{name: self.working[name] for name in only}} if only else dict(self.working)
        changed = not self.checkpoints or new != self.latest
        owner = self.tags.get(tag or "")
        if owner is not None and (changed or owner != self.checkpoints[-1][0]):
            return self.refused(AlreadyExistsError, act)
        done = act()
        assert done.created is changed
        before = self.past()
        if changed:
            assert done.checkpoint.parent == (self.checkpoints[-1][0] if self.checkpoints else None)
            self.checkpoints.append((done.checkpoint.id, new))
        assert done.checkpoint.id == self.checkpoints[-1][0]
        if tag is not None:
            self.tags[tag] = done.checkpoint.id
        if self.past() != before:
            self.did(before)
        return None

    @precondition(lambda self: self.checkpoints)
    @rule(tag=TAGS, data=st.data())
    def tag(self, tag: str, data: st.DataObject) -> None:
        checkpoint, _ = data.draw(st.sampled_from(self.checkpoints))
        if self.tags.get(tag, checkpoint) != checkpoint:
            return self.refused(AlreadyExistsError, lambda: self.dataset.tag(tag, checkpoint))
        self.dataset.tag(tag, checkpoint)
        before = self.past()
        self.tags[tag] = checkpoint
        if self.past() != before:
            self.did(before)
        return None

    @rule(cells=st.lists(st.tuples(ARRAYS, CONTENT), min_size=1, max_size=3))
    def cells(self, cells: list[tuple[str, Array]]) -> None:
        for name, content in cells:
            self.save(name, content, old=True)
            done = self.dataset.record(Request("cell", provenance={"automatic": "notebook"}, wait=0.0))
            if done.created:
                before = self.past()
                self.checkpoints.append((done.checkpoint.id, dict(self.working)))
                self.automatic.add(done.checkpoint.id)
                self.did(before)

    @precondition(lambda self: self.automatic)
    @rule(keep=st.integers(0, 1), at_once=st.booleans())
    def prune(self, keep: int, at_once: bool) -> None:
        newest_first = [checkpoint for checkpoint, _ in reversed(self.checkpoints) if checkpoint in self.automatic]
        held = {*self.tags.values(), self.checkpoints[-1][0]}
        expected = [checkpoint for checkpoint in newest_first[keep:] if checkpoint not in held]
        done = self.dataset.prune(automatic=True, keep_last=keep, grace_days=0 if at_once else 7, dry_run=False)
        assert [entry.id for entry in done.checkpoints] == expected
        before = self.past()
        self.checkpoints = [each for each in self.checkpoints if each[0] not in expected]
        self.automatic -= set(expected)
        if at_once:  # what can be brought back depends on what was freed: not modelled
            self.commands.clear()
            self.undone.clear()
            self.knows_all = False
        elif expected:
            self.did(before)
        stored_files._load_manifest.cache_clear()  # what is gone must be missed
        for checkpoint, content in self.checkpoints:
            opened = self.dataset.open(checkpoint, return_dict=True)
            assert {name: self.content(array) for name, array in opened.items()} == content

    # -- bringing back ------------------------------------------------------------------------

    def saved_first(self, names: set[str], saved: object) -> None:
        """What would be overwritten was committed before, unless each array of it is in some checkpoint already."""
        lost = {name: self.working[name] for name in names & set(self.working)}
        new = lost if lost == self.working else {**self.latest, **lost}
        if all(any(held.get(name) == content for _, held in self.checkpoints) for name, content in lost.items()):
            assert saved is None
        else:
            assert saved is not None
            self.checkpoints.append((saved.id, new))  # no command: it is never undone

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data())
    def restore_all(self, data: st.DataObject) -> None:
        checkpoint, content = data.draw(st.sampled_from(self.checkpoints))
        done = self.dataset.restore(f"@{checkpoint}")
        self.saved_first(set(self.working), done.saved_as)
        assert set(done.removed) == set(self.working) - set(content)
        assert done.aside == ()
        before, self.working = self.working, dict(content)
        self.did(folder=(before, dict(content), {*before, *content}))

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data(), name=ARRAYS, as_name=st.none() | ARRAYS)
    def restore_one(self, data: st.DataObject, name: str, as_name: str | None) -> None:
        checkpoint, content = data.draw(st.sampled_from(self.checkpoints))
        if name not in content:
            return self.refused(NotFoundError, lambda: self.dataset.restore(f"{name}@{checkpoint}", as_=as_name))
        done = self.dataset.restore(f"{name}@{checkpoint}", as_=as_name)
        self.saved_first({as_name or name}, done.saved_as)
        assert done.aside == ()
        before = dict(self.working)
        self.working[as_name or name] = content[name]
        self.did(folder=(before, dict(self.working), {as_name or name}))
        return None

    # -- dying --------------------------------------------------------------------------------

    @precondition(lambda self: self.working)
    @rule(step=st.integers(0, 70))
    def die_while_committing(self, step: int) -> None:
        before, known = self.past(), self.dataset.operation_log()
        with dying(self.root, step):
            self.dataset.record(Request("dies", wait=0.0))
        new = self.since(known)
        assert [each.action for each in new] in ([], ["commit"])
        for each in new:
            self.checkpoints.append((each.checkpoint, dict(self.working)))
            self.did(before)

    @precondition(lambda self: self.automatic)
    @rule(step=st.integers(0, 40))
    def die_while_pruning(self, step: int) -> None:
        held = {*self.tags.values(), self.checkpoints[-1][0]}
        expected = [id_ for id_, _ in self.checkpoints if id_ in self.automatic and id_ not in held]
        before, known = self.past(), self.dataset.operation_log()
        with dying(self.root, step):
            self.dataset.prune(automatic=True, dry_run=False)
        gone = [each.checkpoint for each in self.since(known)]
        assert gone == expected[: len(gone)]
        self.checkpoints = [each for each in self.checkpoints if each[0] not in gone]
        self.automatic -= set(gone)
        if gone:
            self.did(before)

    @precondition(lambda self: self.checkpoints)
    @rule(step=st.integers(0, 160), data=st.data())
    def die_while_restoring(self, step: int, data: st.DataObject) -> None:
        checkpoint, content = data.draw(st.sampled_from(self.checkpoints))
        known, before = self.dataset.operation_log(), dict(self.working)
        with dying(self.root, step):
            self.dataset.restore(f"@{checkpoint}")
        new = self.since(known)
        assert [each.action for each in new] in ([], ["commit"], ["restore"], ["commit", "restore"])
        if new and new[0].action == "commit":
            self.checkpoints.append((new[0].checkpoint, before))
        self.working = self.lies_there()
        assert self.working in (before, content)
        if new and new[-1].action == "restore":
            assert self.working == content
            self.did(folder=(before, dict(content), {*before, *content}))

    def since(self, known: list) -> list:
        """The operations that came since, the oldest first."""
        return list(reversed(self.dataset.operation_log()))[len(known) :]

    def lies_there(self) -> dict[str, Array]:
        """What the folder holds, read without zarr."""
        found: dict[str, Array] = {}
        for path in (self.root / "m").iterdir():
            units = tuple(np.frombuffer((path / "unit_id/0").read_bytes(), "i8").tolist())
            name = path.name.removesuffix(".zarr")
            rows = [np.frombuffer((path / name / f"{i}.0").read_bytes()) for i in range(len(units))]
            found[name] = units, tuple(float(row[0]) for row in rows)
        return found

    # -- looking ------------------------------------------------------------------------------

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data())
    def open(self, data: st.DataObject) -> None:
        checkpoint, content = data.draw(st.sampled_from(self.checkpoints))
        names = [tag for tag, owner in self.tags.items() if owner == checkpoint]
        revision = data.draw(st.sampled_from([checkpoint, *names]))
        opened = self.dataset.open(revision, return_dict=True)
        assert {name: self.content(array) for name, array in opened.items()} == content
        shared = set.intersection(*(set(units) for units, _ in content.values())) if content else set()
        if not content:
            return None
        if not shared:
            return self.refused(ConflictError, lambda: self.dataset.open(revision))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            together = self.dataset.open(revision)
        assert set(together["unit_id"].values.tolist()) == shared
        for name, (units, values) in content.items():
            expected = [dict(zip(units, values, strict=True))[unit] for unit in together["unit_id"].values.tolist()]
            assert together[name].values[:, 0].tolist() == expected
        return None

    @rule()
    def look(self) -> None:
        expected = {
            name: "deleted"
            if name not in self.working
            else "new"
            if name not in self.latest
            else ("unchanged" if self.working[name] == self.latest[name] else "modified")
            for name in {*self.working, *self.latest}
        }
        assert {each.name: each.state for each in self.dataset.status()} == expected

    @property
    def made(self) -> list[str]:
        """The ids of all checkpoints there ever were, in the order in which they were made."""
        log = self.dataset.operation_log()
        return [each.checkpoint for each in reversed(log) if each.action == "commit"]

    @invariant()
    def the_history_is_what_was_recorded(self) -> None:
        history = self.dataset.history()
        assert [entry.id for entry in reversed(history)] == [checkpoint for checkpoint, _ in self.checkpoints]
        assert {tag: entry.id for entry in history for tag in entry.tags} == self.tags
        assert [set(entry.arrays) for entry in reversed(history)] == [set(each) for _, each in self.checkpoints]

    @invariant()
    def the_folder_is_what_was_saved_or_restored(self) -> None:
        assert self.lies_there() == self.working

    @staticmethod
    def content(array: object) -> Array:
        """The units and values of an opened array."""
        return tuple(array["unit_id"].values.tolist()), tuple(array.values[:, 0].tolist())


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=int(os.environ.get("MINIAN_VC_EXAMPLES", "15")),
    stateful_step_count=12,
    phases=[Phase.explicit, Phase.generate],  # shrinking takes minutes; the failing steps are printed as they are
)
