"""Let turns be remembered: what of its memory a smith had before it in a turn is kept beside the run."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "5b9e27c41d83"
down_revision = "90b6e3d1f57c"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
MOMENT = sa.DateTime(timezone=True)


def _key(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE")


def _keys(table: str) -> list[sa.ForeignKeyConstraint]:
    whose = {"run_id": "runs.id", "project_id": "projects.id", "smith_id": "smiths.id"}
    return [_key(table, column, to) for column, to in whose.items()]


def _wall(table: str) -> None:
    mine, own = f"project_id = {PROJECT}", f"{SMITH} is null or smith_id = {SMITH}"
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    op.execute(f"create policy own_smith on {table} as restrictive to ingram_app using ({own}) with check ({own})")


def upgrade() -> None:
    op.create_table(
        "retrievals",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("document", sa.String(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        *_keys("retrievals"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_retrievals")),
    )
    for column in ("project_id", "smith_id"):
        op.create_index(op.f(f"ix_retrievals_{column}"), "retrievals", [column])
    _wall("retrievals")


def downgrade() -> None:
    op.drop_table("retrievals")
