"""Let runs pause: keep each call of a tool, and the approvals that some of them wait for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "a41f7c02d9e6"
down_revision = "c90e4d7714fb"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
TABLES = ("tool_calls", "approvals")
DISPATCHED = "id, project_id, status, expires_at"


def upgrade() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("tool_call_id", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("args_digest", sa.String(), nullable=False),
        sa.Column("gate", JSONB(), nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("is_error", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_tool_calls_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool_calls")),
        sa.UniqueConstraint("run_id", "tool_call_id", name=op.f("uq_tool_calls_run_id_tool_call_id")),
    )
    op.create_index(op.f("ix_tool_calls_project_id"), "tool_calls", ["project_id"])
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("tool_call_id", sa.String(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("args", sa.JSON(), nullable=False),
        sa.Column("args_digest", sa.String(), nullable=False),
        sa.Column("elicitation", JSONB(), nullable=True),
        sa.Column("approver", sa.String(), nullable=False),
        sa.Column("four_eyes", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("actor", JSONB(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("content", JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_approvals_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    pending = sa.text("status = 'pending'")
    op.create_index("ix_approvals_page", "approvals", ["project_id", "created_at", "id"])
    op.create_index("ix_approvals_smith", "approvals", ["smith_id", "created_at", "id"])
    op.create_index(
        "ix_approvals_waiting", "approvals", ["project_id", "created_at", "id"], postgresql_where=pending
    )
    op.create_index("ix_approvals_expiry", "approvals", ["expires_at"], postgresql_where=pending)
    op.create_index("ix_approvals_run", "approvals", ["run_id"])
    for table in TABLES:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        mine = f"project_id = {PROJECT}"
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
        own = f"{SMITH} is null or smith_id = {SMITH}"
        op.execute(f"create policy own_smith on {table} as restrictive to ingram_app using ({own}) with check ({own})")
    op.execute(f"grant select ({DISPATCHED}) on approvals to ingram_engine")
    op.execute("create policy dispatch on approvals for select to ingram_engine using (true)")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
