"""Meters: what a project counts beside tokens, such as pages or minutes, each event stamped with whom it is billed to.

An event is written once and never changed. Its customer is the one that its smith was assigned to at that moment.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Index, func, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import Conflict, Invalid
from ingram_app.core.ids import new_id
from ingram_app.domain import pushes, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.customers import UNASSIGNED
from ingram_app.domain.paging import FIRST, Page, Place, page

METER = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$"
KEY_LENGTH = 255
DIGITS = 15
"""As many as every program reads out of JSON without a loss."""
_MICRO = Decimal("0.000001")
_KEYED = text("idempotency_key is not null")
_KEY = ("project_id", "told_by", "idempotency_key")


class MeterEvent(SQLModel, table=True):
    __tablename__ = "meter_events"
    __table_args__ = (
        Index("ix_meter_events_page", "project_id", "created_at", "id"),
        Index("ix_meter_events_customer", "customer_id", "created_at", "id"),
        Index("ix_meter_events_smith", "smith_id", "created_at", "id"),
        Index("uq_meter_events_key", *_KEY, unique=True, postgresql_where=_KEYED),
    )

    id: str = Field(default_factory=lambda: new_id("mev"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    smith_id: str | None = Field(default=None, foreign_key="smiths.id", ondelete="SET NULL")
    customer_id: str | None = Field(default=None, foreign_key="customers.id")
    meter: str
    quantity: Decimal = Field(sa_type=sa.Numeric(21, 6))
    told_by: str = ""
    """The smith whose token told of it, empty for the project's own: nobody takes another's keys away."""
    idempotency_key: str | None = None
    about: dict[str, Any] = Field(default_factory=dict, sa_column=sa.Column("metadata", JSONB, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


def is_meter(name: str) -> bool:
    """Tell whether a meter can be called so."""
    return re.fullmatch(METER[1:-1], name) is not None


@dataclass(frozen=True, slots=True)
class MeterSum:
    """What one meter counted for one group."""

    group: str | None
    """A smith's or customer's id, or `principal:` and the id of a smith that was unassigned; null: nobody's."""
    meter: str
    quantity: Decimal
    event_count: int


class InvalidQuantity(Invalid):
    """A quantity is a number from 0 up, of at most 15 digits, at most 6 of them behind the point."""


class UsageEventExists(Conflict):
    """There is another usage event with the idempotency key {key}. Use a new key for a new event."""


async def record(
    session: AsyncSession,
    caller: Caller,
    *,
    meter: str,
    quantity: Decimal,
    smith_id: str | None = None,
    idempotency_key: str | None = None,
    metadata: dict[str, Any] | None = None,
) -> MeterEvent:
    """Count something; with a key that was used before, return the event of that time.

    A smith's token counts for its smith alone. Raises `InvalidQuantity`, `NotFound`, `SmithMismatch`,
    `UsageEventExists`.
    """
    caller.require("usage:write")
    smith_id = smith_id or caller.smith_id or None
    smith = (await smiths.embody(session, caller, smith_id, stays=True)).smith if smith_id else None
    event = MeterEvent(
        project_id=caller.project_id,
        smith_id=smith_id,
        customer_id=smith.customer_id if smith else None,
        meter=meter,
        quantity=_exact(quantity),
        told_by=caller.smith_id,
        idempotency_key=idempotency_key,
        about=metadata or {},
    )
    new = insert(MeterEvent).values(event.model_dump(exclude={"about"}) | {"metadata": event.about})
    new = new.on_conflict_do_nothing(index_elements=_KEY, index_where=_KEYED)
    if (await execute(session, new.returning(col(MeterEvent.id)))).first() is None:
        return await _before(session, event)
    if event.customer_id and event.quantity:
        await pushes.put_out(session, caller.project_id, event)
    return event


async def browse(
    session: AsyncSession,
    caller: Caller,
    place: Place = FIRST,
    *,
    smith_id: str | None = None,
    customer_id: str | None = None,
    meter: str | None = None,
) -> Page[MeterEvent]:
    """Return the project's events, newest first, as far as they match; to a smith's token those of its smith alone."""
    caller.require("usage:read")
    query = select(MeterEvent).where(MeterEvent.project_id == caller.project_id)
    wanted = {"smith_id": caller.smith_id or smith_id, "customer_id": customer_id, "meter": meter}
    if caller.smith_id and smith_id:
        caller.require_own(smith_id)
    for name, value in wanted.items():
        if value is not None:
            query = query.where(getattr(MeterEvent, name) == value)
    return await page(session, query, MeterEvent, place)


async def sums(
    session: AsyncSession,
    caller: Caller,
    since: datetime,
    until: datetime,
    *,
    group_by: Literal["smith", "customer"] | None = None,
    smith_id: str | None = None,
    customer_id: str | None = None,
) -> Sequence[MeterSum]:
    """Return what each meter counted from `since` to before `until`, for each group, exactly.

    Raises `SmithMismatch`.
    """
    caller.require("usage:read")
    if caller.smith_id:
        caller.require_own(smith_id or caller.smith_id)
        smith_id = caller.smith_id
    unassigned = sa.literal(UNASSIGNED) + col(MeterEvent.smith_id)
    group: Any = {
        None: sa.null(),
        "smith": col(MeterEvent.smith_id),
        "customer": func.coalesce(col(MeterEvent.customer_id), unassigned),
    }[group_by]
    query = sa.select(group, col(MeterEvent.meter), func.sum(col(MeterEvent.quantity)), func.count()).where(
        col(MeterEvent.project_id) == caller.project_id,
        col(MeterEvent.created_at) >= since,
        col(MeterEvent.created_at) < until,
    )
    for column, value in ((MeterEvent.smith_id, smith_id), (MeterEvent.customer_id, customer_id)):
        if value is not None:
            query = query.where(col(column) == value)
    grouped = query.group_by(sa.literal_column("1"), sa.literal_column("2"))
    found = await execute(session, grouped.order_by(sa.literal_column("1").nulls_last(), sa.literal_column("2")))
    return [MeterSum(*row) for row in found.all()]


def _exact(quantity: Decimal) -> Decimal:
    """Return a quantity as it is kept. Raises `InvalidQuantity`."""
    if not quantity.is_finite() or not 0 <= quantity < 10**DIGITS:
        raise InvalidQuantity(param="quantity")
    kept = quantity.quantize(_MICRO)
    _, digits, exponent = kept.normalize().as_tuple()
    assert isinstance(exponent, int)
    if kept != quantity or len(digits) + max(exponent, 0) > DIGITS:
        raise InvalidQuantity(param="quantity")
    return kept + 0  # no minus before a zero


async def _before(session: AsyncSession, event: MeterEvent) -> MeterEvent:
    """Return the event that was told under the same key. Raises `UsageEventExists` if it was another."""
    keyed = {name: getattr(event, name) for name in _KEY}
    known = (await session.exec(select(MeterEvent).filter_by(**keyed))).first()
    same = ("smith_id", "meter", "quantity", "about")
    if known is None or any(getattr(known, field) != getattr(event, field) for field in same):
        raise UsageEventExists(key=event.idempotency_key, param="idempotency_key")
    return known
