"""Let a turn interrupt the one before it: turns are numbered on their thread, and work in that order."""

import sqlalchemy as sa
from alembic import op

revision = "5a1c7e90b3d4"
down_revision = "5d0c7a1be934"


def upgrade() -> None:
    op.add_column("runs", sa.Column("turn", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("on_busy", sa.String(length=32), nullable=False, server_default="queue"))
    op.add_column("runs", sa.Column("interrupted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("transcripts", sa.Column("turn", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "update runs set turn = numbered.turn from (select id, row_number() over"
        " (partition by smith_id, thread_id order by created_at, id) as turn from runs) as numbered"
        " where runs.id = numbered.id"
    )
    op.execute("update transcripts set turn = runs.turn from runs where runs.id = run_id")
    for table, column in (("runs", "turn"), ("runs", "on_busy"), ("runs", "interrupted"), ("transcripts", "turn")):
        op.alter_column(table, column, server_default=None)
    op.drop_index("ix_runs_waiting", "runs")
    op.create_index(
        "ix_runs_waiting", "runs", ["smith_id", "thread_id", "turn"], postgresql_where=sa.text("status = 'queued'")
    )
    op.create_index("ix_runs_thread", "runs", ["smith_id", "thread_id", "turn"])
    op.drop_index("ix_transcripts_history", "transcripts")
    op.create_index(
        "ix_transcripts_history",
        "transcripts",
        ["smith_id", "thread_id", "turn"],
        postgresql_where=sa.text("complete"),
    )


def downgrade() -> None:
    op.drop_index("ix_transcripts_history", "transcripts")
    op.create_index(
        "ix_transcripts_history",
        "transcripts",
        ["smith_id", "thread_id", "run_id"],
        postgresql_where=sa.text("complete"),
    )
    op.drop_index("ix_runs_thread", "runs")
    op.drop_index("ix_runs_waiting", "runs")
    op.create_index(
        "ix_runs_waiting", "runs", ["smith_id", "thread_id", "created_at"], postgresql_where=sa.text("status = 'queued'")
    )
    op.drop_column("transcripts", "turn")
    for column in ("interrupted", "on_busy", "turn"):
        op.drop_column("runs", column)
