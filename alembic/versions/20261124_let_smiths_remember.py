"""Let smiths remember: a working document, facts, and past turns, found by meaning and by words."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c2f1d8a7b064"
down_revision = "6c7f4b0de512"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
TABLES = ("memory_documents", "memories", "recollections", "vectors")


class Vector(sa.types.UserDefinedType):
    def get_col_spec(self, **how: object) -> str:
        return "vector"


def _key(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE")


def _whose(table: str) -> list:
    return [
        sa.Column("project_id", sa.String(), nullable=False),
        sa.Column("smith_id", sa.String(), nullable=False),
        _key(table, "project_id", "projects.id"),
        _key(table, "smith_id", "smiths.id"),
    ]


def _moment(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _words() -> sa.Column:
    return sa.Column("words", postgresql.TSVECTOR(), sa.Computed("to_tsvector('simple', content)", persisted=True))


def upgrade() -> None:
    op.execute("create extension if not exists vector")
    op.create_table(
        "memory_documents",
        *_whose("memory_documents"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("actor", postgresql.JSONB(), nullable=True),
        _moment("created_at"),
        sa.PrimaryKeyConstraint("smith_id", "version", name=op.f("pk_memory_documents")),
    )
    op.create_table(
        "memories",
        sa.Column("id", sa.String(), nullable=False),
        *_whose("memories"),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("source_run_id", sa.String(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("edits", postgresql.JSONB(), nullable=False),
        sa.Column("superseded_by", sa.String(), nullable=True),
        _moment("expires_at", nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        _words(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memories")),
    )
    held = sa.text("superseded_by is null")
    op.create_index("ix_memories_page", "memories", ["smith_id", "created_at", "id"])
    op.create_index("uq_memories_held", "memories", ["smith_id", "digest"], unique=True, postgresql_where=held)
    superseded = sa.text("superseded_by is not null")
    op.create_index("ix_memories_superseded", "memories", ["superseded_by"], postgresql_where=superseded)
    op.create_index(
        "ix_memories_expiry", "memories", ["expires_at"], postgresql_where=sa.text("expires_at is not null")
    )
    op.create_table(
        "recollections",
        sa.Column("run_id", sa.String(), nullable=False),
        *_whose("recollections"),
        sa.Column("thread_id", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        _moment("created_at"),
        _words(),
        _key("recollections", "run_id", "runs.id"),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_recollections")),
    )
    op.create_index("ix_recollections_smith", "recollections", ["smith_id", "created_at"])
    op.create_table(
        "vectors",
        sa.Column("id", sa.String(), nullable=False),
        *_whose("vectors"),
        sa.Column("memory_id", sa.String(), nullable=True),
        sa.Column("turn_id", sa.String(), nullable=True),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("dimensions", sa.Integer(), nullable=False),
        sa.Column("vector", Vector(), nullable=False),
        _moment("created_at"),
        _key("vectors", "memory_id", "memories.id"),
        _key("vectors", "turn_id", "recollections.run_id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vectors")),
    )
    for column in ("memory", "turn"):
        there = sa.text(f"{column}_id is not null")
        op.create_index(f"uq_vectors_{column}", "vectors", [f"{column}_id", "model"], unique=True, postgresql_where=there)
    op.create_index("ix_vectors_smith", "vectors", ["smith_id", "model"])
    for table in TABLES:
        op.create_index(op.f(f"ix_{table}_project_id"), table, ["project_id"])
        mine, own = f"project_id = {PROJECT}", f"{SMITH} is null or smith_id = {SMITH}"
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
        op.execute(f"create policy own_smith on {table} as restrictive to ingram_app using ({own}) with check ({own})")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
