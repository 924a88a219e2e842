"""Stored files as a zarr 3 store. Imported only where zarr 3 is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.buffer.core import default_buffer_prototype

__all__ = ["StoredFilesStore", "make_store"]


class StoredFilesStore(Store):  # type: ignore[misc]
    """A read-only zarr 3 store over stored files; chunks are read in worker threads."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(read_only=True)
        self._files = files

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredFilesStore) and self._files == other._files

    __hash__ = None  # type: ignore[assignment]

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a file's bytes, or the part of them that was asked for."""
        if key not in self._files:
            return None
        content = await asyncio.to_thread(self._files.__getitem__, key)
        return (prototype or default_buffer_prototype()).buffer.from_bytes(_part(content, byte_range))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of several files."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Tell whether there is such a file."""
        return key in self._files

    async def list(self) -> AsyncIterator[str]:
        """Yield every key."""
        for key in self._files:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin so."""
        for key in self._files:
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        under = f"{prefix.rstrip('/')}/" if prefix else ""
        for name in sorted({key[len(under) :].partition("/")[0] for key in self._files if key.startswith(under)}):
            yield name

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse."""
        raise PermissionError(f"A stored array version cannot be changed ({key}, {len(value)} bytes).")

    async def delete(self, key: str) -> None:
        """Refuse."""
        raise PermissionError(f"A stored array version cannot be changed ({key}).")


def _part(content: bytes, wanted: ByteRequest | None) -> bytes:
    match wanted:
        case RangeByteRequest(start, end):
            return content[start:end]
        case OffsetByteRequest(offset):
            return content[offset:]
        case SuffixByteRequest(suffix):
            return content[max(0, len(content) - suffix) :]
    return content


def make_store(files: Mapping[str, bytes]) -> StoredFilesStore:
    """Return a read-only zarr 3 store over stored files."""
    return StoredFilesStore(files)
