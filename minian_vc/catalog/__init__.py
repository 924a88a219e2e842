"""The catalog: questions over history, answered by indexes. SQLite through SQLAlchemy Core."""

from minian_vc.catalog.engine import Catalog

__all__ = ["Catalog"]
