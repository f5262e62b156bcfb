"""Stripe accounts: a project's own account at Stripe, to which what its customers use is told.

connected ──the key is refused, or Stripe is silent──▶ paused for a while ──▶ tried again ──▶ connected
"""

import re
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import audit, keyrings
from ingram_app.domain.access import Caller

PAUSE = timedelta(minutes=10)
"""How long nothing is sent after Stripe has refused the key."""
_KEY = re.compile(r"(sk|rk)_(test|live)_[A-Za-z0-9_]{8,400}", re.ASCII)
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class StripeAccount(SQLModel, table=True):
    __tablename__ = "stripe_accounts"

    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", primary_key=True)
    sealed_key: bytes
    ending: str
    """The last four letters of the key."""
    live: bool
    """Whether the key is one of Stripe's live mode."""
    push_tokens: bool = True
    """Whether tokens are told beside what the meters count."""
    seen_position: int = Field(default=0, sa_type=sa.BigInteger)
    """All model calls before this place of the ledger have been read, and none from it on."""
    read_at: datetime = Field(default=_LONG_AGO, sa_type=Moment)
    """When the ledger was last read."""
    problem: str | None = None
    """Why Stripe refuses the key, if it does."""
    paused_until: datetime = Field(default=_LONG_AGO, sa_type=Moment)
    silences: int = 0
    """How many times, one after the other, Stripe kept us waiting for nothing."""
    served_at: datetime = Field(default=_LONG_AGO, sa_type=Moment)
    """When something was last taken to be told."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)
    """When the key, or what is told, was last set."""


class InvalidStripeKey(Invalid):
    """This is no secret key of Stripe. One begins with `sk_live_`, `sk_test_`, `rk_live_` or `rk_test_`."""

    code = "invalid_api_key"


async def connect(session: AsyncSession, caller: Caller, api_key: str, *, push_tokens: bool = True) -> StripeAccount:
    """Keep the project's key, sealed, in place of any before it. Raises `InvalidStripeKey`.

    What happens from now on is told to Stripe.
    """
    caller.require("stripe:write")
    api_key = api_key.strip()
    if _KEY.fullmatch(api_key) is None:
        raise InvalidStripeKey(param="api_key")
    ring = await keyrings.find(session, caller.project_id)
    account = StripeAccount(
        project_id=caller.project_id,
        sealed_key=ring.seal(api_key.encode()),
        ending=api_key[-4:],
        live="_live_" in api_key[:8],
        push_tokens=push_tokens,
    )
    account.seen_position = (await execute(session, sa.select(sa.func.feed_horizon()))).scalar()
    later = account.model_dump(exclude={"project_id", "created_at", "read_at", "served_at"})
    later["seen_position"] = sa.case(
        (col(StripeAccount.push_tokens), col(StripeAccount.seen_position)), else_=account.seen_position
    )
    upsert = insert(StripeAccount).values(account.model_dump())
    await execute(session, upsert.on_conflict_do_update(index_elements=["project_id"], set_=later))
    await audit.note(session, caller, "stripe.connected", caller.project_id, ending=account.ending, live=account.live)
    return await find(session, caller)


async def find(session: AsyncSession, caller: Caller) -> StripeAccount:
    """Return the project's account. Raises `NotFound` when none is connected."""
    caller.require("stripe:read")
    account = await of(session, caller.project_id)
    if account is None:
        raise NotFound(noun="Stripe account", id="of this project")
    return account


async def of(session: AsyncSession, project_id: str) -> StripeAccount | None:
    """Return the account of a project, for who sends."""
    return (await session.exec(select(StripeAccount).where(StripeAccount.project_id == project_id))).first()


async def disconnect(session: AsyncSession, caller: Caller) -> None:
    """Forget the key. Raises `NotFound`."""
    caller.require("stripe:write")
    await session.delete(await find(session, caller))
    await session.flush()
    await audit.note(session, caller, "stripe.disconnected", caller.project_id)
