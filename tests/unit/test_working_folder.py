"""Reading the working folder: one consistent cut, and no byte read twice."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import INTERMEDIATE, STAGES, put_stage
from handmade import LONG_AGO, files_of, make_old, write_array, write_file, write_units

import minian_vc as mvc
from minian_vc import durable
from minian_vc.errors import BusyError, MinianVCError, UnreadableError
from minian_vc.model import digest_of
from minian_vc.objects import ObjectStore
from minian_vc.verbs.commit import Commit, Request
from minian_vc.working_folder import Reading, Sink, WorkingFolder, hash_only

UUID = "0b5e1d2c-1234-4abc-8def-0123456789ab"


@pytest.fixture
def working(tmp_path: Path) -> WorkingFolder:
    """A dataset folder without arrays, not in a repository."""
    for name in ("dataset", "staging", "objects"):
        (tmp_path / name).mkdir()
    return WorkingFolder(
        tmp_path / "dataset", tmp_path / "records", ObjectStore(tmp_path / "objects", tmp_path / "staging")
    )


@pytest.fixture
def lab(root: Path) -> mvc.Dataset:
    """A dataset with one array whose chunks are too large to lie in the manifest, committed."""
    write_units(root / "m/A.zarr", [0, 1, 2], np.arange(300.0).reshape(3, 100))
    dataset = mvc.open(root / "m")
    commit(dataset)
    return dataset


def commit(dataset: mvc.Dataset, **options: object) -> Commit:
    """Commit without waiting for anything."""
    return dataset.record(Request(wait=0.0, **options))


def read(working: WorkingFolder, sink: Sink = hash_only, wait: float = 0.0) -> dict[str, Reading]:
    """Read every array folder."""
    return working.read(lambda scan: scan.arrays, lambda *_: sink, wait=wait, with_bytes=lambda _: False)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files that are opened to be read, in any order."""
    seen: list[str] = []
    real = durable.open_below
    monkeypatch.setattr(durable, "open_below", lambda folder, key: seen.append(str(folder / key)) or real(folder, key))
    return seen


# -- unchanged files cost a stat --------------------------------------------------------------


def test_unchanged_files_are_not_read_again(lab: mvc.Dataset, opened: list[str]) -> None:
    """A second commit opens no file of the dataset, and makes no checkpoint."""
    assert commit(lab).created is False
    assert opened == []


def test_only_the_files_that_changed_are_read(lab: mvc.Dataset, opened: list[str]) -> None:
    """One changed chunk is one file read."""
    chunk = lab.path / "A.zarr/A/1.0"
    chunk.write_bytes(np.ones(100).tobytes())
    make_old(chunk)
    assert commit(lab).created
    assert opened == [str(chunk)]


def test_status_reads_nothing_of_what_is_unchanged(lab: mvc.Dataset, opened: list[str]) -> None:
    """Looking costs a stat too."""
    assert [each.state for each in lab.status()] == ["unchanged"]
    assert opened == []


