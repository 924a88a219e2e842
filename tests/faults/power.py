"""A disk whose power can be cut: what was flushed is there afterwards, the rest may be lost, torn or kept.

A :class:`Recording` hears the steps of a command and keeps them as events. Any number of first events can then be a
:class:`Cut`: the disk as it could be then. The model is stricter than common file systems:

- The content of a file is durable when the file was flushed; before, it is what it was, empty, a part, or all of it.
- An entry of a folder is durable when that folder was flushed. Flushing a file makes no entry durable, and flushing a
  folder not the folder itself in the one above.
- A rename or an exchange is one step, and durable when the folder with the new name was flushed. The steps about one
  file, folder or name are made in order: where a later one is there, so are the earlier ones.
- Other entries that were not flushed come in any subset, or as a prefix of what was done.
- SQLite flushes by itself: the catalog is durable as of its last commit.
"""

from __future__ import annotations

import contextlib
import copy
import os
import random
import re
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from steps import Step

__all__ = ["Cut", "Disk", "Recording", "lay_out"]

Folders = dict[int, dict[str, int]]  # folder → name → what is there
ROOT = 0
HELPERS = ("flush", "flush_tree", "sync_folder", "_sync_file", "put_in_place")
_RANDOM = re.compile(r"[0-9a-f]{62,}|[0-9a-f]{12,16}|(?<=/)[0-9a-f]{2}(?=/|$)|(?<=-)[0-9]+(?=-)")


@dataclass(frozen=True)
class Entries:
    """One step in folders: names that get another meaning together; None where there is nothing any more."""

    puts: tuple[tuple[int, str, int | None], ...]
    about: frozenset[int]

    @property
    def subjects(self) -> set[object]:
        """The files, folders and names it is about."""
        return {*self.about, *((folder, name) for folder, name, _ in self.puts)}


@dataclass(frozen=True)
class Content:
    """A file has these bytes now; ``durable`` where SQLite sees to that."""

    file: int
    content: bytes
    durable: bool = False


@dataclass(frozen=True)
class Flushed:
    """A file or folder was flushed; None for everything. What the disk ``failed`` to flush is lost for good."""

    what: int | None
    failed: bool = False
    site: str = ""  # what was flushed, and by whom


@dataclass
class Disk:
    """Folders and files; a number stands for each."""

    folders: Folders = field(default_factory=lambda: {ROOT: {}})
    contents: dict[int, bytes] = field(default_factory=dict)


