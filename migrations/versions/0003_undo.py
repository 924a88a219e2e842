"""What operations belong together, take back, and moved"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("operation", sa.Column("group_sequence", sa.Integer(), nullable=True))
    op.add_column("operation", sa.Column("undoes", sa.Integer(), nullable=True))
    op.add_column("operation", sa.Column("before", sa.String(length=71), nullable=True))
    op.add_column("operation", sa.Column("what", sa.Text(), nullable=True))
    op.execute("UPDATE operation SET group_sequence = sequence")
