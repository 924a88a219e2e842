"""What an interrupted verify has read already: ``.minian_vc/verify.json``. It may be lost at any time."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from minian_vc import durable
from minian_vc.fields import is_key
from minian_vc.model import canonical_json, digest_of, timestamp

__all__ = ["SoFar"]

VALID = timedelta(days=7)
MAX_SIZE = 256 << 20  # bytes
INTERVAL = 1.0  # seconds between two notes


class SoFar:
    """The folders of objects that were read, and the bad objects in them; noted every second and at the end of a block.

    Parameters
    ----------
    path : Path
        The note.
    restart : bool
        Take no notice of what an earlier run has noted.
    """

    def __init__(self, path: Path, *, restart: bool = False) -> None:
        self._path = path
        self._began = timestamp()
        self._done: dict[str, int] = {}
        self.bad: dict[Path, str] = {}
        self._noted = time.monotonic()
        if not restart:
            self._load()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._note()

    def has(self, folder: str, count: int) -> bool:
        """Tell whether a folder was read when it had as many objects as it has now."""
        return self._done.get(folder) == count

    def add(self, folder: str, count: int, bad: Mapping[Path, str]) -> None:
        """Add a folder that was read."""
        self._done[folder] = count
        self.bad |= bad
        if time.monotonic() - self._noted >= INTERVAL:
            self._note()

    def forget(self) -> None:
        """Remove the note: everything was read."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _note(self) -> None:
        self._noted = time.monotonic()
        bad = {str(path.relative_to(self._path.parent)): problem for path, problem in self.bad.items()}
        body = canonical_json({"began": self._began, "done": self._done, "bad": bad})
        with contextlib.suppress(OSError):  # read-only media
            durable.write_durably(self._path, digest_of(body).encode() + b"\n" + body, self._path.parent / "staging")

    def _load(self) -> None:
        try:
            digest, _, body = durable.read_without_links(self._path, MAX_SIZE).partition(b"\n")
            document = json.loads(body)
            age = datetime.now(UTC) - datetime.fromisoformat(document["began"])
            if digest_of(body).encode() != digest or not timedelta(0) <= age < VALID:
                return
            self._began, self._done = document["began"], document["done"]
            self.bad = {self._path.parent / name: problem for name, problem in document["bad"].items() if is_key(name)}
        except (OSError, ValueError, KeyError, TypeError):
            return
