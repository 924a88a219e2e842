"""The working folder: a dataset as MiniAn has it on disk now, read as one consistent cut.

Unchanged files cost a stat: a record of what the last commit saw lies in ``.minian_vc/working``. It may be lost
at any time; then files are hashed again.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from minian_vc import durable, zarr_format
from minian_vc.errors import BusyError, MinianVCError, UnreadableError
from minian_vc.model import PREFIX, FileEntry, Manifest, canonical_json, digest_of
from minian_vc.names import collisions
from minian_vc.objects import ObjectStore
from minian_vc.zarr_format import METADATA_NAMES, ArrayFolder, read_array_folder, stem

__all__ = ["FileStat", "FolderFiles", "Reading", "Scan", "WorkingFolder", "hash_only"]

INLINE = 256  # bytes of a file kept in the manifest
INLINE_METADATA = 64 << 10
FINE, COARSE = 20_000_000, 2_000_000_000  # timestamp granularity in ns: most file systems; FAT and exFAT
RECENT = 60_000_000_000  # an unfinished array touched within this time is a save in progress
QUIET = 500_000_000  # chunks may be left out on purpose (zarr 3, null fill value) after this
PAUSE = 0.05
WORKERS = 8
FILES_PER_TASK = 64
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

FileStat = tuple[int, int, int, int]  # size, mtime_ns, ctime_ns, inode
Sink = Callable[[int], tuple[str, int]]  # takes an open file; returns digest and size of what it read
Sinks = Callable[[str, str], Sink]  # the sink for a folder and key


@dataclass(frozen=True, slots=True)
class Scan:
    """What lies in the dataset: the files of each array folder, other folders, and rechunker leftovers."""

    arrays: Mapping[str, Mapping[str, FileStat]]
    foreign: tuple[str, ...] = ()
    rechunking: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class _Record:
    manifest: str
    recorded_ns: int
    with_bytes: bool
    files: Mapping[str, FileStat]


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
        self._records = records
        self._store = store

    # -- looking -------------------------------------------------------------------------------

    def scan(self) -> Scan:
        """List and stat every file of every array folder.

        Raises
        ------
        UnreadableError
            Something in it is a symlink or special file, or two names are one where case does not count.
        """
        arrays: dict[str, Mapping[str, FileStat]] = {}
        foreign, rechunking = [], []
        for entry in self._folders():
            files = _list_files(entry.path)
            if _UUID.fullmatch(entry.name):
                rechunking.append(entry.name)
            elif entry.name.endswith(".zarr") or zarr_format.is_zarr(files):
                arrays[entry.name] = files
            else:
                foreign.append(entry.name)
        _refuse_collisions(arrays)
        return Scan(arrays, tuple(foreign), tuple(rechunking))

    def _folders(self) -> Iterator[os.DirEntry[str]]:
        with durable.storage_errors("read the dataset", self.path):
            entries = sorted(os.scandir(self.path), key=lambda e: e.name) if self.path.is_dir() else []
        for entry in entries:
            if entry.is_symlink() and entry.is_dir():
                raise _link_error(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield entry

    def describe(self, folder: str, files: Iterable[str]) -> ArrayFolder:
        """Read an array folder's metadata from the disk.

        Raises
        ------
        UnreadableError
            It has no array, or broken metadata.
        """

        def read(key: str) -> bytes:
            with durable.storage_errors("read the array's metadata", self.path / folder / key):
                return _read_small(self.path / folder / key)

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

        Raises
        ------
        BusyError
            Something was still being written after that time.
        UnreadableError
            An array cannot be read.
        """
        deadline = time.monotonic() + wait
        readings: dict[str, Reading] = {}
        while True:
            now = durable.file_system_now(self._store.staging)
            scan = self.scan()
            chosen = {folder: scan.arrays[folder] for folder in folders(scan)}
            try:
                self._refuse_unfinished(scan, chosen)
                now = self._let_timestamps_pass(chosen, now)
                for folder, stats in chosen.items():
                    if folder not in readings or readings[folder].stats != stats:
                        readings[folder] = self._read_array(folder, stats, sink, now, with_bytes(folder))
                    self._refuse_incomplete(folder, readings[folder], now)
                self.refuse_changed(folders, {folder: readings[folder] for folder in chosen})
            except (BusyError, UnreadableError) as problem:
                if time.monotonic() >= deadline or not _may_pass(problem, chosen, now):
                    raise
                time.sleep(PAUSE)
            else:
                return {folder: readings[folder] for folder in chosen}

    def refuse_changed(self, folders: Callable[[Scan], Iterable[str]], readings: Mapping[str, Reading]) -> None:
        """Raise :class:`BusyError` if the folders are not, or no longer, as they were read."""
        scan = self.scan()
        chosen = set(folders(scan))
        for folder in sorted(chosen | set(readings)):
            if folder not in readings or folder not in chosen or scan.arrays[folder] != readings[folder].stats:
                raise _busy(self.path / folder, "its files changed while they were read")

    def _let_timestamps_pass(self, chosen: Mapping[str, Mapping[str, FileStat]], now: int) -> int:
        """Wait until no file is so fresh that a later change could bear the same timestamp; return the new now."""
        wait = max((s[1] + _granularity(s[1]) - now for f in chosen.values() for s in f.values()), default=-1)
        if not 0 <= wait <= COARSE:
            return now
        time.sleep((wait + FINE) / 1e9)
        return durable.file_system_now(self._store.staging)

    def _refuse_unfinished(self, scan: Scan, chosen: Mapping[str, Mapping[str, FileStat]]) -> None:
        for folder, files in chosen.items():
            partial = next((key for key in files if zarr_format.is_save_in_progress(key)), None)
            if partial:
                raise _busy(self.path / folder, f"{partial} is a file that is still being written", "that file")
        for leftover in scan.rechunking:
            target = self._rechunk_target(leftover, scan)
            if target in (None, *chosen):
                what = f"a rechunking is under way, in the folder {leftover} beside it"
                raise _busy(self.path / (target or leftover), what, f"the folder {leftover}")

    def _rechunk_target(self, leftover: str, scan: Scan) -> str | None:
        """Guess which array a rechunker's uuid folder belongs to: the youngest of the same shape."""
        try:
            shape = json.loads(_read_small(self.path / leftover / ".zarray"))["shape"]
        except (OSError, ValueError, KeyError):
            return None
        youngest: list[tuple[int, str]] = []
        for folder, files in scan.arrays.items():
            try:
                if list(self.describe(folder, files).variable.shape) == shape:
                    youngest.append((_newest(files), folder))
            except MinianVCError:
                continue
        return max(youngest)[1] if youngest else None

    def _refuse_incomplete(self, folder: str, reading: Reading, now: int) -> None:
        """Refuse an array that lacks chunks and was touched so lately that a save must be running."""
        if reading.description is None or not reading.missing_chunks:
            return
        fill = reading.description.variable.fill_value
        limit = {"NaN": RECENT, None: QUIET}.get(fill if fill is None else str(fill), 0)
        if now - _newest(reading.stats) < limit:
            what = f"{reading.missing_chunks} of its chunks are not there yet"
            raise _busy(self.path / folder, what)

    def _read_array(
        self, folder: str, stats: Mapping[str, FileStat], sink: Sinks, now: int, with_bytes: bool
    ) -> Reading:
        unchanged = self._clean_manifest(folder, stats, with_bytes)
        if unchanged is not None:
            return Reading(stats, now, unchanged)
        known = self._known_entries(folder, stats, with_bytes)
        root = self.path / folder

        def read_some(keys: list[str]) -> dict[str, FileEntry]:
            return {key: _read_file(root, key, stats[key], sink(folder, key)) for key in keys}

        todo = [key for key in stats if key not in known]
        per_task = max(1, min(FILES_PER_TASK, len(todo) // WORKERS))
        tasks = [todo[i : i + per_task] for i in range(0, len(todo), per_task)]
        with ThreadPoolExecutor(WORKERS) as pool:
            entries = dict(itertools.chain(known.items(), *(part.items() for part in pool.map(read_some, tasks))))
        manifest = Manifest(entries)
        description = self._described(folder, list(manifest), lambda key: self._inline(folder, manifest, key))
        missing = zarr_format.missing_chunks(description.variable, manifest.keys())
        return Reading(stats, now, None, manifest, description, missing)

    def _inline(self, folder: str, manifest: Manifest, key: str) -> bytes:
        content = manifest[key].inline
        if content is None:
            raise UnreadableError(f"{self.path / folder / key} is too large for metadata.")
        return content

    def changed_bytes(self, folder: str, stats: Mapping[str, FileStat]) -> int:
        """Return the bytes of the files that may have changed since the last commit."""
        record = self._record(folder)
        known = record.files if record else {}
        return sum(s[0] for key, s in stats.items() if known.get(key) != s)

    # -- the record of the last commit ---------------------------------------------------------

    def _clean_manifest(self, folder: str, stats: Mapping[str, FileStat], with_bytes: bool) -> str | None:
        """Return the manifest digest recorded for exactly these files, if nothing can have changed since."""
        record = self._record(folder)
        if record is None or record.with_bytes < with_bytes or record.files != stats:
            return None
        if any(_racy(s, record.recorded_ns) for s in stats.values()):
            return None
        return record.manifest if self._store.has("manifests", record.manifest) else None

    def remember(self, folder: str, reading: Reading, manifest: str, *, with_bytes: bool) -> None:
        """Record what was read, for the next commit to compare."""
        if reading.unchanged is not None:
            return
        body = canonical_json(
            {
                "manifest": manifest,
                "recorded_ns": reading.recorded_ns,
                "with_bytes": with_bytes,
                "files": {key: list(s) for key, s in reading.stats.items()},
            }
        )
        path = self._record_path(folder)
        temporary = path.with_suffix(f".{os.urandom(4).hex()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(digest_of(body).encode() + b"\n" + body)
            temporary.replace(path)
        except OSError:  # only speed is lost
            temporary.unlink(missing_ok=True)

    def list_files(self, folder: str) -> Mapping[str, FileStat]:
        """List and stat every file of one array folder."""
        return _list_files(str(self.path / folder))

    def recorded_manifest(self, folder: str) -> str | None:
        """Return the manifest recorded for the folder's present files (timestamps taken at their word)."""
        record = self._record(folder)
        unchanged = record is not None and record.with_bytes and record.files == self.list_files(folder)
        return record.manifest if record is not None and unchanged else None

    def is_recorded(self, folder: str, stats: Mapping[str, FileStat]) -> bool:
        """Tell whether exactly these files were recorded with their bytes: then they can be brought back."""
        record = self._record(folder)
        return record is not None and record.with_bytes and record.files == stats

    def refresh(self, folder: str) -> None:
        """Renew the record of files whose ctime alone moved (a second name of theirs came or went)."""
        record = self._record(folder)
        files = _list_files(str(self.path / folder))
        if record is None or files.keys() != record.files.keys():
            return
        if all(
            (s[0], s[1], s[3]) == (r[0], r[1], r[3]) for s, r in zip(files.values(), record.files.values(), strict=True)
        ):
            reading = Reading(files, record.recorded_ns)
            self.remember(folder, reading, record.manifest, with_bytes=record.with_bytes)

    def _known_entries(self, folder: str, stats: Mapping[str, FileStat], with_bytes: bool) -> dict[str, FileEntry]:
        """Return the manifest entries of files that cannot have changed since the last commit."""
        record = self._record(folder)
        if record is None or record.with_bytes < with_bytes:
            return {}
        try:
            manifest = self._store.read_manifest(record.manifest)
        except MinianVCError:
            return {}
        return {
            key: manifest[key]
            for key, s in stats.items()
            if record.files.get(key) == s and key in manifest and not _racy(s, record.recorded_ns)
        }

    def _record(self, folder: str) -> _Record | None:
        try:
            digest, _, body = self._record_path(folder).read_bytes().partition(b"\n")
            if digest_of(body).encode() != digest:
                return None
            document = json.loads(body)
            files = {key: (s[0], s[1], s[2], s[3]) for key, s in document.pop("files").items()}
            return _Record(**document, files=files)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _record_path(self, folder: str) -> Path:
        return self._records / f"{digest_of(folder.encode()).removeprefix(PREFIX)[:32]}.json"


class FolderFiles(Mapping[str, bytes]):
    """The files of an array folder in the working folder, as long as they are what a manifest says."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._manifest = manifest

    def __getitem__(self, key: str) -> bytes:
        entry = self._manifest[key]
        content = entry.inline if entry.inline is not None else (self._folder / key).read_bytes()
        if len(content) != entry.size or digest_of(content) != entry.digest:
            raise _busy(self._folder, f"{key} changed while it was read")
        return content

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


def _list_files(root: str) -> dict[str, FileStat]:
    """Return key → stat for a folder, recursively; an empty folder is a key that ends in ``/``."""
    files: dict[str, FileStat] = {}
    pending = [(root, "")]
    while pending:
        folder, prefix = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            continue  # removed meanwhile: the second look will see it
        except OSError as error:
            raise UnreadableError(f"{folder} cannot be read: {error.strerror}.", "Nothing was changed.") from error
        if not entries and prefix:
            files[prefix] = (0, 0, 0, 0)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                pending.append((entry.path, f"{prefix}{entry.name}/"))
            elif entry.is_file(follow_symlinks=False):
                try:
                    s = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                files[prefix + entry.name] = (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
            else:
                raise _link_error(entry.path)
    return dict(sorted(files.items()))


def _read_file(root: Path, key: str, expected: FileStat, sink: Sink) -> FileEntry:
    if key.endswith("/"):
        return FileEntry.of(b"")
    path = root / key
    try:
        source = durable.open_without_links(path)
    except FileNotFoundError:
        raise _busy(root, f"{key} vanished while it was read") from None
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
            raise _busy(root, f"{key} changed while it was read")
        return entry
    finally:
        os.close(source)


def _read_small(path: Path) -> bytes:
    source = durable.open_without_links(path)
    try:
        return durable.read_block(source, INLINE_METADATA)
    finally:
        os.close(source)


def _refuse_collisions(arrays: Mapping[str, Mapping[str, FileStat]]) -> None:
    for names in ([stem(folder) for folder in arrays], *arrays.values()):
        for one, other in collisions(names):
            raise UnreadableError(
                f"{one} and {other} are one name where case or Unicode form does not count (Windows, macOS).",
                "Nothing was changed. Rename one of them.",
            )


def _racy(s: FileStat, recorded_ns: int) -> bool:
    return s[1] + _granularity(s[1]) >= recorded_ns


def _granularity(mtime_ns: int) -> int:
    return COARSE if mtime_ns % 10_000_000 == 0 else FINE


def _newest(files: Mapping[str, FileStat]) -> int:
    return max((s[1] for s in files.values()), default=0)


def _may_pass(problem: MinianVCError, chosen: Mapping[str, Mapping[str, FileStat]], now: int) -> bool:
    """Tell whether waiting can help: a broken array that nobody has touched for long stays broken."""
    return isinstance(problem, BusyError) or any(now - _newest(files) < RECENT for files in chosen.values())


def _as_problem(path: Path, error: Exception) -> MinianVCError:
    return error if isinstance(error, MinianVCError) else _busy(path, "its files changed while they were read")


def _busy(path: Path, what: str, leftover: str = "") -> BusyError:
    hint = "Nothing was recorded. Commit again when the save is over"
    hint += f"; if none is running, remove {leftover} first." if leftover else "."
    return BusyError(f"{path} is being written: {what}.", hint)


def _link_error(path: str) -> UnreadableError:
    kind = f"a symlink to {Path(path).readlink()}" if Path(path).is_symlink() else "not a regular file"
    return UnreadableError(
        f"{path} is {kind}: what it points to could change or lie outside the dataset.",
        "Nothing was changed. Put the data itself there.",
    )
