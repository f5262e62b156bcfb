"""Let every model call be counted: a ledger of what each took and cost, and sums of it that are read at once.

What runs have used before, those of erased smiths too, is the ledger's beginning: a row for each run.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "b7d2e90c41fa"
down_revision = "e735f999c62e"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
TABLES = ("model_calls", "usage_sums", "usage_folds")
OF_SMITHS = ("model_calls", "usage_sums")
DISPATCHED = {"model_calls": "project_id, position", "usage_folds": "project_id, position"}
MEASURES = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_micros",
)  # fmt: skip
KEY = ["project_id", "grain", "starts", "smith_id", "agent_id", "model", "customer_id", "app", "source"]
COLUMNS = (
    "project_id, at, smith_id, run_id, agent_id, agent_version, model, customer_id, app, source, runs, input_tokens,"
    " output_tokens, cost_micros, cache_read_tokens, cache_write_tokens, reasoning_tokens, estimated"
)


def upgrade() -> None:
    op.add_column("projects", sa.Column("own_prices", JSONB(), server_default="{}", nullable=False))
    op.create_table(
        "model_calls",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), server_default=sa.text("feed_position()"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=True),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("agent_version", sa.Integer(), nullable=True),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("app", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in MEASURES),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_calls")),
    )
    op.create_index("ix_model_calls_position", "model_calls", ["project_id", "position"])
    for column in ("run_id", "smith_id"):
        named = sa.text(f"{column} is not null")
        op.create_index(f"ix_model_calls_{column[:-3]}", "model_calls", [column], postgresql_where=named)
    op.create_table(
        "usage_sums",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        *(sa.Column(name, sa.Date() if name == "starts" else sa.String(), nullable=False) for name in KEY),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("runs", *MEASURES)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_sums")),
    )
    op.create_index("uq_usage_sums", "usage_sums", KEY, unique=True)
    op.create_index("ix_usage_sums_smith", "usage_sums", ["smith_id"], postgresql_where=sa.text("smith_id <> ''"))
    op.create_table(
        "usage_folds",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("folded_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_usage_folds")),
    )
    begin_the_ledger()
    for table in TABLES:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        mine = f"project_id = {PROJECT}"
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    for table in OF_SMITHS:
        own = f"{SMITH} is null or smith_id = {SMITH}"
        op.execute(f"create policy own_smith on {table} as restrictive to ingram_app using ({own}) with check ({own})")
    for table, columns in DISPATCHED.items():
        op.execute(f"grant select ({columns}) on {table} to ingram_engine")
        op.execute(f"create policy dispatch on {table} for select to ingram_engine using (true)")


def begin_the_ledger() -> None:
    for table in ("runs", "smiths", "erased_usage"):
        op.execute(f"alter table {table} no force row level security")  # their owner reads those of every project
    op.execute(
        f"insert into model_calls ({COLUMNS}) select r.project_id, coalesce(r.finished_at, r.updated_at), r.smith_id,"
        " r.id, r.agent_id, r.agent_version, coalesce(r.answered_by, r.model), s.customer_id, r.channel, 'unknown', 1,"
        " r.input_tokens, coalesce(r.output_tokens, 0), coalesce(r.cost_micros, 0), 0, 0, 0, false from runs r"
        " join smiths s on s.id = r.smith_id where r.input_tokens is not null"
    )
    op.execute(
        f"insert into model_calls ({COLUMNS}) select project_id, day::timestamp at time zone 'UTC', null, null,"
        " agent_id, agent_version, model, customer_id, 'api', 'unknown', run_count, input_tokens, output_tokens,"
        " cost_micros, 0, 0, 0, false from erased_usage"
    )
    for table in ("runs", "smiths"):
        op.execute(f"alter table {table} force row level security")
    op.drop_table("erased_usage")


def downgrade() -> None:
    """What erased smiths used is lost by it."""
    op.create_table(
        "erased_usage",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("erasure_id", sa.String(), nullable=False),
        sa.Column("agent_id", sa.String(), nullable=False),
        sa.Column("agent_version", sa.Integer(), nullable=True),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=True),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("run_count", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_erased_usage_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasures.id"], name=op.f("fk_erased_usage_erasure_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erased_usage")),
    )
    op.create_index("ix_erased_usage_day", "erased_usage", ["project_id", "day"])
    op.create_index(op.f("ix_erased_usage_erasure_id"), "erased_usage", ["erasure_id"])
    op.execute("alter table erased_usage enable row level security")
    op.execute("alter table erased_usage force row level security")
    mine = f"project_id = {PROJECT}"
    op.execute(f"create policy tenant on erased_usage to ingram_app using ({mine}) with check ({mine})")
    for table in TABLES:
        op.drop_table(table)
    op.drop_column("projects", "own_prices")