def test_a_change_behind_a_forged_time_is_found(lab: mvc.Dataset) -> None:
    """Same size and same modification time: change time or inode give it away."""
    chunk = lab.path / "A.zarr/A/1.0"
    before = chunk.stat()
    chunk.write_bytes(np.ones(100).tobytes())
    os.utime(chunk, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [each.state for each in lab.status()] == ["modified"]
    assert commit(lab).created
    replaced = lab.path / "A.zarr/A/2.0"
    before = replaced.stat()
    write_file(lab.path / "new", np.ones(100).tobytes())
    os.utime(lab.path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (lab.path / "new").replace(replaced)
    assert commit(lab).created


def test_files_as_young_as_the_record_are_hashed_again(lab: mvc.Dataset, opened: list[str]) -> None:
    """Where a change could bear the recorded time, the record is not believed: time in the future stays racy."""
    chunk = lab.path / "A.zarr/A/1.0"
    later = durable.file_system_now(lab.path) + 3_600_000_000_000
    os.utime(chunk, ns=(later, later))
    for _ in range(2):
        opened.clear()
        assert commit(lab).created is False
        assert opened == [str(chunk)]


def test_coarse_timestamps_are_distrusted_for_longer(lab: mvc.Dataset, opened: list[str]) -> None:
    """A time of whole seconds may be a FAT drive's: a second is within its granularity."""
    now = durable.file_system_now(lab.path)
    chunk = lab.path / "A.zarr/A/1.0"
    moment = (now // 2_000_000_000 + 1) * 2_000_000_000
    os.utime(chunk, ns=(moment, moment))
    working = lab.repository.working_folder(lab.name)
    files = working.scan().arrays["A.zarr"]
    manifest = lab.latest.array("A").manifest
    for recorded, believed in ((moment + 1_000_000_000, False), (moment + 2_000_000_001, True)):
        working.records.remember("A.zarr", files, recorded, manifest, with_bytes=True)
        assert (working.records.clean_manifest("A.zarr", files, with_bytes=True) is not None) is believed


def test_a_fresh_file_is_waited_for_and_then_believed(root: Path, opened: list[str]) -> None:
    """After a commit of files just written, the next commit reads nothing."""
    write_units(root / "m/A.zarr", [0, 1], np.ones((2, 100)), fresh=True)
    dataset = mvc.open(root / "m")
    assert commit(dataset).created
    opened.clear()
    assert commit(dataset).created is False
    assert opened == []


@pytest.mark.parametrize("damage", [b"", b"\0" * 50, None, "flip"])
def test_a_damaged_record_is_as_good_as_none(lab: mvc.Dataset, opened: list[str], damage: bytes | str | None) -> None:
    """Files are hashed again; the outcome is the same."""
    (record,) = (path for path in (lab.repository.folder / "working").rglob("*") if path.is_file())
    content = record.read_bytes()
    if damage is None:
        record.unlink()
    elif damage == "flip":
        record.write_bytes(content.replace(b"blake3:", b"blake4:", 2))
    else:
        record.write_bytes(damage)
    done = commit(lab)
    assert (done.created, done.stored_bytes) == (False, 0)
    assert len(opened) == len(files_of(lab.path / "A.zarr"))


def test_a_record_that_lies_is_found_out_by_its_digest(lab: mvc.Dataset) -> None:
    """A record changed by hand does not make changed files look unchanged."""
    (record,) = (path for path in (lab.repository.folder / "working").rglob("*") if path.is_file())
    chunk = lab.path / "A.zarr/A/1.0"
    old = chunk.stat()
    chunk.write_bytes(np.ones(100).tobytes())
    make_old(chunk)
    new = chunk.stat()
    line = f"[{old.st_size},{old.st_mtime_ns},{old.st_ctime_ns},{old.st_ino}]".encode()
    forged = f"[{new.st_size},{new.st_mtime_ns},{new.st_ctime_ns},{new.st_ino}]".encode()
    assert line in record.read_bytes()
    record.write_bytes(record.read_bytes().replace(line, forged))
    assert commit(lab).created


# -- saves in progress ------------------------------------------------------------------------


def test_a_partial_file_is_a_save_in_progress(working: WorkingFolder) -> None:
    """zarr's temporary file makes the array busy; the error names both, and the way out."""
    write_array(working.path / "A.zarr", np.ones(4), ("frame",))
    write_file(working.path / f"A.zarr/A/0.{'a' * 32}.partial", b"half")
    with pytest.raises(BusyError, match=r"A\.zarr .*\.partial") as refused:
        read(working)
    assert "remove" in refused.value.hint


def test_a_partial_file_of_another_array_does_not_matter(working: WorkingFolder) -> None:
    """Only what is to be read must be whole."""
    for name in ("A", "B"):
        write_array(working.path / f"{name}.zarr", np.ones(4), ("frame",))
    write_file(working.path / "B.zarr/B/0.partial", b"half")
    found = working.read(lambda _: ["A.zarr"], lambda *_: hash_only, wait=0.0, with_bytes=lambda _: False)
    assert list(found) == ["A.zarr"]


def test_a_rechunkers_folder_names_the_array_it_belongs_to(working: WorkingFolder) -> None:
    """A uuid folder beside the arrays is the intermediate of the youngest array of its shape."""
    write_array(working.path / "old.zarr", np.ones((4, 5)), ("x", "y"))
    write_array(working.path / "other.zarr", np.ones((2, 5)), ("x", "y"))
    write_array(working.path / "young.zarr", np.ones((4, 5)), ("x", "y"))
    write_array(working.path / UUID, np.ones((4, 5)), ("x", "y"), name=".")
    with pytest.raises(BusyError, match=rf"young\.zarr .*{UUID}"):
        read(working)
    for folders in (["old.zarr"], ["other.zarr"]):
        working.read(lambda _, f=folders: f, lambda *_: hash_only, wait=0.0, with_bytes=lambda _: False)


@pytest.mark.parametrize("content", [None, b"{", b"[]", b"{}", b'{"shape": 3}', b"null"])
def test_a_rechunkers_folder_that_says_nothing_makes_all_busy(working: WorkingFolder, content: bytes | None) -> None:
    """Nobody can tell which array it belongs to."""
    write_array(working.path / "A.zarr", np.ones(4), ("frame",))
    (working.path / UUID).mkdir()
    if content is not None:
        write_file(working.path / UUID / ".zarray", content)
    with pytest.raises(BusyError, match=UUID):
        read(working)


@pytest.mark.parametrize(("fill_value", "busy"), [("NaN", True), (None, True), (0, False), (7, False)])
def test_missing_chunks_of_a_young_array_are_a_save_in_progress(
    working: WorkingFolder, fill_value: object, busy: bool
) -> None:
    """Where a missing chunk would read as NaN or as anything, a young array is still being written."""
    folder = write_array(working.path / "A.zarr", np.ones(4), ("frame",), chunks=(1,), fill_value=fill_value)
    (folder / "A/2").unlink()
    os.utime(folder / "A/0")
    if busy:
        with pytest.raises(BusyError, match="1 of its chunks are not there yet"):
            read(working)
    else:
        assert read(working)["A.zarr"].missing_chunks == 1
    make_old(folder)
    assert read(working)["A.zarr"].missing_chunks == 1


def test_an_old_array_that_lacks_chunks_is_recorded_with_a_warning(root: Path) -> None:
    """The checkpoint says how many there are, and the user is told."""
    folder = write_array(root / "m/A.zarr", np.ones(6), ("frame",), chunks=(1,), fill_value="NaN")
    for name in ("2", "4"):
        (folder / "A" / name).unlink()
    make_old(folder)
    dataset = mvc.open(root / "m")
    with pytest.warns(UserWarning, match="A lacks 2 chunks"):
        checkpoint = dataset.commit(wait=0.0)
    assert checkpoint.array("A").missing_chunks == 2


class Writer:
    """A sink that lets somebody write at the moment a file is read."""

    def __init__(self, write: Callable[[], None], times: int = 1) -> None:
        self._write, self._left, self._lock = write, times, threading.Lock()

    def __call__(self, source: int) -> tuple[str, int]:
        first = os.read(source, 10)
        with self._lock:
            if self._left:
                self._left -= 1
                self._write()
        rest = durable.read_block(source, 1 << 20)
        return digest_of(first + rest), len(first + rest)


def big(folder: Path, value: float, *, fresh: bool = True) -> Path:
    """An array of three chunks that are read by the sink, all of one value."""
    return write_array(folder, np.full((3, 100), value), ("x", "frame"), chunks=(1, 100), fresh=fresh)


CHANGES: dict[str, Callable[[Path], object]] = {
    "all rewritten": lambda folder: big(folder, 2.0),
    "one in place": lambda folder: (folder / "A/2.0").write_bytes(np.full(100, 2.0).tobytes()),
    "shortened": lambda folder: os.truncate(folder / "A/1.0", 500),
    "removed": lambda folder: (folder / "A/0.0").unlink(),
    "added": lambda folder: write_file(folder / "A/3.0", b"x"),
    "emptied": lambda folder: shutil.rmtree(folder / "A"),
    "gone": shutil.rmtree,
    "metadata": lambda folder: (folder / "A/.zattrs").write_bytes(b'{"_ARRAY_DIMENSIONS": ["x", "g"], "n": 1}'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_never_recorded(working: WorkingFolder, change: str) -> None:
    """Whatever is written meanwhile, the reading is refused and the array is named."""
    folder = big(working.path / "A.zarr", 1.0, fresh=False)
    with pytest.raises((BusyError, UnreadableError), match=r"A\.zarr"):
        read(working, Writer(lambda: CHANGES[change](folder)))


def test_after_a_change_the_whole_is_read_again(working: WorkingFolder) -> None:
    """With time to wait, the reading is all new: not one old chunk in it."""
    folder = big(working.path / "A.zarr", 1.0, fresh=False)
    reading = read(working, Writer(lambda: big(folder, 2.0)), wait=30.0)["A.zarr"]
    assert {key: entry.digest for key, entry in reading.manifest.items()} == {
        key: digest_of(content) for key, content in files_of(folder).items()
    }
    assert {reading.manifest[f"A/{i}.0"].digest for i in range(3)} == {digest_of(np.full(100, 2.0).tobytes())}


def test_two_arrays_are_one_cut(working: WorkingFolder) -> None:
    """An array that was read already and changes while the next one is read makes the whole reading busy."""
    big(working.path / "A.zarr", 1.0, fresh=False)
    big(working.path / "B.zarr", 1.0, fresh=False)

    def sink(folder: str, key: str) -> Sink:
        return Writer(lambda: big(working.path / "A.zarr", 2.0)) if folder == "B.zarr" else hash_only

    with pytest.raises(BusyError, match=r"A\.zarr"):
        working.read(lambda scan: scan.arrays, sink, wait=0.0, with_bytes=lambda _: False)


def test_an_array_that_comes_while_others_are_read_is_not_left_out(working: WorkingFolder) -> None:
    """A new array folder after the first look makes the reading busy."""
    big(working.path / "B.zarr", 1.0, fresh=False)
    with pytest.raises(BusyError, match=r"A\.zarr"):
        read(working, Writer(lambda: big(working.path / "A.zarr", 1.0)))


def test_a_commit_that_is_refused_changes_nothing(lab: mvc.Dataset) -> None:
    """History, objects and records are as they were."""
    write_file(lab.path / "A.zarr/A/0.0.partial", b"half")
    kept = ("objects", "operations", "working")
    before = [files_of(lab.repository.folder / name) for name in kept]
    with pytest.raises(BusyError):
        commit(lab)
    assert [files_of(lab.repository.folder / name) for name in kept] == before
    assert list(lab.repository.staging.iterdir()) == []


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["A.zarr/A/0", "A.zarr/A/link", "A.zarr/link", "notes/link"])
@pytest.mark.parametrize("kind", ["file", "folder", "nothing", "fifo"])
def test_links_and_special_files_are_refused(working: WorkingFolder, tmp_path: Path, where: str, kind: str) -> None:
    """What a link points to could change or lie outside; a fifo would wait for ever."""
    write_array(working.path / "A.zarr", np.ones(4), ("frame",))
    write_file(tmp_path / "outside/file", b"x" * 32)
    path = working.path / where
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to({"file": tmp_path / "outside/file", "folder": tmp_path / "outside", "nothing": "/no"}[kind])
    with pytest.raises(UnreadableError, match=path.name):
        read(working)


@pytest.mark.parametrize("target", ["outside/B.zarr", "nothing"])
def test_an_array_folder_that_is_a_link_is_refused(working: WorkingFolder, tmp_path: Path, target: str) -> None:
    """Also where the drive it points to is not there: the array would look deleted."""
    write_array(working.path / "A.zarr", np.ones(4), ("frame",))
    write_array(tmp_path / "outside/B.zarr", np.ones(4), ("frame",))
    (working.path / "B.zarr").symlink_to(tmp_path / target)
    with pytest.raises(UnreadableError, match=r"B\.zarr is a symlink"):
        read(working)


def test_a_link_put_in_a_files_place_after_the_look_is_not_followed(
    working: WorkingFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between listing and reading, a link could be swapped in: it is refused, its target never read."""
    folder = big(working.path / "A.zarr", 1.0, fresh=False)
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 800)
    real = durable.open_below

    def swapped(folder: Path, key: str) -> int:
        path = folder / key
        if path.name == "1.0" and not path.is_symlink():
            path.unlink()
            path.symlink_to(secret)
        return real(folder, key)

    monkeypatch.setattr(durable, "open_below", swapped)
    with pytest.raises(UnreadableError, match=r"1\.0"):
        read(working)
    assert folder.exists()


@pytest.mark.parametrize(
    "files",
    [
        {".zgroup": b'{"zarr_format": 2}'},
        {},
        {"A/0": b"x"},
        {".zgroup": b"{}", "A/.zarray": b"{"},
        {".zgroup": b"{}", "A/.zarray": b""},
        {".zgroup": b"{}", "A/.zarray": b'{"shape": [2]}'},
        {".zgroup": b"{}", "A/.zarray": b"\xff\xfe"},
        {"zarr.json": b'{"zarr_format": 3, "node_type": "group"}'},
        {"zarr.json": b'{"zarr_format": 3, "node_type": "array"}'},
        {
            "A/.zarray": b'{"zarr_format": 2, "shape": [2], "chunks": [1], "dtype": "<f8", "fill_value": 0, '
            b'"dimension_separator": 5}'
        },
    ],
    ids=[
        "group alone",
        "nothing",
        "no metadata",
        "cut off",
        "empty",
        "incomplete",
        "binary",
        "format 3 group",
        "format 3 incomplete",
        "bad separator",
    ],
)
def test_a_broken_array_folder_is_one_clear_error(root: Path, files: dict[str, bytes]) -> None:
    """It names the folder, says that nothing was changed, and ``only`` takes the other arrays."""
    write_array(root / "m/good.zarr", np.ones(4), ("frame",))
    (root / "m/A.zarr").mkdir()
    for key, content in files.items():
        write_file(root / "m/A.zarr" / key, content)
    make_old(root / "m/A.zarr")
    dataset = mvc.open(root / "m")
    with pytest.raises(UnreadableError, match=r"A\.zarr") as refused:
        commit(dataset)
    assert "Nothing was changed" in refused.value.hint
    assert dataset.latest is None
    assert [each.problem != "" for each in dataset.status()] == [True, False]
    assert [array.name for array in commit(dataset, only=["good"]).checkpoint.arrays] == ["good"]


@pytest.mark.parametrize("pair", [("A.zarr", "a.zarr"), ("É.zarr", "E\u0301.zarr"), ("A.zarr", "A"), ("A", "a.zarr")])
def test_two_arrays_that_would_be_one_name_are_refused(root: Path, pair: tuple[str, str]) -> None:
    """By case, by Unicode form, or with and without ``.zarr``: both folders are named, nothing is recorded."""
    for name in pair:
        write_array(root / "m" / name, np.ones(4), ("frame",))
    dataset = mvc.open(root / "m")
    with pytest.raises(UnreadableError) as refused:
        commit(dataset)
    assert all(name.removesuffix(".zarr") in refused.value.message for name in pair)
    assert dataset.latest is None


def test_two_files_that_would_be_one_name_are_refused(working: WorkingFolder) -> None:
    """Inside an array folder too."""
    folder = write_array(working.path / "A.zarr", np.ones(4), ("frame",))
    write_file(folder / "Note", b"1")
    write_file(folder / "note", b"2")
    with pytest.raises(UnreadableError, match="Note and note"):
        read(working)


@pytest.mark.parametrize("name", ["a:b", "a\\b", "con", "trailing.", "x" * 201, ".hidden"])
@pytest.mark.parametrize("which", ["folder", "variable"])
def test_what_is_recorded_can_be_brought_back(root: Path, name: str, which: str) -> None:
    """A name that restore would refuse is refused by commit already, or restored after all."""
    folder = root / "m" / (f"{name}.zarr" if which == "folder" else "A.zarr")
    write_units(folder, [0, 1], np.ones((2, 3)), name=name if which == "variable" else None)
    write_units(root / "m/B.zarr", [0, 1], np.ones((2, 3)))
    dataset = mvc.open(root / "m")
    try:
        commit(dataset)
    except MinianVCError:
        assert dataset.latest is None
        return
    array = folder.name.removesuffix(".zarr")
    dataset.restore("@latest", to=root / "whole")
    dataset.restore(f"{array}@latest", to=root / "single")
    assert files_of(root / "whole" / folder.name) == files_of(folder)
    assert files_of(root / "single" / folder.name) == files_of(folder)


def test_a_file_name_that_is_no_text_is_one_clear_error(root: Path) -> None:
    """Bytes that are no UTF-8 cannot stand in a manifest: refused with the path, nothing recorded."""
    write_array(root / "m/A.zarr", np.ones(4), ("frame",))
    try:
        Path(os.fsdecode(os.fsencode(root / "m/A.zarr") + b"/\xff")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system has no such names")
    make_old(root / "m/A.zarr")
    dataset = mvc.open(root / "m")
    with pytest.raises(UnreadableError, match=r"A\.zarr"):
        commit(dataset)
    assert dataset.latest is None


# -- what is left alone -----------------------------------------------------------------------


def test_other_folders_and_files_are_left_alone(working: WorkingFolder) -> None:
    """Notes and figures are no arrays; they are told as foreign and not read."""
    write_array(working.path / "A.zarr", np.ones(4), ("frame",))
    write_file(working.path / "figures/1.png", b"x")
    write_file(working.path / "notes.txt", b"x")
    scan = working.scan()
    assert (list(scan.arrays), scan.foreign, scan.rechunking) == (["A.zarr"], ("figures",), ())
    assert list(read(working)) == ["A.zarr"]


def test_a_bare_array_folder_and_an_empty_folder_are_recorded(working: WorkingFolder) -> None:
    """An array without a group around it is one; an empty folder in it is an entry of its own."""
    folder = write_array(working.path / "A.zarr", np.ones(4), ("frame",), name=".")
    (folder / "empty").mkdir()
    make_old(folder)
    (reading,) = read(working).values()
    assert reading.description.variable.path == ""
    assert "empty/" in reading.manifest
    assert reading.manifest.keys() >= {".zarray", "0"}


def test_a_missing_dataset_has_no_arrays(working: WorkingFolder) -> None:
    """A folder that is not there is empty, not an error."""
    shutil.rmtree(working.path)
    assert working.scan().arrays == {}


def test_small_files_lie_in_the_manifest_and_larger_ones_do_not(working: WorkingFolder) -> None:
    """Metadata and files up to 256 bytes are inside; a chunk of 257 is not."""
    folder = write_array(working.path / "A.zarr", np.ones(257, "u1"), ("frame",))
    write_file(folder / "small", b"x" * 256)
    write_file(folder / "A/.zattrs", b'{"_ARRAY_DIMENSIONS": ["frame"], "note": "%s"}' % (b"x" * 1000))
    make_old(folder)
    (reading,) = read(working).values()
    inside = {key for key, entry in reading.manifest.items() if entry.inline is not None}
    assert inside == {".zgroup", "A/.zarray", "A/.zattrs", "small"}
    assert reading.manifest["A/0"].digest == digest_of(b"\1" * 257)


def test_real_stages_are_read_once(stages: Path, root: Path, opened: list[str]) -> None:
    """After a real stage is committed, the next commit reads only the arrays MiniAn saved since."""
    folder = put_stage(stages, STAGES[1], root)
    make_old(folder)
    dataset = mvc.open(root / INTERMEDIATE)
    commit(dataset)
    opened.clear()
    after = stages / STAGES[2] / INTERMEDIATE
    shutil.rmtree(folder / "C.zarr")
    shutil.copytree(after / "C.zarr", folder / "C.zarr")
    make_old(folder / "C.zarr")
    assert commit(dataset).created
    read_here = [Path(path) for path in opened if root / ".minian_vc" not in Path(path).parents]
    assert {path.relative_to(folder).parts[0] for path in read_here} == {"C.zarr"}


def test_a_time_long_ago_is_long_ago() -> None:
    """The tests' own old files are neither recent nor coarse."""
    assert LONG_AGO % 10_000_000
