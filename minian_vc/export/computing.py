"""Progress of what dask computes while a library of others writes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from minian_vc.progress import follow

__all__ = ["progress_of_dask"]


@contextlib.contextmanager
def progress_of_dask(what: str, nbytes: int) -> Iterator[None]:
    """Show how much of ``nbytes`` is done inside the block, by the tasks that dask has finished in this process."""
    from dask.callbacks import Callback

    states: list[Mapping[str, Any]] = []

    def done() -> int:
        if not states:
            return 0
        counts = {key: len(states[-1][key]) for key in ("finished", "waiting", "ready", "running")}
        return nbytes * counts["finished"] // max(1, sum(counts.values()))

    with Callback(start_state=lambda _, state: states.append(state)), follow(what, nbytes, done):
        yield
