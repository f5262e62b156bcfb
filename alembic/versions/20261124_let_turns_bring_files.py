"""Let a turn bring pictures and files, each kept once on its thread."""

import sqlalchemy as sa
from alembic import op

revision = "90b6e3d1f57c"
down_revision = "cd53c46424e4"

PROJECT = "project_id = nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
OWN = f"{SMITH} is null or smith_id = {SMITH}"


def upgrade() -> None:
    op.create_table(
        "attachments",
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("thread_id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["smith_id", "thread_id"],
            ["threads.smith_id", "threads.id"],
            name="fk_attachments_thread",
            ondelete="CASCADE",
            onupdate="CASCADE",
        ),
        sa.PrimaryKeyConstraint("smith_id", "sha256", "thread_id", name="pk_attachments"),
    )
    op.execute("alter table attachments alter column content set storage external")
    op.create_index("ix_attachments_project_id", "attachments", ["project_id"])
    op.create_index("ix_attachments_thread", "attachments", ["smith_id", "thread_id"])
    op.execute("alter table attachments enable row level security")
    op.execute("alter table attachments force row level security")
    op.execute(f"create policy tenant on attachments to ingram_app using ({PROJECT}) with check ({PROJECT})")
    op.execute(f"create policy own_smith on attachments as restrictive to ingram_app using ({OWN}) with check ({OWN})")


def downgrade() -> None:
    op.drop_table("attachments")
