"""The files of an array folder for as long as they are what was opened.

An array folder is replaced by each save. A lazy array that was opened before would read the new version's chunks for
its own, and NaN where that has fewer; saved again, they would be all that is left.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping

from minian_vc.errors import BusyError

__all__ = ["LiveFiles"]

Stamp = tuple[int, int] | None  # inode and mtime of the folder of the array's chunks


class LiveFiles(Mapping[str, bytes]):
    """Key to bytes, read when asked for; picklable.

    Whether the folder is the one that was opened is told by the folder of the array's chunks: it has another inode if
    it was replaced, and another time if a file was put into it or taken away. That may be a chunk, or no more than
    what a file browser leaves; so in the second case what is read must be no newer than all that was there when it was
    opened, and what is missing may have been there. A chunk that another program changes in place is not noticed.

    Parameters
    ----------
    folder : str
        The array folder.
    variable : str
        The array's path in it.

    Raises
    ------
    BusyError
        On reading: the array was saved again, or restored, since.
    """

    def __init__(self, folder: str, variable: str) -> None:
        self._folder = os.path.abspath(folder)  # noqa: PTH100 (workers stand elsewhere, and links stay links)
        self._variable = variable
        self._opened = self._stamp()
        self._newest = max(map(_changed, self._stats()), default=0)

    def moved_to(self, folder: str) -> None:
        """Read the same files from another place from now on: the whole array folder was renamed."""
        self._folder = os.path.abspath(folder)  # noqa: PTH100

    def __getitem__(self, key: str) -> bytes:
        try:
            with open(f"{self._folder}/{key}", "rb") as file:  # noqa: PTH123 (done for each chunk)
                content, found = file.read(), os.fstat(file.fileno())
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._refuse_replaced(None)
            raise KeyError(key) from None
        self._refuse_replaced(found)
        return content

    def __contains__(self, key: object) -> bool:
        try:
            found = os.stat(f"{self._folder}/{key}")  # noqa: PTH116
        except OSError:
            found = None
        self._refuse_replaced(found)
        return found is not None and stat.S_ISREG(found.st_mode)

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

    def _stats(self) -> Iterator[os.stat_result]:
        """Yield what the system says of each file in the folder of the array's chunks."""
        for root, _, names in os.walk(f"{self._folder}/{self._variable}"):
            for name in names:
                with contextlib.suppress(OSError):
                    yield os.stat(f"{root}/{name}")  # noqa: PTH116

    def _refuse_replaced(self, found: os.stat_result | None) -> None:
        """Refuse if a file, or that there is none, may be of another version than was opened."""
        now = self._stamp()
        if now == self._opened:
            return
        is_same_folder = now is not None and self._opened is not None and now[0] == self._opened[0]
        if is_same_folder and found is not None and _changed(found) <= self._newest:
            return
        raise BusyError(
            f"{self._folder} was replaced since it was opened: this array's values are not there any more.",
            "Open it again, or an older version of it: minian-vc log",
        )


def _changed(found: os.stat_result) -> int:
    """Return when a file was written or put in its place, in ns: a copy keeps the first of the two."""
    return max(found.st_mtime_ns, found.st_ctime_ns)
