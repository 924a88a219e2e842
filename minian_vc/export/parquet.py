"""Parquet: one table, written row group by row group."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from minian_vc.export.bundle import Bundle
from minian_vc.export.formats import FORMATS
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
    """Write one array as Parquet, compressed as pyarrow does by default; the identity is in the schema's metadata.

    Parameters
    ----------
    bundle : Bundle
        One array.
    path : Path
        The file to make.
    wide, rate, timestamps
        See :func:`minian_vc.export.tabular.table_of`, also for what is raised.

    Raises
    ------
    EnvironmentUnfitError
        pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise FORMATS["parquet"].needs("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    blocks = written(table_of(bundle, wide, rate, timestamps), path)
    first = pa.Table.from_pandas(next(blocks), preserve_index=False)
    schema = first.schema.with_metadata({**(first.schema.metadata or {}), **bundle.attributes})
    with pq.ParquetWriter(path, schema) as writer:
        writer.write_table(first)
        del first
        for block in blocks:
            writer.write_table(pa.Table.from_pandas(block, schema=schema, preserve_index=False))
