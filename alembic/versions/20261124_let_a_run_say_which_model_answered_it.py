"""Let a run say which model answered it."""

import sqlalchemy as sa
from alembic import op

revision = "1ea9c10a4aee"
down_revision = "a41c7d90e2b5"


def upgrade() -> None:
    op.add_column("runs", sa.Column("answered_by", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "answered_by")
