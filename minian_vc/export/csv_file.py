"""CSV: one table as text, written block by block."""

from __future__ import annotations

from pathlib import Path

from minian_vc.export.bundle import Bundle
from minian_vc.export.tabular import table_of, written

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

    A number is the shortest text that reads back as the same value of its dtype; NaN is empty.

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
            block.to_csv(file, index=False, header=i == 0, lineterminator="\n")
