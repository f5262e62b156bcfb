"""Let customers be billed: for what their smiths use and meters count, at the project's rates, also through Stripe.

What stood at smiths as a customer's id was any word until now. Each such word becomes a customer of that name, which
has the word among its external ids.
"""

import os
import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = 'ac25868401f4'
down_revision = "1eabdc344463"

PROJECT = "nullif(current_setting('app.project_id', true), '')"
SMITH = "nullif(current_setting('app.smith_id', true), '')"
TABLES = ("customers", "rate_cards", "stripe_accounts", "pushes", "meter_events")
WITH_WORDS = ("smiths", "model_calls", "usage_sums")
DISPATCHED = {"stripe_accounts": "project_id, paused_until, push_tokens, seen_position, read_at", "pushes": "project_id, state, next_attempt_at"}
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def upgrade() -> None:
    op.create_table('customers',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('external_ids', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('metadata', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['project_id'], ['projects.id'], name=op.f('fk_customers_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_customers'))
    )
    op.create_index('ix_customers_page', 'customers', ['project_id', 'created_at', 'id'], unique=False)
    op.create_table('rate_cards',
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('model_cost_percent', sa.Integer(), nullable=False),
    sa.Column('run_price_micros', sa.BigInteger(), nullable=False),
    sa.Column('meter_prices_micros', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['projects.id'], name=op.f('fk_rate_cards_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', 'month', name=op.f('pk_rate_cards'))
    )
    op.create_table('stripe_accounts',
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('sealed_key', sa.LargeBinary(), nullable=False),
    sa.Column('ending', sa.String(), nullable=False),
    sa.Column('live', sa.Boolean(), nullable=False),
    sa.Column('push_tokens', sa.Boolean(), nullable=False),
    sa.Column('seen_position', sa.BigInteger(), nullable=False),
    sa.Column('read_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('problem', sa.String(), nullable=True),
    sa.Column('paused_until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['project_id'], ['projects.id'], name=op.f('fk_stripe_accounts_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('project_id', name=op.f('pk_stripe_accounts'))
    )
    op.create_table('pushes',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('customer_id', sa.String(), nullable=False),
    sa.Column('stripe_customer_id', sa.String(), nullable=False),
    sa.Column('event_name', sa.String(), nullable=False),
    sa.Column('value', sa.Numeric(precision=21, scale=6), nullable=False),
    sa.Column('happened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('state', sa.String(length=32), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('next_attempt_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('unsure_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_error', sa.String(), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customers.id'], name=op.f('fk_pushes_customer_id')),
    sa.ForeignKeyConstraint(['project_id'], ['projects.id'], name=op.f('fk_pushes_project_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_pushes'))
    )
    op.create_index('ix_pushes_due', 'pushes', ['project_id', 'next_attempt_at', 'id'], unique=False, postgresql_where=sa.text("state = 'waiting'"))
    op.create_index('ix_pushes_open', 'pushes', ['project_id', 'state'], unique=False, postgresql_where=sa.text("state <> 'sent'"))
    op.create_index('ix_pushes_page', 'pushes', ['customer_id', 'created_at', 'id'], unique=False)
    op.create_table('meter_events',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('project_id', sa.String(), nullable=False),
    sa.Column('smith_id', sa.String(), nullable=True),
    sa.Column('customer_id', sa.String(), nullable=True),
    sa.Column('meter', sa.String(), nullable=False),
    sa.Column('quantity', sa.Numeric(precision=21, scale=6), nullable=False),
    sa.Column('told_by', sa.String(), nullable=False),
    sa.Column('idempotency_key', sa.String(), nullable=True),
    sa.Column('metadata', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['customers.id'], name=op.f('fk_meter_events_customer_id')),
    sa.ForeignKeyConstraint(['project_id'], ['projects.id'], name=op.f('fk_meter_events_project_id'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['smith_id'], ['smiths.id'], name=op.f('fk_meter_events_smith_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_meter_events'))
    )
    op.create_index('ix_meter_events_customer', 'meter_events', ['customer_id', 'created_at', 'id'], unique=False)
    op.create_index('ix_meter_events_page', 'meter_events', ['project_id', 'created_at', 'id'], unique=False)
    op.create_index('ix_meter_events_smith', 'meter_events', ['smith_id', 'created_at', 'id'], unique=False)
    op.create_index('uq_meter_events_key', 'meter_events', ['project_id', 'told_by', 'idempotency_key'], unique=True, postgresql_where=sa.text('idempotency_key is not null'))
    _make_customers_of_words()
    op.create_foreign_key(op.f('fk_smiths_customer_id'), 'smiths', 'customers', ['customer_id'], ['id'])
    mine, own = f"project_id = {PROJECT}", f"{SMITH} is null or smith_id = {SMITH}"
    for table in TABLES:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to ingram_app using ({mine}) with check ({mine})")
    op.execute(f"create policy own_smith on meter_events as restrictive to ingram_app using ({own}) with check ({own})")
    for table, columns in DISPATCHED.items():
        op.execute(f"grant select ({columns}) on {table} to ingram_engine")
        op.execute(f"create policy dispatch on {table} for select to ingram_engine using (true)")


def _make_customers_of_words() -> None:
    for table in WITH_WORDS:
        op.execute(f"alter table {table} no force row level security")  # their owner reads those of every project here
    words = " union ".join(f"select project_id, customer_id from {table} where customer_id <> ''" for table in WITH_WORDS)
    for project_id, word in op.get_bind().execute(sa.text(words)).all():
        customer = {"id": _new_id(), "project_id": project_id, "word": word}
        op.get_bind().execute(
            sa.text(
                "insert into customers (id, project_id, name, external_ids, metadata, created_at, updated_at) values"
                " (:id, :project_id, left(:word, 200), jsonb_build_object('customer_id', cast(:word as text)),"
                " '{}', now(), now())"
            ),
            customer,
        )
        for table in WITH_WORDS:
            named = f"update {table} set customer_id = :id where project_id = :project_id and customer_id = :word"
            op.get_bind().execute(sa.text(named), customer)
    for table in WITH_WORDS:
        op.execute(f"alter table {table} force row level security")


def _new_id() -> str:
    number = time.time_ns() // 1_000_000 << 80 | 7 << 76 | 2 << 62 | int.from_bytes(os.urandom(7), "big")
    letters = ""
    while number:
        number, place = divmod(number, 58)
        letters = ALPHABET[place] + letters
    return f"cus_{letters}"


def downgrade() -> None:
    op.drop_constraint(op.f('fk_smiths_customer_id'), 'smiths', type_='foreignkey')
    op.drop_index('uq_meter_events_key', table_name='meter_events', postgresql_where=sa.text('idempotency_key is not null'))
    op.drop_index('ix_meter_events_smith', table_name='meter_events')
    op.drop_index('ix_meter_events_page', table_name='meter_events')
    op.drop_index('ix_meter_events_customer', table_name='meter_events')
    op.drop_table('meter_events')
    op.drop_index('ix_pushes_page', table_name='pushes')
    op.drop_index('ix_pushes_due', table_name='pushes', postgresql_where=sa.text("state = 'waiting'"))
    op.drop_table('pushes')
    op.drop_table('stripe_accounts')
    op.drop_table('rate_cards')
    op.drop_index('ix_customers_page', table_name='customers')
    op.drop_table('customers')
