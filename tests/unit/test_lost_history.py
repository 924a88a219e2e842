"""What is done where the log, the settings or the way to the history are lost: nothing is taken for whole or new."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
from pruning import assert_whole, dump, messages, notebook, objects, record, save

import minian_vc as mvc
from minian_vc.doctor import examine
from minian_vc.errors import DamagedError, InvalidInputError
from minian_vc.verbs.commit import Request

OPERATIONS, CATALOG, CONFIG = ".minian_vc/operations", ".minian_vc/catalog.sqlite", ".minian_vc/config.json"


@pytest.fixture
def dataset(root: Path) -> mvc.Dataset:
    """The notebook's history: six checkpoints."""
    return notebook(root)


def lose_log(root: Path, keep: int) -> None:
    """Lose the catalog, and the operations after so many."""
    (root / CATALOG).unlink()
    for path in (root / OPERATIONS).iterdir():
        if int(path.name) > keep:
            path.unlink()


@pytest.mark.parametrize("folder", ["empty", "gone"])
def test_without_log_and_catalog_nothing_begins_anew(dataset: mvc.Dataset, root: Path, folder: str) -> None:
    """Every command says that operations are lost, each time; verify finds it, nothing heals it, nothing is freed."""
    before = objects(root, "chunks")
    lose_log(root, 0)
    if folder == "gone":
        (root / OPERATIONS).rmdir()
    for _ in range(2):
        with pytest.raises(DamagedError, match=r"has lost operations: 5 checkpoints.*\n.*backup"):
            mvc.open(dataset.path)
    assert [each.kind for each in mvc.verify(root).damage if each.serious] == ["operation"]
    assert not mvc.repair(root, dry_run=False).whole
    with pytest.raises(DamagedError, match="has lost operations"):
        mvc.rebuild(root)
    assert objects(root, "chunks") == before


def test_a_log_that_lost_its_end_is_damaged(dataset: mvc.Dataset, root: Path) -> None:
    """Even if the catalog is gone as well: its checkpoints tell. Nothing of theirs is pruned."""
    before = objects(root, "chunks")
    lose_log(root, 4)
    assert {each.kind: each.path.name for each in mvc.verify(root).damage} == {
        "operation": "operations",
        "catalog": "catalog.sqlite",
    }
    shorter = mvc.open(dataset.path)
    assert messages(shorter) == ["begin", "auto 1", "auto 2", "auto 3"]
    with pytest.raises(DamagedError, match="has lost operations: 1 checkpoint "):
        shorter.prune(grace_days=0, leftovers=True, dry_run=False)
    assert objects(root, "chunks") == before


