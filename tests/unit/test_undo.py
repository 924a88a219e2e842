"""Undo and redo of commits, tags, restores and prunes, and the log of operations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pruning import dump, messages, notebook, operations, rebuilt, record, save, step

import minian_vc as mvc
from minian_vc import durable
from minian_vc.errors import (
    AlreadyExistsError,
    BusyError,
    DamagedError,
    EnvironmentUnfitError,
    InvalidInputError,
    NotFoundError,
)
from minian_vc.objects import store_object
from minian_vc.verbs import before_restore
from minian_vc.verbs import commit as committing

DAY = 86_400


@pytest.fixture
def dataset(root: Path) -> mvc.Dataset:
    """The notebook's history: begin, auto 1 to 3, by hand, auto 4."""
    return notebook(root)


@pytest.fixture
def days_pass(monkeypatch: pytest.MonkeyPatch) -> object:
    """Move the clocks on by so many days."""

    def passing(days: float) -> None:
        class Later(datetime):
            @classmethod
            def now(cls, _: object = None) -> datetime:
                return datetime.now(UTC) + timedelta(days=days)

        monkeypatch.setattr("minian_vc.verbs.prune.datetime", Later)
        there = durable.file_system_now
        moved = int(days * DAY * 1e9)
        monkeypatch.setattr("minian_vc.verbs.prune.file_system_now", lambda folder: there(folder) + moved)

    return passing


def value(dataset: mvc.Dataset, name: str = "C") -> float:
    """The first value of an array as it lies in the folder."""
    return float(mvc.open_minian(dataset.path, return_dict=True)[name].values[0, 0])


def tags(dataset: mvc.Dataset) -> dict[str, str]:
    """Which checkpoint has which tag, by message."""
    return {tag: entry.message for entry in dataset.history() for tag in entry.tags}


def assert_rebuilt(root: Path) -> None:
    """A catalog made anew from the operation log is identical."""
    before = dump(root)
    assert rebuilt(root) == before


def test_a_commit_is_undone_and_brought_back(dataset: mvc.Dataset, root: Path) -> None:
    """Latest goes back, the folder stays and is uncommitted again; redo gives the same checkpoint."""
    last = dataset.latest
    done = dataset.undo()
    assert [each.action for each in done.operations] == ["commit"]
    assert messages(dataset)[-1] == "by hand"
    assert value(dataset) == 4.0
    assert {each.name: each.state for each in dataset.status()} == {"A": "unchanged", "C": "modified"}
    with pytest.raises(NotFoundError, match="pruned or undone"):
        dataset.show(last.id)
    assert_rebuilt(root)
    assert dataset.undo(redo=True).redo
    assert dataset.latest == last
    assert_rebuilt(root)


def test_undo_goes_back_step_by_step_to_the_beginning_and_forward_again(dataset: mvc.Dataset, root: Path) -> None:
    """Every commit in turn; then there is nothing; redo brings each back, newest last."""
    made, given = messages(dataset), tags(dataset)
    for left in range(len(made) - 1, -1, -1):
        dataset.undo()
        assert messages(dataset) == made[:left]
    assert dataset.latest is None
    with pytest.raises(NotFoundError, match="nothing to undo"):
        dataset.undo()
    assert_rebuilt(root)
    for left in range(1, len(made) + 1):
        dataset.undo(redo=True)
        assert messages(dataset) == made[:left]
    assert tags(dataset) == given
    with pytest.raises(NotFoundError, match="nothing to redo"):
        dataset.undo(redo=True)
    assert_rebuilt(root)


def test_after_something_else_nothing_can_be_redone(dataset: mvc.Dataset, root: Path) -> None:
    """The undone commit stays undone; the new one follows the one before, with a number of its own."""
    undone = dataset.latest
    dataset.undo()
    save(dataset.path, "C", 11, 9)
    new = record(dataset, "instead")
    assert (new.parent, new.sequence) == (dataset.show("latest~1").id, undone.sequence + 1)
    with pytest.raises(NotFoundError, match="something was done since"):
        dataset.undo(redo=True)
    dataset.undo()
    dataset.undo()
    assert messages(dataset) == ["begin", "auto 1", "auto 2", "auto 3"]
    assert_rebuilt(root)


def test_a_tag_is_taken_away_again_and_a_moved_one_goes_back(dataset: mvc.Dataset, root: Path) -> None:
    """Whether it was given by tag, by a commit, or moved by a save."""
    before = tags(dataset)
    dataset.tag("again", "latest~1")
    dataset.undo()
    assert tags(dataset) == before
    save(dataset.path, "C", 12, 9)
    mvc.verbs.commit.commit(
        dataset.repository, dataset._row, mvc.verbs.commit.Request("moves it", "good", wait=0, move_tag=True)
    )
    assert tags(dataset)["good"] == "moves it"
    dataset.undo()
    assert tags(dataset) == before
    assert_rebuilt(root)
    dataset.undo(redo=True)
    assert tags(dataset)["good"] == "moves it"
    assert_rebuilt(root)
    with pytest.raises(AlreadyExistsError):
        dataset.tag("good", "latest~1")


