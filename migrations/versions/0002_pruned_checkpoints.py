"""When a checkpoint was pruned"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("checkpoint", sa.Column("pruned_at", sa.String(length=27), nullable=True))
