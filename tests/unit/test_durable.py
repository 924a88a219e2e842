"""Durable file operations."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from minian_vc import durable
from minian_vc.errors import StorageError
from minian_vc.model import digest_of


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    """A staging folder."""
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EDQUOT, "Free some space"),
        (errno.EROFS, "may write there"),
        (errno.EACCES, "may write there"),
        (errno.EPERM, "may write there"),
        (errno.EIO, "as they were"),
    ],
)
def test_an_error_of_the_disk_says_what_failed_where_and_what_to_do(number: int, advice: str) -> None:
    """Full, read-only, forbidden: one clear error each, with what is unchanged."""
    with pytest.raises(StorageError) as caught, durable.storage_errors("store it", "/some/path"):
        raise OSError(number, os.strerror(number))
    assert "store it" in caught.value.message
    assert os.strerror(number) in caught.value.message
    assert "/some/path" in caught.value.message
    assert advice in caught.value.hint
    assert "as they were" in str(caught.value)
    assert caught.value.exit_code == 3


def test_the_path_that_the_system_names_is_given() -> None:
    """The file in the error is the one that failed, if the system says which."""
    with pytest.raises(StorageError, match="/the/very/file"), durable.storage_errors("store it", "/some/path"):
        raise OSError(errno.EIO, "Input/output error", "/the/very/file")


def test_errors_of_our_own_pass_as_they_are() -> None:
    """A storage error is not wrapped twice, another error not at all."""
    inner = StorageError("mine")
    with pytest.raises(StorageError) as caught, durable.storage_errors("x", "y"):
        raise inner
    assert caught.value is inner
    with pytest.raises(KeyError), durable.storage_errors("x", "y"):
        raise KeyError("k")


# -- writing ----------------------------------------------------------------------------------


def test_a_small_file_is_replaced_whole(tmp_path: Path, staging: Path) -> None:
    """The new content takes the place of the old, and nothing stays in staging."""
    path = tmp_path / "file"
    durable.write_durably(path, b"old", staging)
    durable.write_durably(path, b"new", staging)
    assert path.read_bytes() == b"new"
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_an_error_leaves_the_old_content(
    tmp_path: Path, staging: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Whatever fails, the file is the old one whole, and the staged one is gone."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), fail)
    with pytest.raises(OSError, match="No space"):
        durable.write_durably(path, b"new", staging)
    assert path.read_bytes() == b"old"
    assert list(staging.iterdir()) == []


def test_content_is_flushed_before_it_gets_its_name(
    tmp_path: Path, staging: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flush the file, rename it, flush the folder."""
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync") or real_fsync(fd))
    monkeypatch.setattr(Path, "replace", lambda self, to: calls.append("rename") or real_replace(self, to))
    durable.write_durably(tmp_path / "file", b"x", staging)
    assert calls == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize("count", [1, durable.FEW_FILES + 1])
def test_flush_takes_few_files_and_many(tmp_path: Path, count: int) -> None:
    """Files and folders are flushed one by one or all at once, without an error."""
    files = [tmp_path / str(i) for i in range(count)]
    for file in files:
        file.write_bytes(b"x")
    durable.flush(iter(files), [tmp_path, tmp_path])
    durable.flush((), ())


def test_a_failed_flush_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a failing fsync nor a failing syncfs passes unnoticed."""
    files = [tmp_path / str(i) for i in range(durable.FEW_FILES + 1)]
    for file in files:
        file.write_bytes(b"x")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            durable.flush(files[:1], ())
    monkeypatch.setattr(durable, "_c_function", lambda _: lambda _: -1)
    with pytest.raises(OSError):  # noqa: PT011 (whatever the system's number is)
        durable.flush(files, ())


# -- reading ----------------------------------------------------------------------------------


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A symlink, a fifo (without waiting for a writer) and a folder are errors."""
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "."):
        with pytest.raises(OSError):  # noqa: PT011 (ELOOP, EINVAL: the system decides)
            durable.open_without_links(tmp_path / name)
    descriptor = durable.open_without_links(tmp_path / "file")
    assert os.read(descriptor, 9) == b"x"
    os.close(descriptor)


def test_a_refused_file_is_closed_again(tmp_path: Path) -> None:
    """Refusing many special files does not use up the descriptors."""
    os.mkfifo(tmp_path / "fifo")
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir())) if descriptors.is_dir() else 0
    for _ in range(20):
        with pytest.raises(OSError, match="regular"):
            durable.open_without_links(tmp_path / "fifo")
    after = len(list(descriptors.iterdir())) if descriptors.is_dir() else 0
    assert after == before


