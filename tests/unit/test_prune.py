"""prune: what it drops, what it keeps, and what the history looks like afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import tree
from old_catalogs import take_back_to
from pruning import (
    AUTOMATIC,
    CHUNKS,
    FRAMES,
    assert_nothing_left_over,
    assert_whole,
    dump,
    messages,
    needed,
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
from minian_vc.catalog import queries
from minian_vc.catalog.queries import LogEntry
from minian_vc.errors import DamagedError, EnvironmentUnfitError, InvalidInputError, NotFoundError
from minian_vc.model import Operation, to_document
from minian_vc.verbs.retention import Retention
from minian_vc.verbs.tag import tag_checkpoint

__all__ = ["nothing_is_remembered"]  # a fixture for every test here


@pytest.fixture
def dataset(root: Path) -> mvc.Dataset:
    """The notebook's history, not pruned yet."""
    return notebook(root)


# -- which checkpoints ------------------------------------------------------------------------


def entry(name: str, automatic: str | None, *tags: str, day: int = 1) -> LogEntry:
    """A checkpoint in a log."""
    return LogEntry(name, tags, "", "", f"2026-01-{day:02}T12:00:00.000000Z", None, 0, (), automatic)


@pytest.mark.parametrize(
    ("keep", "expected"), [(0, ["d", "c", "a"]), (1, ["d", "c", "a"]), (2, ["c", "a"]), (4, ["a"]), (9, [])]
)
def test_the_newest_automatic_ones_can_be_kept(keep: int, expected: list[str]) -> None:
    """Kept ones are counted over all automatic ones, the latest and the tagged too; by hand and restore stay."""
    made = [("latest", "notebook"), ("d", "notebook"), ("hand", None), ("back", "restore"), ("c", "notebook")]
    history = [entry(*each) for each in made] + [entry("b", "notebook", "good"), entry("a", "notebook")]
    assert [each.id for each in Retention(automatic=True, keep_last=keep).to_drop(history, "latest")] == expected


DAYS = [entry("e", None, day=4), entry("d", None, day=3), entry("c", "restore", day=3), entry("b", None, "good", day=3)]
DAYS += [entry("a", "notebook", day=1)]


@pytest.mark.parametrize(
    ("rules", "dropped"),
    [
        ({}, ""),
        ({"automatic": True}, "a"),
        ({"keep_last": 0}, "dca"),
        ({"keep_last": 2}, "ca"),
        ({"keep_daily": 2}, "ca"),
        ({"keep_daily": 3}, "c"),
        ({"keep_daily": 1, "keep_last": 3}, "a"),
        ({"automatic": True, "keep_daily": 1}, ""),
    ],
)
def test_a_checkpoint_stays_if_any_rule_keeps_it(rules: dict, dropped: str) -> None:
    """The latest and tagged ones always do; of a day the newest does; without a rule all do."""
    assert "".join(each.id for each in Retention(**rules).to_drop(DAYS, "e")) == dropped


def test_untagged_automatic_checkpoints_go_and_all_others_stay_whole(dataset: mvc.Dataset, root: Path) -> None:
    """Their objects are gone, everything else is there, and every remaining array opens."""
    before = objects(root, "chunks")
    done = dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert [each.message for each in done.checkpoints] == ["auto 3", "auto 1"]
    assert messages(dataset) == ["begin", "auto 2", "by hand", "auto 4"]
    assert_whole(dataset)
    assert_nothing_left_over(root, dataset)
    assert len(before - objects(root, "chunks")) == 2  # one row of C in each
    assert operations(root)[-2:] == ["prune", "prune"]
    assert dataset.prune(automatic=True, grace_days=0, dry_run=False).checkpoints == ()