@pytest.mark.parametrize("spec", ["C@begin", "@begin"])
def test_a_restore_is_undone_and_brought_back(dataset: mvc.Dataset, root: Path, spec: str) -> None:
    """The folder is as before, with what was not committed; arrays that the restore took away are there again."""
    save(dataset.path, "S", 3, 3)
    save(dataset.path, "C", 20, 9)
    dataset.restore(spec)
    assert value(dataset) == 6.0
    dataset.undo()
    assert (value(dataset), value(dataset, "S")) == (20.0, 3.0)
    assert {each.name: each.state for each in dataset.status()} == {
        "A": "unchanged", "C": "unchanged", "S": "new" if spec == "C@begin" else "unchanged"
    }  # fmt: skip
    dataset.undo(redo=True)
    assert value(dataset) == 6.0
    assert (dataset.path / "S.zarr").is_dir() is (spec == "C@begin")
    assert_rebuilt(root)


def test_an_array_restored_under_a_new_name_goes_away_again(dataset: mvc.Dataset) -> None:
    """And comes back with redo; the array that it was restored from is not touched."""
    dataset.restore("C@begin", as_="C_begin")
    dataset.undo()
    assert not (dataset.path / "C_begin.zarr").exists()
    dataset.undo(redo=True)
    assert (value(dataset, "C_begin"), value(dataset)) == (6.0, 4.0)


def test_undo_of_a_restore_commits_first_what_was_saved_since(dataset: mvc.Dataset) -> None:
    """Nothing that lies in the folder is lost."""
    dataset.restore("@begin")
    save(dataset.path, "C", 30, 9)
    done = dataset.undo()
    assert done.restored.saved_as is not None
    assert dataset.open(done.restored.saved_as.id, return_dict=True)["C"].values[0, 0] == 30.0
    assert value(dataset) == 4.0


def test_a_prune_is_undone_as_one(dataset: mvc.Dataset, root: Path) -> None:
    """All its checkpoints are back, in their places, and open; and it can be done again."""
    made = messages(dataset)
    done = dataset.prune(automatic=True, dry_run=False)
    assert (len(done.checkpoints), done.freed_objects, done.waiting_bytes > 0) == (2, 0, True)
    assert_rebuilt(root)
    taken_back = dataset.undo()
    assert [each.action for each in taken_back.operations] == ["prune", "prune"]
    assert messages(dataset) == made
    assert [entry.parent for entry in dataset.history()][:-1] == [entry.id for entry in dataset.history()][1:]
    for entry in dataset.history():
        assert dataset.open(entry.id, return_dict=True)["C"].shape == (2, 64)
    assert_rebuilt(root)
    dataset.undo(redo=True)
    assert messages(dataset) == ["begin", "auto 2", "by hand", "auto 4"]
    assert_rebuilt(root)


def test_what_is_dropped_is_freed_when_the_grace_is_over(dataset: mvc.Dataset, root: Path, days_pass: object) -> None:
    """Not before; then by the next prune, and the prune cannot be undone any more."""
    dataset.prune(automatic=True, dry_run=False)
    days_pass(6.9)
    assert dataset.prune(dry_run=False).freed_objects == 0
    days_pass(7.1)
    done = dataset.prune(dry_run=False)
    assert (done.checkpoints, done.freed_objects, done.waiting_bytes) == ((), 4, 0)
    assert operations(root)[-1] == "sweep"
    with pytest.raises(NotFoundError, match="freed by a prune"):
        dataset.undo(number=8)
    undone = dataset.undo()
    assert [each.action for each in undone.operations] == ["commit"]
    assert undone.passed_over == (7,)  # the prune: that is said
    assert "passed over: operation 7." in repr(undone)
    assert messages(dataset) == ["begin", "auto 2", "by hand"]
    assert_rebuilt(root)


def test_an_undone_commit_and_the_state_before_a_restore_have_their_grace(
    dataset: mvc.Dataset, days_pass: object
) -> None:
    """Their bytes stay as long as undo or redo may want them, and go after that."""
    dataset.restore("C@begin")
    dataset.undo()
    dataset.undo()  # of auto 4
    days_pass(6.9)
    assert dataset.prune(dry_run=False).freed_objects == 0
    dataset.undo(redo=True)
    dataset.undo(redo=True)
    assert value(dataset) == 6.0
    dataset.undo()
    dataset.undo()
    days_pass(8)
    assert dataset.prune(dry_run=False).freed_objects > 0
    with pytest.raises(NotFoundError, match="freed by a prune"):
        dataset.undo(redo=True)


