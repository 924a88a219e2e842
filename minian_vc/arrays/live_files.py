"""The files of an array folder for as long as they are what was opened.

An array folder is replaced by each save. A lazy array that was opened before would read the new version's chunks for
its own, and NaN where that has fewer; saved again, they would be all that is left.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from minian_vc.errors import BusyError

__all__ = ["LiveFiles"]

Stamp = tuple[int, int] | None


class LiveFiles(Mapping[str, bytes]):
    """Key to bytes, read when asked for; picklable.

    Whether the folder is the one that was opened is told by the folder of the array's chunks: another inode, or a
    file renamed into it. A chunk that another program changes in place is not noticed.

    Parameters
    ----------
    folder : str
        The array folder.
    variable : str
        The array's path in it.

    Raises
    ------
    BusyError
        On reading: the array was saved again since.
    """

    def __init__(self, folder: str, variable: str) -> None:
        self._folder = os.path.abspath(folder)  # noqa: PTH100 (workers stand elsewhere, and links stay links)
        self._variable = variable
        self._opened = self._stamp()

    def moved_to(self, folder: str) -> None:
        """Read the same files from another place from now on: the whole array folder was renamed."""
        self._folder = os.path.abspath(folder)  # noqa: PTH100

    def __getitem__(self, key: str) -> bytes:
        try:
            with open(f"{self._folder}/{key}", "rb") as file:  # noqa: PTH123 (done for each chunk)
                content = file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._refuse_replaced()
            raise KeyError(key) from None
        self._refuse_replaced()
        return content

    def __contains__(self, key: object) -> bool:
        there = os.path.isfile(f"{self._folder}/{key}")  # noqa: PTH113
        self._refuse_replaced()
        return there

    def __iter__(self) -> Iterator[str]:
        for root, _, names in os.walk(self._folder):
            for name in names:
                yield os.path.relpath(os.path.join(root, name), self._folder).replace(os.sep, "/")  # noqa: PTH118

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _stamp(self) -> Stamp:
        try:
            found = os.stat(f"{self._folder}/{self._variable}")  # noqa: PTH116
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _refuse_replaced(self) -> None:
        if self._stamp() != self._opened:
            raise BusyError(
                f"{self._folder} was saved again since it was opened: this array's values are not there any more.",
                "Open it again, or an older version of it: minian-vc log",
            )
