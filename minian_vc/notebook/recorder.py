"""What is recorded in a notebook, and when: after each cell, and before something unrecorded is overwritten."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from minian_vc import provenance
from minian_vc.dataset import Dataset, open_dataset
from minian_vc.errors import BusyError, MinianVCError, NotFoundError, UnreadableError
from minian_vc.notebook.stamps import Stamp, is_settled, take_stamp
from minian_vc.repository import Repository
from minian_vc.verbs.commit import Request
from minian_vc.verbs.record_saved import is_recorded
from minian_vc.zarr_format import stem

__all__ = ["MOVIES", "Recorder"]

MOVIES = ("varr", "varr_ref", "Y_fm_chk", "Y_hw_chk", "Yb")  # large, and computed again from the video


@dataclass
class _Watched:
    """A dataset and what it looked like when it was last recorded, or when that last failed; None to look again."""

    path: Path
    stamp: Stamp | None = None


class Recorder:
    """Records watched datasets; whatever goes wrong is said once and raised never.

    Parameters
    ----------
    say : callable
        Shows a line of text to the user.
    """

    def __init__(self, say: Callable[[str], None] = lambda text: print(text, file=sys.stderr)) -> None:
        self._say = say
        self._said: set[str] = set()
        self._watched: dict[Path, _Watched] = {}
        self._last: Path | None = None

    # -- what is watched -----------------------------------------------------------------------

    @property
    def watched(self) -> tuple[Path, ...]:
        """The datasets, in the order in which they were met."""
        return tuple(self._watched)

    def watch(self, dataset: Path) -> None:
        """Watch a dataset from now on; one that is watched is looked at again."""
        self._watched.setdefault(dataset, _Watched(dataset)).stamp = None

    def heard(self, array: Path, going: bool) -> None:
        """Take notice of an array folder that is made, or about to be removed or replaced."""
        self.watch(array.parent)
        if going:
            self._guarded(lambda: self._before_loss(array))

    def watch_by_hand(self, dataset: Path) -> None:
        """Watch a dataset that nobody was heard saving to, and record it as it is.

        Raises
        ------
        NotFoundError
            There is no dataset.
        """
        if not is_minian_dataset(dataset):
            raise NotFoundError(f"{dataset} has no arrays of MiniAn's.", "Nothing was made. Check the path.")
        self._open(dataset)
        self.watch(dataset)
        self.record_changes()

    def current(self) -> Dataset | None:
        """Return the watched dataset that was recorded last, or the only one there is."""
        if self._last is not None:
            return self._open(self._last)
        known = [path for path in self._watched if is_minian_dataset(path)]
        return self._open(known[0]) if len(known) == 1 else None

    # -- recording -----------------------------------------------------------------------------

    def record_changes(self, *, look_again: bool = False) -> None:
        """Record each watched dataset that changed since it was recorded; with ``look_again`` file by file."""
        for watched in list(self._watched.values()):
            try:
                self._guarded(partial(self._record_if_changed, watched, look_again))
            except KeyboardInterrupt:
                watched.stamp = None
                self._say("minian_vc: recording was interrupted; it is done after the next cell.")

    def _record_if_changed(self, watched: _Watched, look_again: bool) -> None:
        stamp = take_stamp(watched.path)
        if stamp == watched.stamp and not look_again:
            return
        if not is_minian_dataset(watched.path):
            del self._watched[watched.path]  # it is heard of again when there is something
            return
        watched.stamp = stamp if is_settled(stamp) else None
        self._record(watched.path)

    def _record(self, path: Path, lost: str = "") -> None:
        """Record what can be read; what cannot is left as it was in the checkpoint before, and named."""
        dataset = self._open(path)
        try:
            self._commit(dataset, lost, None)
        except (BusyError, UnreadableError):
            states = {state.name: state for state in dataset.status() if state.state in ("new", "modified")}
            whole = [name for name, state in states.items() if not state.problem]
            if whole:
                self._commit(dataset, lost, whole)
            for name, state in states.items():
                if state.problem:
                    self._say_once(f"{name} in {path} was not recorded: {state.problem}")

    def _before_loss(self, array: Path) -> None:
        """Record a dataset before an array in it is overwritten that is in no checkpoint as it is."""
        if threading.current_thread() is not threading.main_thread():
            return  # zarr 3 removes folders in its own thread, and would wait for us while we wait for it
        if not is_minian_array(array):
            return
        dataset = self._open(array.parent)
        without = stem(array.name) in dataset.repository.config.record_without_bytes
        if not without and not is_recorded(dataset.repository, array):
            self._record(array.parent, lost=stem(array.name))

    def _commit(self, dataset: Dataset, lost: str, only: list[str] | None) -> None:
        def message(changed: Sequence[str]) -> str:
            return f"{', '.join(changed) or 'arrays removed'}{f' (before {lost} was saved again)' if lost else ''}"

        done = dataset.record(Request(message, None, only, provenance.gather(automatic="notebook"), wait=0.0))
        self._last = dataset.path
        for text in done.warnings if done.created else ():
            self._say(f"minian_vc: {text}")

    def _open(self, path: Path) -> Dataset:
        try:
            Repository.find(path.parent)
        except NotFoundError:
            self.make_repository(path)
        return open_dataset(path, create=True)

    def make_repository(self, dataset: Path) -> Repository:
        """Make the repository that a dataset needs; movies are recorded without their bytes in it, and that is said."""
        repository = Repository.create(dataset.parent)
        repository.configure("record_without_bytes", ",".join(MOVIES))
        self._say(
            f"minian_vc: checkpoints of {dataset.name} are kept in {repository.folder}; of {', '.join(MOVIES)} "
            'without their bytes (%mvc config record_without_bytes "" keeps them too).'
        )
        return repository

    # -- saying what went wrong ----------------------------------------------------------------

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except MinianVCError as error:
            self._say_once(f"not recorded: {error}")
        except OSError as error:
            self._say_once(f"not recorded, for the disk refused: {error}")
        except Exception as error:
            self._say_once(f"not recorded, by a fault of minian_vc: {type(error).__name__}: {error}")

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(f"minian_vc: {text}".replace("\n", " "))


def is_minian_array(folder: Path) -> bool:
    """Tell whether an array folder is laid out as MiniAn does it: ``C.zarr/C``."""
    return (folder / folder.stem).is_dir()


def is_minian_dataset(folder: Path) -> bool:
    """Tell whether a folder holds an array folder of MiniAn's."""
    return folder.is_dir() and any(is_minian_array(array) for array in folder.glob("*.zarr"))
