"""Let any span of days be summed from few rows, and let no budget miss what is spent while it is made.

Each smith's sums are kept by pentads, beside days and months. A process of an older version adds up without them;
`usage_folds.pentads` tells how far they have come.

Who keeps what was spent asks `has_budgets` in the same transaction: it holds a lock, shared, that whoever makes a budget
takes alone, and looks after that, with a snapshot of its own.
"""

import sqlalchemy as sa
from alembic import op

revision = "c41d8f07b2ae"
down_revision = "14fe17040397"

KEY = "smith_id, agent_id, model, customer_id, app, source"
MEASURES = (
    *("runs", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"),
    "cost_micros",
)
NAMED = ", ".join(MEASURES)
SUMMED = ", ".join(f"sum({name})" for name in MEASURES)
PENTAD = "date_trunc('month', starts)::date + least((extract(day from starts)::int - 1) / 5, 5) * 5"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
BEFORE = f"{SMITH} is null or smith_id = {SMITH}"
AFTER = f"case when {SMITH} is null then true else smith_id = {SMITH} end"
"""The same, of which the planner does not think that it hides almost all rows."""
HAS_BUDGETS = """\
create function has_budgets(project text) returns boolean language plpgsql volatile as $$
begin
    perform pg_advisory_xact_lock_shared(hashtext('budgets ' || project));
    return exists (select from budgets where project_id = project);
end $$"""


def upgrade() -> None:
    op.execute(HAS_BUDGETS)
    # the lock that this takes also keeps everybody from adding up until all is done
    op.add_column("usage_folds", sa.Column("pentads", sa.BigInteger(), server_default="0", nullable=False))
    op.execute("alter table usage_sums set (fillfactor = 70)")  # what is added to finds room beside itself
    for table in ("usage_folds", "usage_sums"):
        op.execute(f"alter table {table} no force row level security")  # their owner reads those of every project
    op.execute(
        f"insert into usage_sums (project_id, grain, starts, {KEY}, {NAMED}) select project_id, 'smith_pentad',"
        f" {PENTAD}, {KEY}, {SUMMED} from usage_sums where grain = 'smith_day' group by project_id, 3, {KEY}"
    )
    op.execute("update usage_folds set pentads = position")
    for table in ("usage_folds", "usage_sums"):
        op.execute(f"alter table {table} force row level security")
    op.execute("grant select (pentads) on usage_folds to ingram_engine")
    op.execute(f"alter policy own_smith on usage_sums using ({AFTER}) with check ({AFTER})")


def downgrade() -> None:
    op.execute("drop function has_budgets")
    op.execute(f"alter policy own_smith on usage_sums using ({BEFORE}) with check ({BEFORE})")
    op.execute("alter table usage_sums no force row level security")
    op.execute("delete from usage_sums where grain = 'smith_pentad'")
    op.execute("alter table usage_sums force row level security")
    op.execute("alter table usage_sums reset (fillfactor)")
    op.drop_column("usage_folds", "pentads")
