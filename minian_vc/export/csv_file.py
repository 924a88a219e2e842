"""CSV: one table as text, written block by block."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from minian_vc.export.bundle import Bundle
from minian_vc.export.tabular import table_of, written

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write"]


def write(
    bundle: Bundle,
    path: Path,
    *,
    wide: bool = False,
    rate: float | None = None,
    timestamps: str | Path | None = None,
) -> None:
    """Write one array as CSV: UTF-8, a header, lines that end in a line feed on every system.

    A number is the shortest text that reads back as the same value of its dtype; NaN is empty. Times are ISO 8601.

    Parameters
    ----------
    bundle : Bundle
        One array.
    path : Path
        The file to make.
    wide, rate, timestamps
        See :func:`minian_vc.export.tabular.table_of`, also for what is raised.
    """
    table = table_of(bundle, wide, rate, timestamps)
    with path.open("w", encoding="utf-8", newline="") as file:
        for i, block in enumerate(written(table, path)):
            _with_times_as_text(block).to_csv(file, index=False, header=i == 0, lineterminator="\n")


def _with_times_as_text(block: pd.DataFrame) -> pd.DataFrame:
    """Return a block with times in one format, with all digits of their dtype: pandas would choose one by block."""
    import numpy as np
    import pandas as pd

    texts = {}
    for name, column in block.items():
        if column.dtype.kind == "M":
            texts[str(name)] = pd.Series(np.datetime_as_string(column.to_numpy())).where(column.notna())
        elif column.dtype.kind == "m":
            texts[str(name)] = column.map(pd.Timedelta.isoformat, na_action="ignore").astype(object)
    return block.assign(**texts) if texts else block
