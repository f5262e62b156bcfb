"""/v1/tenant/stripe: the project's own account at Stripe, and what it is told of each customer."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.meters import Quantity
from ingram_app.api.models import ApiKey
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.domain import pushes, stripe_accounts
from ingram_app.domain.access import Caller as Who
from ingram_app.domain.paging import Page
from ingram_app.domain.pushes import Push, PushState
from ingram_app.domain.stripe_accounts import StripeAccount

router = APIRouter(tags=["customers"], route_class=Route)


class StripeIn(In):
    api_key: ApiKey
    push_tokens: bool = True
    """Whether tokens are told beside what the meters count, as `ingram_input_tokens` and `ingram_output_tokens`."""


class StripeOut(Out):
    """That there is a key, never the key."""

    ending: str
    """Its last four letters."""
    live: bool
    push_tokens: bool
    problem: str | None
    """Why Stripe refuses the key, if it does; it is tried again every ten minutes, or when another is set."""
    pushes: dict[PushState, int]
    created_at: datetime
    updated_at: datetime


class PushOut(Out):
    id: str
    """The usage event's; Stripe knows it as `identifier`."""
    event_name: str
    stripe_customer_id: str
    value: Quantity
    happened_at: datetime
    state: PushState
    attempts: int
    last_error: str | None
    sent_at: datetime | None


class Again(In):
    push_ids: list[str] = Field(default=[], max_length=200)
    """None named: all that are dead. Those that are named may also be unsure."""


class Retried(Out):
    count: int


@router.get("/tenant/stripe", response_model=StripeOut)
async def get_stripe(caller: Caller, session: InTransaction) -> dict[str, Any]:
    """Show whether the project's Stripe account is connected, and how many pushes are in which state."""
    return await _shown(session, caller, await stripe_accounts.find(session, caller))


@router.put("/tenant/stripe", response_model=StripeOut)
async def put_stripe(body: StripeIn, caller: Caller, session: InTransaction) -> dict[str, Any]:
    """Connect the project's own Stripe account. Its key is kept sealed; usage from now on is told to Stripe."""
    account = await stripe_accounts.connect(session, caller, body.api_key, push_tokens=body.push_tokens)
    return await _shown(session, caller, account)


@router.delete("/tenant/stripe", status_code=204)
async def delete_stripe(caller: Caller, session: InTransaction) -> None:
    """Forget the key. What waits to be told is given up, and can be sent again once an account is connected."""
    await pushes.disconnect(session, caller)


@router.get("/customers/{customer_id}/pushes", response_model=PageOut[PushOut])
async def list_pushes(customer_id: str, caller: Caller, session: InTransaction, place: Place) -> Page[Push]:
    """List what Stripe was, or is to be, told of a customer, newest first."""
    return await pushes.browse(session, caller, customer_id, place)


@router.post("/customers/{customer_id}/pushes/retry", response_model=Retried)
async def retry_pushes(
    customer_id: str, caller: Caller, session: InTransaction, body: Again | None = None
) -> dict[str, int]:
    """Send again what is dead. What is unsure is sent again only when it is named: Stripe may have counted it."""
    return {"count": await pushes.retry(session, caller, customer_id, (body or Again()).push_ids)}


async def _shown(session: InTransaction, caller: Who, account: StripeAccount) -> dict[str, Any]:
    return account.model_dump() | {"pushes": await pushes.counts(session, caller)}
