"""Stored files as a zarr 2 store. Imported only where zarr 2 is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import NoReturn

from zarr.storage import KVStore

__all__ = ["make_store"]


class _ReadOnly(MutableMapping[str, bytes]):
    """zarr 2 insists on a mutable mapping; this one refuses to be changed."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def __getitem__(self, key: str) -> bytes:
        return self._files[key]

    def __contains__(self, key: object) -> bool:
        return key in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def _refuse(self) -> NoReturn:
        raise PermissionError("A stored array version cannot be changed.")

    def __setitem__(self, key: str, value: bytes) -> None:
        self._refuse()

    def __delitem__(self, key: str) -> None:
        self._refuse()


def make_store(files: Mapping[str, bytes]) -> KVStore:
    """Return a read-only zarr 2 store over stored files."""
    return KVStore(_ReadOnly(files))
