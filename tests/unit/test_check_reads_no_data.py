"""Check never reads the data: every file that is opened is watched, and every byte that is read is counted.

An audit hook sees each file that Python opens, by whatever way; what reads are counted through (``os.read``, files of
``open``) must account for all of them, so that no reader can pass by uncounted.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numcodecs.blosc
import pytest
import zarr
from conftest import INTERMEDIATE, put_stage

import minian_vc as mvc
from minian_vc.prediction import opening

HEADER = 16
STAGES = ("stage-02-first-temporal", "stage-04-second-spatial")
_listeners: list[Callable[[str, tuple[Any, ...]], None]] = []
_hook_added: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "mmap.__new__"):
        for listener in _listeners:
            listener(event, arguments)


class Counted:
    """A file that is read without a buffer, so that what is asked for is what is read."""

    def __init__(self, file: io.FileIO, path: str, watch: Watch) -> None:
        self._file, self._path, self._watch, self._count = file, path, watch, 0

    def read(self, size: int = -1) -> bytes:
        """Read and count."""
        content = self._file.read(size)
        self._count += len(content)
        self._watch.count(self._path, self._count)
        return content

    def __enter__(self) -> Counted:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Watch:
    """What is opened and read below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self.opened: Counter[str] = Counter()
        self.accounted: Counter[str] = Counter()
        self.read: Counter[str] = Counter()
        self.uncounted: list[str] = []
        self.descriptors: dict[int, str] = {}
        self.positions: Counter[int] = Counter()

    def count(self, path: str, position: int) -> None:
        """Take down how far a file was read; equal chunks of several arrays are one object, read from each again."""
        self.read[path] = max(self.read[path], position)

    def below(self, path: Any) -> str | None:
        """Return the path of a file below the folder, None for all others."""
        if not isinstance(path, str | bytes | os.PathLike):
            return None
        real = os.path.realpath(os.fsdecode(path))
        return real if real.startswith(self.root + os.sep) else None

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take down an audit event."""
        if event == "mmap.__new__":
            if arguments[0] in self.descriptors:
                self.uncounted.append(f"mmap of {self.descriptors[arguments[0]]}")
        elif (path := self.below(arguments[0])) is not None and not Path(path).is_dir():
            self.opened[path] += 1

    def bytes_read(self, files: set[str]) -> dict[str, int]:
        """Return how far each of these files that was opened was read; no open may have gone uncounted."""
        passed_by = {path for path in files if self.opened[path] != self.accounted[path]}
        assert not passed_by, f"opened in a way that is not counted: {passed_by}"
        assert not self.uncounted, self.uncounted
        return {path: self.read[path] for path in files if self.opened[path]}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], contextlib.AbstractContextManager[Watch]]:
    """Return what watches a folder during a ``with`` block."""
    if not _hook_added:  # a hook stays as long as Python runs
        sys.addaudithook(_hook)
        _hook_added.append(True)

    @contextlib.contextmanager
    def watching(root: Path) -> Iterator[Watch]:
        seen = Watch(root)
        with monkeypatch.context() as patch:
            count_descriptors(patch, seen)
            count_files(patch, seen)
            _listeners.append(seen.hear)
            try:
                yield seen
            finally:
                _listeners.clear()

    return watching


def count_descriptors(patch: pytest.MonkeyPatch, seen: Watch) -> None:
    """Count what ``os.read`` reads, and take down each way of reading from a descriptor that is not counted."""
    os_open, os_read = os.open, os.read

    def counting_os_open(path: Any, *rest: Any, **options: Any) -> int:
        descriptor = os_open(path, *rest, **options)
        seen.descriptors.pop(descriptor, None)
        if (found := seen.below(path)) is not None:
            seen.descriptors[descriptor] = found
            seen.positions[descriptor] = 0
            seen.accounted[found] += 1
        return descriptor

    def counting_os_read(descriptor: int, size: int) -> bytes:
        content = os_read(descriptor, size)
        if descriptor in seen.descriptors:
            seen.positions[descriptor] += len(content)
            seen.count(seen.descriptors[descriptor], seen.positions[descriptor])
        return content

    patch.setattr(os, "open", counting_os_open)
    patch.setattr(os, "read", counting_os_read)
    for name in ("pread", "readv", "preadv", "lseek", "dup", "fdopen", "sendfile", "copy_file_range"):
        if hasattr(os, name):
            patch.setattr(os, name, _noted(name, seen))


def _noted(name: str, seen: Watch) -> Callable[..., Any]:
    original = getattr(os, name)

    def noting(*given: Any, **options: Any) -> Any:
        for descriptor in given:
            if isinstance(descriptor, int) and descriptor in seen.descriptors:
                seen.uncounted.append(f"{name} of {seen.descriptors[descriptor]}")
        return original(*given, **options)

    return noting


def count_files(patch: pytest.MonkeyPatch, seen: Watch) -> None:
    """Count what is read from files of ``open``, pathlib's among them."""
    io_open = io.open

    def counting_open(path: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(path, int) and path in seen.descriptors:
            seen.uncounted.append(f"open() of a descriptor of {seen.descriptors[path]}")
        if (found := seen.below(path)) is None:
            return io_open(path, *rest, **options)
        seen.accounted[found] += 1
        file = io.FileIO(path, "r")
        mode = rest[0] if rest else options.get("mode", "r")
        return Counted(file, found, seen) if "b" in mode else io.TextIOWrapper(_whole(file, found, seen), "utf-8")

    patch.setattr(builtins, "open", counting_open)
    patch.setattr(io, "open", counting_open)


def _whole(file: io.FileIO, path: str, seen: Watch) -> io.BytesIO:
    content = file.readall()
    file.close()
    seen.count(path, len(content))
    return io.BytesIO(content)


def chunks_of(dataset: Path, *, data: bool) -> set[str]:
    """Return the chunk files of a dataset: those of the data, or those of coordinates."""
    found = set()
    for path in dataset.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            of_data = path.parent.name == path.relative_to(dataset).parts[0].removesuffix(".zarr")
            if of_data is data:
                found.add(os.path.realpath(path))
    return found


@pytest.fixture
def dataset(stages: Path, tmp_path: Path) -> Path:
    """A real dataset, of which nothing was decoded before."""
    opening._decoded.cache_clear()
    return put_stage(stages, "stage-02-first-temporal", tmp_path)


# -- the proof ----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_of_data_chunks_the_headers_are_read_at_most(stages: Path, tmp_path: Path, watch: Any, stage: str) -> None:
    """16 bytes of each at most, and never more by whatever way; metadata and coordinates are read."""
    folder = put_stage(stages, stage, tmp_path)
    opening._decoded.cache_clear()
    data, coordinates = chunks_of(folder, data=True), chunks_of(folder, data=False)
    assert len(data) > 100
    with watch(folder) as seen:
        report = mvc.check(folder)
    assert report.prediction["merge"].status == "ok"
    read = seen.bytes_read(data)
    assert all(size <= HEADER for size in read.values())
    assert any(size == HEADER for size in read.values())
    assert all(Path(path).stat().st_size > HEADER for path in data)
    of_coordinates = seen.bytes_read(coordinates)
    assert set(of_coordinates) == coordinates
    assert all(size >= Path(path).stat().st_size for path, size in of_coordinates.items())


def test_across_sessions_no_data_chunk_is_opened_at_all(stages: Path, tmp_path: Path, watch: Any) -> None:
    """Of thousands of datasets not even the headers are read."""
    for session in ("session1", "session2"):
        put_stage(stages, "stage-06-final", tmp_path, f"mouse1/{session}/minian")
    opening._decoded.cache_clear()
    data = {path for folder in tmp_path.glob("mouse1/*/minian") for path in chunks_of(folder, data=True)}
    assert len(data) > 50
    with watch(tmp_path) as seen:
        report = mvc.check(tmp_path, index_dims=["animal", "session"])
    assert report.prediction["open_minian_mf"].status == "ok"
    assert seen.bytes_read(data) == {}
    assert seen.opened


def test_of_recorded_versions_the_headers_are_read_at_most(history: mvc.Dataset, watch: Any) -> None:
    """``check @tag`` reads the objects of data chunks no further than those in a folder."""
    objects = history.repository.folder / "objects"
    data = set()
    for array in history.show("stage-02-first-temporal").arrays:
        for key, entry in history.repository.stored_files(array.manifest).entries.items():
            is_data = key.startswith(f"{array.variable}/") and not key.rpartition("/")[2].startswith(".")
            if is_data and entry.inline is None:  # the small ones lie in the manifest, which is read
                data.add(os.path.realpath(history.repository.objects.path("chunks", entry.digest)))
    assert len(data) > 20
    assert all(Path(path).is_file() for path in data)
    with watch(objects) as seen:
        report = history.check("@stage-02-first-temporal")
    assert report.prediction["merge"].status == "ok"
    read = seen.bytes_read(data)
    assert read
    assert all(size <= HEADER for size in read.values())


def test_only_coordinate_chunks_are_decoded(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What numcodecs is given to decode are coordinates, all of them, once per content; never data."""
    decoded = spy_on_decoding(monkeypatch)
    mvc.check(dataset)
    coordinates = {Path(path).read_bytes() for path in chunks_of(dataset, data=False)}
    assert set(decoded) <= coordinates
    assert decoded
    assert len(decoded) < len(chunks_of(dataset, data=False))
    first = len(decoded)
    mvc.check(dataset)
    assert len(decoded) == first


def spy_on_decoding(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list of all that blosc decodes from now on."""
    decoded: list[bytes] = []
    original = numcodecs.blosc.Blosc.decode

    def spying(self: Any, buffer: Any, out: Any = None) -> Any:
        decoded.append(bytes(memoryview(buffer)))
        return original(self, buffer, out)

    monkeypatch.setattr(numcodecs.blosc.Blosc, "decode", spying)
    return decoded


def test_a_commit_reads_what_it_stores_and_check_does_not(dataset: Path, watch: Any) -> None:
    """The counter counts: a commit of the same folder reads every byte of the data."""
    mvc.Repository.create(dataset.parent)
    data = chunks_of(dataset, data=True)
    with watch(dataset) as seen:
        mvc.open(dataset).commit("x")
    assert all(seen.read[path] >= Path(path).stat().st_size for path in data)


# -- that the proof would fail ------------------------------------------------------------------


def by_path(chunk: Path) -> None:
    """Read it whole through pathlib."""
    chunk.read_bytes()


def by_open(chunk: Path) -> None:
    """Read it whole through open()."""
    with open(chunk, "rb") as file:  # noqa: PTH123
        file.read()


def by_one_byte(chunk: Path) -> None:
    """Read one byte more than the header."""
    descriptor = os.open(chunk, os.O_RDONLY)
    os.read(descriptor, HEADER + 1)
    os.close(descriptor)


def by_parts(chunk: Path) -> None:
    """Read the header and then some more."""
    with open(chunk, "rb", buffering=0) as file:  # noqa: PTH123
        file.read(HEADER)
        file.read(1)


def by_file_io(chunk: Path) -> None:
    """Pass by open()."""
    io.FileIO(chunk).close()


def by_zarr(chunk: Path) -> None:
    """Open the array and read a value."""
    zarr.open_array(str(chunk.parent), mode="r")[0, 0]


def by_duplicate(chunk: Path) -> None:
    """Read through a copy of the descriptor."""
    descriptor = os.open(chunk, os.O_RDONLY)
    other = os.dup(descriptor)
    os.close(descriptor)
    os.close(other)


@pytest.mark.parametrize("way", [by_path, by_open, by_one_byte, by_parts, by_file_io, by_zarr, by_duplicate])
def test_a_reader_of_data_would_be_found(dataset: Path, watch: Any, way: Callable[[Path], None]) -> None:
    """Whichever way a data chunk is read beyond its header, the proof above fails."""
    data = chunks_of(dataset, data=True)
    with watch(dataset) as seen:
        way(dataset / "C.zarr/C/0.0")
    found = False
    try:
        found = any(size > HEADER for size in seen.bytes_read(data).values())
    except AssertionError:
        found = True
    assert found


@pytest.mark.parametrize("harm", ["reads a chunk", "decodes a chunk"])
def test_the_proof_fails_for_a_check_that_reads(
    dataset: Path, watch: Any, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """A header twice as long, or a chunk taken for a coordinate, is noticed."""
    from minian_vc.inspection import arrays

    decoded = spy_on_decoding(monkeypatch)
    if harm == "reads a chunk":
        monkeypatch.setattr(arrays, "HEADER", 2 * HEADER)
    else:
        look = arrays.look_at_array

        def looking(folder: str, files: Any, **more: Any) -> Any:
            facts = look(folder, files, **more)
            numcodecs.blosc.Blosc().decode((dataset / "C.zarr/C/0.0").read_bytes())
            return facts

        monkeypatch.setattr("minian_vc.inspection.dataset.look_at_array", looking)
    with watch(dataset) as seen:
        mvc.check(dataset)
    assert max(seen.bytes_read(chunks_of(dataset, data=True)).values()) > HEADER
    coordinates = {Path(path).read_bytes() for path in chunks_of(dataset, data=False)}
    assert (set(decoded) <= coordinates) == (harm == "reads a chunk")


def test_the_stages_have_coordinates_and_data(stages: Path) -> None:
    """The two kinds of chunks are told apart rightly: C's traces are data, its unit ids are not."""
    folder = stages / STAGES[0] / INTERMEDIATE
    names = {Path(path).parent.name for path in chunks_of(folder, data=False)}
    assert {"unit_id", "frame", "height", "width"} <= names
    assert "C" not in names
    assert {Path(path).parent.name for path in chunks_of(folder, data=True)} >= {"A", "C", "S"}
