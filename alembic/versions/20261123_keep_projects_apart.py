"""Keep projects apart.

Row level security, forced, on every tenant table: a transaction sees the rows of the project, organization and smith
that it says it is for, and without any it sees none. Published versions of agents can not be changed.
"""

from alembic import op

revision = "3b6f0a51c2de"
down_revision = "8e5c4aee25e0"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
ORGANIZATION = "nullif(current_setting('app.organization_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"

WHOSE = {
    "projects": f"id = {PROJECT} or organization_id = {ORGANIZATION}",
    "tokens": f"project_id = {PROJECT} or organization_id = {ORGANIZATION}",
    "keyrings": f"owner_id in ({PROJECT}, {ORGANIZATION})",
    "idempotency_keys": f"owner_id in ({PROJECT}, {ORGANIZATION})",
    "agents": f"project_id = {PROJECT}",
    "agent_versions": f"project_id = {PROJECT}",
    "smiths": f"project_id = {PROJECT}",
    "model_keys": f"project_id = {PROJECT}",
    "threads": f"project_id = {PROJECT}",
    "transcripts": f"project_id = {PROJECT}",
    "runs": f"project_id = {PROJECT}",
    "frames": f"project_id = {PROJECT}",
}
WHICH_SMITH = {
    "smiths": "id",
    "threads": "smith_id",
    "transcripts": "smith_id",
    "runs": "smith_id",
    "model_keys": f"coalesce(smith_id, {SMITH})",
}
DISPATCHED = "id, project_id, smith_id, thread_id, status, lease_until, created_at"


def upgrade() -> None:
    for table, mine in WHOSE.items():
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    for table, column in WHICH_SMITH.items():
        own = f"{SMITH} is null or {column} = {SMITH}"
        op.execute(f"create policy own_smith on {table} as restrictive to ingram_app using ({own}) with check ({own})")
    op.execute("grant usage on schema public to ingram_engine")
    op.execute(f"grant select ({DISPATCHED}) on runs to ingram_engine")
    op.execute("create policy dispatch on runs for select to ingram_engine using (true)")
    op.execute(
        "create function refuse_change() returns trigger language plpgsql as $$"
        " begin raise exception 'a published version can not be changed'; end $$"
    )
    op.execute(
        "create trigger immutable before update on agent_versions for each row execute function refuse_change()"
    )


def downgrade() -> None:
    op.execute("drop trigger immutable on agent_versions")
    op.execute("drop function refuse_change()")
    op.execute("drop policy dispatch on runs")
    op.execute(f"revoke select ({DISPATCHED}) on runs from ingram_engine")
    for table in WHICH_SMITH:
        op.execute(f"drop policy own_smith on {table}")
    for table in WHOSE:
        op.execute(f"drop policy tenant on {table}")
        op.execute(f"alter table {table} no force row level security")
        op.execute(f"alter table {table} disable row level security")
