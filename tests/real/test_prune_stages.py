"""A real run recorded by a notebook, and pruned: everything that remains is byte for byte what MiniAn saved."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import INTERMEDIATE, STAGES, put_stage, tree
from originals import assert_same, originals

import minian_vc as mvc
from minian_vc.errors import NotFoundError
from minian_vc.objects import stored_files
from minian_vc.verbs.commit import Request

TAGGED = (STAGES[0], STAGES[3])
AUTOMATIC = {"automatic": "notebook"}
FINAL = "mouse1/session1/minian"


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read each manifest from the disk, as a new process would: one that is gone must be missed."""
    monkeypatch.setattr("minian_vc.objects.stored_files._load_manifest", stored_files._load_manifest.__wrapped__)


@pytest.fixture
def dataset(stages: Path, root: Path) -> mvc.Dataset:
    """Every stage that changes anything, recorded after its cell; two have tags."""
    for stage in STAGES[:-1]:
        folder = put_stage(stages, stage, root)
        tag = stage if stage in TAGGED else None
        mvc.open(folder).record(Request(stage, tag, provenance=AUTOMATIC, wait=0))
    return mvc.open(folder)


def restored(dataset: mvc.Dataset, revision: str, to: Path) -> dict[str, bytes]:
    """The files of a checkpoint, written elsewhere."""
    dataset.restore(f"@{revision}", to=to)
    return tree(to)


def test_what_remains_of_a_real_run_is_what_minian_saved(dataset: mvc.Dataset, stages: Path, tmp_path: Path) -> None:
    """Every array of every remaining checkpoint opens with its values and is restored byte for byte."""
    before = {entry.message: entry.id for entry in dataset.history()}
    done = dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert [entry.message for entry in done.checkpoints] == [STAGES[4], STAGES[2], STAGES[1]]
    assert [entry.message for entry in dataset.history()] == [STAGES[5], STAGES[3], STAGES[0]]
    for entry in dataset.history():
        saved = stages / entry.message / INTERMEDIATE
        opened = dataset.open(entry.id, return_dict=True)
        truth = originals(saved)
        assert opened.keys() == truth.keys()
        for name, array in opened.items():
            assert_same(array, truth[name])
        assert restored(dataset, entry.id, tmp_path / entry.message) == tree(saved)
    for stage in (STAGES[1], STAGES[2], STAGES[4]):
        with pytest.raises(NotFoundError, match="was pruned or undone on"):
            dataset.open(before[stage])


def test_the_store_shrinks_to_what_the_remaining_stages_take_alone(
    dataset: mvc.Dataset, stages: Path, tmp_path: Path
) -> None:
    """The chunks and manifests are those of a repository in which only the remaining stages were ever recorded."""
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    other = tmp_path / "other"
    other.mkdir()
    mvc.Repository.create(other)
    for stage in (STAGES[0], STAGES[3], STAGES[5]):
        mvc.open(put_stage(stages, stage, other)).commit(stage)
    for kind in ("chunks", "manifests"):
        one, two = (tree(root / ".minian_vc/objects" / kind) for root in (dataset.repository.root, other))
        assert {name: content for name, content in one.items() if content is not None} == two


def test_what_another_dataset_of_the_animal_holds_is_kept(
    dataset: mvc.Dataset, stages: Path, root: Path, tmp_path: Path
) -> None:
    """A copy of a pruned stage in another dataset is whole, though its bytes were stored for the pruned one."""
    copy = mvc.open(put_stage(stages, STAGES[2], root).rename(root / "copy"))
    assert copy.record(Request("copy", "copy", wait=0)).stored_bytes == 0
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    assert restored(copy, "copy", tmp_path / "back") == tree(stages / STAGES[2] / INTERMEDIATE)


def test_units_and_diff_go_over_what_was_pruned(dataset: mvc.Dataset) -> None:
    """The merge is still noticed where the steps around it are gone; a pruned step has no entry."""
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    history = dataset.history()
    entries = dataset.units()
    assert [entry.checkpoint for entry in entries] == [entry.id for entry in reversed(history)]
    assert "C" in entries[-1].renumbered
    states = {change.name: change.state for change in dataset.diff("latest~1", "latest")}
    assert states["C"] == "modified"


def test_the_notebook_goes_on_after_a_prune(dataset: mvc.Dataset, stages: Path, root: Path) -> None:
    """A stage that was pruned and comes again is stored again, whole, and can be brought back in place."""
    dataset.prune(automatic=True, grace_days=0, dry_run=False)
    folder = put_stage(stages, STAGES[2], root)
    again = dataset.record(Request("again", "again", provenance=AUTOMATIC, wait=0))
    assert again.created
    put_stage(stages, STAGES[5], root)
    dataset.restore("@again")
    assert tree(folder) == tree(stages / STAGES[2] / INTERMEDIATE)
