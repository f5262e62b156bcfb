"""Rates: what a project charges its customers, as one card for the whole project.

A price is made of three parts, in integer micro-units:

    model cost × multiplier      rounded to the nearest micro-unit, half up, once for a customer and month
    runs × price of a run
    quantity × price of a unit   rounded likewise, once for a customer, month and meter

A card holds from the first of the month (UTC) in which it was set. Months that are over keep the card they had.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import Invalid
from ingram_app.domain import audit, customers
from ingram_app.domain.access import Caller

MOST_MICROS = 10**12
"""A million of the currency for one unit."""
MOST_TIMES = 1000
METERS = 200
_ONE = Decimal(1)


class RateCard(SQLModel, table=True):
    __tablename__ = "rate_cards"

    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", primary_key=True)
    month: date = Field(primary_key=True)
    """The first day of the first month that it holds for."""
    model_cost_percent: int = 100
    """What is charged for model calls, in percent of what they cost."""
    run_price_micros: int = Field(default=0, sa_type=sa.BigInteger)
    meter_prices_micros: dict[str, int] = Field(default_factory=dict, sa_type=JSONB)
    """For one unit, by meter; what a meter that is not named counts is free."""
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)

    def of_model_cost(self, cost_micros: int) -> int:
        """Return what is charged for model calls that have cost so much."""
        return _rounded(Decimal(cost_micros) * self.model_cost_percent / 100)

    def of_runs(self, runs: int) -> int:
        return runs * self.run_price_micros

    def of_meter(self, meter: str, quantity: Decimal) -> int:
        """Return what is charged for what a meter has counted."""
        return _rounded(quantity * self.meter_prices_micros.get(meter, 0))


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in UTC."""

    first: date

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"

    @property
    def since(self) -> datetime:
        return datetime(self.first.year, self.first.month, 1, tzinfo=UTC)

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        return self.next.since

    @property
    def next(self) -> "Month":
        years, month = divmod(self.first.month, 12)
        return Month(date(self.first.year + years, month + 1, 1))

    @property
    def before(self) -> "Month":
        years, month = divmod(self.first.month - 2, 12)
        return Month(date(self.first.year + years, month + 1, 1))


class InvalidMonth(Invalid):
    """{month} is no month. One looks like 2026-11."""


class InvalidRates(Invalid):
    """{reason}"""


def month_of(asked: str | None) -> Month:
    """Return the month that is asked for as `2026-11`; the current one, when none is. Raises `InvalidMonth`."""
    if asked is None:
        return Month(now().date().replace(day=1))
    try:
        if len(asked) != 7:
            raise ValueError(asked)
        month = Month(date.fromisoformat(f"{asked}-01"))
    except ValueError:
        raise InvalidMonth(month=asked[:40], param="month") from None
    if not 2000 <= month.first.year < 9000:
        raise InvalidMonth(month=asked, param="month")
    return month


async def find(session: AsyncSession, caller: Caller, month: Month) -> RateCard:
    """Return the card that holds for a month; where none was set, one by which the price is the cost."""
    customers.require(caller, "customers:read")
    query = select(RateCard).where(RateCard.project_id == caller.project_id, RateCard.month <= month.first)
    card = (await session.exec(query.order_by(col(RateCard.month).desc()).limit(1))).first()
    return card or RateCard(project_id=caller.project_id, month=month.first)


async def put(
    session: AsyncSession,
    caller: Caller,
    *,
    model_cost_percent: int = 100,
    run_price_micros: int = 0,
    meter_prices_micros: dict[str, int] | None = None,
) -> RateCard:
    """Charge so from the first of this month on. Raises `InvalidRates`."""
    customers.require(caller, "customers:write")
    prices = meter_prices_micros or {}
    if not 0 <= model_cost_percent <= MOST_TIMES * 100:
        raise InvalidRates(reason="`model_cost_percent` is from 0 to 100000.", param="model_cost_percent")
    if not all(0 <= price <= MOST_MICROS for price in (run_price_micros, *prices.values())):
        raise InvalidRates(reason=f"A price is from 0 to {MOST_MICROS} micro-units.", param="meter_prices_micros")
    if len(prices) > METERS:
        raise InvalidRates(reason=f"At most {METERS} meters have a price.", param="meter_prices_micros")
    card = RateCard(
        project_id=caller.project_id,
        month=month_of(None).first,
        model_cost_percent=model_cost_percent,
        run_price_micros=run_price_micros,
        meter_prices_micros=prices,
    )
    told = card.model_dump(exclude={"project_id", "month", "updated_at"})
    upsert = insert(RateCard).values(card.model_dump())
    later = told | {"updated_at": card.updated_at}
    await execute(session, upsert.on_conflict_do_update(index_elements=["project_id", "month"], set_=later))
    await audit.note(session, caller, "rates.set", caller.project_id, month=str(month_of(None)), **told)
    return card


def _rounded(micros: Decimal) -> int:
    return int(micros.quantize(_ONE, ROUND_HALF_UP))
