"""Tell what happened: a feed of events for each project, and a log of who did what.

`feed_position` numbers the transactions that write events; `feed_horizon` is the first number that one which has not
ended may still use. `feed_base` is put right after a restore, where a server's count begins anew (core/migrations.py).
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "5d0c7a1be934"
down_revision = "3b6f0a51c2de"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
WHOSE = {
    "events": f"project_id = {PROJECT}",
    "audit": f"project_id = {PROJECT} or organization_id = {ORGANIZATION}",
}
FUNCTIONS = {
    "feed_base": "select 0::bigint",
    "feed_position": "select feed_base() + pg_current_xact_id()::text::bigint",
    "feed_horizon": "select feed_base() + pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
}


def upgrade() -> None:
    for name, body in FUNCTIONS.items():
        op.execute(f"create function {name}() returns bigint language sql stable as $${body}$$")
    op.create_table(
        "events",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("feed_position()"), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=True),
        sa.Column("data", JSONB(), nullable=False),
        sa.Column("actor", JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_events_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_feed", "events", ["project_id", "position", "id"])
    op.create_table(
        "audit",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("organization_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=True),
        sa.Column("actor", JSONB(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=False),
        sa.Column("details", JSONB(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_audit_organization_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_page", "audit", ["organization_id", "created_at", "id"])
    op.create_index("ix_audit_resource", "audit", ["organization_id", "resource_id", "created_at"])
    for table, mine in WHOSE.items():
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    op.execute(
        "create function refuse_rewriting() returns trigger language plpgsql as $$"
        " begin raise exception 'what was done can not be changed'; end $$"
    )
    op.execute(
        "create trigger immutable before update or delete on audit for each row"
        " when (pg_trigger_depth() = 0) execute function refuse_rewriting()"  # deeper: its organization is deleted
    )


def downgrade() -> None:
    op.drop_table("audit")
    op.execute("drop function refuse_rewriting()")
    op.drop_table("events")
    for name in reversed(FUNCTIONS):
        op.execute(f"drop function {name}()")
