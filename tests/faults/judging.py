"""Whether a repository holds what it promised: the same questions after a kill, an error and a power cut.

Nothing here knows at which step something happened, only whether the command was acknowledged before.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios import CATALOG, DATASET, SCENARIOS, Contents, Past, Scenario, contents, save
from unit.handmade import make_old

import minian_vc as mvc
from minian_vc.catalog import Catalog
from minian_vc.catalog.migrate import HEAD
from minian_vc.history import open_history
from minian_vc.model import PREFIX, digest_of
from minian_vc.verbs.commit import Request

__all__ = ["Expected", "Violation", "age_notes", "claim_both_or_neither", "expect", "judge"]

LONG_AGO = 1_000_000_000
OBJECTS = ".minian_vc/objects"
View = tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]  # message, tags, arrays of each checkpoint


class Violation(AssertionError):  # noqa: N818 (it says what it is)
    """A promise that was not kept."""


@dataclass(frozen=True)
class Expected:
    """What must be there. ``views`` are the histories that may be seen: the old one first, the new one last."""

    name: str
    recorded: dict[str, Contents]
    old: Contents
    new: Contents
    views: tuple[View, ...]
    operations: int  # in the log afterwards
    known_actions: frozenset[str]  # in the operation log before
    format: int  # of the repository afterwards
    empty_catalog: Path

    @property
    def scenario(self) -> Scenario:
        """What happens."""
        return SCENARIOS[self.name]


def expect(scenario: Scenario, base: Path, work: Path) -> Expected:
    """Make a scenario's past in ``base``, and see in a copy what it leads to where nothing is in the way."""
    past = Past(base)
    scenario.prepare(past)
    before, after = work / "before", work / "after"
    for copy in (before, after):
        shutil.copytree(base, copy, symlinks=True)
    known, actions = _count(before), _actions(before)
    old_view = _view(before)  # in a copy: looking may mend
    scenario.act(after)
    views = [old_view]
    for number in range(known + 1, _count(after) + 1):
        views.append(_view_up_to(base, after, number, work / f"view-{number}"))
    new = contents(after / DATASET)
    if views[-1] != _view(after):
        raise SystemExit("The history is not the fold of its log.")
    for message, _, _ in views[-1]:
        past.recorded.setdefault(message, new)
    empty = work / "empty.sqlite"
    Catalog(empty).prepare()
    format_after = mvc.Repository.open(after).config.format
    old = contents(base / DATASET)
    return Expected(scenario.name, past.recorded, old, new, tuple(views), _count(after), actions, format_after, empty)


def judge(root: Path, expected: Expected, *, acknowledged: bool) -> None:
    """Open, look, do it again, go on; raise what is not as it was promised.

    Raises
    ------
    Violation
        Something is lost, half there, or foreign.
    MinianVCError
        Something cannot be opened or read.
    """
    age_notes(root)
    if expected.scenario.name.startswith("migrate"):
        _claim(_revision(root / CATALOG) != HEAD or _has_copy(root), "migrated, and no copy was kept")
    seen, folder = _Seen(root), contents(root / DATASET)
    _claim(seen.view in expected.views, "history", seen.view, expected.views)
    _claim(_is_fit(folder, expected), "folder", _short(folder))
    if acknowledged:
        _claim(seen.view == expected.views[-1], "acknowledged, and not in the history", seen.view)
        _claim(folder == expected.new, "acknowledged, and not in the folder", _short(folder))
    seen.claim_recorded(expected)
    _all_is_whole(root, expected)
    _nothing_of_the_folder_is_lost(folder, seen, expected)
    if expected.scenario.repeatable or seen.view != expected.views[-1] or folder != expected.new:
        expected.scenario.act(root)
    _claim(contents(root / DATASET) == expected.new, "done again, and not in the folder")
    _go_on(root, expected)
    _all_is_whole(root, expected)


def claim_both_or_neither(root: Path, expected: Expected) -> None:
    """What was changed in the folder is recorded, and what is recorded was changed.

    Raises
    ------
    Violation
        One is there without the other.
    """
    folder, recorded = contents(root / DATASET), _count(root) == expected.operations
    _claim(folder == (expected.new if recorded else expected.old), "recorded" if recorded else "not recorded")


def _claim(holds: object, *told: object) -> None:
    if not holds:
        raise Violation(*map(str, told))


# -- looking ----------------------------------------------------------------------------------


def _view(root: Path) -> View:
    return _view_of(mvc.open(root / DATASET, create=True).history())


def _view_of(entries: Iterable[Any]) -> View:
    return tuple((entry.message, tuple(sorted(entry.tags)), tuple(sorted(entry.arrays))) for entry in entries)


def _count(root: Path) -> int:
    return len(list((root / ".minian_vc/operations").glob("*")))


def _actions(root: Path) -> frozenset[str]:
    log = sorted((root / ".minian_vc/operations").glob("*"))
    return frozenset(json.loads(path.read_bytes())["action"] for path in log)


