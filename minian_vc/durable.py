"""Durable file operations: what is written here is on the disk when it is said to be.

POSIX gives ``fsync`` of files and folders; Linux can flush a whole file system at once (``syncfs``) and
exchange two folders in one step. Each has a portable way beside it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from blake3 import blake3

from minian_vc.errors import StorageError
from minian_vc.interrupts import put_off

__all__ = [
    "FULL",
    "begin_flush",
    "copy_with_digest",
    "digest_file",
    "discard",
    "exchange",
    "file_system_now",
    "flush",
    "flush_tree",
    "free_bytes",
    "link_or_copy",
    "link_tree",
    "open_below",
    "open_without_links",
    "read_block",
    "read_without_links",
    "remove_tree",
    "rename_exclusively",
    "reserve",
    "storage_errors",
    "sync_folder",
    "write_durably",
    "write_file",
]

BLOCK = 4 << 20
IN_MEMORY = 16 << 20  # a file up to this size is read whole
FEW_FILES = 4  # up to this, flushing each file is cheaper than flushing the file system
FULL = (errno.ENOSPC, errno.EDQUOT)
_AT_FDCWD = -100 if sys.platform == "linux" else -2
_START_WRITING = 2  # SYNC_FILE_RANGE_WRITE
_RENAME = {"linux": "renameat2", "darwin": "renameatx_np"}.get(sys.platform, "")
_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS
_EXCLUSIVELY = 1 if sys.platform == "linux" else 4  # RENAME_NOREPLACE; RENAME_EXCL on macOS


@contextlib.contextmanager
def storage_errors(what: str, path: Path | str) -> Iterator[None]:
    """Turn an ``OSError`` from the disk into a :class:`StorageError` that says what is unchanged."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "The history and the working folder are as they were."
        if error.errno in FULL:
            hint += " Free some space, then run the command again."
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint += " Check that you may write there."
        raise StorageError(f"Could not {what}: {reason} ({error.filename or path}).", hint) from error


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries: after this a rename in it survives a power cut."""
    if os.name == "nt":  # Windows flushes folder entries with the file
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush(files: Iterable[Path], folders: Iterable[Path]) -> None:
    """Make files and folder entries durable: one ``syncfs`` for many, ``fsync`` each for few."""
    files, folders = list(files), sorted(set(folders))
    syncfs = _c_function("syncfs") if sys.platform == "linux" else None
    if syncfs is not None and len(files) + len(folders) > FEW_FILES:
        anywhere = os.open((files or folders)[0], os.O_RDONLY)
        try:
            if syncfs(anywhere) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        finally:
            os.close(anywhere)
        return
    for file in files:
        _sync_file(file)
    for folder in folders:
        sync_folder(folder)


def begin_flush(path: Path) -> None:
    """Start a file on its way to the disk without waiting for it, where the system can. It promises nothing."""
    start = _c_function("sync_file_range") if sys.platform == "linux" else None
    if start is None:
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            start(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _START_WRITING)
        finally:
            os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Make everything in a folder durable."""
    files, folders = [], [folder]
    for root, names, file_names in os.walk(folder):
        folders += [Path(root) / name for name in names]
        files += [Path(root) / name for name in file_names]
    with storage_errors("flush the new files", folder):
        flush(files, folders)


def write_file(path: Path, content: bytes | bytearray) -> None:
    """Write a file that nobody counts on yet: it is not flushed."""
    with storage_errors("write a file", path):
        path.write_bytes(content)


def write_durably(path: Path, content: bytes, staging: Path) -> None:
    """Write a small file so that ``path`` holds the old content or the new, never a part."""
    staged = staging / f"{path.name}.{os.urandom(8).hex()}"
    try:
        with staged.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        discard(staged)
        raise
    sync_folder(path.parent)


