"""Catalogs as earlier versions left them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

ADDED = {
    "0002": [("checkpoint", "pruned_at")],
    "0003": [("operation", name) for name in ("what", "before", "undoes", "group_sequence")],
}


def take_back_to(catalog: Path, revision: str) -> None:
    """Take away the columns that migrations after a revision made."""
    with closing(sqlite3.connect(catalog)) as connection, connection:
        for later in sorted(ADDED, reverse=True):
            for table, column in ADDED[later] if later > revision else ():
                connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
