"""Let turns be remembered: what a smith had before it in a turn is kept, and what is to be learnt from it is done once.

The dispatcher sees what is to be done, and neither of whom nor why.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "5b9e27c41d83"
down_revision = "ac25868401f4"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
MOMENT = sa.DateTime(timezone=True)


def _of_run(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f(f"fk_{table}_run_id"), ondelete="CASCADE")


def _wall(table: str) -> None:
    mine, own = f"project_id = {PROJECT}", f"{SMITH} is null or smith_id = {SMITH}"
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    op.execute(f"create policy own_smith on {table} as restrictive to ingram_app using ({own}) with check ({own})")


def upgrade() -> None:
    op.create_table(
        "retrievals",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        _of_run("retrievals"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_retrievals")),
    )
    op.create_index(op.f("ix_retrievals_smith_id"), "retrievals", ["smith_id"])
    _wall("retrievals")
    op.create_table(
        "memory_ops",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=True),
        sa.Column("agent_version", sa.Integer(), nullable=True),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cost_micros", sa.Integer(), nullable=False),
        sa.Column("outcome", JSONB(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("began_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        _of_run("memory_ops"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memory_ops")),
    )
    due, waits = sa.text("due_at is not null"), sa.text("state = 'waiting' and kind <> 'learn'")
    op.create_index("ix_memory_ops_due", "memory_ops", ["project_id", "due_at", "id"], postgresql_where=due)
    op.create_index("ix_memory_ops_ended", "memory_ops", ["project_id", "ended_at"])
    op.create_index("ix_memory_ops_smith", "memory_ops", ["smith_id", "kind", "began_at"])
    op.create_index("uq_memory_ops_run", "memory_ops", ["run_id", "kind"], unique=True)
    op.create_index("uq_memory_ops_waiting", "memory_ops", ["smith_id", "kind"], unique=True, postgresql_where=waits)
    _wall("memory_ops")
    op.execute("grant select (id, project_id, due_at) on memory_ops to ingram_engine")
    op.execute("create policy dispatch on memory_ops for select to ingram_engine using (true)")


def downgrade() -> None:
    op.drop_table("memory_ops")
    op.drop_table("retrievals")
