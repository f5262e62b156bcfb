"""Let runs count the processes they lost, so that one which takes each down with it can be given up."""

import sqlalchemy as sa
from alembic import op

revision = "6c7f4b0de512"
down_revision = "1ea9c10a4aee"


def upgrade() -> None:
    op.add_column("runs", sa.Column("carriers_lost", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("runs", "carriers_lost")
