"""A process that records where SQLite's locks do nothing, as on some network drives.

Run as ``lying_locks.py DATASET ARRAY``. For each line on stdin it changes the array and commits it, and prints the
checkpoint's id when that is acknowledged, or what failed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import sqlalchemy

import minian_vc as mvc
from minian_vc.catalog import engine
from minian_vc.errors import MinianVCError
from minian_vc.verbs.commit import Request

RETRIES = 3


def lie() -> None:
    """Let every lock on the catalog be given, whoever else has it."""

    def create_engine(url: sqlalchemy.URL, **options: Any) -> sqlalchemy.Engine:
        return sqlalchemy.create_engine(f"sqlite:///file:{url.database}?vfs=unix-none&uri=true", **options)

    engine.create_engine = create_engine


def commit(dataset: Path, name: str, step: str) -> str:
    """Change one file and commit the array."""
    (dataset / f"{name}.zarr" / name / "0.0").write_bytes(f"{name}{step:>9}".encode().ljust(320))
    problem = ""
    for _ in range(RETRIES):
        try:
            done = mvc.open(dataset).record(Request(f"{name} {step}", None, [name], {}, wait=30.0))
        except MinianVCError as error:
            problem = f"{type(error).__name__} {error.message}"
        else:
            return f"acknowledged {done.checkpoint.id}"
    return f"failed {problem}"


if __name__ == "__main__":
    lie()
    for line in sys.stdin:
        print(commit(Path(sys.argv[1]), sys.argv[2], line.strip()), flush=True)