def test_what_is_freed_is_what_the_disk_gets_back(dataset: mvc.Dataset, root: Path) -> None:
    """The bytes and the number told by a dry run, by the run itself, and by the file system are the same."""

    def stored() -> dict[str, int]:
        folder = root / ".minian_vc/objects"
        return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}

    before = stored()
    told = dataset.prune(automatic=True, grace_days=0)
    done = dataset.prune(automatic=True, grace_days=0, dry_run=False)
    gone = before.keys() - stored().keys()
    assert (told.dry_run, done.dry_run) == (True, False)
    assert (told.freed_bytes, told.freed_objects) == (done.freed_bytes, done.freed_objects)
    assert (done.freed_bytes, done.freed_objects) == (sum(before[path] for path in gone), len(gone))
    assert len(gone) == 4


def test_a_dry_run_changes_nothing(dataset: mvc.Dataset, root: Path) -> None:
    """It is what happens unless asked otherwise; not one byte below the root differs."""
    before = tree(root)
    assert [each.message for each in dataset.prune(automatic=True).checkpoints] == ["auto 3", "auto 1"]
    assert tree(root) == before


def test_what_is_not_said_is_not_done(dataset: mvc.Dataset, root: Path) -> None:
    """Without a rule no checkpoint is dropped; a negative number, or no checkpoint at all, is refused."""
    before = tree(root / ".minian_vc")
    done = dataset.prune(grace_days=0, dry_run=False)
    assert (done.checkpoints, done.freed_objects, repr(done)) == ((), 0, "There is nothing to prune.")
    for wrong in ({"keep_last": -1}, {"keep_daily": -1}, {"grace_days": -1.0}, {"grace_days": float("nan")}):
        with pytest.raises(InvalidInputError):
            dataset.prune(**{"automatic": True, "dry_run": False, **wrong})
    save(root / "new", "A", 1)
    with pytest.raises(NotFoundError, match="no checkpoint"):
        mvc.open(root / "new").prune(automatic=True, grace_days=0, dry_run=False)
    assert tree(root / ".minian_vc") == before


def test_what_a_restore_recorded_of_uncommitted_work_stays(dataset: mvc.Dataset) -> None:
    """It is automatic, and may be the only copy of the work."""
    save(dataset.path, "C", 12, 9)
    assert dataset.restore("@begin").saved_as is not None
    step(dataset, "later", 1, 1, by_hand=True)
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    (saved,) = [each for each in dataset.history() if each.automatic == "restore"]
    assert dataset.open(saved.id, return_dict=True)["C"].values[0, 0] == 12.0


def test_what_another_dataset_needs_stays(dataset: mvc.Dataset, root: Path) -> None:
    """The same rows under another dataset's checkpoint are not freed, though that dataset's folder is gone."""
    save(root / "other", "C", 1, 9)
    other = mvc.open(root / "other")
    record(other, "the same as auto 1", "same")
    (root / "other").rename(root.parent / "away")
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    other = mvc.Dataset(dataset.repository, "other")
    assert other.open("same", return_dict=True)["C"].values[:, 0].tolist() == [1.0, 9.0]
    assert_nothing_left_over(root, dataset, other)


def test_checkpoints_of_other_datasets_are_not_dropped(dataset: mvc.Dataset, root: Path) -> None:
    """Only the dataset that was asked for is pruned."""
    other = notebook(root, "other")
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert len(other.history()) == 6
    assert_whole(other)
    assert_nothing_left_over(root, dataset, other)


