"""The files of a stored array, as a mapping that reads them when asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

from minian_vc.model import Manifest
from minian_vc.objects.store import ObjectStore

__all__ = ["StoredFiles"]


class StoredFiles(Mapping[str, bytes]):
    """The files of one stored array folder, read from the objects when asked for. Picklable.

    Parameters
    ----------
    folder : Path
        The object store's folder.
    manifest : str
        Digest of the array's manifest.
    """

    def __init__(self, folder: Path, manifest: str) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def entries(self) -> Manifest:
        """The manifest; loaded once per process."""
        return _load_manifest(self.folder, self.manifest)

    def __getitem__(self, key: str) -> bytes:
        return ObjectStore(self.folder, self.folder).read_file(self.entries[key])

    def __contains__(self, key: object) -> bool:
        return key in self.entries

    def __iter__(self) -> Iterator[str]:
        return (key for key in self.entries if not key.endswith("/"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoredFiles):
            return NotImplemented
        return (self.folder, self.manifest) == (other.folder, other.manifest)

    def __hash__(self) -> int:
        return hash((self.folder, self.manifest))


@functools.lru_cache(maxsize=256)
def _load_manifest(folder: Path, digest: str) -> Manifest:
    return ObjectStore(folder, folder).read_manifest(digest)
