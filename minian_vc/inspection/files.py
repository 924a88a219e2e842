"""The files of an array folder as a mapping of key to bytes, read only when asked for."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterator, Mapping
from functools import cached_property

from minian_vc import durable
from minian_vc.facts import ArrayFiles
from minian_vc.objects import ObjectStore, StoredFiles
from minian_vc.prediction.model import Fails, Unsure

__all__ = ["FilesOnDisk", "FilesStored", "open_file"]


SMALL, MAX_FILE = 1 << 14, 1 << 30
DEPTH = 1  # an array folder may be a link, and so may the folder of its chunks
NETCDF = (b"CDF", b"\x89HDF\r\n\x1a\n")
READERS = frozenset({".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".zarr", ".grib", ".grb", ".grb2"})


class FilesOnDisk(ArrayFiles):
    """An array folder on disk, links followed as MiniAn follows them.

    Nothing is listed or read before it is asked for.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __getitem__(self, key: str) -> bytes:
        try:
            source = os.open(f"{self.path}/{key}", os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except (FileNotFoundError, NotADirectoryError, ValueError):  # with NUL or a lone surrogate it is no file's name
            raise KeyError(key) from None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise KeyError(key) from None
            raise
        try:
            content = os.read(source, SMALL)  # most files are: this is done 100,000 times
            if len(content) < SMALL:
                return content
            size = os.fstat(source).st_size
            if size > MAX_FILE:
                raise Unsure(f"{self.path}/{key} has {size:,} bytes, too many for metadata or a coordinate")
            return content + durable.read_block(source, size)
        except IsADirectoryError:
            raise KeyError(key) from None
        finally:
            os.close(source)

    def __contains__(self, key: object) -> bool:
        try:
            return os.path.isfile(f"{self.path}/{key}")  # noqa: PTH113
        except ValueError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def hinder(self, key: str) -> None:
        """Raise what MiniAn's file layer (fsspec) makes of a path with signs that mean something to it.

        It opens the array's data by its absolute path, and takes that for a pattern of paths where it can.
        """
        if "::" in self.path:
            raise Fails("FileNotFoundError", f"{self.path}: fsspec takes :: for a chain of file systems")
        if not key or not glob.has_magic(self.path + key):
            return
        path = f"{os.path.realpath(self.path)}/{key}"
        matches = glob.glob(path) if glob.has_magic(path) else [path]  # noqa: PTH207
        if not matches:
            raise Fails("ArrayNotFoundError", f"{path}: fsspec takes it for a pattern that it does not fit itself")
        if matches != [path]:
            raise Fails("MetadataError", f"{path}: fsspec takes it for a pattern that other paths fit as well")

    def head(self, key: str, size: int) -> bytes | None:
        """Return the first bytes of a file; None where it is gone."""
        try:
            with open(f"{self.path}/{key}", "rb", buffering=0) as file:  # noqa: PTH123
                return file.read(size) or b""
        except OSError:
            return None

    def is_changed(self) -> bool:
        """Tell whether the folder is another than when it was listed."""
        now = FilesOnDisk(self.path)
        try:
            return (now.newest_ns, now.sizes) != (self.newest_ns, self.sizes)
        except OSError:
            return True

    def mtime_ns(self, key: str) -> int:
        """Return when a file was last written; 0 where it is gone."""
        try:
            return os.stat(f"{self.path}/{key}").st_mtime_ns  # noqa: PTH116
        except OSError:
            return 0

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of every file; an empty folder is a key that ends in ``/``."""
        return self._listing[0]

    @property
    def newest_ns(self) -> int:
        """When a file was last written, in ns."""
        return self._listing[1]

    @cached_property
    def _listing(self) -> tuple[dict[str, int], int]:
        sizes: dict[str, int] = {}
        newest = 0
        pending = [""]
        while pending:
            prefix = pending.pop()
            entries = list(os.scandir(f"{self.path}/{prefix}"))
            if not entries and prefix:
                sizes[prefix] = 0
            for entry in entries:
                if entry.is_dir(follow_symlinks=prefix.count("/") < DEPTH):  # deeper links could go round in circles
                    pending.append(f"{prefix}{entry.name}/")
                    continue
                try:
                    s = entry.stat()
                except FileNotFoundError:  # gone meanwhile, or a link to nowhere
                    continue
                sizes[prefix + entry.name] = s.st_size
                newest = max(newest, s.st_mtime_ns)
        return sizes, newest


class FilesStored(ArrayFiles):
    """The files of a recorded array version, read from the objects."""

    def __init__(self, files: StoredFiles) -> None:
        self._files = files

    def __getitem__(self, key: str) -> bytes:
        return self._files[key]

    def __contains__(self, key: object) -> bool:
        return key in self._files and not str(key).endswith("/")

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    @property
    def newest_ns(self) -> int:
        """0: stored bytes say nothing of when they were saved."""
        return 0

    @property
    def sizes(self) -> Mapping[str, int]:
        """The size of every file."""
        return {key: entry.size for key, entry in self._files.entries.items()}

    def is_changed(self) -> bool:
        """Return False: what is recorded stays."""
        return False

    def mtime_ns(self, key: str) -> int:
        """Return 0: stored bytes say nothing of when they were saved."""
        del key
        return 0

    def head(self, key: str, size: int) -> bytes | None:
        """Return the first bytes of a file; None where its bytes were not kept."""
        entry = self._files.entries[key]
        if entry.inline is not None:
            return entry.inline[:size]
        store = ObjectStore(self._files.folder, self._files.folder)
        try:
            source = durable.open_without_links(store.path("chunks", entry.digest))
        except OSError:
            return None
        try:
            return durable.read_block(source, size)
        finally:
            os.close(source)


def open_file(path: str) -> Fails | Unsure:
    """Return what opening a file given for a dataset comes to: only xarray's readers can tell what is in it."""
    with open(path, "rb") as file:  # noqa: PTH123
        head = file.read(8)
    if head.startswith(NETCDF) or os.path.splitext(path)[1].lower() in READERS:  # noqa: PTH122
        return Unsure("it is a file, and what is in it only xarray's readers can tell")
    return Fails("ValueError", "it is a file that no reader of xarray's knows")
