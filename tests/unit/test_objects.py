"""The object store: what every store must do."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minian_vc import durable
from minian_vc.errors import DamagedError, StorageError
from minian_vc.model import FileEntry, Manifest, digest_of
from minian_vc.objects import Batch, ObjectStore, StoredFiles, manifest_digest, manifest_documents, store_object

KINDS = ("chunks", "manifests", "checkpoints")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    """An empty store."""
    return ObjectStore(tmp_path / "objects", tmp_path / "staging")


def stored(store: ObjectStore) -> list[Path]:
    """Every file in the store."""
    return sorted(path for path in store.folder.rglob("*") if path.is_file())


def add_file(store: ObjectStore, path: Path) -> tuple[str, int]:
    """Store a file as a chunk."""
    source = os.open(path, os.O_RDONLY)
    try:
        with Batch(store) as batch:
            added = batch.add_file(source)
            batch.publish()
    finally:
        os.close(source)
    return added


def manifest_with(count: int, *, changed: int | None = None) -> Manifest:
    """A manifest of that many chunks, one of them other than usual."""
    entries = {f"A/{i // 100}.{i % 100}": FileEntry(digest_of(f"{i}".encode()), i) for i in range(count)}
    if changed is not None:
        key = list(entries)[changed]
        entries[key] = FileEntry(digest_of(b"changed"), 7)
    return Manifest(entries)


# -- objects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"x", os.urandom(5_000)], ids=["empty", "one", "many"])
def test_what_is_put_comes_back_under_the_digest_of_its_bytes(store: ObjectStore, kind: str, content: bytes) -> None:
    """The digest is that of the bytes on the disk, and the path follows from it."""
    digest = store_object(store, kind, content)
    assert digest == digest_of(content)
    assert store.has(kind, digest)
    assert store.read(kind, digest) == store.path(kind, digest).read_bytes() == content
    assert [path for path in (store.folder / kind).rglob("*") if path.is_file()] == [store.path(kind, digest)]


def test_each_object_is_there_once(store: ObjectStore) -> None:
    """The same content again, in the same batch, another one or another thread, adds nothing."""
    with Batch(store) as batch, ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: batch.add("chunks", b"same"), range(50)))) == 1
        assert batch.stored_bytes == 4
        batch.publish()
    before = [(path, path.stat().st_ino) for path in stored(store)]
    with Batch(store) as batch:
        batch.add("chunks", b"same")
        batch.publish()
        assert (batch.stored_bytes, batch.added) == (0, set())
    assert [(path, path.stat().st_ino) for path in stored(store)] == before
    assert len(before) == 1


def test_kinds_are_kept_apart(store: ObjectStore) -> None:
    """An object of one kind is not one of another."""
    digest = store_object(store, "chunks", b"x")
    assert not store.has("manifests", digest)
    with pytest.raises(DamagedError, match="missing"):
        store.read("manifests", digest)


def test_nothing_is_visible_before_it_is_published(store: ObjectStore) -> None:
    """A batch that is not published leaves no object and no staged file."""
    with Batch(store) as batch:
        digest = batch.add("chunks", b"not yet")
        assert not store.has("chunks", digest)
        assert stored(store) == []
    assert stored(store) == []
    assert list(store.staging.iterdir()) == []


def test_a_batch_that_fails_leaves_nothing(store: ObjectStore) -> None:
    """An error on the way out takes the staged files away."""

    def add_and_fail() -> None:
        with Batch(store) as batch:
            batch.add("chunks", b"not yet")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        add_and_fail()
    assert stored(store) == []
    assert list(store.staging.iterdir()) == []


def test_an_error_while_flushing_is_a_storage_error_and_nothing_is_visible(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed flush is never taken as success."""

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(durable, "flush", fail)
    with pytest.raises(StorageError):
        store_object(store, "chunks", b"x")
    assert stored(store) == []


def test_bytes_are_flushed_before_they_are_moved_and_folders_after(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of writes: flush the staged files, rename, then flush every folder that got an entry."""
    calls: list[tuple[str, set[Path]]] = []
    real_replace = Path.replace

    def flush(files: object, folders: object) -> None:
        calls.append(("files", set(files)))
        calls.append(("folders", set(folders)))

    def replace(self: Path, target: Path) -> Path:
        calls.append(("replace", {self}))
        assert not target.exists()
        return real_replace(self, target)

    monkeypatch.setattr(durable, "flush", flush)
    monkeypatch.setattr(Path, "replace", replace)
    with Batch(store) as batch:
        digests = [batch.add("chunks", bytes([i]) * 10) for i in range(3)]
        batch.publish()
    order = [kind for kind, _ in calls]
    assert order == ["files", "folders", *["replace"] * 3, "files", "folders"]
    moved = set().union(*(paths for kind, paths in calls if kind == "replace"))
    assert calls[0][1] == moved
    touched = {store.path("chunks", digest).parent for digest in digests}
    assert touched | {store.folder / "chunks", store.folder} <= calls[-1][1]


def test_the_folders_of_reused_objects_are_flushed_too(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another writer may have just moved the object there and not flushed it yet."""
    digest = store_object(store, "chunks", b"x")
    flushed: list[Path] = []
    monkeypatch.setattr(durable, "flush", lambda _, folders: flushed.extend(folders))
    with Batch(store) as batch:
        batch.add("chunks", b"x")
        batch.publish()
    assert store.path("chunks", digest).parent in flushed


# -- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(b"X" + path.read_bytes()[1:]), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes() + b"x"), "damaged"),
    ],
    ids=["missing", "truncated", "emptied", "flipped", "longer"],
)
def test_damage_is_found_on_reading(store: ObjectStore, kind: str, damage: Callable[[Path], None], word: str) -> None:
    """An object that is not what its name says is never passed on."""
    digest = store_object(store, kind, b"the content")
    damage(store.path(kind, digest))
    with pytest.raises(DamagedError, match=word):
        store.read(kind, digest)


