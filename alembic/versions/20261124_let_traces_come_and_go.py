"""Let traces come and go: spans that programs send, collectors that traces are exported to, and mail to owners.

The dispatcher sees where something is to be sent, and neither what nor to whom.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "8ce976b0b7b5"
down_revision = "90b6e3d1f57c"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
MOMENT = sa.DateTime(timezone=True)
TABLES = ("mails", "trace_exports", "sent_traces", "sent_spans")
DISPATCHED = {
    "mails": "id, project_id, state, next_attempt_at",
    "trace_exports": "project_id, active, seen_position, seen_id, busy_until",
}


def upgrade() -> None:
    op.create_table(
        "mails",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_mails_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mails")),
    )
    op.create_index("ix_mails_due", "mails", ["next_attempt_at", "id"], postgresql_where=sa.text("state = 'pending'"))
    op.create_table(
        "trace_exports",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("header_names", JSONB(), nullable=False),
        sa.Column("sealed_headers", sa.LargeBinary(), nullable=False),
        sa.Column("include_content", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(), nullable=True),
        sa.Column("seen_position", sa.BigInteger(), nullable=False),
        sa.Column("seen_id", sa.String(), nullable=False),
        sa.Column("busy_until", MOMENT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", MOMENT, nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("last_exported_at", MOMENT, nullable=True),
        sa.Column("exported_runs", sa.Integer(), nullable=False),
        sa.Column("dropped_runs", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_trace_exports_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_trace_exports")),
    )
    op.create_table(
        "sent_traces",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_sent_traces_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_sent_traces_run_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["smith_id"], ["smiths.id"], name=op.f("fk_sent_traces_smith_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "id", name=op.f("pk_sent_traces")),
    )
    op.create_index("ix_sent_traces_old", "sent_traces", ["project_id", "updated_at"])
    op.create_index(
        "ix_sent_traces_page",
        "sent_traces",
        ["project_id", "created_at", "id"],
        postgresql_where=sa.text("run_id is null"),
    )
    op.create_index("ix_sent_traces_run", "sent_traces", ["run_id"], postgresql_where=sa.text("run_id is not null"))
    op.create_index(
        "ix_sent_traces_smith", "sent_traces", ["smith_id"], postgresql_where=sa.text("smith_id is not null")
    )
    op.create_table(
        "sent_spans",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=True),
        sa.Column("parent_span_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost_micros", sa.BigInteger(), nullable=True),
        sa.Column("attributes", JSONB(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "trace_id"],
            ["sent_traces.project_id", "sent_traces.id"],
            name="fk_sent_spans_trace",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "trace_id", "id", name=op.f("pk_sent_spans")),
    )
    op.create_index(
        "ix_sent_spans_smith",
        "sent_spans",
        ["smith_id", "trace_id", "id"],
        postgresql_where=sa.text("smith_id is not null"),
    )
    mine = f"project_id = {PROJECT}"
    for table in TABLES:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    own = f"{SMITH} is null or smith_id = {SMITH}"
    op.execute(f"create policy own_smith on sent_spans as restrictive to ingram_app using ({own}) with check ({own})")
    for table, columns in DISPATCHED.items():
        op.execute(f"grant select ({columns}) on {table} to ingram_engine")
        op.execute(f"create policy dispatch on {table} for select to ingram_engine using (true)")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
