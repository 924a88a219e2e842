"""Where the same bytes may lie again: working folders, what was set aside, other objects' places."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from minian_vc import durable
from minian_vc.errors import MinianVCError
from minian_vc.health.report import Affected
from minian_vc.model import PREFIX, Manifest, digest_of
from minian_vc.objects import manifest_documents
from minian_vc.repository import Repository
from minian_vc.working_folder import WorkingFolder, hash_only
from minian_vc.zarr_format import stem

__all__ = ["Places"]

OURS = ("displaced", "staging", "quarantine", "netcdf")


class Places:
    """The places of a repository where copies of its objects may lie.

    Parameters
    ----------
    repository : Repository
        The repository.
    datasets : iterable of str
        The paths where its datasets lie or lay, below the repository's root.
    damaged : iterable of Path
        What lies in the places of damaged objects: two may be swapped.
    """

    def __init__(self, repository: Repository, datasets: Iterable[str], damaged: Iterable[Path]) -> None:
        self._repository = repository
        self._datasets = tuple(datasets)
        self._damaged = tuple(damaged)

    def find(self, wanted: Mapping[str, int | None]) -> dict[str, Path]:
        """Return a file with the bytes of each digest, as far as there is one.

        Parameters
        ----------
        wanted : mapping
            Digest → size. The size of a document is not known; one is looked for in a few places only.
        """
        found: dict[str, Path] = {}
        sizes = set(wanted.values())
        for path in self._files(everywhere=bool(sizes - {None})):
            if len(found) == len(wanted):
                break
            with contextlib.suppress(OSError):
                if None in sizes or path.lstat().st_size in sizes:
                    digest = _digest(path)
                    if digest in wanted:
                        found.setdefault(digest, path)
        return found

    def manifests(self, wanted: Iterable[str], affected: Iterable[Affected]) -> Iterator[tuple[bytes, Path]]:
        """Yield those wanted documents of manifests that the affected arrays, as they are now, would have."""
        wanted = set(wanted)
        names = {name for each in affected for name in each.arrays}
        for folder, manifest in self._manifests(names) if wanted else ():
            documents = {digest_of(document): document for document in manifest_documents(manifest)}
            for digest in wanted & documents.keys():
                yield documents[digest], folder
            wanted -= documents.keys()
            if not wanted:
                return

    def _manifests(self, names: set[str]) -> Iterator[tuple[Path, Manifest]]:
        """Yield the manifests that the array folders of some names have now, wherever they lie."""
        for place in self._dataset_folders():
            working = WorkingFolder(place, place / "no record", self._repository.objects)
            try:
                folders = [folder for folder in working.scan().arrays if stem(folder) in names]
            except (MinianVCError, OSError):
                continue
            for folder in folders:
                with contextlib.suppress(MinianVCError, OSError):
                    manifest = _manifest(working, folder)
                    if manifest is not None:
                        yield place / folder, manifest

    def _dataset_folders(self) -> Iterator[Path]:
        """Yield the folders that hold array folders."""
        for dataset in self._datasets:
            with contextlib.suppress(MinianVCError, OSError):
                yield self._repository.working_folder(dataset).path
        for name in ("displaced", "staging", "netcdf"):
            for folder, below, _ in os.walk(self._repository.folder / name):
                if any(each.endswith(".zarr") for each in below):
                    yield Path(folder)

    def _files(self, *, everywhere: bool) -> Iterator[Path]:
        yield from (Path(os.path.realpath(path)) for path in self._damaged)  # a link may lead to the bytes themselves
        ours = [self._repository.folder / name for name in OURS]
        theirs = [self._repository.root / dataset for dataset in self._datasets] if everywhere else []
        for place in (*theirs, *ours):
            for folder, _, names in os.walk(place):
                yield from (Path(folder, name) for name in names)


def _manifest(working: WorkingFolder, folder: str) -> Manifest | None:
    """Read an array folder, hashing all of its files."""
    read = working.read(lambda _: [folder], lambda *_: hash_only, wait=0.0, with_bytes=lambda _: False)
    return read[folder].manifest


def _digest(path: Path) -> str:
    source = durable.open_without_links(path)
    try:
        return PREFIX + durable.digest_file(source)[0]
    finally:
        os.close(source)
