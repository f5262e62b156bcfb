"""Let a stable share of smiths run a version, under guard, and let teammates try a draft.

A smith's bucket is `sha256(agent_id ":" smith_id)` as one big-endian number, modulo 10,000: computed byte by byte, each
with 256 to its place modulo 10,000. Versions can no longer be deleted but with their agent.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "a41c7d90e2b5"
down_revision = "5a1c7e90b3d4"

WEIGHTS = ", ".join(str(pow(256, 31 - place, 10_000)) for place in range(32))
LIVE = sa.text("archived_at is null")
DISPATCHED = {"agents": "id, project_id, guard", "smiths": "id, project_id, tester_id, updated_at"}


def upgrade() -> None:
    op.execute(
        "create function smith_bucket(agent_id varchar, smith_id varchar) returns integer"
        " language sql immutable strict parallel safe as $$"
        f" select (sum(get_byte(digest, place) * (array[{WEIGHTS}])[place + 1]) % 10000)::integer"
        " from sha256(convert_to(agent_id || ':' || smith_id, 'UTF8')) as digest, generate_series(0, 31) as place $$"
    )
    op.add_column("agents", sa.Column("previous_version", sa.Integer(), nullable=True))
    op.add_column("agents", sa.Column("rollout_began_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("agents", sa.Column("guard", JSONB(), nullable=True))
    op.add_column("agents", sa.Column("halted", JSONB(), nullable=True))
    op.create_index("ix_agents_guarded", "agents", ["id"], postgresql_where=sa.text("guard is not null"))
    op.add_column("smiths", sa.Column("tester_id", sa.String(), nullable=True))
    bucket = sa.Computed("smith_bucket(agent_id, id)", persisted=True)
    op.add_column("smiths", sa.Column("bucket", sa.Integer(), bucket))
    op.drop_index("ix_smiths_agent_id", "smiths")
    op.create_index("ix_smiths_agent_id", "smiths", ["agent_id", "bucket"], postgresql_where=LIVE)
    tried = sa.text("tester_id is not null")
    op.create_index("uq_smiths_tester", "smiths", ["agent_id", "tester_id"], unique=True, postgresql_where=tried)
    for table, columns in DISPATCHED.items():
        op.execute(f"grant select ({columns}) on {table} to ingram_engine")
        op.execute(f"create policy dispatch on {table} for select to ingram_engine using (true)")
    op.execute(
        "create function refuse_deletion() returns trigger language plpgsql as $$"
        " begin raise exception 'a published version can not be deleted'; end $$"
    )
    op.execute(
        "create trigger lasting before delete on agent_versions for each row"
        " when (pg_trigger_depth() = 0) execute function refuse_deletion()"  # deeper: its agent is deleted
    )


def downgrade() -> None:
    op.execute("drop trigger lasting on agent_versions")
    op.execute("drop function refuse_deletion()")
    for table, columns in DISPATCHED.items():
        op.execute(f"drop policy dispatch on {table}")
        op.execute(f"revoke select ({columns}) on {table} from ingram_engine")
    op.drop_index("uq_smiths_tester", "smiths")
    op.drop_index("ix_smiths_agent_id", "smiths")
    op.create_index("ix_smiths_agent_id", "smiths", ["agent_id"], postgresql_where=LIVE)
    op.drop_column("smiths", "bucket")
    op.drop_column("smiths", "tester_id")
    op.drop_index("ix_agents_guarded", "agents")
    for column in ("halted", "guard", "rollout_began_at", "previous_version"):
        op.drop_column("agents", column)
    op.execute("drop function smith_bucket(varchar, varchar)")