@pytest.mark.parametrize("limit", [1 << 20, 4], ids=["in memory", "streamed"])
@pytest.mark.parametrize("damage", ["missing", "flipped", "truncated"])
def test_damage_is_found_on_writing_a_file_back(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, damage: str
) -> None:
    """Restoring checks each file's bytes, small or streamed."""
    monkeypatch.setattr(durable, "IN_MEMORY", limit)
    digest = store_object(store, "chunks", b"the content")
    path = store.path("chunks", digest)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"The content" if damage == "flipped" else b"the")
    with pytest.raises(DamagedError):
        store.write_file(FileEntry(digest, 11), tmp_path / "out")


def test_a_torn_object_is_written_anew(store: ObjectStore) -> None:
    """An object cut off by a power cut does not stand in for the whole one."""
    digest = store_object(store, "chunks", b"the content")
    store.path("chunks", digest).write_bytes(b"the")
    assert store_object(store, "chunks", b"the content") == digest
    assert store.read("chunks", digest) == b"the content"


@pytest.mark.parametrize(
    "digest", ["", "blake3:", "blake3:../../x", "blake3:" + "/" * 64, "a" * 63, "blake3:" + "." * 64]
)
def test_what_is_no_digest_is_no_path(store: ObjectStore, digest: str) -> None:
    """A digest from a document cannot lead out of the store."""
    with pytest.raises(DamagedError, match="not a digest"):
        store.path("chunks", digest)