@pytest.mark.parametrize("step", [1, 3, 100])
@pytest.mark.parametrize("asked", [0, 5, 10, 50])
def test_a_read_that_stops_early_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, asked: int
) -> None:
    """Short reads are put together; fewer bytes come only at the end of the file."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    real = os.read
    monkeypatch.setattr(os, "read", lambda fd, size: real(fd, min(size, step)))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert durable.read_block(descriptor, asked) == b"0123456789"[:asked]
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000])
def test_copying_gives_the_digest_of_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Digest and size are of the copy; the copy is never made over another file."""
    monkeypatch.setattr(durable, "BLOCK", 64)
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    for target in ("copy", None):
        descriptor = os.open(tmp_path / "source", os.O_RDONLY)
        try:
            if target:
                digits, copied = durable.copy_with_digest(descriptor, tmp_path / target)
            else:
                digits, copied = durable.digest_file(descriptor)
                os.lseek(descriptor, 0, os.SEEK_SET)
                with pytest.raises(FileExistsError):
                    durable.copy_with_digest(descriptor, tmp_path / "copy")
        finally:
            os.close(descriptor)
        assert (f"blake3:{digits}", copied) == (digest_of(content), size)
    assert (tmp_path / "copy").read_bytes() == content


# -- folders ----------------------------------------------------------------------------------


def two_folders(tmp_path: Path) -> tuple[Path, Path]:
    """A staged and a live folder with different files."""
    for name in ("staged", "live"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path / "staged", tmp_path / "live"


def test_two_folders_change_places_or_nothing_happens(tmp_path: Path) -> None:
    """Where the system can, both are there at once under each other's name."""
    staged, live = two_folders(tmp_path)
    done = durable.exchange(staged, live)
    expected = ("live", "staged") if done else ("staged", "live")
    assert ((staged / "file").read_text(), (live / "file").read_text()) == expected


def test_exchanging_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A missing folder is not mistaken for a system that cannot exchange."""
    staged, live = two_folders(tmp_path)
    if not durable.exchange(staged, live):
        pytest.skip("this file system cannot exchange two folders")
    with pytest.raises(FileNotFoundError):
        durable.exchange(staged, tmp_path / "nothing")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP])
def test_a_system_that_cannot_exchange_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The caller is told to take another way; nothing is changed."""
    staged, live = two_folders(tmp_path)
    monkeypatch.setattr(durable, "_c_function", lambda _: lambda *_: -1)
    monkeypatch.setattr(durable.ctypes, "get_errno", lambda: number)
    assert durable.exchange(staged, live) is False
    monkeypatch.setattr(durable, "_c_function", lambda _: None)
    assert durable.exchange(staged, live) is False
    assert (live / "file").read_text() == "live"


@pytest.mark.parametrize("links", [True, False])
def test_a_tree_gets_second_names_or_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """Every file is there with its content and time; it is the same file where there are links."""
    source = tmp_path / "source"
    (source / "a/b").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "a/b/file").write_bytes(b"x")
    os.utime(source / "a/b/file", ns=(5_000_000_000, 5_000_000_000))
    if not links:

        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", fail)
    durable.link_tree(source, tmp_path / "target")
    copy = tmp_path / "target/a/b/file"
    assert (tmp_path / "target/empty").is_dir()
    assert copy.read_bytes() == b"x"
    assert copy.stat().st_mtime_ns == 5_000_000_000
    assert copy.samefile(source / "a/b/file") is links


def test_a_full_disk_is_not_taken_for_missing_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When linking fails for want of space, copying is not tried."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", fail)
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(OSError, match="No space"):
        durable.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_removing_takes_files_folders_and_links_and_minds_nothing_missing(tmp_path: Path) -> None:
    """A symlink to a folder is removed, not what it points to; read-only files go too."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"x")
    (folder / "file").chmod(0o400)
    (folder / "link").symlink_to(kept)
    (tmp_path / "link").symlink_to(kept)
    for path in (folder, tmp_path / "link", tmp_path / "nothing"):
        durable.remove_tree(path)
        assert not path.is_symlink()
        assert not path.exists()
    assert (kept / "file").read_bytes() == b"x"


def test_the_file_systems_clock_leaves_nothing_behind(tmp_path: Path) -> None:
    """Asking for the time makes no file that stays, and works where nothing can be written."""
    now = durable.file_system_now(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert durable.file_system_now(tmp_path / "nothing") >= now - durable.BLOCK * 1000


def test_some_space_is_left_alone(tmp_path: Path) -> None:
    """A reserve is kept, small on small disks."""
    assert 0 < durable.reserve(tmp_path) <= 64 << 20
    assert durable.free_bytes(tmp_path) > 0
