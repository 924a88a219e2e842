"""The working folder: a dataset as MiniAn has it on disk now, read as one consistent cut."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from minian_vc import durable, zarr_format
from minian_vc.errors import BusyError, InvalidInputError, MinianVCError, UnreadableError
from minian_vc.model import PREFIX, FileEntry, Manifest, digest_of
from minian_vc.names import check_key
from minian_vc.objects import ObjectStore
from minian_vc.working_folder.records import Records
from minian_vc.working_folder.scan import COARSE, FINE, FileStat, Scan, busy, granularity, newest, scan
from minian_vc.zarr_format import METADATA_NAMES, ArrayFolder, read_array_folder, stem

__all__ = ["FolderFiles", "Reading", "Sink", "Sinks", "WorkingFolder", "hash_only"]

INLINE = 256  # bytes of a file kept in the manifest
INLINE_METADATA = 1 << 20
RECENT = 60_000_000_000  # an unfinished array touched within this time is a save in progress
QUIET = 500_000_000  # chunks may be left out on purpose (zarr 3, null fill value) after this
PAUSE = 0.05
WORKERS = min(8, 2 * (os.cpu_count() or 1))
FILES_PER_TASK = 64

Sink = Callable[[int], tuple[str, int]]  # takes an open file; returns digest and size of what it read
Sinks = Callable[[str, str], Sink]  # the sink for a folder and key


@dataclass(frozen=True, slots=True)
class Reading:
    """One array folder as it was read.

    ``unchanged`` is the digest of the manifest recorded for exactly these files, and then nothing was
    read; otherwise ``manifest`` and ``description`` hold what was.
    """

    stats: Mapping[str, FileStat]
    recorded_ns: int
    unchanged: str | None = None
    manifest: Manifest | None = None
    description: ArrayFolder | None = None
    missing_chunks: int = 0


class WorkingFolder:
    """One dataset's folder.

    Parameters
    ----------
    path : Path
        The dataset folder; it may be missing, and then has no arrays.
    records : Path
        Where the record of the last commit of this dataset is kept.
    store : ObjectStore
        For the manifests that the record names.
    """

    def __init__(self, path: Path, records: Path, store: ObjectStore) -> None:
        self.path = path
        self.records = Records(records, store)
        self._staging = store.staging

    # -- looking -------------------------------------------------------------------------------

    def scan(self) -> Scan:
        """List and stat every file of every array folder; see :func:`minian_vc.working_folder.scan.scan`."""
        return scan(self.path)

    def describe(self, folder: str, files: Iterable[str]) -> ArrayFolder:
        """Read an array folder's metadata from the disk.

        Raises
        ------
        UnreadableError
            It has no array, or broken metadata.
        """

        def read(key: str) -> bytes:
            with durable.storage_errors("read the array's metadata", self.path / folder / key):
                return _read_small(self.path / folder, key)

        return self._described(folder, list(files), read)

    def _described(self, folder: str, files: list[str], read: Callable[[str], bytes]) -> ArrayFolder:
        try:
            return read_array_folder(stem(folder), files, read)
        except UnreadableError as error:
            raise UnreadableError(
                f"The array folder {self.path / folder} cannot be read: {error.message}",
                "Nothing was changed. Save the array again or remove the folder; commit --only takes the other arrays.",
            ) from error

    # -- reading -------------------------------------------------------------------------------

    def read(
        self,
        folders: Callable[[Scan], Iterable[str]],
        sink: Sinks,
        *,
        wait: float,
        with_bytes: Callable[[str], bool],
        before: Callable[[Mapping[str, Mapping[str, FileStat]]], None] = lambda _: None,
    ) -> dict[str, Reading]:
        """Read array folders as one consistent cut.

        Parameters
        ----------
        folders : callable
            Chooses the folders to read from a scan.
        sink : callable
            For a folder and key, what takes the file's bytes (a store's, or one that only hashes).
        wait : float
            Seconds to wait for a save in progress.
        with_bytes : callable
            Tells whether a folder's bytes are to be kept: a record made without them does not serve.
        before : callable, optional
            Is given the files to be read, before any is.

        Raises
        ------
        BusyError
            Something was still being written after that time.
        UnreadableError
            An array cannot be read.
        """
        deadline = time.monotonic() + wait
        readings: dict[str, Reading] = {}
        with ThreadPoolExecutor(WORKERS) as pool:
            while True:
                now = durable.file_system_now(self._staging)
                scan = self.scan()
                chosen = {folder: scan.arrays[folder] for folder in folders(scan)}
                before(chosen)
                try:
                    self._refuse_unfinished(scan, chosen)
                    now = self._let_timestamps_pass(chosen, now)
                    for folder, stats in chosen.items():
                        if folder not in readings or readings[folder].stats != stats:
                            readings[folder] = self._read_array(folder, stats, sink, now, with_bytes(folder), pool)
                        self._refuse_incomplete(folder, readings[folder], now)
                    found = {folder: readings[folder] for folder in chosen}
                    if any(reading.unchanged is None for reading in found.values()):
                        self.refuse_changed(folders, found)
                except (BusyError, UnreadableError) as problem:
                    if time.monotonic() >= deadline or not _may_pass(problem, chosen, now):
                        raise
                    time.sleep(PAUSE)
                else:
                    return found

    def refuse_changed(self, folders: Callable[[Scan], Iterable[str]], readings: Mapping[str, Reading]) -> None:
        """Raise :class:`BusyError` if the folders are not, or no longer, as they were read."""
        scan = self.scan()
        chosen = set(folders(scan))
        for folder in sorted(chosen | set(readings)):
            if folder not in readings or folder not in chosen or scan.arrays[folder] != readings[folder].stats:
                raise busy(self.path / folder, "its files changed while they were read")

    def _let_timestamps_pass(self, chosen: Mapping[str, Mapping[str, FileStat]], now: int) -> int:
        """Wait until no file is so fresh that a later change could bear the same timestamp; return the new now."""
        wait = max((s[1] + granularity(s[1]) - now for f in chosen.values() for s in f.values()), default=-1)
        if not 0 <= wait <= COARSE:
            return now
        time.sleep((wait + FINE) / 1e9)
        return durable.file_system_now(self._staging)

    def _refuse_unfinished(self, scan: Scan, chosen: Mapping[str, Mapping[str, FileStat]]) -> None:
        for folder, files in chosen.items():
            partial = next((key for key in files if zarr_format.is_save_in_progress(key)), None)
            if partial:
                raise busy(self.path / folder, f"{partial} is a file that is still being written", "that file")
        for leftover in scan.rechunking:
            target = self._rechunk_target(leftover, scan)
            if target in (None, *chosen):
                what = f"a rechunking is under way, in the folder {leftover} beside it"
                raise busy(self.path / (target or leftover), what, f"the folder {leftover}")

    def _rechunk_target(self, leftover: str, scan: Scan) -> str | None:
        """Guess which array a rechunker's uuid folder belongs to: the youngest of the same shape."""
        try:
            shape = json.loads(_read_small(self.path / leftover, ".zarray"))["shape"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        youngest: list[tuple[int, str]] = []
        for folder, files in scan.arrays.items():
            try:
                if list(self.describe(folder, files).variable.shape) == shape:
                    youngest.append((newest(files), folder))
            except MinianVCError:
                continue
        return max(youngest)[1] if youngest else None

    def _refuse_incomplete(self, folder: str, reading: Reading, now: int) -> None:
        """Refuse an array that lacks chunks and was touched so lately that a save must be running."""
        if reading.description is None or not reading.missing_chunks:
            return
        fill = reading.description.variable.fill_value
        limit = {"NaN": RECENT, None: QUIET}.get(fill if fill is None else str(fill), 0)
        if now - newest(reading.stats) < limit:
            what = f"{reading.missing_chunks} of its chunks are not there yet"
            raise busy(self.path / folder, what)

    def _read_array(
        self,
        folder: str,
        stats: Mapping[str, FileStat],
        sink: Sinks,
        now: int,
        with_bytes: bool,
        pool: ThreadPoolExecutor,
    ) -> Reading:
        unchanged = self.records.clean_manifest(folder, stats, with_bytes=with_bytes)
        if unchanged is not None:
            return Reading(stats, now, unchanged)
        known = self.records.known_entries(folder, stats, with_bytes=with_bytes)
        root = self.path / folder
        _check_keys(root, stats)

        def read_some(keys: list[str]) -> dict[str, FileEntry]:
            return {key: _read_file(root, key, stats[key], sink(folder, key)) for key in keys}

        todo = [key for key in stats if key not in known]
        per_task = max(1, min(FILES_PER_TASK, len(todo) // WORKERS))
        tasks = [todo[i : i + per_task] for i in range(0, len(todo), per_task)]
        entries = dict(itertools.chain(known.items(), *(part.items() for part in pool.map(read_some, tasks))))
        manifest = Manifest(entries)
        description = self._described(folder, list(manifest), lambda key: self._inline(folder, manifest, key))
        missing = zarr_format.missing_chunks(description.variable, manifest.keys())
        return Reading(stats, now, None, manifest, description, missing)

    def remember(self, folder: str, reading: Reading, manifest: str, *, with_bytes: bool) -> None:
        """Record what was read, for the next commit to compare."""
        if reading.unchanged is None:
            self.records.remember(folder, reading.stats, reading.recorded_ns, manifest, with_bytes=with_bytes)

    def _inline(self, folder: str, manifest: Manifest, key: str) -> bytes:
        content = manifest[key].inline
        if content is None:
            raise UnreadableError(f"{self.path / folder / key} is too large for metadata.")
        return content


class FolderFiles(Mapping[str, bytes]):
    """The files of an array folder in the working folder, as long as they are what a manifest says."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._manifest = manifest

    def __getitem__(self, key: str) -> bytes:
        entry = self._manifest[key]
        content = entry.inline if entry.inline is not None else self._read(key, entry.size)
        if len(content) != entry.size or digest_of(content) != entry.digest:
            raise busy(self._folder, f"{key} changed while it was read")
        return content

    def _read(self, key: str, size: int) -> bytes:
        try:
            source = durable.open_below(self._folder, key)
        except OSError as error:
            raise busy(self._folder, f"{key} cannot be read any more ({error.strerror})") from error
        try:
            return durable.read_block(source, size + 1)
        finally:
            os.close(source)

    def __contains__(self, key: object) -> bool:
        return key in self._manifest

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifest)

    def __len__(self) -> int:
        return len(self._manifest)


def hash_only(source: int) -> tuple[str, int]:
    """Hash an open file without keeping its bytes: the sink for status, and for arrays recorded without bytes."""
    digits, size = durable.digest_file(source)
    return PREFIX + digits, size


def _read_file(root: Path, key: str, expected: FileStat, sink: Sink) -> FileEntry:
    if key.endswith("/"):
        return FileEntry.of(b"")
    path = root / key
    try:
        source = durable.open_below(root, key)
    except FileNotFoundError:
        raise busy(root, f"{key} vanished while it was read") from None
    except OSError as error:
        raise UnreadableError(f"{path} cannot be read: {error.strerror}.", "Nothing was changed.") from error
    try:
        limit = INLINE_METADATA if key.rpartition("/")[2] in METADATA_NAMES else INLINE
        if expected[0] <= limit:
            entry = FileEntry.of(durable.read_block(source, limit + 1))
        else:
            entry = FileEntry(*sink(source))
        s = os.fstat(source)
        if (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino) != expected or entry.size != expected[0]:
            raise busy(root, f"{key} changed while it was read")
        return entry
    finally:
        os.close(source)


def _read_small(folder: Path, key: str) -> bytes:
    source = durable.open_below(folder, key)
    try:
        return durable.read_block(source, INLINE_METADATA)
    finally:
        os.close(source)


def _check_keys(root: Path, keys: Iterable[str]) -> None:
    for key in keys:
        try:
            check_key(key)
        except InvalidInputError as error:
            raise UnreadableError(f"{root}: {error.message}", "Nothing was changed. Rename the file.") from None


def _may_pass(problem: MinianVCError, chosen: Mapping[str, Mapping[str, FileStat]], now: int) -> bool:
    """Tell whether waiting can help: a broken array that nobody has touched for long stays broken."""
    return isinstance(problem, BusyError) or any(now - newest(files) < RECENT for files in chosen.values())
