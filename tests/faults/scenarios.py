"""Commands to be killed, cut off or refused: each has a past, and one act. To add one, write one function.

Only the public face is used. A scenario never asks how a command does what it does.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from unit.handmade import write_array, write_units

import minian_vc as mvc
from minian_vc.catalog.engine import APPLICATION_ID
from minian_vc.catalog.migrate import migrations_folder
from minian_vc.objects import manifests
from minian_vc.verbs.commit import Request

__all__ = ["CATALOG", "DATASET", "SCENARIOS", "Contents", "Past", "Scenario", "contents", "save"]

Contents = Mapping[str, Mapping[str, bytes]]  # array folder → file → bytes

DATASET = "m"
FRAMES = 64  # a row is 512 bytes: a chunk object, not kept inside the manifest
CHUNKS = 24
CATALOG = ".minian_vc/catalog.sqlite"
AUTOMATIC = {"automatic": "notebook"}


def contents(folder: Path) -> Contents:
    """Return what lies in a dataset, by array folder; whatever is no array folder has the name of a file."""
    found: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        name, _, key = path.relative_to(folder).as_posix().partition("/")
        if path.is_file():
            found.setdefault(name, {})[key] = path.read_bytes()
        elif not any(path.iterdir()):
            found.setdefault(name, {})[f"{key}/"] = b""
    return found


def save(root: Path, name: str, *rows: float) -> None:
    """Save an array as MiniAn does: the old folder goes, the new one has a row and a chunk per unit."""
    folder = root / DATASET / f"{name}.zarr"
    shutil.rmtree(folder, ignore_errors=True)
    values = np.repeat(np.array(rows, float)[:, None], FRAMES, axis=1)
    write_units(folder, range(len(rows)), values, coords={"frame": np.arange(FRAMES), "animal": "m1"})


def save_wide(root: Path, value: float) -> None:
    """Save an array of many chunks, of which the first depends on the value."""
    folder = root / DATASET / "motion.zarr"
    shutil.rmtree(folder, ignore_errors=True)
    values = np.arange(CHUNKS * FRAMES, dtype=float)
    values[:FRAMES] = value
    write_array(folder, values, ("frame",), chunks=(FRAMES,))


class Past:
    """What was done, and acknowledged, before the act; and what each checkpoint must hold ever after."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.recorded: dict[str, Contents] = {}  # message → what the dataset held
        (root / DATASET).mkdir(parents=True)
        mvc.Repository.create(root)

    def save(self, name: str, *rows: float) -> None:
        save(self.root, name, *rows)

    def commit(self, message: str, tag: str | None = None, **provenance: str) -> None:
        mvc.open(self.root / DATASET).record(Request(message, tag, provenance=provenance, wait=0))
        self.recorded[message] = contents(self.root / DATASET)


@dataclass(frozen=True)
class Scenario:
    """One command and what came before it.

    Parameters
    ----------
    prepare : callable
        Makes the past.
    act : callable
        Runs the command on a root; acknowledged when it returns.
    whole_folder : bool
        Whether the dataset is replaced in one step; else each array is, for itself.
    repeatable : bool
        Whether the command may be given again when it was done already.
    settings : callable
        A context in which it all happens.
    without : set of str
        C functions that this system does not have; see Steps.
    """

    name: str
    prepare: Callable[[Past], None]
    act: Callable[[Path], object]
    whole_folder: bool = True
    repeatable: bool = True
    settings: Callable[[], contextlib.AbstractContextManager] = field(default=contextlib.nullcontext)
    without: frozenset[str] = frozenset()


# -- pasts ------------------------------------------------------------------------------------


def nothing_recorded(past: Past) -> None:
    """A dataset of three arrays in an empty repository."""
    for name, row in (("A", 7), ("C", 1), ("S", 3)):
        past.save(name, row, 9)


def no_repository(past: Past) -> None:
    """Three arrays, and nothing else."""
    nothing_recorded(past)
    shutil.rmtree(past.root / ".minian_vc")


