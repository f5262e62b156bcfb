"""Let runs that wait be taken in turn from every project, out of their own table: the queue beside it goes."""

import sqlalchemy as sa
from alembic import op

revision = "c90e4d7714fb"
down_revision = "c2f81e7d4a06"

WORKING = sa.text("status = 'running'")
READY = sa.text("status = 'queued' and ready_at is not null")
LIMIT = "(preferences -> 'limits' ->> 'max_concurrent_runs')::integer"
GONE = """
do $$
declare found record;
begin
  for found in select format('drop table if exists %I cascade', relname) as deed from pg_class
    where relkind = 'r' and relname like 'procrastinate%' and relnamespace = 'public'::regnamespace
  loop execute found.deed; end loop;
  for found in select format('drop function if exists %s cascade', oid::regprocedure) as deed from pg_proc
    where proname like 'procrastinate%' and pronamespace = 'public'::regnamespace
  loop execute found.deed; end loop;
  for found in select format('drop type if exists %I cascade', typname) as deed from pg_type
    where typname like 'procrastinate%' and typtype in ('e', 'c') and typnamespace = 'public'::regnamespace
  loop execute found.deed; end loop;
end $$
"""


def upgrade() -> None:
    op.add_column("runs", sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "update runs set ready_at = created_at where status = 'queued' and not exists (select from runs as earlier"
        " where earlier.smith_id = runs.smith_id and earlier.thread_id = runs.thread_id and earlier.turn < runs.turn"
        " and earlier.status not in ('completed', 'failed', 'cancelled'))"
    )
    op.create_index("ix_runs_ready", "runs", ["project_id", "ready_at", "id"], postgresql_where=READY)
    op.drop_index("ix_runs_leases", "runs")
    op.create_index("ix_runs_leases", "runs", ["project_id", "lease_until"], postgresql_where=WORKING)
    op.add_column("projects", sa.Column("max_concurrent_runs", sa.Integer(), sa.Computed(LIMIT, persisted=True)))
    op.execute("grant select (ready_at) on runs to ingram_engine")
    op.execute("grant select (id, max_concurrent_runs) on projects to ingram_engine")
    op.execute("create policy dispatch on projects for select to ingram_engine using (true)")
    op.execute(GONE)


def downgrade() -> None:
    """The queue that was beside the table comes back by itself: the code that wants one makes it."""
    op.execute("drop policy dispatch on projects")
    op.execute("revoke select (id, max_concurrent_runs) on projects from ingram_engine")
    op.drop_column("projects", "max_concurrent_runs")
    op.drop_index("ix_runs_leases", "runs")
    op.create_index("ix_runs_leases", "runs", ["lease_until"], postgresql_where=WORKING)
    op.drop_index("ix_runs_ready", "runs")
    op.drop_column("runs", "ready_at")
