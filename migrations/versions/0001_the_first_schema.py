"""The first schema"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "coordinate",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("files", sa.String(length=71), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("dims", sa.JSON(), nullable=False),
        sa.Column("shape", sa.JSON(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coordinate")),
        sa.UniqueConstraint("files", name=op.f("uq_coordinate_files")),
    )
    op.create_index(op.f("ix_coordinate_digest"), "coordinate", ["digest"], unique=False)
    op.create_table(
        "dataset",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sa.String(length=32), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("latest", sa.String(length=71), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
        sa.UniqueConstraint("path", name=op.f("uq_dataset_path")),
        sa.UniqueConstraint("uid", name=op.f("uq_dataset_uid")),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("animal", sa.Text(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("digest", name=op.f("uq_session_digest")),
    )
    op.create_index(op.f("ix_session_animal"), "session", ["animal"], unique=False)
    op.create_index(op.f("ix_session_session"), "session", ["session"], unique=False)
    op.create_table(
        "unit_set",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unit_set")),
        sa.UniqueConstraint("digest", name=op.f("uq_unit_set_digest")),
    )
    op.create_table(
        "array_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("variable", sa.Text(), nullable=False),
        sa.Column("zarr_format", sa.Integer(), nullable=False),
        sa.Column("dims", sa.JSON(), nullable=False),
        sa.Column("shape", sa.JSON(), nullable=False),
        sa.Column("dtype", sa.Text(), nullable=False),
        sa.Column("chunks", sa.JSON(), nullable=False),
        sa.Column("unit_set_id", sa.Integer(), nullable=True),
        sa.Column("session_id", sa.Integer(), nullable=True),
        sa.Column("manifest", sa.String(length=71), nullable=False),
        sa.Column("nbytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("missing_chunks", sa.BigInteger(), nullable=False),
        sa.Column("bytes_kept", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_array_version_session_id_session")),
        sa.ForeignKeyConstraint(["unit_set_id"], ["unit_set.id"], name=op.f("fk_array_version_unit_set_id_unit_set")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_array_version")),
        sa.UniqueConstraint("digest", name=op.f("uq_array_version_digest")),
    )
    op.create_index(op.f("ix_array_version_manifest"), "array_version", ["manifest"], unique=False)
    op.create_index(op.f("ix_array_version_name"), "array_version", ["name"], unique=False)
    op.create_index(op.f("ix_array_version_session_id"), "array_version", ["session_id"], unique=False)
    op.create_index(op.f("ix_array_version_unit_set_id"), "array_version", ["unit_set_id"], unique=False)
    op.create_table(
        "checkpoint",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("parent", sa.String(length=71), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.Column("provenance", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_checkpoint_dataset_id_dataset")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint")),
        sa.UniqueConstraint("dataset_id", "sequence", name=op.f("uq_checkpoint_dataset_id_sequence")),
        sa.UniqueConstraint("digest", name=op.f("uq_checkpoint_digest")),
    )
    op.create_table(
        "unit_set_member",
        sa.Column("unit_set_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("unit_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["unit_set_id"], ["unit_set.id"], name=op.f("fk_unit_set_member_unit_set_id_unit_set")),
        sa.PrimaryKeyConstraint("unit_set_id", "position", name=op.f("pk_unit_set_member")),
    )
    op.create_index(op.f("ix_unit_set_member_unit_id"), "unit_set_member", ["unit_id"], unique=False)
    op.create_table(
        "array_coordinate",
        sa.Column("array_version_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("coordinate_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["array_version_id"],
            ["array_version.id"],
            name=op.f("fk_array_coordinate_array_version_id_array_version"),
        ),
        sa.ForeignKeyConstraint(
            ["coordinate_id"], ["coordinate.id"], name=op.f("fk_array_coordinate_coordinate_id_coordinate")
        ),
        sa.PrimaryKeyConstraint("array_version_id", "name", name=op.f("pk_array_coordinate")),
    )
    op.create_index(op.f("ix_array_coordinate_coordinate_id"), "array_coordinate", ["coordinate_id"], unique=False)
    op.create_table(
        "checkpoint_array",
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("array_version_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["array_version_id"],
            ["array_version.id"],
            name=op.f("fk_checkpoint_array_array_version_id_array_version"),
        ),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_checkpoint_array_checkpoint_id_checkpoint")
        ),
        sa.PrimaryKeyConstraint("checkpoint_id", "array_version_id", name=op.f("pk_checkpoint_array")),
    )
    op.create_index(
        op.f("ix_checkpoint_array_array_version_id"), "checkpoint_array", ["array_version_id"], unique=False
    )
    op.create_table(
        "operation",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=True),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_operation_checkpoint_id_checkpoint")
        ),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_operation_dataset_id_dataset")),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_operation")),
    )
    op.create_table(
        "tag",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("checkpoint_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.String(length=27), nullable=False),
        sa.ForeignKeyConstraint(["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_tag_checkpoint_id_checkpoint")),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_tag_dataset_id_dataset")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("dataset_id", "name", name=op.f("uq_tag_dataset_id_name")),
    )
    op.create_index(op.f("ix_tag_checkpoint_id"), "tag", ["checkpoint_id"], unique=False)
