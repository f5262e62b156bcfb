"""Let projects bring tools of their own: MCP servers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "c2f81e7d4a06"
down_revision = "a41f0c7be2d9"

PROJECT = "nullif(current_setting('app.project_id', true), '')"


def upgrade() -> None:
    op.create_table(
        "mcp_servers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("catalog_slug", sa.String(), nullable=True),
        sa.Column("auth_kind", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("client_mode", sa.String(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=True),
        sa.Column("tool_allowlist", JSONB(), nullable=True),
        sa.Column("approval_policy", JSONB(), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("tools_refreshed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("discovery_error", sa.String(), nullable=True),
        sa.Column("last_call_error", sa.String(), nullable=True),
        sa.Column("last_call_error_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_mcp_servers_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mcp_servers")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_mcp_servers_project_id_name")),
    )
    op.execute("alter table mcp_servers enable row level security")
    op.execute("alter table mcp_servers force row level security")
    mine = f"project_id = {PROJECT}"
    op.execute(f"create policy tenant on mcp_servers to ingram_app using ({mine}) with check ({mine})")


def downgrade() -> None:
    op.drop_table("mcp_servers")