def open_without_links(path: Path, below: int | None = None) -> int:
    """Open a regular file for reading; a symlink or special file in its place is an error.

    ``below`` is the descriptor of an open folder that the path begins in.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, dir_fd=below)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    return descriptor


def open_below(folder: Path, key: str) -> int:
    """Open a regular file of a folder for reading; a symlink or special file anywhere on the way is an error.

    Parameters
    ----------
    folder : Path
        Itself followed if it is a link.
    key : str
        The file's path below it, with ``/``.
    """
    *between, name = key.split("/")
    if not between or os.open not in os.supports_dir_fd:
        return open_without_links(folder / key)
    above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in between:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            above = below
        return open_without_links(Path(name), above)
    finally:
        os.close(above)


def read_without_links(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file, which must not be larger than that."""
    descriptor = open_without_links(path)
    try:
        if os.fstat(descriptor).st_size > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return read_block(descriptor, most)
    finally:
        os.close(descriptor)


def read_block(descriptor: int, size: int) -> bytes:
    """Read up to ``size`` bytes, fewer only at the end of the file: one read may stop early."""
    size = min(size, os.fstat(descriptor).st_size + 1)  # the buffer is made before the bytes are known
    parts = []
    while size > 0 and (part := os.read(descriptor, min(size, 1 << 30))):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def copy_with_digest(source: int, target: Path) -> tuple[str, int]:
    """Copy an open file to a new one in blocks; return the hex BLAKE3 and size of what was written."""
    hasher, size = blake3(), 0
    with target.open("xb") as out:
        while block := read_block(source, BLOCK):
            out.write(block)
            hasher.update(block)
            size += len(block)
    return hasher.hexdigest(), size


def digest_file(source: int) -> tuple[str, int]:
    """Return the hex BLAKE3 and size of an open file, read in blocks."""
    hasher, size = blake3(), 0
    while block := read_block(source, BLOCK):
        hasher.update(block)
        size += len(block)
    return hasher.hexdigest(), size


def exchange(staged: Path, live: Path) -> bool:
    """Exchange two folders in one step; return False where the system cannot."""
    if not _rename(staged, live, _EXCHANGE):
        return False
    with contextlib.suppress(OSError):  # done is done: the caller must know what is live now
        sync_folder(staged.parent)
        sync_folder(live.parent)
    return True


def rename_exclusively(old: Path, new: Path) -> bool:
    """Rename a file unless the new name is taken; return False where the system cannot tell in the same step.

    Raises
    ------
    FileExistsError
        It is taken.
    """
    if os.name == "nt":  # there no rename replaces anything
        old.rename(new)
        return True
    return _rename(old, new, _EXCLUSIVELY)


def _rename(old: Path, new: Path, flag: int) -> bool:
    rename = _c_function(_RENAME) if _RENAME else None
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), flag) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(new))


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where there are no links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (*FULL, errno.EROFS, errno.EIO):
            raise
        shutil.copy2(source, target, follow_symlinks=False)


def link_tree(source: Path, target: Path) -> None:
    """Make a folder whose files are second names of another's."""
    shutil.copytree(source, target, symlinks=True, copy_function=lambda a, b: link_or_copy(Path(a), Path(b)))


def remove_tree(path: Path) -> None:
    """Remove a file or folder, also where Windows calls it read-only."""

    def make_writable(function: Callable[[str], object], name: str, _: object) -> None:
        if not Path(name).exists():
            return
        Path(name).chmod(stat.S_IRWXU)
        function(name)

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=make_writable)
    else:
        path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a file or folder that nobody needs, before Ctrl-C; what cannot be removed takes space and does no harm."""
    with put_off(), contextlib.suppress(OSError):
        remove_tree(path)


def free_bytes(path: Path) -> int:
    """Return the bytes free for this user on the file system of ``path``."""
    return shutil.disk_usage(path).free


def reserve(path: Path) -> int:
    """Return the bytes of free space to leave alone: a full disk would keep even deleting from working."""
    return min(64 << 20, shutil.disk_usage(path).total // 20)


def file_system_now(folder: Path) -> int:
    """Return the file system's own clock in ns since the epoch: a server's may differ from ours.

    Where nothing can be written, ours has to do.
    """
    probe = folder / f"clock.{os.urandom(8).hex()}"
    try:
        probe.touch()
        now = probe.stat().st_mtime_ns
        probe.unlink()
    except OSError:
        return time.time_ns()
    return now


def _c_function(name: str) -> Callable[..., int] | None:
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), name, None)
    except (OSError, TypeError):  # no C library to be had (Windows)
        return None
