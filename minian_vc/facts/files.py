"""The files of an array folder as a mapping of key to bytes, read only when asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Protocol

__all__ = ["ArrayFiles", "FilesOnDisk"]

Stat = tuple[int, int]  # size, mtime_ns


class ArrayFiles(Protocol):
    """What check may ask of an array folder, wherever it lies."""

    def __getitem__(self, key: str) -> bytes: ...
    def __contains__(self, key: object) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...


class FilesOnDisk(Mapping[str, bytes]):
    """An array folder in the working folder, links followed as MiniAn follows them.

    Nothing is listed or read before it is asked for.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __getitem__(self, key: str) -> bytes:
        try:
            with open(f"{self.path}/{key}", "rb", buffering=0) as file:  # noqa: PTH123 (called 100,000 times)
                return file.readall()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise KeyError(key) from None

    def __contains__(self, key: object) -> bool:
        return os.path.isfile(f"{self.path}/{key}")  # noqa: PTH113

    def __iter__(self) -> Iterator[str]:
        return iter(self.stats)

    def __len__(self) -> int:
        return len(self.stats)

    def head(self, key: str, size: int) -> bytes:
        """Return the first bytes of a file."""
        with open(f"{self.path}/{key}", "rb", buffering=0) as file:  # noqa: PTH123
            return file.read(size) or b""

    @cached_property
    def stats(self) -> dict[str, Stat]:
        """Size and mtime of every file, in order of listing; an empty folder is a key that ends in ``/``."""
        found: dict[str, Stat] = {}
        pending = [""]
        while pending:
            prefix = pending.pop()
            empty = True
            for entry in os.scandir(f"{self.path}/{prefix}"):
                empty = False
                if entry.is_dir():
                    pending.append(f"{prefix}{entry.name}/")
                else:
                    s = entry.stat()
                    found[prefix + entry.name] = (s.st_size, s.st_mtime_ns)
            if empty and prefix:
                found[prefix] = (0, 0)
        return found