def test_what_a_first_commit_left_is_no_lost_history(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It died before its operation: the repository is as if it had never begun."""
    save(root / "m", "C", 1, 2)
    new = mvc.open(root / "m", create=True)
    with monkeypatch.context() as patch:
        patch.setattr(new.repository.operations, "publish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            new.record(Request("first", wait=0))
    assert len(objects(root, "checkpoints")) == 1
    assert mvc.verify(root).whole
    assert record(mvc.open(root / "m"), "first").parent is None


@pytest.mark.parametrize("what", ["tag", "undo", "commit", "nothing to commit", "prune", "restore"])
def test_a_gap_stops_whatever_writes(dataset: mvc.Dataset, root: Path, what: str) -> None:
    """The operation that is missing is named, and the catalog that knows it is left alone."""
    missing = root / OPERATIONS / "00000003"
    missing.unlink()
    if what == "commit":
        save(dataset.path, "C", 50, 9)
    before = dump(root)
    again = mvc.open(dataset.path)
    commands = {
        "tag": lambda: again.tag("late"),
        "undo": again.undo,
        "commit": lambda: again.record(Request("more", wait=0)),
        "nothing to commit": lambda: again.record(Request("more", "late", wait=0)),
        "prune": lambda: again.prune(dry_run=False),
        "restore": lambda: again.restore("@begin"),
    }
    with pytest.raises(DamagedError, match=f"{missing} is missing.*\n.*repair"):
        commands[what]()
    assert dump(root) == before
    assert mvc.repair(root, dry_run=False).whole
    commands[what]()


# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [None, "{"], ids=["missing", "damaged"])
def test_lost_settings_are_damage_and_made_anew(dataset: mvc.Dataset, root: Path, content: str | None) -> None:
    """Nothing says that there is no repository, or makes another; repair makes the usual ones, and keeps the bad."""
    mvc.Repository.open(root).configure("grace_days", "60")
    (root / CONFIG).unlink()
    if content is not None:
        (root / CONFIG).write_text(content)
    for use in (mvc.Repository.open, mvc.Repository.create, mvc.Repository.find):
        with pytest.raises(DamagedError, match=r"config.json is .*\n.*repair"):
            use(root)
    said = repr(mvc.repair(root))
    assert "config.json" in said
    assert "set yours again" in said
    assert mvc.repair(root, dry_run=False).whole
    assert mvc.Repository.open(root).config.grace_days == 7
    assert [path.read_text() for path in root.glob(".minian_vc/quarantine/config/*")] == ([content] if content else [])
    assert_whole(mvc.open(dataset.path))


def test_a_repository_half_made_is_made_again(root: Path) -> None:
    """Without history there is nothing to lose; doctor says how."""
    (root / CONFIG).unlink()
    assert [each.fix for each in examine(root).all_findings if each.code == "config-missing"] == [
        f"cd {root} && minian-vc init"
    ]
    assert mvc.Repository.create(root).datasets() == []


def test_what_others_record_meanwhile_is_not_lost(dataset: mvc.Dataset, root: Path) -> None:
    """A log that was read before they did is only old."""
    repository = mvc.Repository.open(root)
    repository.refuse_lost_log((), 0)  # none is named, and the log goes on
    with pytest.raises(DamagedError):
        repository.refuse_lost_log((), 6)


def test_a_half_made_repository_is_not_meant(dataset: mvc.Dataset, root: Path) -> None:
    """Nor made whole by repair: it would hide the history of the one above."""
    inner = root / "inner"
    save(inner / "m", "C", 1, 2)
    record(mvc.open(inner / "m"), "deep")
    (inner / ".minian_vc/staging").mkdir(parents=True)
    assert mvc.repair(inner, dry_run=False).repository == root / ".minian_vc"
    assert messages(mvc.open(inner / "m")) == ["deep"]
    shutil.rmtree(root / ".minian_vc")
    assert mvc.repair(inner, dry_run=False).healed == ()


@pytest.mark.parametrize("kind", ["chunks", "manifests", "checkpoints"])
def test_what_can_be_done_without_what_is_lost_is_told(dataset: mvc.Dataset, root: Path, kind: str) -> None:
    """Of a chunk, of a manifest, of a document: and it is true."""
    array = dataset.show("begin").array("C")
    digest = {
        "chunks": dataset.repository.objects.read_manifest(array.manifest)["C/0.0"].digest,
        "manifests": array.manifest,
        "checkpoints": dataset.show("begin").id,
    }[kind]
    dataset.repository.objects.path(kind, digest).unlink()
    if kind == "checkpoints":
        (root / CATALOG).unlink()
    said = repr(mvc.repair(root, dry_run=False))
    assert ("new ones recorded" in said) is (kind != "checkpoints")
    assert ("prune is refused" in said) is (kind == "manifests")
    save(dataset.path, "C", 60, 9)
    if kind == "checkpoints":
        with pytest.raises(DamagedError):
            mvc.open(dataset.path)
        return
    record(mvc.open(dataset.path), "further")
    refused = pytest.raises(DamagedError) if kind == "manifests" else contextlib.nullcontext()
    with refused:
        dataset.prune(dry_run=False)


# -- folders ----------------------------------------------------------------------------------


def test_a_new_repository_does_not_hide_history(dataset: mvc.Dataset, root: Path) -> None:
    """Below one that has history there. Beside that it may be."""
    inner = root / "inner"
    save(inner / "m", "C", 1, 2)
    record(mvc.open(inner / "m"), "deep")
    with pytest.raises(InvalidInputError, match="has the history of inner/m"):
        mvc.Repository.create(inner)
    assert not (inner / ".minian_vc").exists()
    (root / "other").mkdir()
    assert mvc.Repository.create(root / "other").datasets() == []
    (root / CONFIG).write_text("{")  # of the one above, which is not ours to judge
    (root / "third").mkdir()
    assert mvc.Repository.create(root / "third").datasets() == []


def test_nothing_is_restored_into_a_folder_above_a_dataset(root: Path) -> None:
    """MiniAn would take the dataset for one of the arrays."""
    deep = notebook(root, "animal/session/m")
    for target in (root, root / "animal", root / "animal/session"):
        with pytest.raises(InvalidInputError, match=f"{target} holds the dataset {deep.path}"):
            deep.restore("C@begin", to=target)
    assert deep.restore("C@begin", to=root / "elsewhere").arrays == ("C",)


def test_arrays_that_came_to_lie_above_a_dataset_lock_nobody_out(root: Path) -> None:
    """Its history can be used; doctor tells of them, and advises to move neither of the two by name."""
    deep = notebook(root, "s/m")
    save(root / "s", "stray", 1, 2)
    assert messages(mvc.open(deep.path)) == messages(deep)
    mvc.open(deep.path).restore("@begin")
    record(mvc.open(root / "s"), "by mistake")
    found = {each.code: each for each in examine(root).all_findings}
    assert str(deep.path) in found["array-above-dataset"].message
    assert "mv " not in found["array-above-dataset"].fix
    mvc.open(root / "s").undo()
    shutil.rmtree(root / "s/stray.zarr")
    assert {each.code for each in examine(root).all_findings} & {"array-above-dataset", "foreign-folder"} == set()
