"""Let us register with servers by ourselves, projects bring their own search, and a project's queue have an end."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "e735f999c62e"
down_revision = "8ce976b0b7b5"

MINE = "project_id = nullif(current_setting('app.project_id', true), '')"


def upgrade() -> None:
    op.add_column("oauth_providers", sa.Column("registration", JSONB(none_as_null=True), nullable=True))
    op.create_table(
        "searches",
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=True),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_searches_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_searches")),
    )
    op.execute("alter table searches enable row level security")
    op.execute("alter table searches force row level security")
    op.execute(f"create policy tenant on searches to ingram_app using ({MINE}) with check ({MINE})")
    op.create_index("ix_runs_queued", "runs", ["project_id"], postgresql_where=sa.text("status = 'queued'"))


def downgrade() -> None:
    op.drop_index("ix_runs_queued", "runs")
    op.drop_table("searches")
    op.drop_column("oauth_providers", "registration")
