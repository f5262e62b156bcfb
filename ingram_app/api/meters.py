"""/v1/usage/events: what the project counts beside tokens, to be billed to its customers."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.domain import meters
from ingram_app.domain.meters import KEY_LENGTH, METER, MeterEvent
from ingram_app.domain.paging import Page

router = APIRouter(prefix="/usage/events", tags=["usage"], route_class=Route)


def _no_truth(given: Any) -> Any:
    if isinstance(given, bool):
        raise ValueError("it is no number")
    return given


def _plain(quantity: Decimal) -> int | float:
    return int(quantity) if quantity == quantity.to_integral_value() else float(quantity)


Quantity = Annotated[Decimal, PlainSerializer(_plain, return_type=int | float, when_used="json")]
"""A number as JSON spells it; with up to 15 digits nothing is lost on the way."""


class NewUsageEvent(In):
    smith_id: str | None = None
    meter: Annotated[str, StringConstraints(pattern=METER)] = Field(examples=["pages"])
    quantity: Annotated[Decimal, BeforeValidator(_no_truth)] = Field(examples=[3])
    """From 0 up, at most 15 digits, at most 6 of them behind the point; as a number or as text."""
    idempotency_key: str | None = Field(default=None, min_length=1, max_length=KEY_LENGTH)
    metadata: dict[str, Any] = {}


class UsageEventOut(Out):
    id: str
    smith_id: str | None
    customer_id: str | None
    """Whom it is billed to: the customer that the smith was assigned to when it happened."""
    meter: str
    quantity: Quantity
    idempotency_key: str | None
    metadata: dict[str, Any] = Field(validation_alias="about")
    created_at: datetime


@router.post("", status_code=201, response_model=UsageEventOut)
async def create_usage_event(body: NewUsageEvent, caller: Caller, session: InTransaction) -> MeterEvent:
    """Count something. The same `idempotency_key` with the same body is the same event; with another body, 409."""
    return await meters.record(session, caller, **body.model_dump())


@router.get("", response_model=PageOut[UsageEventOut])
async def list_usage_events(
    caller: Caller,
    session: InTransaction,
    place: Place,
    smith_id: str | None = None,
    customer_id: str | None = None,
    meter: str | None = None,
) -> Page[MeterEvent]:
    """List what was counted, newest first; for a smith's token, what was counted for its smith."""
    return await meters.browse(session, caller, place, smith_id=smith_id, customer_id=customer_id, meter=meter)
