"""Repositories that earlier versions made, kept as files: every later version reads and continues them."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from make_golden import record, save, told
from pruning import dump, rebuilt

import minian_vc as mvc
from minian_vc.errors import NotFoundError

GOLDEN = sorted((Path(__file__).parents[1] / "data").glob("golden-format-*.tar.xz"))
DATASET = "mouse1/session1/minian_intermediate"


@pytest.fixture(params=GOLDEN, ids=lambda path: path.name.removesuffix(".tar.xz"))
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A golden repository, unpacked."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_there_is_one_of_each_format() -> None:
    """Since pruning and moving tags exist; a format is never without one."""
    assert [path.name for path in GOLDEN] == [f"golden-format-{number}.tar.xz" for number in (2, mvc.config.FORMAT)]


def test_everything_is_read_as_the_version_read_it_that_made_it(golden: Path) -> None:
    """Ids, tags, messages, times, parents, and each value of each array with its coordinates."""
    found = json.loads(json.dumps(told(golden / "lab")))
    assert found == json.loads((golden / "told.json").read_text())
    assert len(found[DATASET]) >= 4


def test_its_catalog_can_be_made_anew(golden: Path) -> None:
    """With the same rows; and what is told after it is the same."""
    mvc.Repository.open(golden / "lab")  # brings the schema up to date
    before = dump(golden / "lab")
    assert rebuilt(golden / "lab") == before
    test_everything_is_read_as_the_version_read_it_that_made_it(golden)


def test_its_history_goes_on(golden: Path) -> None:
    """Commit, tag, restore, undo and prune work on it; what was there stays."""
    dataset = mvc.open(golden / "lab" / DATASET)
    before = [entry.id for entry in dataset.history()]
    save(dataset.path, "C", 100, 9, units=(0, 5))
    record(dataset, "goes on", "new")
    dataset.restore("@first")
    dataset.undo()
    assert {each.name: each.state for each in dataset.status()}["C"] == "unchanged"
    assert dataset["C@new"].values[0, 0] == 100.0
    dataset.prune(keep_last=100, dry_run=False)
    assert [entry.id for entry in dataset.history()][1:] == before
    dataset.undo()
    assert [entry.id for entry in dataset.history()] == before


def test_a_prune_of_format_2_cannot_be_undone_and_one_of_format_3_was(golden: Path) -> None:
    """The first freed at once. The second was undone, redone and undone by the version that made it."""
    dataset = mvc.open(golden / "lab" / DATASET)
    pruned = next(each for each in dataset.operation_log() if each.action == "prune")
    messages = [entry.message for entry in dataset.history()]
    assert ("an automatic one" in messages) is (pruned.undone_by is not None)
    with pytest.raises(NotFoundError, match=r"freed by a prune|no prune in force"):
        dataset.undo(number=pruned.sequence)