def begun(past: Past) -> None:
    """One checkpoint, and C saved since."""
    nothing_recorded(past)
    past.commit("begin", "begin")
    past.save("C", 2, 9)


def twice_recorded(past: Past) -> None:
    """Two checkpoints."""
    begun(past)
    past.commit("second")


def at_work(past: Past) -> None:
    """Two checkpoints; since then C was saved, S removed and B is new: nobody recorded that."""
    twice_recorded(past)
    past.save("C", 5, 9)
    past.save("B", 4)
    shutil.rmtree(past.root / DATASET / "S.zarr")


def split(past: Past) -> None:
    """An array so wide that its manifest is split, recorded; and then saved with one chunk changed."""
    nothing_recorded(past)
    save_wide(past.root, 1.0)
    past.commit("begin")
    save_wide(past.root, 2.0)


def automatic(past: Past) -> None:
    """Checkpoints by hand and of a notebook; two of the latter can be pruned."""
    nothing_recorded(past)
    save_wide(past.root, 1.0)
    past.commit("begin", "begin")
    for number, tag in ((1, None), (2, "good"), (3, None)):
        past.save("C", number + 20, 9)
        save_wide(past.root, float(number))
        past.commit(f"auto {number}", tag, **AUTOMATIC)
    past.save("C", 6, 9)
    past.commit("by hand")


def restored(past: Past) -> None:
    """A checkpoint was restored over work that nobody had recorded."""
    at_work(past)
    lay = contents(past.root / DATASET)
    saved = mvc.open(past.root / DATASET).restore("@begin").saved_as
    past.recorded[saved.message] = lay
    past.save("C", 6, 9)


def pruned(past: Past) -> None:
    """Two of a notebook's checkpoints were pruned, and nothing is freed yet."""
    automatic(past)
    prune_with_grace(past.root)


def undone(past: Past) -> None:
    """The last commit was taken back."""
    twice_recorded(past)
    undo(past.root)


def damaged(past: Past) -> None:
    """A chunk object has other bytes, one is gone, and so is a checkpoint's document: all three are there elsewhere."""
    twice_recorded(past)
    opened = mvc.open(past.root / DATASET)
    store, latest = opened.repository.objects, opened.latest
    manifests = {array.name: store.read_manifest(array.manifest) for array in latest.arrays}
    chunks = {name: next(e for e in found.values() if e.inline is None) for name, found in manifests.items()}
    store.path("chunks", chunks["A"].digest).write_bytes(bytes(chunks["A"].size))
    store.path("chunks", chunks["C"].digest).unlink()
    store.path("checkpoints", latest.id).unlink()


def catalog_behind(past: Past) -> None:
    """Somebody died between the operation and the catalog."""
    begun(past)
    before = (past.root / CATALOG).read_bytes()
    past.commit("second", "two")
    (past.root / CATALOG).write_bytes(before)


def catalog_lost(past: Past) -> None:
    """The catalog is gone."""
    automatic(past)
    prune(past.root)
    (past.root / CATALOG).unlink()


def catalog_of_first_schema(past: Past) -> None:
    """The catalog has the schema of the first migration, and the same rows."""
    twice_recorded(past)
    path = past.root / CATALOG
    newest = path.rename(path.with_name("newest.sqlite"))
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    with contextlib.closing(sqlite3.connect(path)) as old:
        old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        old.execute("ATTACH ? AS newest", [str(newest)])
        for (table,) in old.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            if table != "alembic_version" and not table.startswith("sqlite_"):
                columns = ", ".join(name for _, name, *_ in old.execute(f"PRAGMA main.table_info({table})"))
                old.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newest.{table}")  # noqa: S608
        old.commit()
    newest.unlink()


# -- acts -------------------------------------------------------------------------------------


def commit_as(message: str, tag: str | None = None) -> Callable[[Path], object]:
    return lambda root: mvc.open(root / DATASET).record(Request(message, tag, wait=0))


def make_and_commit(root: Path) -> object:
    return mvc.open(root / DATASET, create=True).record(Request("begin", wait=0))


