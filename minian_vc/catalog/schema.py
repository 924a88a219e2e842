"""The catalog's tables. ``migrations/`` makes the same ones; a test proves it."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "array_coordinate",
    "array_version",
    "checkpoint",
    "checkpoint_array",
    "coordinate",
    "dataset",
    "metadata",
    "operation",
    "session",
    "tag",
    "unit_set",
    "unit_set_member",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

operation = Table(
    "operation",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(71), nullable=False),
    Column("action", String(16), nullable=False),
    Column("dataset_id", ForeignKey("dataset.id"), nullable=False),
    Column("checkpoint_id", ForeignKey("checkpoint.id"), nullable=False),
    Column("tag", Text),
    Column("created_at", String(27), nullable=False),
    Column("group_sequence", Integer),
    Column("undoes", Integer),
    Column("before", String(71)),
    Column("what", Text),
)

dataset = Table(
    "dataset",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(32), nullable=False, unique=True),
    Column("path", Text, nullable=False, unique=True),
    Column("latest", String(71)),
)

checkpoint = Table(
    "checkpoint",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(71), nullable=False, unique=True),
    Column("dataset_id", ForeignKey("dataset.id"), nullable=False),
    Column("parent", String(71)),
    Column("sequence", Integer, nullable=False),
    Column("message", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", String(27), nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("pruned_at", String(27)),
    UniqueConstraint("dataset_id", "sequence"),
)

tag = Table(
    "tag",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_id", ForeignKey("dataset.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("checkpoint_id", ForeignKey("checkpoint.id"), nullable=False, index=True),
    Column("created_at", String(27), nullable=False),
    UniqueConstraint("dataset_id", "name"),
)

session = Table(
    "session",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(71), nullable=False, unique=True),
    Column("animal", Text, index=True),
    Column("session", Text, index=True),
)

unit_set = Table(
    "unit_set",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(71), nullable=False, unique=True),
    Column("size", Integer, nullable=False),
)

unit_set_member = Table(
    "unit_set_member",
    metadata,
    Column("unit_set_id", ForeignKey("unit_set.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("unit_id", Text, nullable=False, index=True),
)

array_version = Table(
    "array_version",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", String(71), nullable=False, unique=True),
    Column("name", Text, nullable=False, index=True),
    Column("folder", Text, nullable=False),
    Column("variable", Text, nullable=False),
    Column("zarr_format", Integer, nullable=False),
    Column("dims", JSON, nullable=False),
    Column("shape", JSON, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("chunks", JSON, nullable=False),
    Column("unit_set_id", ForeignKey("unit_set.id"), index=True),
    Column("session_id", ForeignKey("session.id"), index=True),
    Column("manifest", String(71), nullable=False, index=True),
    Column("nbytes", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("missing_chunks", BigInteger, nullable=False),
    Column("bytes_kept", Boolean, nullable=False),
)

checkpoint_array = Table(
    "checkpoint_array",
    metadata,
    Column("checkpoint_id", ForeignKey("checkpoint.id"), primary_key=True),
    Column("array_version_id", ForeignKey("array_version.id"), primary_key=True),
    Index(None, "array_version_id"),
)

coordinate = Table(
    "coordinate",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("files", String(71), nullable=False, unique=True),
    Column("digest", String(71), nullable=False, index=True),
    Column("dims", JSON, nullable=False),
    Column("shape", JSON, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("content", JSON, nullable=False),
)

array_coordinate = Table(
    "array_coordinate",
    metadata,
    Column("array_version_id", ForeignKey("array_version.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("coordinate_id", ForeignKey("coordinate.id"), nullable=False, index=True),
)