def test_parts_of_split_manifests_are_kept_and_freed_one_by_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pruned version of many chunks loses the root, the one part and the one chunk that are its own."""
    folder = root / "m"
    split_small(monkeypatch)
    for number, options in enumerate([{}, AUTOMATIC, {}], 1):
        write_wide(folder / "motion.zarr", float(number))
        record(mvc.open(folder), f"step {number}", **options)
    dataset = mvc.open(folder)
    before = objects(root, "manifests"), objects(root, "chunks")
    done = dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert [each.message for each in done.checkpoints] == ["step 2"]
    assert_nothing_left_over(root, dataset)
    assert len(before[0] - objects(root, "manifests")) == 2
    assert len(before[1] - objects(root, "chunks")) == 1
    opened = [dataset.open(f"latest~{n}", return_dict=True)["motion"].values for n in (0, 1)]
    assert [values[0] for values in opened] == [3.0, 1.0]
    assert all(values[-1] == CHUNKS * FRAMES - 1 for values in opened)


def test_bytes_that_a_version_recorded_without_them_counts_on_stay(root: Path) -> None:
    """Policy changed and changed back: the third checkpoint records with its bytes what the first had stored."""
    save(root / "m", "C", 1, 9)
    dataset = mvc.open(root / "m")
    record(dataset, "with", **AUTOMATIC)
    dataset.repository.configure("record_without_bytes", "C")
    without = record(dataset, "without").arrays[0]
    assert [each.message for each in dataset.prune(automatic=True, grace_days=0, dry_run=False).checkpoints] == ["with"]
    assert dataset.repository.objects.read_manifest(without.manifest)
    dataset.repository.configure("record_without_bytes", "")
    record(dataset, "with again", "again")
    assert dataset.open("again", return_dict=True)["C"].values[:, 0].tolist() == [1.0, 9.0]


def test_files_that_are_no_objects_stay(dataset: mvc.Dataset, root: Path) -> None:
    """Staged and displaced files, and whatever lies among the objects under another name, are not ours to delete."""
    ours = root / ".minian_vc"
    kept = [ours / place for place in ("staging/batch-1/x", "displaced/1/C.zarr/C/0.0", "objects/chunks/README")]
    shard = next((ours / "objects/chunks").iterdir())
    kept += [shard / "notes.txt", shard / ("0" * 61 + "X"), ours / "objects/other/00" / ("0" * 62)]
    kept += [ours / "objects/chunks/backup" / ("0" * 62)]
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ("0" * 62)).write_bytes(b"x")
    shards = {path.name for path in (ours / "objects/chunks").iterdir()}
    link = ours / "objects/chunks" / next(f"{n:02x}" for n in range(256) if f"{n:02x}" not in shards)
    link.symlink_to(elsewhere)
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert all(path.read_bytes() == b"x" for path in kept)
    assert (link / ("0" * 62)).read_bytes() == b"x"


# -- the history afterwards -------------------------------------------------------------------


def test_a_pruned_checkpoint_is_skipped_by_everything_that_counts(dataset: mvc.Dataset) -> None:
    """``latest~2``, parents, ``log --array`` and ``units`` go from one remaining checkpoint to the next."""
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    history = dataset.history()
    assert [dataset.show(f"latest~{n}").message for n in range(4)] == ["auto 4", "by hand", "auto 2", "begin"]
    assert [each.parent for each in history] == [*(each.id for each in history[1:]), None]
    assert [dataset.show(each.id).parent for each in history] == [each.parent for each in history]
    assert [each.id for each in dataset.history(array="C")] == [each.id for each in history]
    assert [each.message for each in dataset.history(array="A")] == ["begin"]
    assert [each.checkpoint for each in dataset.units()] == [each.id for each in reversed(history)]
    with pytest.raises(NotFoundError, match="does not go back that far"):
        dataset.show("latest~4")


def test_a_new_version_that_only_a_pruned_checkpoint_shared_is_the_next_ones(root: Path) -> None:
    """``log --array`` names the first remaining checkpoint that holds the version."""
    save(root / "m", "A", 1)
    dataset = mvc.open(root / "m")
    record(dataset, "begin")
    save(root / "m", "A", 2)
    record(dataset, "auto", **AUTOMATIC)
    save(root / "m", "C", 3)
    record(dataset, "by hand")
    assert [each.message for each in dataset.history(array="A")] == ["auto", "begin"]
    assert [each.message for each in dataset.history(array="A", manual=True)] == ["by hand", "begin"]
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert [each.message for each in dataset.history(array="A")] == ["by hand", "begin"]
    assert dataset.open("latest", return_dict=True)["A"].values[0, 0] == 2.0


def test_a_pruned_checkpoint_is_not_found_and_it_is_said_why(dataset: mvc.Dataset) -> None:
    """By any beginning of its id; a tag cannot be given to it even by whoever looked it up before."""
    gone = next(each for each in dataset.history() if each.message == "auto 1")
    checkpoint = dataset.show(gone.id)
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    with dataset.repository.catalog.read() as connection:
        day = queries.pruned_at(connection, gone.id)
    assert day
    acts = [
        lambda: dataset.show(gone.id),
        lambda: dataset.show(f"@{gone.id.removeprefix('blake3:')[:12]}~1"),
        lambda: dataset.restore(f"C@{gone.id}"),
        lambda: dataset.open(gone.id),
        lambda: dataset.tag("late", gone.id),
        lambda: tag_checkpoint(dataset.repository, dataset._row, "late", checkpoint),
    ]
    for act in acts:
        with pytest.raises(NotFoundError, match=f"was pruned or undone on {day[:10]}"):
            act()
    assert "late" not in {tag for each in dataset.history() for tag in each.tags}


def test_the_catalog_forgets_what_only_pruned_checkpoints_held(root: Path) -> None:
    """Array versions, units and sessions are no longer found, and a manifest no longer counts as recorded."""
    save(root / "m", "C", 1, 9)
    dataset = mvc.open(root / "m")
    record(dataset, "begin")
    save(root / "m", "C", 2, 3, units=(41, 42), animal="m2")
    gone = record(dataset, "auto", **AUTOMATIC).arrays[0].manifest
    save(root / "m", "C", 2, 9)
    record(dataset, "by hand")
    repository = dataset.repository
    assert len(repository.arrays(unit_id=41)) == 1
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert len(repository.arrays(unit_id=41)) == 0
    assert set(repository.arrays(name="C")["checkpoint"]) == {each.id for each in dataset.history()}
    with repository.catalog.read() as connection:
        assert queries.recorded_manifests(connection, [gone]) == set()
    text = "\n".join(dump(root))
    assert gone not in text
    assert "[41, 42]" not in text  # the coordinate
    assert not [line for line in text.splitlines() if '"unit_set_member"' in line and "'42'" in line]
    for table in ("unit_set", "session"):
        assert len([line for line in text.splitlines() if line.startswith(f'INSERT INTO "{table}" ')]) == 1


def test_the_documents_stay_and_the_chain_can_be_followed(dataset: mvc.Dataset, root: Path) -> None:
    """Every checkpoint document is there, and each names as parent one that is."""
    before = {each.id for each in dataset.history()}
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    documents = [dataset.repository.checkpoint(each) for each in before]
    assert {each.parent for each in documents} <= before | {None}
    assert objects(root, "checkpoints") == {each.removeprefix("blake3:") for each in before}


def test_log_tells_automatic_checkpoints_apart(dataset: mvc.Dataset) -> None:
    """In the entries and in the DataFrame; ``manual`` leaves them out, also between two versions of an array."""
    assert [each.automatic for each in reversed(dataset.history())] == [
        None,
        *["notebook"] * 3,
        None,
        "notebook",
    ]
    column = dataset.log()["automatic"]
    assert column[column.notna()].index.tolist() == [0, 2, 3, 4]
    assert set(column.dropna()) == {"notebook"}
    assert dataset.log(manual=True)["message"].tolist() == ["by hand", "begin"]
    assert [each.message for each in dataset.history(manual=True, array="C")] == ["by hand", "begin"]
    assert [each.message for each in dataset.history(1, manual=True)] == ["by hand"]


# -- the fold of the operation log ------------------------------------------------------------


def test_a_catalog_made_anew_is_the_same_after_prunes(dataset: mvc.Dataset, root: Path) -> None:
    """Ids, values of coordinates that a pruned checkpoint brought first, and rows made after a prune included."""
    save(root / "m", "C", 1, 2, 3, units=(5, 6, 7))
    record(dataset, "auto: new units", **AUTOMATIC)
    save(root / "m", "C", 4, 5, 6, units=(5, 6, 7))
    record(dataset, "by hand: the same units")
    save(root / "m", "C", 4, 5, units=(51, 52))
    record(dataset, "auto: units of its own", **AUTOMATIC)
    step(dataset, "auto 5", 6, 9)
    dataset.prune(automatic=True, keep_last=1, grace_days=0, dry_run=False)
    step(dataset, "auto 6", 8, 9)
    step(dataset, "after", 9, 9, by_hand=True)
    before = dump(root)
    assert rebuilt(root) == before
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    step(dataset, "last", 10, 9, by_hand=True)
    before = dump(root)
    assert "[5, 6, 7]" in "\n".join(before)
    assert "[51, 52]" not in "\n".join(before)
    assert rebuilt(root) == before
    assert_nothing_left_over(root, mvc.open(root / "m"))


@pytest.mark.parametrize("age", range(6))
def test_a_catalog_from_a_backup_catches_up_with_a_prune(root: Path, age: int) -> None:
    """Wherever in the history the backup was made: before the pruned checkpoints, among them, after them."""
    path = root / ".minian_vc/catalog.sqlite"
    backups = []
    save(root / "m", "A", 1, 2)
    dataset = mvc.open(root / "m")
    for number in range(5):
        backups.append(path.read_bytes())
        save(root / "m", "C", number, 9, units=(number, number + 1))
        record(dataset, f"{number}", **(AUTOMATIC if number % 2 else {}))
    backups.append(path.read_bytes())
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    before = dump(root)
    path.write_bytes(backups[age])
    assert messages(mvc.open(root / "m")) == ["0", "2", "4"]
    assert dump(root) == before


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_catalog_of_an_earlier_schema_is_brought_up_to_date(dataset: mvc.Dataset, root: Path, revision: str) -> None:
    """It gets the columns, keeps its rows, and can then be pruned."""
    before = dump(root)
    take_back_to(root / ".minian_vc/catalog.sqlite", revision)
    assert dump(root) != before
    dataset = mvc.open(root / "m")
    assert dump(root) == before
    assert len(dataset.prune(automatic=True, grace_days=0, dry_run=False).checkpoints) == 2
    assert messages(mvc.open(root / "m")) == ["begin", "auto 2", "by hand", "auto 4"]


def test_an_operation_of_an_unknown_kind_is_a_newer_programs() -> None:
    """It is never taken for one that changes nothing."""
    digest = f"blake3:{'0' * 64}"
    body = {"sequence": 1, "previous": None, "dataset": "u", "path": "m", "checkpoint": digest, "tag": None}
    document = {**body, "created_at": "2025-01-01T00:00:00.000000Z"}
    for action in ("commit", "tag", "restore", "prune", "undo", "sweep"):
        assert Operation.from_document(to_document("operation", {**document, "action": action})).action == action
    with pytest.raises(EnvironmentUnfitError, match="newer"):
        Operation.from_document(to_document("operation", {**document, "action": "forget", "path": None}))
    for action in (["prune"], None):
        with pytest.raises(DamagedError, match="action"):
            Operation.from_document(to_document("operation", {**document, "action": action}))


def test_a_pruned_repository_has_format_3(dataset: mvc.Dataset, root: Path) -> None:
    """From the first operation on that a program of format 1 does not know; saying what would be done is none."""
    dataset.prune(automatic=True)
    assert mvc.Repository.find(root).config.format == 1
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert mvc.Repository.find(root).config.format == 3


def test_needed_is_told_independently(dataset: mvc.Dataset, root: Path) -> None:
    """The test's own reading of the store agrees with a store that was never pruned."""
    assert needed(root, dataset) == (objects(root, "manifests"), objects(root, "chunks"))
