"""repair: where it finds the same bytes again, what it never does, and that it can be stopped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pruning import assert_whole, notebook, save, split_small, write_wide

import minian_vc as mvc
from minian_vc import durable
from minian_vc.errors import StorageError
from minian_vc.health import repair as repairing
from minian_vc.objects import ObjectStore, store_object
from minian_vc.verbs.commit import Request


@pytest.fixture
def lab(root: Path) -> mvc.Dataset:
    """A history whose latest checkpoint is as the working folder."""
    return notebook(root)


def chunk(dataset: mvc.Dataset, revision: str, name: str = "C", key: str = "C/0.0") -> Path:
    """Where a chunk object lies."""
    array = dataset.show(revision).array(name)
    return dataset.repository.objects.path(
        "chunks", dataset.repository.objects.read_manifest(array.manifest)[key].digest
    )


def spoil(path: Path) -> bytes:
    """Change a bit; return what was there."""
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    return content


def stored(root: Path) -> dict[str, bytes]:
    """Every file of a repository but its own notes."""
    folder = root / ".minian_vc"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] not in ("working", "staging")
    }


def test_it_only_says_what_it_would_do(lab: mvc.Dataset, root: Path) -> None:
    """Nothing is written by default; what is told is what is then done."""
    spoil(chunk(lab, "latest"))
    spoil(chunk(lab, "begin"))
    before = stored(root)
    told = mvc.repair(root)
    assert stored(root) == before
    assert (told.dry_run, told.whole, len(told.healed), len(told.remaining)) == (True, False, 1, 1)
    done = mvc.repair(root, dry_run=False)
    assert [each.damage for each in done.healed] == [each.damage for each in told.healed]
    assert (done.whole, done.remaining) == (False, told.remaining)
    assert [each.tags for each in done.affected] == [("begin",)]


def test_there_may_be_nothing_to_repair(lab: mvc.Dataset, root: Path) -> None:
    """A whole repository is left as it is."""
    before = stored(root)
    done = mvc.repair(root, dry_run=False)
    assert (done.healed, done.remaining, done.whole) == ((), (), True)
    assert "nothing to repair" in repr(done)
    assert stored(root) == before


@pytest.mark.parametrize("place", ["another dataset", "displaced", "staging", "quarantine", "netcdf"])
def test_a_copy_is_found_wherever_it_lies(lab: mvc.Dataset, root: Path, place: str) -> None:
    """In any working folder of the repository, and in what was set aside, whatever the file is called."""
    victim = chunk(lab, "begin")
    good = spoil(victim)
    if place == "another dataset":
        save(root / "n", "A", 1)
        mvc.open(root / "n").record(Request("there", wait=0))
        target = root / "n/A.zarr/A/notes"
    else:
        target = root / ".minian_vc" / place / "some" / "file"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(good)
    done = mvc.repair(root, dry_run=False)
    assert done.whole
    assert [str(target) in each.source for each in done.healed] == [True]
    assert victim.read_bytes() == good
    assert target.read_bytes() == good
    assert_whole(lab)


def test_a_file_of_the_right_size_and_wrong_bytes_is_no_copy(lab: mvc.Dataset, root: Path) -> None:
    """Nothing but the digest counts; the bad bytes stay where they are."""
    victim = chunk(lab, "begin")
    good = spoil(victim)
    bad = victim.read_bytes()
    (root / "m/C.zarr/C/like it").write_bytes(bytes(len(good)))
    done = mvc.repair(root, dry_run=False)
    assert [each.path for each in done.remaining] == [victim]
    assert victim.read_bytes() == bad


def test_a_copy_that_changes_before_it_is_taken_is_not_put_in_place(
    lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is staged is digested again."""
    victim = chunk(lab, "latest")
    spoil(victim)
    bad = victim.read_bytes()
    real = repairing.find_remedies

    def find_and_change(*arguments: object) -> object:
        found = real(*arguments)
        spoil(root / "m/C.zarr/C/0.0")
        return found

    monkeypatch.setattr(repairing, "find_remedies", find_and_change)
    done = mvc.repair(root, dry_run=False)
    assert [each.path for each in done.remaining] == [victim]
    assert victim.read_bytes() == bad


def test_bad_bytes_are_moved_and_never_removed(lab: mvc.Dataset, root: Path) -> None:
    """They lie in the quarantine under the digest that they should have; twice damaged, both are there."""
    victim = chunk(lab, "latest")
    digest = victim.parent.name + victim.name
    for bad in (b"first", b"second"):
        victim.write_bytes(bad)
        assert mvc.repair(root, dry_run=False).whole
    found = sorted(path.read_bytes() for path in (root / ".minian_vc/quarantine/chunks").glob(f"{digest}*"))
    assert found == [b"first", b"second"]


