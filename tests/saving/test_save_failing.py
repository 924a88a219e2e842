"""Whatever goes wrong while an array is saved leaves the version that was there, and nothing beside it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from conftest import tree
from save_cases import DATASET, FRAMES, UNITS, traces
from save_steps import Steps

from minian_vc import durable, save_minian
from minian_vc.arrays.chunk_files import ChunkFiles
from minian_vc.errors import AlreadyExistsError, StorageError
from minian_vc.staging import SAVING, drop_stage, put_in_order
from minian_vc.swap import put_in_place
from minian_vc.verbs import save

OVER_THE_DISK = {"chunks": {"unit_id": -1, "frame": 16}, "mem_limit": "4.7kB"}
GRIDS = {"as it is": {}, "chunks": {"chunks": {"unit_id": -1, "frame": 16}}, "chunks over the disk": OVER_THE_DISK}
EACH_STEP = pytest.mark.parametrize(
    ("way", "options"),
    [("exchange", {}), ("two renames", OVER_THE_DISK)],
    indirect=["way"],
    ids=["exchange", "two renames, chunks over the disk"],
)


@pytest.fixture(autouse=True)
def _without_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing waits for whatever else the machine writes."""
    monkeypatch.setattr(durable, "flush", lambda *_: None)


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system's exchange of two folders, or without."""
    if request.param == "two renames":
        monkeypatch.setattr(durable, "exchange", lambda *_: False)
    return request.param


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset with an old version of X."""
    folder = tmp_path / DATASET
    save_minian((traces() + 1).rename("X"), folder)
    return folder


def failing(error: BaseException, at: int = 3) -> xr.DataArray:
    """C, of which one chunk cannot be computed."""

    def compute(block: np.ndarray, block_id: tuple[int, int] = (0, 0)) -> np.ndarray:
        if block_id[0] == at:
            raise error
        return block

    values = da.from_array(np.ones((UNITS, FRAMES)), (1, -1)).map_blocks(compute, dtype=float, meta=np.empty((0, 0)))
    return xr.DataArray(values, {"unit_id": range(UNITS)}, ("unit_id", "frame"), "X")


@contextlib.contextmanager
def all_threads_done() -> Iterator[None]:
    """Wait at the end for what dask's threads still do."""
    with ThreadPoolExecutor(2) as pool, dask.config.set(pool=pool):
        yield


def assert_old_is_left(dataset: Path, before: dict) -> None:
    """The dataset is what it was; what other threads were still writing beside it goes with the next save."""
    assert tree(dataset) == before
    save_minian((traces() + 1).rename("X"), dataset, overwrite=True)
    assert_untouched(dataset, before)


def assert_untouched(dataset: Path, before: dict) -> None:
    """The dataset is byte for byte what it was, and nothing lies beside it."""
    assert tree(dataset.parent) == {f"{dataset.name}/{key}": content for key, content in before.items()}


