"""Let a thread remember in short what no longer fits its model."""

import sqlalchemy as sa
from alembic import op

revision = "7d20c4be18fa"
down_revision = "c2f1d8a7b064"

PROJECT = "project_id = nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
OWN = f"{SMITH} is null or smith_id = {SMITH}"


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("thread_id", sa.String(), nullable=False),
        sa.Column("reaches", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cost_micros", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["smith_id", "thread_id"],
            ["threads.smith_id", "threads.id"],
            name="fk_summaries_thread",
            ondelete="CASCADE",
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("smith_id", "thread_id", "reaches", name="pk_summaries"),
    )
    op.create_index("ix_summaries_project_id", "summaries", ["project_id"])
    op.create_index("ix_summaries_run_id", "summaries", ["run_id"])
    op.execute("alter table summaries enable row level security")
    op.execute("alter table summaries force row level security")
    op.execute(f"create policy tenant on summaries to ingram_app using ({PROJECT}) with check ({PROJECT})")
    op.execute(f"create policy own_smith on summaries as restrictive to ingram_app using ({OWN}) with check ({OWN})")


def downgrade() -> None:
    op.drop_table("summaries")