def give_tag(root: Path) -> object:
    return mvc.open(root / DATASET).tag("good", "latest~1")


def restore(spec: str, **options: str) -> Callable[[Path], object]:
    return lambda root: mvc.open(root / DATASET).restore(spec, **options)


def prune(root: Path) -> object:
    return mvc.open(root / DATASET).prune(automatic=True, grace_days=0, dry_run=False)


def prune_with_grace(root: Path) -> object:
    return mvc.open(root / DATASET).prune(automatic=True, dry_run=False)


def undo(root: Path) -> object:
    return mvc.open(root / DATASET).undo()


def redo(root: Path) -> object:
    return mvc.open(root / DATASET).undo(redo=True)


def make_catalog_anew(root: Path) -> object:
    return mvc.rebuild(root)


def mend(root: Path) -> object:
    return mvc.repair(root, dry_run=False)


def open_it(root: Path) -> object:
    return mvc.open(root / DATASET).history()


def saving(**options: object) -> Callable[[Path], object]:
    """Save C by minian_vc's save_minian."""

    def act(root: Path) -> object:
        import dask.array as da
        import xarray as xr

        values = da.from_array(np.full((2, FRAMES), 8.0), (1, -1))
        array = xr.DataArray(values, {"unit_id": [0, 1], "frame": np.arange(FRAMES)}, ("unit_id", "frame"), "C")
        return mvc.save_minian(array, root / DATASET, overwrite=True, **options)

    return act


@contextlib.contextmanager
def small_manifests() -> Iterator[None]:
    """Let manifests be split that have few entries, as those of long recordings are."""
    before = manifests.SPLIT_ABOVE, manifests.CUT_BITS
    manifests.SPLIT_ABOVE, manifests.CUT_BITS = CHUNKS // 2, 2
    try:
        yield
    finally:
        manifests.SPLIT_ABOVE, manifests.CUT_BITS = before


PORTABLE = frozenset({"renameat2", "syncfs"})

_ALL = (
    Scenario("first commit and repository", no_repository, make_and_commit),
    Scenario("first commit", nothing_recorded, commit_as("begin")),
    Scenario("commit", begun, commit_as("second")),
    Scenario("commit with tag", begun, commit_as("second", "two"), without=PORTABLE),
    Scenario("commit of a split manifest", split, commit_as("second"), settings=small_manifests),
    Scenario("tag", twice_recorded, give_tag),
    Scenario("restore", at_work, restore("@begin")),
    Scenario("restore by two renames", at_work, restore("@begin"), without=PORTABLE),
    Scenario("restore one array", at_work, restore("C@begin"), whole_folder=False),
    Scenario("restore one array by two renames", at_work, restore("C@begin"), whole_folder=False, without=PORTABLE),
    Scenario(
        "restore under another name", at_work, restore("C@begin", as_="D"), whole_folder=False, repeatable=False
    ),  # given again it would record D first
    Scenario("prune", automatic, prune, settings=small_manifests),
    Scenario("prune with grace", automatic, prune_with_grace, settings=small_manifests),
    Scenario("undo a commit", twice_recorded, undo, repeatable=False),
    Scenario("undo a restore", restored, undo, repeatable=False),
    Scenario("undo a restore by two renames", restored, undo, repeatable=False, without=PORTABLE),
    Scenario("undo a prune", pruned, undo, repeatable=False, settings=small_manifests),
    Scenario("redo a commit", undone, redo, repeatable=False),
    Scenario("rebuild", pruned, make_catalog_anew, settings=small_manifests),
    Scenario("catch up", catalog_behind, open_it),
    Scenario("make the catalog anew", catalog_lost, open_it, settings=small_manifests),
    Scenario("migrate the catalog", catalog_of_first_schema, open_it),
    Scenario("save", twice_recorded, saving(), whole_folder=False),
    Scenario("save by two renames", twice_recorded, saving(), whole_folder=False, without=PORTABLE),
    Scenario("save with tag", twice_recorded, saving(tag="saved"), whole_folder=False),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}
