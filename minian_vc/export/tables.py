"""Arrays as tables: DataFrames of bounded size, in order, of any array however it is cut."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minian_vc.errors import InvalidInputError
from minian_vc.export.blocks import c_order_blocks, reads_per_chunk
from minian_vc.export.dims import FRAME
from minian_vc.export.slicing import BUDGET

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Long", "Table", "Wide"]

Cut = tuple[tuple[int, ...], tuple[int, ...], int, int]  # what blocks.c_order_blocks takes; its unit is a row


@dataclass(frozen=True)
class Long:
    """One row per value: the dims' labels, then the value.

    Attributes
    ----------
    array : xarray.DataArray
        One or more dims; named.
    """

    array: xr.DataArray

    def __post_init__(self) -> None:
        if not self.array.dims:
            raise InvalidInputError(
                f"{self.array.name} is a single value without dims, and a table has rows along dims.",
                "Nothing was written. Take an array with dims.",
            )

    @property
    def nbytes(self) -> int:
        """The bytes of the whole table, estimated from dims, dtype and labels."""
        return math.ceil(self.array.size * self._row_bytes(self._columns()))

    @property
    def peak(self) -> int:
        """The bytes that :meth:`whole` takes while it is made: with an int64 per dim and row, and the values twice."""
        return self.nbytes + self.array.size * (8 * self.array.ndim + self.array.dtype.itemsize)

    def whole(self) -> pd.DataFrame:
        """Return the table in memory: ``array.to_series().reset_index()``, which takes up to twice the memory."""
        return self._rows(tuple(slice(0, size) for size in self.array.shape), self._columns())

    def blocks(self, budget: int | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows of :meth:`whole` in order, with its columns and dtypes, ``budget`` bytes at a time.

        Yields
        ------
        pandas.DataFrame
            At least one, be it empty.
        """
        columns = self._columns()
        if not self.array.size:
            yield self.whole()
            return
        for box in c_order_blocks(*self._cut(columns, budget)):
            yield self._rows(box, columns)

    @property
    def reads(self) -> float:
        """How many of the blocks need the same chunk, on average."""
        return reads_per_chunk(*self._cut(self._columns(), None))

    def _cut(self, columns: dict[str, pd.Series], budget: int | None) -> Cut:
        """Return how blocks are cut. Whatever the chunks, they keep to the budget; beside is what dask decodes."""
        rows = max(1, int((budget or BUDGET) // self._row_bytes(columns)))
        return self.array.shape, _largest_chunks(self.array), 1, rows

    def _rows(self, box: tuple[slice, ...], columns: dict[str, pd.Series]) -> pd.DataFrame:
        """Return the rows of a box of the array."""
        import numpy as np
        import pandas as pd

        values = self.array[box].values
        table = {}
        for dim, along in zip(columns, np.ogrid[box], strict=True):
            rows = np.broadcast_to(along, values.shape).ravel()
            # as Series: of an array pandas would infer the dtype anew, block by block
            table[dim] = columns[dim].take(rows).reset_index(drop=True)
        return pd.DataFrame({**table, str(self.array.name): values.ravel()}, copy=False)

    def _columns(self) -> dict[str, pd.Series]:
        """Return each dim's labels, as the column of the whole table has them."""
        import pandas as pd

        found = {}
        for dim in self.array.dims:
            along = self.array.isel({other: slice(0, 1) for other in self.array.dims if other != dim})
            index = along.coords.to_index()
            found[str(dim)] = pd.Series(0, index=index, name=self.array.name).reset_index()[dim]
        return found

    def _row_bytes(self, columns: dict[str, pd.Series]) -> float:
        """Return the bytes of a row; text counts with its mean length."""
        labels = sum(each.memory_usage(index=False, deep=True) / max(1, len(each)) for each in columns.values())
        return self.array.dtype.itemsize + labels


@dataclass(frozen=True)
class Wide:
    """One row per frame: its label, its time if given, then a column per label of the other dim, such as a unit.

    Attributes
    ----------
    array : xarray.DataArray
        Dims ``frame`` and at most one more, in any order; named.
    times : numpy.ndarray, optional
        The time of each frame in seconds.
    """

    array: xr.DataArray
    times: Any = None

    def __post_init__(self) -> None:
        dims = self.array.dims
        if FRAME not in dims or len(dims) > 2:
            raise InvalidInputError(
                f"{self.array.name} has the dims {', '.join(map(str, dims)) or '(none)'}; "
                "a wide table takes frame and one more, such as unit_id.",
                "Nothing was written. Leave --wide (wide=True) out: a long table takes any dims.",
            )
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise InvalidInputError(
                f"A wide table of {self.array.name} would have several columns named {', '.join(twice)}.",
                "Nothing was written. Leave --wide (wide=True) out.",
            )

    @property
    def names(self) -> list[str]:
        """The columns: ``frame``, ``time`` if given, and the labels of the other dim as text."""
        others = [dim for dim in self.array.dims if dim != FRAME]
        labels = self.array.get_index(others[0]).tolist() if others else [self.array.name]
        return [FRAME, *(["time"] if self.times is not None else []), *map(str, labels)]

    @property
    def nbytes(self) -> int:
        """The bytes of the whole table."""
        return int(self.array.nbytes) + self.array.sizes[FRAME] * 8 * (1 + (self.times is not None))

    @property
    def peak(self) -> int:
        """The bytes that :meth:`whole` takes while it is made: dask's pieces, what they are joined to, a chunk."""
        chunk = math.prod(max(sizes, default=0) for sizes in self.array.chunks or ()) * self.array.dtype.itemsize
        return self.nbytes + int(self.array.nbytes) + 2 * chunk  # as stored and decoded

    def whole(self) -> pd.DataFrame:
        """Return the table in memory."""
        return self._rows(0, self.array.sizes[FRAME])

    def blocks(self, budget: int | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows of :meth:`whole` in order, ``budget`` bytes at a time; at least one block, be it empty."""
        if not self.array.sizes[FRAME]:
            yield self.whole()
            return
        for (rows,) in c_order_blocks(*self._cut(budget)):
            yield self._rows(rows.start, rows.stop)

    @property
    def reads(self) -> float:
        """How many of the blocks need the same chunk, on average."""
        return reads_per_chunk(*self._cut(None))

    def _cut(self, budget: int | None) -> Cut:
        """Return how blocks of frames are cut."""
        frames, axis = self.array.sizes[FRAME], self.array.get_axis_num(FRAME)
        rows = max(1, (budget or BUDGET) * frames // max(1, self.nbytes))
        return (frames,), (_largest_chunks(self.array)[axis],), 1, rows

    def _rows(self, start: int, stop: int) -> pd.DataFrame:
        import pandas as pd

        columns = self.names
        head = 1 + (self.times is not None)
        values = self.array.transpose(FRAME, ...)[start:stop].values.reshape(stop - start, len(columns) - head)
        table = pd.DataFrame(values, columns=columns[head:])
        if self.times is not None:
            table.insert(0, columns[1], self.times[start:stop])
        table.insert(0, FRAME, self.array.get_index(FRAME)[start:stop])
        return table


def _largest_chunks(array: xr.DataArray) -> tuple[int, ...]:
    return tuple(max(sizes, default=0) for sizes in array.chunks) if array.chunks else array.shape


Table = Long | Wide
