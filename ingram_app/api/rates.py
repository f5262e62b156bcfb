"""/v1/tenant/rates: what the project charges its customers."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, StringConstraints, field_validator

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import In, Out
from ingram_app.domain import rates
from ingram_app.domain.meters import METER
from ingram_app.domain.rates import METERS, MOST_MICROS, MOST_TIMES, RateCard

router = APIRouter(prefix="/tenant/rates", tags=["customers"], route_class=Route)
Micros = Annotated[int, Field(ge=0, le=MOST_MICROS)]
"""Millionths of the currency."""


class RatesIn(In):
    model_cost_percent: int = Field(default=100, ge=0, le=100 * MOST_TIMES, examples=[130])
    """What is charged for model calls, in percent of what they cost."""
    run_price_micros: Micros = 0
    meter_prices_micros: dict[Annotated[str, StringConstraints(pattern=METER)], Micros] = Field(
        default={}, max_length=METERS, examples=[{"pages": 20_000}]
    )
    """For one unit, by meter. What other meters count is free."""


class RatesOut(Out):
    month: str
    """The first month that this card holds for, such as `2026-11`."""
    model_cost_percent: int
    run_price_micros: int
    meter_prices_micros: dict[str, int]
    updated_at: datetime

    @field_validator("month", mode="before")
    @classmethod
    def _spelt(cls, first: object) -> object:
        return f"{first:%Y-%m}"


@router.get("", response_model=RatesOut)
async def get_rates(caller: Caller, session: InTransaction, month: str | None = None) -> RateCard:
    """Show the card that holds for a month, the current one unless `month` names another."""
    return await rates.find(session, caller, rates.month_of(month))


@router.put("", response_model=RatesOut)
async def put_rates(body: RatesIn, caller: Caller, session: InTransaction) -> RateCard:
    """Charge so from the first of this month on. Months that are over keep the card they had."""
    return await rates.put(session, caller, **body.model_dump())