class Recording:
    """Hears steps below a root; tell it of each after it was made (:meth:`hear`)."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self._next = ROOT + 1
        self._live = Disk()
        self._load(self._root, ROOT)
        self.before = copy.deepcopy(self._live)
        self.events: list[Entries | Content | Flushed] = []
        self.steps: list[str] = []  # the step that each event is of

    @property
    def folders(self) -> set[int]:
        """Which numbers are folders."""
        return set(self._live.folders)

    @property
    def sites(self) -> list[str]:
        """Who flushed what."""
        sites = [event.site for event in self.events if isinstance(event, Flushed) and event.site != "SQLite"]
        return list(dict.fromkeys(sites))

    def hear(self, step: Step) -> None:
        """Keep what a step did."""
        acting = {
            "open": self._written,
            "write": self._written,
            "mkdir": self._node,
            "rename": lambda path: self._moved(path, step.other),
            "exchange": lambda path: self._exchanged(path, step.other),
            "link": lambda path: self._put((step.other, self._node(path))),
            "unlink": self._removed,
            "rmdir": self._removed,
            "fsync": self._flushed,
            "syncfs": lambda path: self.events.append(Flushed(None, site=self._site(path))),
            "commit": self._committed,
            "sql": lambda _: None,  # SQLite makes nothing of it durable before the commit
        }
        acting[step.kind](step.path)
        self.steps += [str(step)] * (len(self.events) - len(self.steps))

    def failed(self, step: Step) -> None:
        """Keep that a flush failed: what it should have flushed is lost, and no later flush brings it back."""
        self.events.append(Flushed(None if step.kind == "syncfs" else self._node(step.path), failed=True))
        self.steps += [str(step)]

    # -- what is where -------------------------------------------------------------------------

    def _load(self, path: Path, number: int) -> None:
        for entry in os.scandir(path):
            new = self._live.folders[number][entry.name] = self._make(entry.is_dir())
            if entry.is_dir():
                self._load(Path(entry.path), new)
            else:
                self._live.contents[new] = _read(entry.path)

    def _make(self, is_folder: bool) -> int:
        number, self._next = self._next, self._next + 1
        if is_folder:
            self._live.folders[number] = {}
        return number

    def _place(self, path: str) -> tuple[int, str]:
        """Return the folder and the name of a path."""
        *above, name = Path(path).relative_to(self._root).parts
        folder = self._root
        number = ROOT
        for part in above:
            folder /= part
            number = self._node(str(folder))
        return number, name

    def _node(self, path: str) -> int:
        """Return what lies at a path; what was made without a step, as SQLite does, is taken in."""
        if Path(path) == self._root:
            return ROOT
        folder, name = self._place(path)
        found = self._live.folders[folder].get(name)
        if found is None:
            found = self._make(Path(path).is_dir())
            self._put((path, found))
            if not Path(path).is_dir():
                self._content(found, _read(path))
        return found

    def _put(self, *named: tuple[str, int | None]) -> None:
        """Give names another meaning, in one step."""
        puts = [(*self._place(path), node) for path, node in named]
        before = {self._live.folders[folder].get(name) for folder, name, node in puts if node is None}
        for folder, name, node in puts:
            if node is None:
                self._live.folders[folder].pop(name, None)
            else:
                self._live.folders[folder][name] = node
        about = frozenset({node for _, _, node in puts} | before) - {None}
        self.events.append(Entries(tuple(puts), about))

    # -- steps ---------------------------------------------------------------------------------

    def _written(self, path: str) -> None:
        self._content(self._node(path), _read(path))

    def _content(self, file: int, content: bytes, *, durable: bool = False) -> None:
        if durable or self._live.contents.get(file) != content:
            self._live.contents[file] = content
            self.events.append(Content(file, content, durable))

    def _moved(self, path: str, other: str) -> None:
        folder, name = self._place(path)
        node = self._live.folders[folder].get(name)
        if node is None:  # SQLite made it: it is at the other place by now
            self._node(other)
        else:
            self._put((path, None), (other, node))

    def _exchanged(self, path: str, other: str) -> None:
        self._put((path, self._node(other)), (other, self._node(path)))

    def _removed(self, path: str) -> None:
        self._put((path, None))

    def _flushed(self, path: str) -> None:
        node = self._node(path)
        if node in self._live.contents:
            self._written(path)
        self.events.append(Flushed(node, site=self._site(path)))

    def _site(self, path: str) -> str:
        """Return which function of the product flushes what kind of file or folder."""
        frame, names = sys._getframe(), []
        while frame is not None:
            if f"{os.sep}minian_vc{os.sep}" in frame.f_code.co_filename:
                names.append(frame.f_code.co_name)
            frame = frame.f_back
        caller = next((name for name in names if name not in HELPERS), names[0])
        what = _RANDOM.sub("*", Path(path).relative_to(self._root).as_posix())
        if "exchange" in names:  # of its two folders one would do where a rename is one step on the disk
            what = "both folders"
        elif "flush_tree" in names:
            what = "all folders" if self._node(path) in self._live.folders else "all files"
        return f"{what} by {caller}"

    def _committed(self, path: str) -> None:
        with contextlib.closing(sqlite3.connect(path)) as catalog:
            content = catalog.serialize()
        node = self._node(path)
        self._content(node, content, durable=True)
        self.events.append(
            Flushed(self._place(path)[0], site="SQLite")
        )  # EXTRA: SQLite flushes the folder of its journal too


class Cut:
    """The disk where the power went after so many events; the flushes of a site can be taken away (``without``)."""

    def __init__(self, recording: Recording, count: int, without: str = "") -> None:
        self._before, self._is_folder = recording.before, recording.folders
        self._steps: list[Entries] = []
        self._safe: set[int] = set()  # of these steps, by number
        self._missed: set[int] = set()  # what would be safe but for the flushes that were taken away
        self._now, self._durable = dict(self._before.contents), dict(self._before.contents)
        self._lost: set[int] = set()
        self._missed_files: set[int] = set()
        for event in recording.events[:count]:
            if isinstance(event, Entries):
                self._steps.append(event)
            elif isinstance(event, Content):
                self._write(event)
            elif event.failed:
                self._lost |= self._dirty(event.what)
            elif without and event.site == without:
                self._missed |= self._unsafe(event.what)
                self._missed_files |= self._dirty(event.what)
            else:
                self._flush(event.what)

    def _write(self, event: Content) -> None:
        self._now[event.file] = event.content
        if event.durable:
            self._durable[event.file] = event.content

    def _flush(self, what: int | None) -> None:
        self._durable |= {file: self._now[file] for file in self._dirty(what) - self._lost}
        self._safe |= self._unsafe(what)

    def _dirty(self, what: int | None) -> set[int]:
        return {file for file in self._now if what in (None, file) and self._durable.get(file) != self._now[file]}

    def _unsafe(self, what: int | None) -> set[int]:
        steps = enumerate(self._steps)
        return {i for i, step in steps if i not in self._safe and (what is None or what in _folders(step))}

    # -- what may be there afterwards ----------------------------------------------------------

    def nothing_kept(self) -> Disk:
        """Nothing is there that was not flushed."""
        return self._disk(self._safe, lambda _: False)

    def all_kept_but_missed(self) -> Disk:
        """Everything is there but what the flushes would have saved that were taken away."""
        made = set(range(len(self._steps))) - (self._missed - self._safe)
        return self._disk(made, lambda file: file not in self._missed_files)

    def by_chance(self, chance: random.Random) -> Disk:
        """Of what was not flushed, none, any, or the first steps are there; contents are old, torn or new."""
        others = [number for number in range(len(self._steps)) if number not in self._safe]
        how = chance.choice(["none", "any", "any", "prefix"])
        if how == "any":
            others = [number for number in others if chance.random() < 0.5]
        elif how == "prefix":
            others = others[: chance.randint(0, len(others))]
        kept = chance.choice([0.0, 0.5, 1.0])
        disk = self._disk(self._safe | (set() if how == "none" else set(others)), lambda _: chance.random() < kept)
        for file in self._dirty(None) if kept < 1 else ():
            torn = chance.choice([None, self._now[file][: len(self._now[file]) // 2], bytes(len(self._now[file]))])
            if torn is not None and disk.contents[file] != self._now[file]:
                disk.contents[file] = torn
        return disk

    def _disk(self, made: set[int], is_kept: Callable[[int], bool]) -> Disk:
        disk = copy.deepcopy(self._before)
        needed: set[object] = set()
        for number in reversed(range(len(self._steps))):
            subjects = self._steps[number].subjects
            if number in made or subjects & needed:
                needed |= subjects
                made = made | {number}
        for number in sorted(made):
            _apply(disk.folders, self._steps[number])
        durable = {file: self._durable.get(file, b"") for file in self._now}
        disk.contents = durable | {file: self._now[file] for file in self._dirty(None) if is_kept(file)}
        disk.folders |= {number: {} for number in self._is_folder - disk.folders.keys()}
        return disk


def _folders(step: Entries) -> set[int]:
    """Return the folders of which one must be flushed: those with a new name in them, if there is one."""
    new = {folder for folder, _, node in step.puts if node is not None}
    return new or {folder for folder, _, _ in step.puts}


def _apply(folders: Folders, step: Entries) -> None:
    """Make a step where it can be made: no folder with something in it goes or is written over."""
    for folder, name, node in step.puts:
        here = folders.setdefault(folder, {}).get(name)
        if here is not None and here not in step.about and folders.get(here):
            return
        if node is None and len(step.puts) == 1 and folders.get(here or -1):
            return
    for folder, name, node in step.puts:
        if node is not None:
            folders[folder][name] = node
        elif folders[folder].get(name) in step.about:
            del folders[folder][name]


def lay_out(disk: Disk, target: Path, folder: int = ROOT) -> None:
    """Write it as a folder."""
    target.mkdir(parents=True)
    for name, node in disk.folders[folder].items():
        if node in disk.folders:
            lay_out(disk, target / name, node)
        else:
            (target / name).write_bytes(disk.contents.get(node, b""))


def _read(path: str | os.PathLike) -> bytes:
    with contextlib.suppress(FileNotFoundError):  # it was moved or removed meanwhile
        return Path(path).read_bytes()
    return b""