def _view_up_to(base: Path, after: Path, number: int, copy: Path) -> View:
    """Return the history as it was after so many operations."""
    shutil.copytree(after, copy, symlinks=True)
    if (base / OBJECTS).is_dir():
        shutil.copytree(base / OBJECTS, copy / OBJECTS, dirs_exist_ok=True)  # some may be removed since
    (copy / CATALOG).unlink()
    for later in (copy / ".minian_vc/operations").iterdir():
        if int(later.name) > number:
            later.unlink()
    return _view(copy)


def _is_fit(folder: Contents, expected: Expected) -> bool:
    """Tell whether a dataset's folder is the old or the new one, or each array is, and nothing is foreign."""
    if expected.scenario.whole_folder:
        return folder in (expected.old, expected.new)
    names = {*expected.old, *expected.new, *folder}
    return all(folder.get(name) in (expected.old.get(name), expected.new.get(name)) for name in names)


def _short(folder: Contents) -> dict[str, list[str]]:
    return {name: sorted(files) for name, files in folder.items()}


def age_notes(root: Path) -> None:
    """Let the notes of swaps be so old that nobody can be at them any more."""
    for note in [*root.glob(".minian_vc/staging/swap-*"), *root.glob(".minian_vc-saving/*/swap-*")]:
        os.utime(note, (LONG_AGO, LONG_AGO))


def _revision(catalog: Path) -> str:
    with contextlib.closing(sqlite3.connect(catalog)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def _has_copy(root: Path) -> bool:
    """Tell whether there is a copy of the catalog as it was before a migration, with all it held."""
    for copy in (root / ".minian_vc/backups").glob("catalog-0001-*.sqlite"):
        with contextlib.suppress(sqlite3.DatabaseError):
            return _revision(copy) == "0001" and len(_dump(copy)) > 20
    return False


# -- what must hold ---------------------------------------------------------------------------


class _Seen:
    """A history as it is found: each checkpoint with the bytes of all its files, each checked against its digest."""

    def __init__(self, root: Path) -> None:
        dataset = mvc.open(root / DATASET, create=True)
        self.entries = dataset.history()
        self.view = _view_of(self.entries)
        self.held: list[Contents] = []
        for entry in self.entries:
            arrays = dataset.show(entry.id).arrays
            self.held.append({a.folder: dict(dataset.repository.stored_files(a.manifest)) for a in arrays})

    def claim_recorded(self, expected: Expected) -> None:
        """Each checkpoint holds what was recorded; what a restore recorded by itself, versions that there were."""
        for entry, held in zip(self.entries, self.held, strict=True):
            known = expected.recorded[entry.message]
            for name, files in held.items():
                versions = [known.get(name)] if entry.automatic != "restore" else _versions(name, expected)
                _claim(files in versions, "content", entry.message, name)


def _versions(name: str, expected: Expected) -> list:
    return [held[name] for held in (*expected.recorded.values(), expected.old) if name in held]


def _nothing_of_the_folder_is_lost(folder: Contents, seen: _Seen, expected: Expected) -> None:
    for name, files in expected.old.items():
        saved_over = name in expected.new and expected.scenario.name.startswith("save")
        _claim(
            saved_over or any(each.get(name) == files for each in (folder, *seen.held)), "lost from the folder", name
        )


def _all_is_whole(root: Path, expected: Expected) -> None:
    """Every object, and the catalog, which is the log's fold; and no older program takes the log for one of its own."""
    if not _actions(root) <= expected.known_actions:
        _claim(mvc.Repository(root).config.format >= expected.format, "the format is older than the log")
    _store_is_whole(root / OBJECTS)
    _claim(_dump(root / CATALOG) == _rebuilt(root, expected), "the catalog is not the log's fold")


def _store_is_whole(store: Path) -> None:
    """Every object is what its name says; every manifest has all its parts and chunks."""
    found = {path.parent.name + path.name: path for path in store.glob("*/??/*")}
    for name, path in found.items():
        content = path.read_bytes()
        _claim(digest_of(content) == PREFIX + name, "not what its name says", path, len(content))
        if "manifests" in path.parts:
            document = json.loads(content)
            entries = document["entries"].values()
            needed = [*document.get("parts", ()), *(entry[0] for entry in entries if len(entry) == 2)]
            _claim({each.removeprefix(PREFIX) for each in needed} <= found.keys(), "a manifest lacks objects", path)


def _dump(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def _rebuilt(root: Path, expected: Expected) -> list[str]:
    """Return the dump of a catalog made from the log and the objects alone."""
    path = root / "rebuilt.sqlite"
    shutil.copyfile(expected.empty_catalog, path)
    repository = mvc.Repository(root)
    with open_history(Catalog(path), repository.operations, repository.objects):
        pass
    dump = _dump(path)
    path.unlink()
    return dump


def _go_on(root: Path, expected: Expected) -> None:
    """Save and commit once more."""
    save(root, "C", 77, 9)
    make_old(root / DATASET)
    now = contents(root / DATASET)
    mvc.open(root / DATASET).record(Request("further", wait=0))
    seen = _Seen(root)
    _claim(seen.view[0][0] == "further" and seen.held[0] == now, "the next commit is not what was saved")
    _claim(seen.view[1:] == expected.views[-1], "done again, and not in the history", seen.view)
