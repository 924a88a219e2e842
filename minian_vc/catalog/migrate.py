"""Bringing a catalog up to date with Alembic, which is imported only when there is something to do."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

__all__ = ["HEAD", "is_known", "migrations_folder", "upgrade"]

HEAD = "0003"


def migrations_folder() -> Path:
    """Return the migrations: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def is_known(revision: str) -> bool:
    """Tell whether there is a migration of that name; a newer program's is unknown."""
    return any((migrations_folder() / "versions").glob(f"{revision}_*.py"))


def upgrade(connection: Connection) -> None:
    """Run the missing migrations inside the transaction that is open."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
