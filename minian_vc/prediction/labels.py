"""The labels along a dimension: compared and joined by pandas, as xarray has it done."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Labels", "UnknownLabels", "is_null", "null"]


class Labels:
    """An index along one dimension.

    Parameters
    ----------
    index : pandas.Index
        The labels.
    dtype : numpy.dtype
        The dtype of the coordinate they came from.
    """

    def __init__(self, index: pd.Index[Any], dtype: np.dtype[Any]) -> None:
        self.index = index
        self.dtype = dtype

    @classmethod
    def of(cls, values: np.ndarray[Any, Any]) -> Self:
        """Make labels of a coordinate's values."""
        import pandas as pd

        if values.dtype.kind == "O":
            return cls(pd.Index(values, dtype="object"), values.dtype)
        half = values.dtype == np.float16  # pandas has no index of it
        return cls(pd.Index(values, dtype="float64" if half else None), values.dtype)

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def are_unique(self) -> bool:
        """Whether no label occurs twice."""
        return bool(self.index.is_unique)

    def equal(self, other: Labels) -> bool:
        """Tell whether two dimensions have the same labels in the same order."""
        return self is other or bool(self.index.equals(other.index))

    def joined(self, other: Labels) -> Labels:
        """Return the outer join.

        Raises
        ------
        TypeError
            No dtype holds both (dates and numbers).
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # text and numbers have no order
            index = self.index.union(other.index)
        return Labels(index, np.result_type(self.dtype, other.dtype))

    def followed_by(self, other: Labels) -> Labels:
        """Return the labels of both, one after the other."""
        return Labels(self.index.append(other.index), np.result_type(self.dtype, other.dtype))

    def positions_of(self, wanted: Labels) -> np.ndarray[Any, Any]:
        """Return where each wanted label stands here, -1 for nowhere."""
        import pandas as pd

        return np.asarray(self.index.get_indexer(pd.Index(np.asarray(wanted.index))))

    def values(self) -> np.ndarray[Any, Any]:
        """Return the labels as a coordinate holds them."""
        return np.asarray(self.index)


class UnknownLabels(Labels):
    """Labels that nobody can tell: asking for them raises the doubt."""

    def __init__(self, size: int, dtype: np.dtype[Any], doubt: Exception) -> None:
        self.dtype = dtype
        self._size = size
        self._doubt = doubt

    def __len__(self) -> int:
        return self._size

    @property
    def index(self) -> pd.Index[Any]:  # type: ignore[override]
        """Raise the doubt."""
        raise self._doubt


def null(dtype: np.dtype[Any]) -> Any:
    """Return the missing value of a dtype that has one."""
    if dtype.kind in "mM":
        return np.array("NaT", dtype)
    return np.nan


def is_null(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Tell which values are missing."""
    if values.dtype.kind in "fc":
        return np.asarray(np.isnan(values))
    if values.dtype.kind in "mM":
        return np.asarray(np.isnat(values))
    if values.dtype.kind == "O":
        import pandas as pd

        return np.asarray(pd.isnull(values))
    return np.zeros(values.shape, bool)
