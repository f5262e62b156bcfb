"""Let frames of runs that ended a while ago be folded: one for the words of many, which says where each ended."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "e3a95b1c60d7"
down_revision = "a41f7c02d9e6"


def upgrade() -> None:
    op.add_column("frames", sa.Column("cuts", ARRAY(sa.Integer()), nullable=True))
    op.create_index("ix_runs_finished", "runs", ["finished_at", "id"])
    op.create_table(
        "folded_until",
        sa.Column("only", sa.Boolean(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("only", name="pk_folded_until"),
    )
    op.execute("insert into folded_until values (true, '2000-01-01 00:00:00+00', '')")
    op.execute("revoke insert, delete on folded_until from ingram_app")
    op.execute("grant select (finished_at) on runs to ingram_engine")


def downgrade() -> None:
    """Frames that were folded stay so: each is a frame like any other."""
    op.execute("revoke select (finished_at) on runs from ingram_engine")
    op.drop_table("folded_until")
    op.drop_index("ix_runs_finished", "runs")
    op.drop_column("frames", "cuts")
