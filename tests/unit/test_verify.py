"""verify: what it looks at, what it leaves alone, how it is interrupted and goes on."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from handmade import write_array
from old_catalogs import take_back_to
from pruning import notebook, save, split_small, write_wide

import minian_vc as mvc
from minian_vc import zarr_format
from minian_vc.errors import EnvironmentUnfitError, NotFoundError
from minian_vc.health import catalog as comparing
from minian_vc.health import so_far
from minian_vc.health import verify as verifying
from minian_vc.health.report import Affected, Damage, VerifyReport
from minian_vc.model import digest_of
from minian_vc.objects import ObjectStore, store_object
from minian_vc.verbs.commit import Request


@pytest.fixture
def lab(root: Path) -> mvc.Dataset:
    """A history with automatic, tagged and pruned checkpoints, all of it whole."""
    dataset = notebook(root)
    dataset.prune(automatic=True, dry_run=False)
    return dataset


def everything(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder with its bytes and when it was changed."""
    return {
        path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def chunks(root: Path) -> list[Path]:
    """The chunk objects."""
    return sorted(path for path in (root / ".minian_vc/objects/chunks").rglob("*") if path.is_file())


def spoil(path: Path) -> None:
    """Change one bit, and no time: as a disk may."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# -- what is found and what is not ------------------------------------------------------------


@pytest.mark.parametrize("quick", [False, True])
def test_a_whole_repository_is_whole_and_is_left_as_it_is(lab: mvc.Dataset, root: Path, quick: bool) -> None:
    """Nothing is found, and no file is written or touched."""
    before = everything(root)
    report = mvc.verify(lab.path, quick=quick)
    assert (report.whole, report.damage, report.notes, report.affected) == (True, (), (), ())
    assert (report.quick, report.checkpoints) == (quick, 4)
    assert (report.objects, report.nbytes) == ((0, 0) if quick else counted(root))
    assert "whole" in repr(report)
    assert everything(root) == before


def counted(root: Path) -> tuple[int, int]:
    """How many objects there are, and how large they are together."""
    sizes = [path.stat().st_size for path in (root / ".minian_vc/objects").rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def test_a_repository_is_found_from_any_folder_in_it(lab: mvc.Dataset, root: Path, tmp_path: Path) -> None:
    """From the root, a dataset, an array in it; where there is none, that is said."""
    for path in (root, lab.path, lab.path / "C.zarr/C"):
        assert mvc.verify(path, quick=True).repository == root / ".minian_vc"
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(NotFoundError, match="no repository"):
        mvc.verify(tmp_path / "elsewhere")


def test_what_an_undo_would_need_is_a_warning_and_missing_is_normal(lab: mvc.Dataset, root: Path) -> None:
    """A bad object that only a dropped checkpoint needs is told as such; one that is swept is not told at all."""
    live = {chunk for entry in lab.history() for chunk in chunks_of(lab, entry.id)}
    only_dropped = [path for path in chunks(root) if path not in live]
    assert only_dropped
    spoil(only_dropped[0])
    report = mvc.verify(root)
    assert [(each.path, each.needed_by, each.affects) for each in report.damage] == [(only_dropped[0], "undo", ())]
    assert report.whole
    assert "warning" in repr(report)
    for path in only_dropped:
        path.unlink()
    assert mvc.verify(root).damage == ()


def chunks_of(dataset: mvc.Dataset, revision: str) -> set[Path]:
    """Where the chunk objects of a checkpoint lie."""
    repository = dataset.repository
    manifests = [repository.objects.read_manifest(array.manifest) for array in dataset.show(revision).arrays]
    entries = [entry for manifest in manifests for entry in manifest.values() if entry.inline is None]
    return {repository.objects.path("chunks", entry.digest) for entry in entries}


def test_a_bad_object_that_nothing_needs_is_a_warning(lab: mvc.Dataset, root: Path) -> None:
    """A commit could have reused it; foreign names are a note."""
    path = lab.repository.objects.path("chunks", store_object(lab.repository.objects, "chunks", b"left over" * 99))
    spoil(path)
    (path.parent / "notes.txt").write_text("mine")
    report = mvc.verify(root)
    assert [(each.path, each.needed_by) for each in report.damage] == [(path, "nothing")]
    assert report.whole
    assert "notes.txt" in " ".join(report.notes)


def test_an_array_recorded_without_its_bytes_is_whole(root: Path) -> None:
    """Its chunks need not be there; those of its coordinates must."""
    save(root / "m", "Y", 1, 2)
    repository = mvc.Repository.open(root)
    repository.configure("record_without_bytes", "Y")
    dataset = mvc.open(root / "m")
    dataset.record(Request("movie", wait=0))
    assert chunks(root)  # the coordinates
    assert mvc.verify(root).damage == ()
    chunks(root)[0].unlink()
    assert not mvc.verify(root).whole


def test_missing_chunks_that_were_missing_before_are_no_damage(root: Path) -> None:
    """An array may have been recorded with chunks missing; then the version says so."""
    folder = root / "m/b.zarr"
    write_array(folder, np.arange(400, dtype=float), ("frame",), chunks=(100,))
    (folder / "b/2").unlink()
    mvc.open(root / "m").record(Request("with a gap", wait=0))
    assert mvc.verify(root).damage == ()


def test_a_manifest_that_is_not_what_the_version_describes_is_found(root: Path) -> None:
    """Documents that match their digests but not each other: here, a manifest that lost a chunk before it was named."""
    write_array(root / "m/b.zarr", np.arange(400, dtype=float), ("frame",), chunks=(100,))
    real = zarr_format.missing_chunks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zarr_format, "missing_chunks", lambda meta, keys: real(meta, keys) + 1)
        done = mvc.open(root / "m").record(Request("a lie", wait=0))
    (found,) = mvc.verify(root, quick=True).damage
    assert (found.kind, found.digest) == ("manifest", done.checkpoint.arrays[0].manifest)
    assert "describes" in found.problem


def test_split_manifests_are_looked_through_part_by_part(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part is put together with another: memory does not grow with the number of chunks."""
    split_small(monkeypatch)
    write_wide(root / "m/W.zarr", 1.0)
    mvc.open(root / "m").record(Request("wide", wait=0))
    monkeypatch.setattr(ObjectStore, "read_manifest", None)
    assert mvc.verify(root, quick=True).damage == ()


def test_each_part_is_looked_through_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions that share most of their chunks do not cost as much as if they did not."""
    split_small(monkeypatch)
    dataset = mvc.open(root / "m", create=True)
    for value in (1.0, 2.0, 3.0):
        write_wide(root / "m/W.zarr", value)
        dataset.record(Request("wide", wait=0))
    looked = []
    real = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path, **how: looked.append(Path(path)) or real(path, **how))
    mvc.verify(root, quick=True)
    mine = [path for path in looked if "chunks" in path.parts]
    assert len(mine) < len(set(mine)) + 20


def test_a_newer_program_s_repository_is_refused(lab: mvc.Dataset, root: Path) -> None:
    """Its format, its catalog and its operations are not called damaged."""
    catalog = root / ".minian_vc/catalog.sqlite"
    with closing(sqlite3.connect(catalog)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("ALTER TABLE tag ADD COLUMN newer TEXT")
    with pytest.raises(EnvironmentUnfitError, match="9999"):
        mvc.verify(root)
    config = root / ".minian_vc/config.json"
    config.write_text(config.read_text().replace('"format": 3', '"format": 99'))
    with pytest.raises(EnvironmentUnfitError, match="format 99"):
        mvc.verify(root)


def test_a_damaged_configuration_is_found_and_stops_nothing(lab: mvc.Dataset, root: Path) -> None:
    """The rest is looked at all the same."""
    (root / ".minian_vc/config.json").write_text("{")
    spoil(chunks(root)[0])
    assert {each.kind for each in mvc.verify(root).damage} == {"config", "chunk"}
    (root / ".minian_vc/config.json").unlink()
    assert ("config", "missing") in {(each.kind, each.problem) for each in mvc.verify(root).damage}


def test_an_operation_is_named_although_the_chain_is_broken_behind_it(lab: mvc.Dataset, root: Path) -> None:
    """Also without a catalog to ask: later operations tell which one it is."""
    (root / ".minian_vc/catalog.sqlite").unlink()
    path = root / ".minian_vc/operations/00000002"
    document = json.loads(path.read_bytes())
    path.write_bytes(path.read_bytes().replace(document["created_at"].encode(), b"2020-01-01T00:00:00.000000Z"))
    found = {each.kind: each for each in mvc.verify(root).damage}
    assert found.keys() == {"operation", "catalog"}
    assert found["operation"].path == path
    assert found["operation"].digest == json.loads((path.parent / "00000003").read_bytes())["previous"]


def test_a_catalog_that_is_behind_or_older_is_no_damage(root: Path) -> None:
    """A writer that died before it committed, and a catalog that waits to be migrated."""
    dataset = notebook(root)
    catalog = root / ".minian_vc/catalog.sqlite"
    before = catalog.read_bytes()
    save(root / "m", "C", 8, 8)
    dataset.record(Request("one more", wait=0))
    catalog.write_bytes(before)
    assert mvc.verify(root).damage == ()
    assert catalog.read_bytes() == before
    take_back_to(catalog, "0001")
    old = catalog.read_bytes()
    assert mvc.verify(root).damage == ()
    assert catalog.read_bytes() == old


def test_another_history_s_catalog_does_not_make_the_log_look_damaged(root: Path, tmp_path: Path) -> None:
    """The log decides, also where both have as many operations; the catalog is the one to be made anew."""
    notebook(root)
    other = tmp_path / "other"
    other.mkdir()
    mvc.Repository.create(other)
    notebook(other)
    shutil.copy(other / ".minian_vc/catalog.sqlite", root / ".minian_vc/catalog.sqlite")
    assert [each.kind for each in mvc.verify(root).damage] == ["catalog"]
    mvc.rebuild(root)
    assert mvc.verify(root).damage == ()


# -- beside others ----------------------------------------------------------------------------


def test_what_a_prune_removes_meanwhile_is_not_damage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is read, then a prune removes objects, then they are looked for: they are gone, and nothing is wrong."""
    dataset = notebook(root)
    real = verifying.read_log
    pruned = []

    def read_and_prune(*arguments: object) -> object:
        log = real(*arguments)
        if not pruned:
            pruned.append(dataset.prune(automatic=True, grace_days=0, dry_run=False))
        return log

    monkeypatch.setattr(verifying, "read_log", read_and_prune)
    report = mvc.verify(root)
    assert pruned[0].freed_objects
    assert report.damage == ()
    assert report.checkpoints == 4


def test_a_commit_meanwhile_is_not_a_difference(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes before a catalog is made anew: that and the one that it is compared with go up to one operation."""
    dataset = notebook(root)
    real = comparing.made_anew
    done = []

    def commit_and_make(*arguments: object) -> object:
        save(root / "m", "C", 8, 8 + len(done))
        done.append(dataset.record(Request("meanwhile", wait=0)))
        return real(*arguments)

    monkeypatch.setattr(comparing, "made_anew", commit_and_make)
    assert mvc.verify(root).damage == ()
    assert done


def test_no_write_lock_is_taken(lab: mvc.Dataset, root: Path) -> None:
    """Verify works while another writer holds it."""
    with lab.repository.catalog.write():
        assert mvc.verify(root).damage == ()


def test_a_read_only_repository_is_verified(lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no note can be written, none is."""

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(so_far, "INTERVAL", 0.0)
    monkeypatch.setattr("minian_vc.durable.write_durably", refuse)
    assert mvc.verify(root).damage == ()


# -- interrupted ------------------------------------------------------------------------------


@pytest.fixture
def interrupted(lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A verify that was stopped half-way; the list is filled with what is read from then on."""
    real = ObjectStore.examine
    read: list[Path] = []
    stop = len([path for path in (root / ".minian_vc/objects").rglob("*") if path.is_file()]) // 2

    def examine(self: ObjectStore, path: Path) -> str:
        read.append(path)
        if len(read) == stop:
            raise KeyboardInterrupt
        return real(self, path)

    monkeypatch.setattr("minian_vc.health.stored.WORKERS", 1)
    monkeypatch.setattr(ObjectStore, "examine", examine)
    with pytest.raises(KeyboardInterrupt):
        mvc.verify(root)
    stop = -1
    read.clear()
    return read


def test_an_interrupted_verify_goes_on(interrupted: list[Path], root: Path) -> None:
    """What was read is not read again; at the end the note is gone, and the next run reads everything."""
    note = root / ".minian_vc/verify.json"
    assert note.exists()
    objects = counted(root)[0]
    report = mvc.verify(root)
    assert (report.damage, report.objects) == ((), objects)
    assert 0 < len(interrupted) < objects
    assert not note.exists()
    interrupted.clear()
    mvc.verify(root)
    assert len(interrupted) == objects


@pytest.mark.parametrize("note", ["restart", "damaged", "old", "of the future", "no note"])
def test_a_note_that_does_not_serve_is_thrown_away(
    interrupted: list[Path], root: Path, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is read where the note is damaged, a week old or of the future, or is not wanted."""
    path = root / ".minian_vc/verify.json"
    if note == "damaged":
        spoil(path)
    elif note == "no note":
        path.write_bytes(b"\n")
    elif note != "restart":
        body = json.loads(path.read_bytes().partition(b"\n")[2])
        body["began"] = "2020-01-01T00:00:00Z" if note == "old" else "2999-01-01T00:00:00Z"
        content = json.dumps(body).encode()
        path.write_bytes(digest_of(content).encode() + b"\n" + content)
    mvc.verify(root, restart=note == "restart")
    assert len(interrupted) == counted(root)[0]


def test_a_folder_that_changed_since_is_read_again(lab: mvc.Dataset, interrupted: list[Path], root: Path) -> None:
    """A new object in a folder that was read, and one that is gone."""
    done = json.loads((root / ".minian_vc/verify.json").read_bytes().partition(b"\n")[2])["done"]
    kind, shard = next(name for name in done if name.startswith("chunks/")).split("/")
    (root / ".minian_vc/objects" / kind / shard / ("0" * 62)).write_bytes(b"new")
    report = mvc.verify(root)
    assert [(each.path.name, each.needed_by) for each in report.damage] == [("0" * 62, "nothing")]


def test_what_was_bad_before_the_interruption_is_told(
    lab: mvc.Dataset, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad object that was read before is read again, and told if it is still bad."""
    first = chunks(root)[0]
    spoil(first)
    note = so_far.SoFar(root / ".minian_vc/verify.json")
    monkeypatch.setattr(so_far, "INTERVAL", 0.0)
    shard = first.parent
    note.add(f"chunks/{shard.name}", len(list(shard.iterdir())), {first: "bad"})
    assert [each.path for each in mvc.verify(root).damage] == [first]
    note.add(f"chunks/{shard.name}", len(list(shard.iterdir())), {first: "bad"})
    spoil(first)  # back again
    assert mvc.verify(root).damage == ()


# -- the report -------------------------------------------------------------------------------


def test_a_report_merges_versions_and_cuts_long_lists() -> None:
    """Each checkpoint stands once with all of its arrays; a thousand damages are not printed."""
    one, other = (Affected("m", "blake3:" + "a" * 64, ("t",), (name,)) for name in "AC")
    damage = [Damage("chunk", Path(f"/x/{i}"), "missing", affects=(one, other)) for i in range(1000)]
    report = VerifyReport(Path("/x"), False, 1, 2, 3, tuple(damage))
    assert report.affected == (Affected("m", one.checkpoint, ("t",), ("A", "C")),)
    assert repr(report).count("chunk object") == 20
    assert "980 more" in repr(report)
    assert "m @aaaaaaaaaa (t): A, C" in repr(report)
    assert len(report.to_dict()["damage"]) == 1000


def test_names_cannot_move_the_cursor() -> None:
    """Whatever stands in a report is printable."""
    bad = Damage("chunk", Path("/x"), "\x1b[2J", affects=(Affected("m\x07", "blake3:0", ("\u202e",)),))
    assert repr(VerifyReport(Path("/x"), False, 1, 1, 1, (bad,))).replace("\n", "").isprintable()
