"""Let a run's calls be found by its project and itself.

Every query names the project: with an index of the run alone, a table without statistics was read by project.
"""

import sqlalchemy as sa
from alembic import op

revision = "14fe17040397"
down_revision = "5b9e27c41d83"
_OF_A_RUN = sa.text("run_id is not null")


def upgrade() -> None:
    op.drop_index("ix_model_calls_run", table_name="model_calls")
    op.create_index("ix_model_calls_run", "model_calls", ["project_id", "run_id"], postgresql_where=_OF_A_RUN)


def downgrade() -> None:
    op.drop_index("ix_model_calls_run", table_name="model_calls")
    op.create_index("ix_model_calls_run", "model_calls", ["run_id"], postgresql_where=_OF_A_RUN)
