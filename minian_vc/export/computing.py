"""Progress of what dask computes while a library of others writes it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from minian_vc.progress import progress

__all__ = ["advance_with_dask", "progress_of_dask"]


@contextlib.contextmanager
def progress_of_dask(what: str, nbytes: int) -> Iterator[None]:
    """Show how much of ``nbytes`` is done inside the block, by the tasks that dask has finished in this process."""
    with progress(what, nbytes) as advance, advance_with_dask(advance, nbytes):
        yield


@contextlib.contextmanager
def advance_with_dask(advance: Callable[[int], None], nbytes: int) -> Iterator[None]:
    """Call ``advance`` with shares of ``nbytes`` as dask finishes tasks inside the block, the last at its end."""
    from dask.callbacks import Callback

    told = tasks = 0

    def start(_: Any, state: Mapping[str, Any]) -> None:
        nonlocal tasks
        tasks = sum(len(state[key]) for key in ("finished", "waiting", "ready", "running"))

    def finished(_: Any, __: Any, ___: Any, state: Mapping[str, Any], ____: Any) -> None:
        nonlocal told
        done = nbytes * len(state["finished"]) // max(1, tasks)
        if done > told:
            advance(done - told)
            told = done

    with Callback(start_state=start, posttask=finished):
        yield
    advance(nbytes - told)