def test_what_a_stopped_commit_left_waits_too(dataset: mvc.Dataset, days_pass: object) -> None:
    """It may be of a commit under way: objects that nothing explains go when they are older than the grace."""
    store_object(dataset.repository.objects, "chunks", b"x" * 1000)
    assert dataset.prune(dry_run=False).freed_objects == 0
    days_pass(7.1)
    assert dataset.prune(dry_run=False).freed_objects == 1


def test_missing_history_is_not_taken_for_garbage(dataset: mvc.Dataset, root: Path) -> None:
    """Where more than half of the objects were never recorded, nothing is removed unless that is said."""
    for number in range(40):
        store_object(dataset.repository.objects, "chunks", b"%d" % number * 1000)
    with pytest.raises(DamagedError, match="history were missing"):
        dataset.prune(grace_days=0, dry_run=False)
    assert dataset.prune(grace_days=0, leftovers=True, dry_run=False).freed_objects == 40
    assert operations(root)[-1] == "sweep"


def test_a_clock_that_is_behind_stops_a_prune(dataset: mvc.Dataset, days_pass: object) -> None:
    """By more than five minutes: nobody can tell what is old."""
    days_pass(-1)
    with pytest.raises(EnvironmentUnfitError, match="1440 minutes apart"):
        dataset.prune(automatic=True, dry_run=False)
    assert len(messages(dataset)) == 6


def test_each_dataset_has_its_own_undo(dataset: mvc.Dataset, root: Path) -> None:
    """What was done elsewhere in the repository is neither undone nor in the way of a redo."""
    other = notebook(root, "other")
    dataset.undo()
    other.undo()
    assert messages(dataset)[-1] == messages(other)[-1] == "by hand"
    step(other, "auto 5", 13, 9)
    dataset.undo(redo=True)
    assert (messages(dataset)[-1], messages(other)[-1]) == ("auto 4", "auto 5")
    assert_rebuilt(root)


def test_the_log_of_operations_says_what_was_done_and_what_is_taken_back(dataset: mvc.Dataset) -> None:
    """Newest first, with the number of the undo."""
    dataset.restore("C@begin")
    dataset.undo()
    newest = dataset.operation_log(3)
    assert [(each.action, each.undone_by) for each in newest] == [
        ("undo", None), ("restore", newest[0].sequence), ("commit", None)
    ]  # fmt: skip
    assert newest[1].what == "restore of C@begin"
    assert "undo of restore of C@begin" in newest[0].what
    frame = dataset.operations()
    assert list(frame["sequence"]) == list(range(len(frame), 0, -1))