@pytest.mark.parametrize("options", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("error", [ValueError("no such chunk"), KeyboardInterrupt(), MemoryError()], ids=repr)
def test_an_exception_in_a_chunk_leaves_the_old_version(error: BaseException, options: dict, dataset: Path) -> None:
    """It comes through as it is, with a note that the old version is there."""
    before = tree(dataset)
    with all_threads_done(), pytest.raises(type(error)) as caught:
        save_minian(failing(error), dataset, overwrite=True, **options)
    assert any("is as it was" in note for note in caught.value.__notes__)
    assert_old_is_left(dataset, before)


def test_an_exception_in_the_first_save_leaves_no_folder(tmp_path: Path) -> None:
    """Not even the dataset is made."""
    with all_threads_done(), pytest.raises(ValueError, match="no such chunk") as caught:
        save_minian(failing(ValueError("no such chunk")), tmp_path / DATASET)
    assert any("was not made" in note for note in caught.value.__notes__)
    assert not (tmp_path / DATASET).exists()
    save_minian(traces(), tmp_path / DATASET)
    assert not list(tmp_path.rglob(SAVING))


def test_a_full_disk_while_computing_is_said_so(dataset: Path) -> None:
    """An ENOSPC from anywhere in the graph becomes an error that says what to do."""
    before = tree(dataset)
    with all_threads_done(), pytest.raises(StorageError, match="disk is full") as caught:
        save_minian(failing(OSError(errno.ENOSPC, "No space left on device")), dataset, overwrite=True)
    assert "as it was" in caught.value.hint
    assert "free some space" in caught.value.hint
    assert_old_is_left(dataset, before)


STEPS = Steps()  # one for all: its hook stays


def full() -> None:
    """Fail as a write to a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt() -> None:
    """Do what Ctrl-C does: it reaches the main thread, whichever thread is at work."""
    if threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def fail_at_each_step(dataset: Path, error: Callable[[], None], options: dict) -> list[str]:
    """Save with one error at each step in turn; return what came of each, and see that nothing else is there."""
    new = dataset.parent.parent / "whole"
    save_minian(traces(), new / "minian", **options)
    old, whole, seen, step = tree(dataset), tree(new / "minian"), [], 0
    while True:
        step += 1

        raised: BaseException | None = None
        with STEPS.acting(step, error), all_threads_done():
            try:
                save_minian(traces(), dataset, overwrite=True, **options)
            except (StorageError, KeyboardInterrupt) as caught:
                raised = caught
        if len(STEPS.names) < step:
            return seen
        now = tree(dataset)
        assert now in (old, whole), STEPS.names[-1]
        noted = any("did not take place" in note for note in getattr(raised, "__notes__", ()))
        assert noted is (now == old and isinstance(raised, KeyboardInterrupt))
        seen.append(f"{'old' if now == old else 'new'} {type(raised).__name__}")
        durable.remove_tree(dataset.parent / SAVING)  # kept on purpose: what is whole, and what could not be removed
        durable.remove_tree(dataset)
        for key, content in old.items():
            (dataset / key).parent.mkdir(parents=True, exist_ok=True)
            (dataset / key).write_bytes(content)


@EACH_STEP
def test_a_disk_that_is_full_at_any_step(options: dict, way: str, dataset: Path) -> None:
    """Either it is an error and the old version is there, or it was after the swap, and the save has taken place."""
    seen = fail_at_each_step(dataset, full, options)
    assert set(seen) == {"old StorageError", "new NoneType"}
    assert seen == sorted(seen, reverse=True)
    assert seen.count("old StorageError") > 20


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C be heard: a job in the background of a script is started so that it is not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@EACH_STEP
def test_an_interrupt_at_any_step(options: dict, way: str, dataset: Path, ctrl_c: None) -> None:
    """Ctrl-C comes through; the old version is there, or the new one where it came after the swap."""
    seen = fail_at_each_step(dataset, interrupt, options)
    assert set(seen) == {"old KeyboardInterrupt", "new KeyboardInterrupt"}
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("options", GRIDS.values(), ids=GRIDS)
def test_a_chunk_that_is_not_written_is_missed(options: dict, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that drops a chunk, as a worker without this disk would: refused before the swap."""
    real = ChunkFiles.__setitem__
    before = tree(dataset)

    def drop_one(self: Any, place: Any, values: Any) -> None:
        if self._stored.path != "X" or any(along.start for along in place):
            real(self, place, values)

    monkeypatch.setattr(ChunkFiles, "__setitem__", drop_one)
    with pytest.raises(StorageError, match=r"1 chunks of X\.zarr were not written, the first is X/0\.0"):
        save_minian(traces(), dataset, overwrite=True, **options)
    assert_untouched(dataset, before)


def test_an_empty_chunk_file_is_missed(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without content is no chunk."""
    real = save._Saving._refuse_incomplete
    before = tree(dataset)

    def truncate_one(self: Any) -> None:
        (self.folder / "unit_id/0").write_bytes(b"")
        real(self)

    monkeypatch.setattr(save._Saving, "_refuse_incomplete", truncate_one)
    with pytest.raises(StorageError, match=r"1 chunks of X\.zarr were not written, the first is unit_id/0"):
        save_minian(traces(), dataset, overwrite=True)
    assert_untouched(dataset, before)


def test_what_cannot_be_put_in_place_is_kept_and_named(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new version is whole; the error says where it lies, and later saves leave it there."""
    before = tree(dataset)

    def refuse(*_: object) -> bool:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(durable, "exchange", refuse)
        with pytest.raises(StorageError, match="put the new folder in place") as caught:
            save_minian(traces(), dataset, overwrite=True)
    assert tree(dataset) == before
    (kept,) = (dataset.parent / SAVING).glob("kept-*")
    assert str(kept / "X.zarr") in caught.value.hint
    save_minian(traces().rename("Z"), dataset)
    save_minian(traces(), dataset, overwrite=True)
    assert tree(kept / "X.zarr") == tree(dataset / "X.zarr")


@pytest.mark.parametrize("overwrite", [True, False], ids=["overwrite", "first"])
def test_two_renames_that_fail_twice_say_where_both_versions_are(
    overwrite: bool, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails in the middle: nothing is moved from where the note says, and whoever comes next completes it."""
    before, real, count = tree(dataset), Path.rename, []
    monkeypatch.setattr(durable, "exchange", lambda *_: False)

    def rename(self: Path, target: Path) -> Path:
        count.append(target)
        if overwrite and len(count) == 1:
            return real(self, target)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(StorageError) as caught:
            save_minian(traces().rename("X" if overwrite else "Z"), dataset, overwrite=overwrite)
    if not overwrite:  # one rename, and what was to be kept stays where it is
        assert tree(dataset) == before
        (stage,) = (dataset.parent / SAVING).iterdir()
        kept = tree(stage)
        assert str(stage / "Z.zarr") in caught.value.hint
        save_minian(traces().rename("Q"), dataset)
        assert tree(stage) == kept
        drop_stage(stage)
        return
    assert not (dataset / "X.zarr").exists()
    (stage,) = (dataset.parent / SAVING).iterdir()
    assert "as it was" not in str(caught.value)
    assert str(stage / "X.zarr") in caught.value.hint
    assert str(stage / "X.zarr.old") in caught.value.hint
    assert {f"X.zarr/{key}": content for key, content in tree(stage / "X.zarr.old").items()} == before
    new = tree(stage / "X.zarr")
    put_in_order(dataset.parent)
    assert tree(dataset / "X.zarr") == new
    assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupt_right_after_a_rename(after: int, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come when the rename is done and nobody was told yet: the old version is there, or the new one."""
    old, real, count = tree(dataset / "X.zarr"), Path.rename, []
    save_minian(traces(), dataset.parent / "whole")
    new = tree(dataset.parent / "whole/X.zarr")
    monkeypatch.setattr(durable, "exchange", lambda *_: False)

    def rename(self: Path, target: Path) -> Path:
        done = real(self, target)
        count.append(target)
        if len(count) == after:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        with pytest.raises(KeyboardInterrupt) as caught:
            save_minian(traces(), dataset, overwrite=True)
    assert tree(dataset / "X.zarr") == (old if after == 1 else new)
    assert any("is as it was" in note for note in getattr(caught.value, "__notes__", ())) is (after == 1)
    assert not (dataset.parent / SAVING).exists()


@pytest.mark.parametrize("compute", [True, False], ids=["at once", "delayed"])
def test_what_came_meanwhile_is_not_replaced_without_overwrite(compute: bool, dataset: Path) -> None:
    """Another saved the array while it was computed: an error, which says where the new version is kept."""
    other = (traces() + 2).rename("Z")

    def save_other(block: np.ndarray) -> np.ndarray:
        if compute and not (dataset / "Z.zarr").exists():
            save_minian(other, dataset)
        return block

    late = traces().copy(
        data=traces().data.rechunk((-1, -1)).map_blocks(save_other, dtype=float, meta=np.empty((0, 0)))
    )
    with pytest.raises(AlreadyExistsError, match="there already") as caught:  # noqa: PT012
        delayed = save_minian(late.rename("Z"), dataset, compute=compute)
        save_minian(other, dataset)
        delayed.compute()
    np.testing.assert_array_equal(da.from_zarr(str(dataset / "Z.zarr"), component="Z"), other.values)
    (kept,) = (dataset.parent / SAVING).glob("kept-*")
    assert str(kept / "Z.zarr") in caught.value.hint
    np.testing.assert_array_equal(da.from_zarr(str(kept / "Z.zarr"), component="Z"), traces().values)


def test_what_came_at_the_last_moment_is_not_replaced_without_overwrite(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the last look and the rename."""
    other = (traces() + 2).rename("Z")

    def overtaken(*arguments: Path, **options: bool) -> None:
        monkeypatch.undo()
        save_minian(other, dataset)
        put_in_place(*arguments, **options)

    monkeypatch.setattr(save, "put_in_place", overtaken)
    with pytest.raises(StorageError) as caught:
        save_minian(traces().rename("Z"), dataset)
    np.testing.assert_array_equal(da.from_zarr(str(dataset / "Z.zarr"), component="Z"), other.values)
    (kept,) = (dataset.parent / SAVING).glob("kept-*")
    assert str(kept / "Z.zarr") in caught.value.hint


def test_flushing_comes_before_the_swap(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files of the new version are flushed while the old one is still live."""
    before, flushed = tree(dataset), []

    def flush(files: list[Path], folders: list[Path]) -> None:
        assert tree(dataset) == before
        flushed.extend(path.relative_to(path.parents[-1]).as_posix().rpartition("X.zarr/")[2] for path in files)

    monkeypatch.setattr(durable, "flush", flush)
    save_minian(traces(), dataset, overwrite=True)
    assert sorted(flushed) == sorted(tree(dataset / "X.zarr"))


def test_compute_false_changes_nothing_before_it_is_computed(dataset: Path) -> None:
    """The old version is there until then; then the new one is, whole."""
    before = tree(dataset)
    for options in GRIDS.values():
        delayed = save_minian(traces(), dataset, overwrite=True, compute=False, **options)
        assert tree(dataset) == before
        assert delayed.compute() == str(dataset / "X.zarr")
        np.testing.assert_array_equal(da.from_zarr(str(dataset / "X.zarr"), component="X"), traces().values)
        assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]
        save_minian((traces() + 1).rename("X"), dataset, overwrite=True)
        assert tree(dataset) == before


@pytest.mark.parametrize("options", GRIDS.values(), ids=GRIDS)
def test_compute_false_computes_once(options: dict, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk once, and what puts the folder in place gets no values but those that ``mem_limit`` has room for."""
    calls, handed, lock, real = [], [], threading.Lock(), save._finish

    def count(block: np.ndarray) -> np.ndarray:
        with lock:
            calls.append(block.shape)
        return block

    def finish(saving: Any, finish_writing: Any, result: Any) -> str:
        handed.extend(each.values for each in (saving.group.array, *saving.group.coordinates))
        handed.append(result)
        return real(saving, finish_writing, result)

    monkeypatch.setattr(save, "_finish", finish)
    counted = traces().copy(data=traces().data.map_blocks(count, dtype=float, meta=np.empty((0, 0))))
    counted = counted.assign_coords(lazy=("frame", da.arange(FRAMES, chunks=16)))
    save_minian(counted, dataset, overwrite=True, compute=False, **options).compute()
    assert calls == [(1, FRAMES)] * UNITS
    values = [each for each in handed if isinstance(each, np.ndarray) and each.size]  # dask.store gives an empty one
    assert len(values) == (options == GRIDS["chunks"])
    np.testing.assert_array_equal(da.from_zarr(str(dataset / "X.zarr"), component="X"), traces().values)


def test_compute_false_and_an_error_later(dataset: Path) -> None:
    """An exception in a chunk leaves the old version; computing a save a second time leaves what it saved."""
    before = tree(dataset)
    with all_threads_done(), pytest.raises(ValueError, match="no such chunk"):
        save_minian(failing(ValueError("no such chunk")), dataset, overwrite=True, compute=False).compute()
    assert tree(dataset) == before
    delayed = save_minian(traces(), dataset, overwrite=True, compute=False)
    delayed.compute()
    after = tree(dataset)
    assert after != before
    with all_threads_done(), pytest.raises((StorageError, OSError)):
        delayed.compute()
    assert tree(dataset) == after
