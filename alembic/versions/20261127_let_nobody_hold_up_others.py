"""Let nobody hold up others: spans come at a pace, and a Stripe that is silent is left alone for a while."""

import sqlalchemy as sa
from alembic import op

revision = '172b1dc3ba8c'
down_revision = 'c41d8f07b2ae'
PROJECT = "nullif(current_setting('app.project_id', true), '')"


def upgrade() -> None:
    op.create_table('span_paces',
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('spent_until', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['projects.id'], name=op.f('fk_span_paces_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', name=op.f('pk_span_paces'))
    )
    op.execute("alter table span_paces enable row level security")
    op.execute("alter table span_paces force row level security")
    mine = f"project_id = {PROJECT}"
    op.execute(f"create policy tenant on span_paces to ingram_app using ({mine}) with check ({mine})")
    op.add_column("stripe_accounts", sa.Column("silences", sa.Integer(), server_default="0", nullable=False))
    op.add_column("stripe_accounts", sa.Column("served_at", sa.DateTime(timezone=True), server_default="epoch", nullable=False))
    op.execute("grant select (served_at) on stripe_accounts to ingram_engine")


def downgrade() -> None:
    op.drop_column("stripe_accounts", "served_at")
    op.drop_column("stripe_accounts", "silences")
    op.drop_table('span_paces')
