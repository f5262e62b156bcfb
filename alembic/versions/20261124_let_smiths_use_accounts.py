"""Let smiths use their people's accounts in other services: providers, connections, and the way to a consent."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "9b3e60d7c1f5"
down_revision = "e3a95b1c60d7"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
OF_SMITHS = ("connections", "authorizations")


def upgrade() -> None:
    op.create_table(
        "oauth_providers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("client_id", sa.String(), nullable=False),
        sa.Column("sealed_client_secret", sa.LargeBinary(), nullable=False),
        sa.Column("authorize_url", sa.String(), nullable=False),
        sa.Column("token_uri", sa.String(), nullable=False),
        sa.Column("revoke_uri", sa.String(), nullable=True),
        sa.Column("auth_method", sa.String(), nullable=False),
        sa.Column("scopes_allowed", JSONB(), nullable=False),
        sa.Column("refresh_webhook", sa.String(), nullable=True),
        sa.Column("return_origins", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_oauth_providers_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oauth_providers")),
        sa.UniqueConstraint("project_id", "provider", name=op.f("uq_oauth_providers_project_id_provider")),
    )
    op.create_table(
        "connections",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("scopes", JSONB(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("sealed_tokens", sa.LargeBinary(), nullable=False),
        sa.Column("can_refresh", sa.Boolean(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("refreshing_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("metadata", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_connections_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["smith_id"], ["smiths.id"], name=op.f("fk_connections_smith_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint("smith_id", "provider", name=op.f("uq_connections_smith_id_provider")),
    )
    op.create_index("ix_connections_page", "connections", ["project_id", "created_at", "id"])
    op.create_table(
        "authorizations",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("sealed_verifier", sa.LargeBinary(), nullable=False),
        sa.Column("return_url", sa.String(), nullable=True),
        sa.Column("mcp_server", sa.String(), nullable=True),
        sa.Column("actor", JSONB(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_authorizations_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["smith_id"], ["smiths.id"], name=op.f("fk_authorizations_smith_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authorizations")),
    )
    op.create_index("ix_authorizations_expiry", "authorizations", ["project_id", "expires_at"])
    mine = f"project_id = {PROJECT}"
    for table in ("oauth_providers", *OF_SMITHS):
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    own = f"{SMITH} is null or smith_id = {SMITH}"
    for table in OF_SMITHS:
        op.execute(f"create policy own_smith on {table} as restrictive to ingram_app using ({own}) with check ({own})")


def downgrade() -> None:
    for table in (*OF_SMITHS, "oauth_providers"):
        op.drop_table(table)
