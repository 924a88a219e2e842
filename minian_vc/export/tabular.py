"""Tables as they are asked for: long or wide, with times or without, in a file or in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc.errors import InvalidInputError
from minian_vc.export.bundle import Bundle
from minian_vc.export.computing import progress_of_dask
from minian_vc.export.dims import FRAME
from minian_vc.export.memory import refuse_beyond_memory
from minian_vc.export.slicing import cheap_to_slice
from minian_vc.export.tables import Long, Table, Wide
from minian_vc.export.times import times_of
from minian_vc.progress import progress

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame", "table_of", "written"]


def table_of(bundle: Bundle, wide: bool, rate: float | None, timestamps: str | Path | None) -> Table:
    """Return the one array of a bundle as a table, not computed yet.

    Parameters
    ----------
    bundle : Bundle
        One array.
    wide : bool
        One row per frame and one column per unit, else one row per value.
    rate : float, optional
        Frames per second; a wide table has a column ``time`` then, in seconds: frame number / rate.
    timestamps : str or Path, optional
        A file with the time of each frame, instead; see :func:`minian_vc.export.times.times_of`.

    Raises
    ------
    InvalidInputError
        The array has no such table; times are asked for twice or in a long table; or they do not fit the frames.
    NotFoundError
        There is no file ``timestamps``.
    """
    timed = rate is not None or timestamps is not None
    if not wide:
        if timed:
            raise InvalidInputError(
                "Only a wide table has a column for the time.", "Nothing was written. Add --wide (wide=True)."
            )
        return Long(bundle.only)
    table = Wide(bundle.only)
    return Wide(bundle.only, times_of(bundle.only.get_index(FRAME), rate, timestamps)) if timed else table


def written(table: Table, path: Path) -> Iterator[pd.DataFrame]:
    """Yield a table's blocks, each chunk read few times, to whoever writes them to ``path``; show the progress."""
    array = table.array
    reads = table.reads if array.chunks else 1
    with contextlib.ExitStack() as stack:
        with progress_of_dask(f"Reading {array.name}", array.nbytes):
            scratch = path.with_name(f"{path.name}.scratch")
            values = stack.enter_context(cheap_to_slice(array.data, reads, scratch))
        advance = stack.enter_context(progress(f"Writing {path.name}", table.nbytes))
        for block in replace(table, array=array.copy(data=values)).blocks():
            yield block
            advance(int(block.memory_usage(index=False).sum()))


def frame(bundle: Bundle, wide: bool, rate: float | None, timestamps: str | Path | None) -> pd.DataFrame:
    """Return a table in memory, with the identity in its ``attrs``; raises as :func:`table_of`.

    Raises
    ------
    InvalidInputError
        It takes more memory than is free, too.
    """
    table = table_of(bundle, wide, rate, timestamps)
    name = bundle.names[0]
    refuse_beyond_memory(
        table.peak, f"{name} as a DataFrame", f"Open it lazily, ds[{name}@REV], or export it to csv or parquet."
    )
    made = table.whole()
    made.attrs.update(bundle.attributes)
    return made
