"""prune that is killed, that meets damage, and that runs while others record, restore and tag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import tree
from handmade import make_old
from pruning import (
    AUTOMATIC,
    assert_nothing_left_over,
    assert_whole,
    dump,
    messages,
    notebook,
    nothing_is_remembered,
    objects,
    operations,
    rebuilt,
    record,
    save,
    split_small,
    step,
    write_wide,
)

import minian_vc as mvc
from minian_vc.catalog import Catalog, engine
from minian_vc.errors import BusyError, DamagedError, StorageError
from minian_vc.objects import Batch, store_object
from minian_vc.operations import OperationLog
from minian_vc.verbs import commit as committing
from minian_vc.verbs import restore as restoring
from minian_vc.verbs.commit import Request
from minian_vc.verbs.compare import digest_of_reading, read_without_keeping

__all__ = ["nothing_is_remembered"]  # a fixture for every test here


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture
def dataset(root: Path) -> mvc.Dataset:
    """The notebook's history, not pruned yet."""
    return notebook(root)


def prune_as_another(root: Path, name: str = "m") -> mvc.verbs.prune.Pruned:
    """Prune as another process would, through a repository of its own."""
    return mvc.open(root / name).prune(automatic=True, grace_days=0, dry_run=False)


# -- kills ------------------------------------------------------------------------------------


def kill_after(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, count: int) -> None:
    """Die right after the count-th call of a method."""
    real, calls = getattr(owner, name), []

    def dying(self: object, *arguments: object, **options: object) -> object:
        result = real(self, *arguments, **options)
        calls.append(self)
        if len(calls) == count:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, dying)


@pytest.mark.parametrize("published", [1, 2])
def test_a_kill_after_an_operation_leaves_a_history_that_the_next_prune_completes(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch, published: int
) -> None:
    """What is in the log is pruned, nothing was removed yet, and all other checkpoints are whole."""
    before = objects(root, "chunks")
    with monkeypatch.context() as patch:
        kill_after(patch, OperationLog, "publish", published)
        with pytest.raises(Killed):
            dataset.prune(automatic=True, grace_days=0, dry_run=False)
    again = mvc.open(root / "m")
    left = ["begin", "auto 2", "auto 3", "by hand", "auto 4"]
    assert messages(again) == (left if published == 1 else [each for each in left if each != "auto 3"])
    assert objects(root, "chunks") == before
    assert_whole(again)
    assert rebuilt(root) == dump(root)
    done = again.prune(automatic=True, grace_days=0, dry_run=False)
    assert len(done.checkpoints) == 2 - published
    assert_whole(again)
    assert_nothing_left_over(root, again)