def test_somebody_elses_undo_is_not_done_twice(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two undos of one restore at the same time one is refused, and the folder is as the other left it."""
    dataset.restore("@begin")
    import minian_vc.verbs.restore as restoring

    real = restoring.write_arrays

    def overtaken(*arguments: object, **options: object) -> None:
        monkeypatch.setattr(restoring, "write_arrays", real)
        mvc.open(root / "m").undo()
        real(*arguments, **options)

    monkeypatch.setattr(restoring, "write_arrays", overtaken)
    with pytest.raises(BusyError, match="Somebody else"):
        dataset.undo()
    assert value(dataset) == 4.0


def test_a_prune_can_be_undone_though_other_things_were_done_since(dataset: mvc.Dataset, root: Path) -> None:
    """By its number; its checkpoints are back in their places."""
    made = messages(dataset)
    dataset.prune(automatic=True, dry_run=False)
    step(dataset, "auto 5", 13, 9)
    number = next(each.sequence for each in dataset.operation_log() if each.action == "prune")
    dataset.undo(number=number)
    assert messages(dataset) == [*made, "auto 5"]
    assert_rebuilt(root)
    for wrong in (number, 1, 99):
        with pytest.raises(NotFoundError, match="no prune in force"):
            dataset.undo(number=wrong)


def test_no_grace_is_for_the_dataset_that_is_pruned(dataset: mvc.Dataset, root: Path) -> None:
    """What another one dropped keeps its own."""
    other = notebook(root, "other")
    save(other.path, "C", 77, 9)
    record(other, "only here")
    other.undo()
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert other.undo(redo=True)
    assert other.open("latest", return_dict=True)["C"].values[0, 0] == 77.0


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_log_that_lost_its_end_stops_everything(dataset: mvc.Dataset, root: Path, missing: int) -> None:
    """What it does not name must not be taken for garbage, and no number is given twice."""
    log = sorted((root / ".minian_vc/operations").iterdir())
    for path in log[-missing:]:
        path.unlink()
    before = dump(root)
    for command in (
        lambda: dataset.prune(automatic=True, grace_days=0, dry_run=False),
        lambda: step(dataset, "new", 14, 9),
        lambda: dataset.undo(),
    ):
        with pytest.raises(DamagedError, match="operation"):
            command()
    assert dump(root) == before


def test_a_gap_in_the_log_is_damage_however_wide(dataset: mvc.Dataset, root: Path) -> None:
    """A catalog made anew from the part before it would be a shorter history."""
    log = sorted((root / ".minian_vc/operations").iterdir())
    for path in log[1:4]:
        path.unlink()
    (root / ".minian_vc/catalog.sqlite").unlink()
    with pytest.raises(DamagedError, match="00000002 is missing"):
        mvc.Repository.open(root)


def test_a_restore_that_a_prune_overtakes_leaves_the_only_copy(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lay in the folder was recorded when it was looked at, and is not any more: nothing is swapped."""
    dataset.restore("@" + dataset.history()[4].id)  # auto 1, which prune drops
    real = before_restore.recorded

    def overtaken(*arguments: object) -> object:
        mvc.open(root / "m").prune(automatic=True, grace_days=0, dry_run=False)
        return real(*arguments)

    monkeypatch.setattr("minian_vc.verbs.restore.recorded", overtaken)
    with pytest.raises(BusyError, match="A prune ran meanwhile"):
        dataset.restore("@begin")
    assert value(dataset) == 1.0


def test_a_commit_that_a_restore_overtakes_records_what_lies_there(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older cut of the folder must not become the newest checkpoint, though the restore made none."""
    dataset.restore("C@begin")
    real = committing._Attempt._array_version
    done = []

    def overtaken(self: object, *arguments: object) -> object:
        if not done:
            done.append(mvc.open(root / "m").undo())
        return real(self, *arguments)

    monkeypatch.setattr(committing._Attempt, "_array_version", overtaken)
    assert not dataset.record(committing.Request("overtaken", wait=0)).created
    assert (value(dataset), dataset.show("latest").message) == (4.0, "auto 4")


def test_two_first_commits_with_one_tag_are_told_apart(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is refused, though the dataset did not exist when it began."""
    save(root / "new", "C", 1, 9)
    one, other = (mvc.open(root / "new") for _ in range(2))
    real = committing._Attempt._array_version
    done = []

    def overtaken(self: object, *arguments: object) -> object:
        if not done:
            done.append(1)
            record(other, "other", "v1")
            save(root / "new", "C", 2, 9)
        return real(self, *arguments)

    monkeypatch.setattr(committing._Attempt, "_array_version", overtaken)
    with pytest.raises(AlreadyExistsError):
        one.record(committing.Request("one", "v1", wait=3))
    assert tags(one) == {"v1": "other"}


def test_an_array_recorded_without_its_bytes_does_not_stand_in_the_way(dataset: mvc.Dataset) -> None:
    """Undo of a restore over it leaves it, and brings back the others."""
    dataset.repository.configure("record_without_bytes", "A")
    save(dataset.path, "A", 70, 80)
    dataset.record(committing.Request("without bytes", wait=0))
    dataset.restore("C@begin")
    dataset.undo()
    assert (value(dataset), value(dataset, "A")) == (4.0, 70.0)


def test_a_prune_killed_after_the_manifests_is_completed(
    dataset: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunk objects are known to be garbage, however many, though no manifest names them any more."""
    for number in range(60):
        save(dataset.path, "C", *(1000 * number + row for row in range(3)))
        record(dataset, f"many {number}", automatic="notebook")
    real = Path.unlink
    removed = []

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.parts[-3] == "chunks":
            raise PermissionError(13, "Permission denied", str(self))
        removed.append(self)
        real(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(mvc.errors.StorageError):
            dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert sum(path.parts[-3] == "manifests" for path in removed) > 60
    assert dataset.prune(grace_days=0, dry_run=False).freed_objects > 150
    assert list((root / ".minian_vc/staging").iterdir()) == []


@pytest.mark.parametrize("name", ["c", "\u0043\u0301"])
def test_a_restore_under_a_name_that_is_another_arrays_somewhere_is_refused(dataset: mvc.Dataset, name: str) -> None:
    """Where case or Unicode form does not count it would replace that array; both are named."""
    save(dataset.path, "\u0106", 5, 9)
    with pytest.raises(InvalidInputError, match="would be one name"):
        dataset.restore("C@begin", as_=name)
    assert len(list(dataset.path.iterdir())) == 3
