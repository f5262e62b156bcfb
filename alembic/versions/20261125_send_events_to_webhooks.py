"""Send events to webhooks: the addresses that a project names, and every delivery of an event to one.

The dispatcher sees where something is to be sent, and neither what nor to which address.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "a41f0c7be2d9"
down_revision = "7d20c4be18fa"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
MOMENT = sa.DateTime(timezone=True)
DISPATCHED = {
    "webhooks": "id, project_id, active, seen_position, seen_id, busy_until",
    "deliveries": "project_id, webhook_id, state, next_attempt_at",
    "events": "id, project_id, position",
}


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", JSONB(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=True),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_secret_until", MOMENT, nullable=True),
        sa.Column("seen_position", sa.BigInteger(), nullable=False),
        sa.Column("seen_id", sa.String(), nullable=False),
        sa.Column("busy_until", MOMENT, nullable=False),
        sa.Column("failing_since", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_webhooks_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index("ix_webhooks_project", "webhooks", ["project_id", "created_at", "id"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("event_type", sa.String(), nullable=False),
        sa.Column("redelivery_of", sa.String(), nullable=True),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=True),
        sa.Column("last_attempt_at", MOMENT, nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("response_excerpt", sa.String(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_deliveries_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_deliveries_webhook_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["event_id"], ["events.id"], name=op.f("fk_deliveries_event_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_page", "deliveries", ["webhook_id", "created_at", "id"])
    op.create_index("ix_deliveries_event", "deliveries", ["event_id"])
    waiting, first = sa.text("state in ('pending', 'failed')"), sa.text("redelivery_of is null")
    op.create_index(
        "ix_deliveries_due", "deliveries", ["webhook_id", "next_attempt_at", "id"], postgresql_where=waiting
    )
    op.create_index(
        "uq_deliveries_once", "deliveries", ["webhook_id", "event_id"], unique=True, postgresql_where=first
    )
    mine = f"project_id = {PROJECT}"
    for table in ("webhooks", "deliveries"):
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    for table, columns in DISPATCHED.items():
        op.execute(f"grant select ({columns}) on {table} to ingram_engine")
        op.execute(f"create policy dispatch on {table} for select to ingram_engine using (true)")


def downgrade() -> None:
    op.execute("drop policy dispatch on events")
    op.execute(f"revoke select ({DISPATCHED['events']}) on events from ingram_engine")
    op.drop_table("deliveries")
    op.drop_table("webhooks")