def test_a_document_too_large_is_not_read_into_memory(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents have a limit; a chunk has the size that its manifest says."""
    monkeypatch.setattr("minian_vc.objects.store.MAX_DOCUMENT", 4)
    with pytest.raises(DamagedError, match="too large"):
        store.read("manifests", store_object(store, "manifests", b"12345"))
    digest = store_object(store, "chunks", b"12345")
    assert store.read_file(FileEntry(digest, 5)) == b"12345"
    with pytest.raises(DamagedError, match="too large"):
        store.read_file(FileEntry(digest, 4))


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 9, 10, 11, 1000])
def test_files_are_stored_small_or_streamed(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A file larger than fits in memory is copied in blocks, with the same digest, once."""
    monkeypatch.setattr(durable, "IN_MEMORY", 10)
    monkeypatch.setattr(durable, "BLOCK", 7)
    content = os.urandom(size)
    source = tmp_path / "source"
    source.write_bytes(content)
    assert add_file(store, source) == add_file(store, source) == (digest_of(content), size)
    assert len(stored(store)) == 1
    store.write_file(FileEntry(digest_of(content), size), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert list(store.staging.iterdir()) == []


def test_a_large_file_is_never_read_whole(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit no read is larger than a block."""
    asked: list[int] = []
    real = durable.read_block
    monkeypatch.setattr(durable, "IN_MEMORY", 10)
    monkeypatch.setattr(durable, "BLOCK", 64)
    monkeypatch.setattr(durable, "read_block", lambda source, size: asked.append(size) or real(source, size))
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1000))
    digest, size = add_file(store, source)
    store.write_file(FileEntry(digest, size), tmp_path / "back")
    assert set(asked) == {64}


def test_a_file_that_grows_while_it_is_read_is_stored_whole(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest is that of the bytes that were stored, whatever a stat said before."""
    monkeypatch.setattr(durable, "IN_MEMORY", 10)
    source = tmp_path / "source"
    source.write_bytes(b"small")
    real = os.fstat

    def grow(descriptor: int) -> os.stat_result:
        before = real(descriptor)
        source.write_bytes(b"much more than ten bytes")
        return before

    monkeypatch.setattr(os, "fstat", grow)
    digest, size = add_file(store, source)
    assert store.read("chunks", digest) == b"much more than ten bytes"
    assert size == 24


def test_restored_files_are_ordinary_writable_files(store: ObjectStore, tmp_path: Path) -> None:
    """A file that is written back is a copy: changing it does not reach the object."""
    digest = store_object(store, "chunks", b"content")
    target = tmp_path / "out"
    store.write_file(FileEntry(digest, 7), target)
    assert target.stat().st_ino != store.path("chunks", digest).stat().st_ino
    with target.open("r+b") as file:
        file.write(b"X")
    assert store.read("chunks", digest) == b"content"


def test_a_file_is_not_written_over_another(store: ObjectStore, tmp_path: Path) -> None:
    """Writing back makes new files only."""
    (tmp_path / "out").write_bytes(b"mine")
    with pytest.raises(StorageError):
        store.write_file(FileEntry.of(b"content"), tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"mine"


# -- manifests --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 1024, 1025, 2_000, 50_000])
def test_manifests_of_any_size_come_back(store: ObjectStore, count: int) -> None:
    """Small ones are one document, large ones a root and parts; each reads as it was stored."""
    manifest = manifest_with(count)
    with Batch(store) as batch:
        digest = batch.add_manifest(manifest)
        batch.publish()
    assert digest == manifest_digest(manifest)
    assert store.read_manifest(digest) == manifest
    assert list(store.read_manifest(digest)) == list(manifest)
    assert (len(stored(store)) > 1) == (count > 1024)


@pytest.mark.parametrize("count", [2_000, 50_000])
def test_changing_one_entry_rewrites_one_part_and_the_root(store: ObjectStore, count: int) -> None:
    """The other parts are reused as they are, wherever the changed chunk lies."""
    with Batch(store) as batch:
        batch.add_manifest(manifest_with(count))
        batch.publish()
    for place in (0, count // 2, count - 1):
        with Batch(store) as batch:
            batch.add_manifest(manifest_with(count, changed=place))
            assert len(batch.added) == 2


def test_parts_are_cut_by_the_keys_alone() -> None:
    """Whatever every chunk holds, the same keys make the same parts."""

    def cuts(manifest: Manifest) -> list[list[str]]:
        return [list(json.loads(document)["entries"]) for document in manifest_documents(manifest)[:-1]]

    manifest = manifest_with(5_000)
    others = Manifest({key: FileEntry(digest_of(key.encode()), 1) for key in manifest})
    assert cuts(manifest) == cuts(others)
    assert len(cuts(manifest)) > 2


def test_appended_chunks_leave_the_parts_before_them_alone() -> None:
    """New keys in one region rewrite only the parts of that region."""
    old, new = (set(manifest_documents(manifest_with(count))) for count in (50_000, 50_100))
    assert len(new - old) <= 4
    assert len(new) > 40


def test_inline_bytes_come_back_from_a_split_manifest(store: ObjectStore) -> None:
    """Files kept inside the manifest are checked and returned, without any chunk object."""
    manifest = Manifest({f"k{i}": FileEntry.of(f"{i}".encode()) for i in range(2_000)})
    with Batch(store) as batch:
        digest = batch.add_manifest(manifest)
        batch.publish()
    assert store.read_file(store.read_manifest(digest)["k77"]) == b"77"


def test_a_missing_part_is_damage(store: ObjectStore) -> None:
    """A manifest without one of its parts is not read as a smaller one."""
    manifest = manifest_with(2_000)
    with Batch(store) as batch:
        digest = batch.add_manifest(manifest)
        batch.publish()
    part = next(path for path in stored(store) if path != store.path("manifests", digest))
    part.unlink()
    with pytest.raises(DamagedError, match="missing"):
        store.read_manifest(digest)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"not json",
        b'{"kind":"checkpoint","version":1}',
        b'{"kind":"manifest","version":1,"entries":{"a":3}}',
        b'{"kind":"manifest","version":1,"entries":{"a":["blake3:00"]}}',
        b'{"kind":"manifest","version":1,"entries":{"a":["blake3:00",1,"!"]}}',
        b'{"kind":"manifest","version":1,"entries":[1]}',
        b'{"kind":"manifest","version":1,"entries":{},"parts":["blake3:00"]}',
    ],
)
def test_what_is_no_whole_manifest_is_damage(store: ObjectStore, content: bytes) -> None:
    """A document with the right digest and the wrong content is refused."""
    with pytest.raises(DamagedError):
        store.read_manifest(store_object(store, "manifests", content))


def test_stored_files_are_a_mapping_that_travels(store: ObjectStore) -> None:
    """Keys to bytes, empty folders left out; picklable to a worker; equal if they name the same manifest."""
    chunk = store_object(store, "chunks", b"chunk")
    manifest = Manifest({"A/0": FileEntry(chunk, 5), "A/.zarray": FileEntry.of(b"{}"), "empty/": FileEntry.of(b"")})
    with Batch(store) as batch:
        digest = batch.add_manifest(manifest)
        batch.publish()
    files = StoredFiles(store.folder, digest)
    assert dict(files) == {"A/.zarray": b"{}", "A/0": b"chunk"}
    assert len(files) == 2
    assert "A/1" not in files
    with pytest.raises(KeyError):
        files["A/1"]
    other = pickle.loads(pickle.dumps(files))  # noqa: S301 (our own)
    assert other == files
    assert hash(other) == hash(files)
    assert files != StoredFiles(store.folder, digest_of(b"another"))
