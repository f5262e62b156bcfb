"""/v1/tenant/webhooks: where a project's events are sent, and what came of each delivery."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, ListOut, Out, PageOut
from ingram_app.domain import deliveries, webhooks
from ingram_app.domain.deliveries import Delivery, DeliveryState
from ingram_app.domain.paging import Page
from ingram_app.domain.webhooks import GRACE_SECONDS, Made, Webhook

router = APIRouter(prefix="/tenant/webhooks", tags=["webhooks"], route_class=Route)
Types = Annotated[list[str], Field(max_length=50, examples=[["run.failed", "agent"]])]
"""Types of events, or families of them. None named: all."""


class NewWebhook(In):
    url: str = Field(examples=["https://hooks.example.com/ingram"])
    events: Types = []
    active: bool = True


class WebhookChange(In):
    url: str = ""
    events: Types = []
    active: bool = True


class NewSecret(In):
    grace_seconds: int = GRACE_SECONDS
    """0 to 604800: for so long the secret before signs too."""


class WebhookOut(Out):
    id: str
    url: str
    events: list[str]
    active: bool
    disabled_reason: str | None
    """Why the platform has switched it off."""
    previous_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime


class MadeOut(WebhookOut):
    secret: str
    """Shown this once."""

    @classmethod
    def of(cls, made: Made) -> "MadeOut":
        return cls(**WebhookOut.model_validate(made.webhook).model_dump(), secret=made.secret)


class DeliveryOut(Out):
    id: str
    webhook_id: str
    event_id: str
    event_type: str
    redelivery_of: str | None
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None
    response_excerpt: str | None
    duration_ms: int | None
    created_at: datetime


@router.post("", status_code=201, response_model=MadeOut)
async def create_webhook(body: NewWebhook, caller: Caller, session: InTransaction) -> MadeOut:
    """Send the project's events to an address from now on. Its secret is shown this once."""
    made = await webhooks.create(session, caller, body.url, body.events, active=body.active)
    return MadeOut.of(made)


@router.get("", response_model=ListOut[WebhookOut])
async def list_webhooks(caller: Caller, session: InTransaction) -> dict[str, list[Webhook]]:
    """List the project's webhooks, newest first."""
    return {"data": await webhooks.browse(session, caller)}


@router.patch("/{webhook_id}", response_model=WebhookOut)
async def change_webhook(webhook_id: str, body: WebhookChange, caller: Caller, session: InTransaction) -> Webhook:
    """Change where events are sent, or which; or switch it off and on. Of what is told meanwhile it does not hear."""
    return await webhooks.change(session, caller, webhook_id, body.model_dump(exclude_unset=True))


@router.delete("/{webhook_id}", status_code=204)
async def delete_webhook(webhook_id: str, caller: Caller, session: InTransaction) -> None:
    """Send no more there, and forget what was sent."""
    await webhooks.remove(session, caller, webhook_id)


@router.post("/{webhook_id}/test", status_code=202, response_model=DeliveryOut)
async def test_webhook(webhook_id: str, caller: Caller, session: InTransaction) -> Delivery:
    """Send a webhook an event of the type `webhook.test`, whatever it asks for."""
    return await deliveries.test(session, caller, webhook_id)


@router.post("/{webhook_id}/rotate_secret", response_model=MadeOut)
async def rotate_webhook_secret(
    webhook_id: str, caller: Caller, session: InTransaction, body: NewSecret | None = None
) -> MadeOut:
    """Sign with a new secret, shown this once; while the grace lasts, the one before signs too."""
    body = body or NewSecret()
    return MadeOut.of(await webhooks.rotate_secret(session, caller, webhook_id, body.grace_seconds))


@router.get("/{webhook_id}/deliveries", response_model=PageOut[DeliveryOut])
async def list_deliveries(
    webhook_id: str,
    caller: Caller,
    session: InTransaction,
    place: Place,
    status: Annotated[DeliveryState | None, Query()] = None,
) -> Page[Delivery]:
    """List what was sent to a webhook, or is to be, newest first, with what came of it."""
    return await deliveries.browse(session, caller, webhook_id, place, state=status)


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", status_code=202, response_model=DeliveryOut)
async def redeliver(webhook_id: str, delivery_id: str, caller: Caller, session: InTransaction) -> Delivery:
    """Send an event once more, as a delivery of its own."""
    return await deliveries.redeliver(session, caller, webhook_id, delivery_id)