def test_what_nothing_needs_is_set_aside(lab: mvc.Dataset, root: Path) -> None:
    """Unless documents are damaged: then it is not known what is needed."""
    left = lab.repository.objects.path("chunks", store_object(lab.repository.objects, "chunks", b"left over" * 99))
    spoil(left)
    document = lab.repository.objects.path("manifests", lab.show("begin").array("C").manifest)
    good = document.read_bytes()
    document.write_bytes(b"{}")
    assert left in {each.path for each in mvc.repair(root, dry_run=False).remaining}
    assert left.exists()
    document.write_bytes(good)
    assert mvc.repair(root, dry_run=False).whole
    assert not left.exists()
    assert (root / ".minian_vc/quarantine/chunks" / (left.parent.name + left.name)).exists()


def test_behind_a_missing_manifest_what_it_names_is_healed_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts and chunks are only known to be missing when it is there again."""
    split_small(monkeypatch)
    write_wide(root / "m/W.zarr", 1.0)
    mvc.open(root / "m").record(Request("wide", wait=0))
    for kind in ("manifests", "chunks"):
        shutil.rmtree(root / ".minian_vc/objects" / kind)
    done = mvc.repair(root, dry_run=False)
    assert done.whole
    assert {each.damage.kind for each in done.healed} == {"manifest", "chunk"}
    assert mvc.verify(root).damage == ()


def test_everything_but_the_objects_and_the_catalog_can_be_composed_again(lab: mvc.Dataset, root: Path) -> None:
    """All documents at once, byte for byte, although the dataset was moved meanwhile and the first parent pruned."""
    lab.path.rename(root / "moved")
    dataset = mvc.open(root / "m")
    shutil.copytree(root / "moved", root / "m")
    dataset.prune(automatic=True, dry_run=False)
    before = stored(root)
    dropped = {entry for entry in before if entry.startswith("objects/checkpoints/")}
    live = {f"objects/checkpoints/{e.id[7:9]}/{e.id[9:]}" for e in dataset.history()}
    for name in (*live, *(name for name in before if name.startswith("operations/"))):
        (root / ".minian_vc" / name).unlink()
    done = mvc.repair(root, dry_run=False)
    assert live < dropped
    assert done.whole, done
    assert stored(root) == before


def test_an_error_on_the_way_leaves_what_was_healed(
    lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when manifests are to be stored: chunks are healed; a rerun heals the rest."""
    victim, document = chunk(lab, "latest"), max((root / ".minian_vc/operations").iterdir())
    spoil(victim)
    document.write_bytes(b"")
    with monkeypatch.context() as patch:
        full = OSError(28, "No space left on device")
        patch.setattr("minian_vc.durable.write_durably", lambda *_: (_ for _ in ()).throw(full))
        with pytest.raises(StorageError):
            mvc.repair(root, quick=False, dry_run=False)
    assert lab.repository.objects.examine(victim) == ""
    assert mvc.repair(root, dry_run=False).whole
    assert json.loads(document.read_bytes())["kind"] == "operation"


# -- commits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [durable.IN_MEMORY, 10], ids=["small", "streamed"])
def test_a_commit_does_not_reuse_a_rotten_object(
    lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """The new checkpoint is whole, and so are the old ones: the bytes were at hand. The bad ones are set aside."""
    monkeypatch.setattr(durable, "IN_MEMORY", limit)
    monkeypatch.setattr("minian_vc.objects.store._checked", {})
    victim = chunk(lab, "begin")
    good = spoil(victim)
    save(lab.path, "C", 6, 9)
    done = lab.record(Request("back to the beginning", wait=0))
    assert done.stored_bytes >= len(good)
    assert victim.read_bytes() == good
    assert mvc.verify(root).damage == ()
    assert len(list((root / ".minian_vc/quarantine/chunks").iterdir())) == 1


def test_an_object_is_read_once_per_process_while_it_stays_as_it_is(
    lab: mvc.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it again at each commit would cost; a changed time makes it be read again."""
    monkeypatch.setattr("minian_vc.objects.store._checked", {})
    read: list[Path] = []
    real = ObjectStore.examine
    monkeypatch.setattr(ObjectStore, "examine", lambda self, path: read.append(path) or real(self, path))
    store = lab.repository.objects
    for _ in range(3):
        store_object(store, "chunks", chunk(lab, "latest").read_bytes())
    assert read == [chunk(lab, "latest")]
    spoil(chunk(lab, "latest"))
    with pytest.MonkeyPatch.context():
        store_object(store, "chunks", (lab.path / "C.zarr/C/0.0").read_bytes())
    assert store.examine(chunk(lab, "latest")) == ""