@pytest.mark.parametrize("removed", [1, 2, 3, 4, 5, 6])
def test_a_kill_while_removing_leaves_garbage_that_the_next_prune_sweeps(
    root: Path, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    """The pruned checkpoints are gone for good, the others whole; roots go first, then parts, then chunks."""
    folder = root / "m"
    split_small(monkeypatch)
    for number, options in enumerate([{}, AUTOMATIC, AUTOMATIC, {}], 1):
        write_wide(folder / "motion.zarr", float(number))
        record(mvc.open(folder), f"step {number}", **options)
    dataset = mvc.open(folder)
    before = objects(root, "manifests"), objects(root, "chunks")
    with monkeypatch.context() as patch:
        kill_after(patch, Path, "unlink", removed + 2)  # publishing unlinks the two staged operations
        with pytest.raises(Killed):
            dataset.prune(automatic=True, grace_days=0, dry_run=False)
    gone = len(before[0] - objects(root, "manifests")), len(before[1] - objects(root, "chunks"))
    assert gone == (min(removed, 4), max(0, removed - 4))
    again = mvc.open(folder)
    assert messages(again) == ["step 1", "step 4"]
    for n, value in ((0, 4.0), (1, 1.0)):
        assert again.open(f"latest~{n}", return_dict=True)["motion"].values[0] == value
    assert dump(root) == rebuilt(root)
    done = mvc.open(folder).prune(automatic=True, grace_days=0, dry_run=False)
    assert (done.checkpoints, done.freed_objects) == ((), 6 - removed)
    assert operations(root)[-1] == ("sweep" if removed < 6 else "prune")
    assert_nothing_left_over(root, again)
    assert rebuilt(root) == dump(root)


def test_whoever_finds_a_manifest_may_count_on_all_that_it_names(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any number of removals, no manifest lacks a part or a chunk: a commit may reuse what it finds."""
    folder = root / "m"
    split_small(monkeypatch)
    for number, options in enumerate([AUTOMATIC, AUTOMATIC, {}], 1):
        write_wide(folder / "motion.zarr", float(number))
        record(mvc.open(folder), f"step {number}", **options)
    roots = [each.arrays[0].manifest for each in map(mvc.open(folder).show, ("latest~1", "latest~2"))]
    store = mvc.open(folder).repository.objects
    real, seen = Path.unlink, []

    def unlink(self: Path, missing_ok: bool = False) -> None:
        real(self, missing_ok=missing_ok)
        for digest in roots:
            if store.has("manifests", digest):
                manifest = store.read_manifest(digest)
                assert all(store.has("chunks", each.digest) for each in manifest.values() if each.inline is None)
                seen.append(digest)

    monkeypatch.setattr(Path, "unlink", unlink)
    done = mvc.open(folder).prune(automatic=True, grace_days=0, dry_run=False)
    assert seen
    assert done.freed_objects == 6


def test_an_object_that_cannot_be_removed_is_told_and_removed_later(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is pruned is pruned, for this process too; the error names the object, and the next prune removes it."""
    real = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if "chunks" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        real(self, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(StorageError, match=r"objects/chunks.* Permission denied") as told:
            dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert "Prune again" in told.value.hint
    assert messages(dataset) == ["begin", "auto 2", "by hand", "auto 4"]
    assert_whole(dataset)
    done = dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert (done.checkpoints, done.freed_objects) == ((), 2)
    assert_nothing_left_over(root, dataset)


# -- damage -----------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "flipped": flip,
    "empty": lambda p: p.write_bytes(b""),
}


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize(
    "what", ["checkpoint", "manifest", "part", "of another dataset", "pruned checkpoint", "operation"]
)
def test_nothing_is_changed_where_anything_that_remains_is_damaged(
    root: Path, monkeypatch: pytest.MonkeyPatch, what: str, how: str
) -> None:
    """A document that cannot be read may refer to anything: prune fails with exit code 6, and not a byte differs."""
    split_small(monkeypatch)
    dataset, other = notebook(root), mvc.open(root / "other", create=True)
    write_wide(root / "m/motion.zarr", 1.0)
    record(dataset, "wide")
    save(root / "other", "C", 1, 2)
    record(other, "other")
    store = dataset.repository.objects
    wide = dataset.show("latest").array("motion").manifest
    _, parts = store.read_manifest_document(wide, "manifest")
    log = {entry.message: entry.id for entry in dataset.history()}
    damaged = {
        "checkpoint": store.path("checkpoints", log["begin"]),
        "manifest": store.path("manifests", dataset.show("begin").array("C").manifest),
        "part": store.path("manifests", parts[1]),
        "of another dataset": store.path("manifests", other.show("latest").arrays[0].manifest),
        "pruned checkpoint": store.path("checkpoints", log["auto 3"]),
        "operation": dataset.repository.operations.path(3),
    }
    DAMAGES[how](damaged[what])
    before = tree(root)
    for dry_run in (True, False):
        with pytest.raises(DamagedError):
            dataset.prune(automatic=True, dry_run=dry_run)
    assert tree(root) == before


def test_objects_that_cannot_be_listed_stop_a_prune(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of the store that the system does not show is no empty folder."""
    before = tree(root)

    def refuse(folder: object) -> object:
        raise PermissionError(13, "Permission denied", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr("minian_vc.objects.listing.os.scandir", refuse)
        with pytest.raises(StorageError):
            dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert tree(root) == before


# -- others at work ---------------------------------------------------------------------------


def in_between(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, act: Callable[[], object]) -> list[object]:
    """Do something once, just before the first call of a function; return a list that then has its result."""
    real, results = getattr(owner, name), []

    def wrapped(*arguments: object, **options: object) -> object:
        if not results:
            results.append(None)
            results[0] = act()
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, wrapped)
    return results


@pytest.mark.parametrize("when", ["_choose", "_array_version", "publish", "history"])
@pytest.mark.parametrize("saved", ["anew", "restored"])
def test_a_commit_that_a_prune_overtakes_is_whole(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch, saved: str, when: str
) -> None:
    """It counted on the bytes of a checkpoint that is then pruned; it starts over, and all it records opens."""
    if saved == "anew":
        save(root / "m", "C", 1, 9)
    else:  # the record of the working folder names the manifest, and no file is read
        gone = next(entry.id for entry in dataset.history() if entry.message == "auto 1")
        dataset.restore(f"@{gone}")
        make_old(root / "m")
        working = dataset.repository.working_folder("m")
        reading = read_without_keeping(working, ["C.zarr"])["C.zarr"]
        working.remember("C.zarr", reading, digest_of_reading(reading), with_bytes=True)
    owner = {"publish": Batch, "history": mvc.Repository}.get(when, committing._Attempt)
    with monkeypatch.context() as patch:
        done = in_between(patch, owner, when, lambda: prune_as_another(root))
        record(dataset, "overtaken")
    assert len(done[0].checkpoints) == 2
    assert messages(dataset) == ["begin", "auto 2", "by hand", "auto 4", "overtaken"]
    assert dataset.open("latest", return_dict=True)["C"].values[:, 0].tolist() == [1.0, 9.0]
    assert_whole(dataset)
    assert rebuilt(root) == dump(root)
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert dataset.open("latest", return_dict=True)["C"].values[:, 0].tolist() == [1.0, 9.0]


def test_a_commit_that_a_sweep_of_leftovers_overtakes_is_whole(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects of a killed commit are reused by the next one, while a prune with nothing to drop removes them."""
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    save(root / "m", "C", 33, 34)
    with monkeypatch.context() as patch:
        kill_after(patch, committing._Attempt, "_array_version", 2)
        with pytest.raises(Killed):
            dataset.record(Request("killed", wait=0))
    store_object(dataset.repository.objects, "chunks", (root / "m/C.zarr/C/0.0").read_bytes())
    with monkeypatch.context() as patch:
        done = in_between(patch, mvc.Repository, "history", lambda: prune_as_another(root))
        record(dataset, "overtaken")
    assert done[0].checkpoints == ()
    assert done[0].freed_objects > 0
    assert operations(root)[-2:] == ["sweep", "commit"]
    assert dataset.open("latest", return_dict=True)["C"].values[:, 0].tolist() == [33.0, 34.0]
    assert rebuilt(root) == dump(root)


def test_a_commit_overtaken_by_a_killed_prune_is_whole(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalog knows nothing of that prune yet when the commit takes the lock; the operation log does."""
    save(root / "m", "C", 1, 9)

    def prune_and_die() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Catalog, "_transaction", _killed_at_the_end(Catalog._transaction))
            with pytest.raises(Killed):
                prune_as_another(root)

    with monkeypatch.context() as patch:
        in_between(patch, committing._Attempt, "_array_version", prune_and_die)
        record(dataset, "overtaken")
    assert messages(dataset) == ["begin", "auto 2", "by hand", "auto 4", "overtaken"]
    assert dataset.open("latest", return_dict=True)["C"].values[:, 0].tolist() == [1.0, 9.0]


def _killed_at_the_end(real: Callable) -> Callable:
    """A write transaction that dies just before it commits."""
    import contextlib

    @contextlib.contextmanager
    def transaction(self: Catalog, begin: str) -> object:
        with real(self, begin) as connection:
            yield connection
            if begin != "BEGIN":
                raise Killed

    return transaction


def test_damage_is_told_by_a_commit_that_no_prune_overtook(dataset: mvc.Dataset) -> None:
    """Only a prune makes it start over: what is damaged stays damaged."""
    latest = dataset.show("latest")
    dataset.repository.objects.path("checkpoints", latest.id).write_bytes(b"{}")
    save(dataset.path, "C", 11, 12)
    with pytest.raises(DamagedError):
        dataset.record(Request("damaged", wait=0))


def test_a_commit_after_a_prune_stores_again_what_the_working_folder_still_holds(
    dataset: mvc.Dataset, root: Path
) -> None:
    """The record of the working folder names a manifest that is gone: its files are read, not counted on."""
    gone = next(entry.id for entry in dataset.history() if entry.message == "auto 1")
    dataset.restore(f"@{gone}")
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert {each.name: each.state for each in dataset.status()} == {"A": "unchanged", "C": "modified"}
    record(dataset, "again")
    assert dataset.open("latest", return_dict=True)["C"].values[:, 0].tolist() == [1.0, 9.0]
    step(dataset, "and on", 13, 9)
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert_nothing_left_over(root, dataset)


@pytest.mark.parametrize("spec", ["C@{}", "@{}"])
def test_a_restore_that_a_prune_overtakes_changes_nothing(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    """What it was about to bring back is gone: an error, and the folder is as it was."""
    gone = next(entry.id for entry in dataset.history() if entry.message == "auto 1")
    before = tree(root / "m")
    with monkeypatch.context() as patch:
        done = in_between(patch, restoring, "write_arrays", lambda: prune_as_another(root))
        with pytest.raises(DamagedError):
            dataset.restore(spec.format(gone))
    assert len(done[0].checkpoints) == 2
    assert tree(root / "m") == before
    assert list((root / ".minian_vc/staging").iterdir()) == []
    assert_whole(dataset)


def test_uncommitted_work_is_not_taken_for_recorded_by_a_pruned_checkpoint(dataset: mvc.Dataset) -> None:
    """A restore commits first what only a pruned checkpoint had."""
    gone = next(entry.id for entry in dataset.history() if entry.message == "auto 1")
    dataset.restore(f"@{gone}")
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    saved = dataset.restore("@latest").saved_as
    assert saved is not None
    assert dataset.open(saved.id, return_dict=True)["C"].values[0, 0] == 1.0


def test_a_prune_waits_in_line_and_then_is_busy(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody records, nothing is removed."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.0)
    other = mvc.open(root / "m")
    before = objects(root, "chunks")
    with dataset.repository.history(), pytest.raises(BusyError):
        other.prune(automatic=True, grace_days=0, dry_run=False)
    assert objects(root, "chunks") == before
