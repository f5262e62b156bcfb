"""Let projects set budgets: what may be spent on models, and what runs hold back of it for calls on their way."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "1eabdc344463"
down_revision = "b7d2e90c41fa"

MINE = "project_id = nullif(current_setting('app.project_id', true), '')"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("scope", sa.String(32), nullable=False),
        sa.Column("scope_id", sa.String(), nullable=False),
        sa.Column("limit_micros", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("period", sa.String(32), nullable=False),
        sa.Column("thresholds", JSONB(), nullable=False),
        sa.Column("period_start", MOMENT, nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=False),
        sa.Column("told", JSONB(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_budgets_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
    )
    op.create_index("ix_budgets_page", "budgets", ["project_id", "created_at", "id"])
    op.create_index("uq_budgets_scope", "budgets", ["project_id", "scope", "scope_id"], unique=True)
    op.execute("alter table budgets enable row level security")
    op.execute("alter table budgets force row level security")
    op.execute(f"create policy tenant on budgets to ingram_app using ({MINE}) with check ({MINE})")
    op.add_column("projects", sa.Column("budgeted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("runs", sa.Column("reserved_micros", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("runs", "reserved_micros")
    op.drop_column("projects", "budgeted")
    op.drop_table("budgets")
