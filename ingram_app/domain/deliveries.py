"""Deliveries: one event on its way to one webhook, with what came of each attempt.

pending ──▶ delivered
   └──▶ failed ──▶ … ──▶ delivered | dead, when every attempt has failed

The feed is read on for each webhook, from where it was read to, so that every event becomes one delivery and no more.
To one webhook one delivery is under way at a time, the first that is due; whoever makes it holds the webhook meanwhile.
If that process dies, the hold ends by itself, and the same delivery is made again.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index, func, text
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute, keepable, moment_in, one_of
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import audit, events, keyrings, mails, projects, webhooks
from ingram_app.domain.access import Caller
from ingram_app.domain.event_types import WebhookTest
from ingram_app.domain.events import Event
from ingram_app.domain.paging import FIRST, Page, Place, page
from ingram_app.domain.webhooks import Webhook, WebhookInactive

DUE = "deliveries.due"
"""Told when there is something to deliver that no event told of."""
HOLD_SECONDS = 30
"""Longer than an attempt may take."""
RETRIES_SECONDS = (5, 30, 120, 600, 3600, 3 * 3600, 8 * 3600, 12 * 3600)
JITTER = (0.8, 1.2)
FAILING_FOR = timedelta(days=3)
_READ_AT_ONCE = 200


class DeliveryState(StrEnum):
    pending = "pending"
    delivered = "delivered"
    failed = "failed"
    dead = "dead"


class Delivery(SQLModel, table=True):
    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_page", "webhook_id", "created_at", "id"),
        Index(
            "ix_deliveries_due",
            "webhook_id",
            "next_attempt_at",
            "id",
            postgresql_where=text("state in ('pending', 'failed')"),
        ),
        Index(
            "uq_deliveries_once",
            "webhook_id",
            "event_id",
            unique=True,
            postgresql_where=text("redelivery_of is null"),
        ),
        Index("ix_deliveries_event", "event_id"),
    )

    id: str = Field(default_factory=lambda: new_id("whd"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    webhook_id: str = Field(foreign_key="webhooks.id", ondelete="CASCADE")
    event_id: str = Field(foreign_key="events.id", ondelete="CASCADE")
    event_type: str
    redelivery_of: str | None = None
    """The delivery that somebody wanted made once more."""
    state: DeliveryState = Field(default=DeliveryState.pending, sa_type=one_of(DeliveryState))
    attempts: int = 0
    next_attempt_at: datetime | None = Field(default=None, sa_type=Moment)
    """Null once there will be no more."""
    last_attempt_at: datetime | None = Field(default=None, sa_type=Moment)
    last_status: int | None = None
    """The status of the last answer, null when none came."""
    last_error: str | None = None
    response_excerpt: str | None = None
    """How the last answer began."""
    duration_ms: int | None = None
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a delivery, and all that is needed to make it."""

    project_id: str
    webhook_id: str
    delivery_id: str
    number: int
    held_until: datetime
    url: str
    secrets: list[str] = field(repr=False)
    event_id: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt."""

    status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    duration_ms: int = 0

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def browse(
    session: AsyncSession, caller: Caller, webhook_id: str, place: Place = FIRST, *, state: DeliveryState | None = None
) -> Page[Delivery]:
    """Return what was, or is to be, sent to a webhook, newest first. Raises `NotFound`."""
    await webhooks.find(session, caller, webhook_id)
    query = _of(caller, webhook_id)
    return await page(session, query if state is None else query.where(Delivery.state == state), Delivery, place)


async def of_event(session: AsyncSession, caller: Caller, event_id: str) -> list[tuple[Delivery, Webhook]]:
    """Return to which webhooks an event was, or is to be, sent, the newest hundred first."""
    caller.require("webhooks:read")
    query = select(Delivery, Webhook).join(Webhook, col(Webhook.id) == Delivery.webhook_id)
    ours = query.where(Delivery.project_id == caller.project_id, Delivery.event_id == event_id)
    newest_first = ours.order_by(col(Delivery.created_at).desc(), col(Delivery.id).desc())
    return list((await session.exec(newest_first.limit(100))).all())


async def find(session: AsyncSession, caller: Caller, webhook_id: str, delivery_id: str) -> Delivery:
    """Return one delivery to a webhook. Raises `NotFound`."""
    caller.require("webhooks:read")
    delivery: Delivery | None = (await session.exec(_of(caller, webhook_id).where(Delivery.id == delivery_id))).first()
    if delivery is None:
        raise NotFound(noun="delivery", id=delivery_id)
    return delivery


async def test(session: AsyncSession, caller: Caller, webhook_id: str) -> Delivery:
    """Send a webhook an event `webhook.test`, whatever it asks for. Raises `NotFound`, `WebhookInactive`."""
    await _ready(session, caller, webhook_id)
    event_id = await events.tell(session, caller, WebhookTest(webhook_id))
    await audit.note(session, caller, "webhook.tested", webhook_id)
    return await _send(session, caller, webhook_id, event_id=event_id, event_type=WebhookTest.name)


async def redeliver(session: AsyncSession, caller: Caller, webhook_id: str, delivery_id: str) -> Delivery:
    """Send an event once more, as a delivery of its own. Raises `NotFound`, `WebhookInactive`."""
    await _ready(session, caller, webhook_id)
    before = await find(session, caller, webhook_id, delivery_id)
    await audit.note(session, caller, "webhook.redelivered", webhook_id, delivery_id=delivery_id)
    again = {"event_id": before.event_id, "event_type": before.event_type, "redelivery_of": before.id}
    return await _send(session, caller, webhook_id, **again)


_DUE = text(
    "select project_id, id from webhooks w where active and busy_until <= clock_timestamp() and ("
    " exists (select from deliveries d where d.project_id = w.project_id and d.webhook_id = w.id"
    " and d.state in ('pending', 'failed') and d.next_attempt_at <= clock_timestamp()) or"
    " exists (select from events e where e.project_id = w.project_id"
    " and (e.position, e.id) > (w.seen_position, w.seen_id) and e.position < feed_horizon()))"
    " order by busy_until limit :most"
)


async def due(session: AsyncSession, most: int) -> list[tuple[str, ...]]:
    """Return (project, webhook) where something is to be sent, those first that have waited longest for a turn.

    For the dispatcher's transaction, which sees no more of them than this.
    """
    return [(row[0], row[1]) for row in (await execute(session, _DUE, {"most": most})).all()]


async def take(session: AsyncSession, project_id: str, webhook_id: str) -> Attempt | None:
    """Begin the next attempt at a webhook, and hold the webhook for it; nothing, if none is due or another has it."""
    webhook = await _held_by_nobody(session, project_id, webhook_id)
    if webhook is None:
        return None
    if (await projects.at(session, project_id)).archived_at is not None:
        await webhooks.switch_off(session, webhook, "The project was deleted.")
        return None
    await _read_on(session, webhook)
    delivery = (await session.exec(_first_due(webhook))).first()
    if delivery is None:
        return None
    of_feed = select(Event).where(Event.project_id == project_id, Event.id == delivery.event_id)
    event = (await session.exec(of_feed)).one()
    until = await moment_in(session, HOLD_SECONDS)
    webhook.busy_until = until
    delivery.attempts += 1
    return Attempt(
        project_id,
        webhook_id,
        delivery.id,
        delivery.attempts,
        until,
        webhook.url,
        webhook.signing(await keyrings.find(session, project_id)),
        event.id,
        event.spelt(),
    )


async def settle(session: AsyncSession, attempt: Attempt, outcome: Outcome) -> None:
    """Keep what came of an attempt, and let go of the webhook. Nothing, if the hold on it has ended meanwhile."""
    webhook = await _held_for(session, attempt)
    if webhook is None:
        return
    webhook.busy_until = await moment_in(session)
    signals.send(session, topic(webhook.id))
    mine = select(Delivery).where(Delivery.project_id == attempt.project_id, Delivery.id == attempt.delivery_id)
    delivery = (await session.exec(mine)).first()
    if delivery is None:
        return  # it has gone with its event
    delivery.last_attempt_at, delivery.last_status, delivery.last_error = now(), outcome.status, outcome.error
    delivery.response_excerpt, delivery.duration_ms = keepable(outcome.excerpt), outcome.duration_ms
    if outcome.succeeded:
        delivery.state, delivery.next_attempt_at = DeliveryState.delivered, None
        webhook.failing_since = None
        return
    webhook.failing_since = webhook.failing_since or now()
    if attempt.number > len(RETRIES_SECONDS):
        delivery.state, delivery.next_attempt_at = DeliveryState.dead, None
    else:
        delivery.state = DeliveryState.failed
        wait = RETRIES_SECONDS[attempt.number - 1] * random.uniform(*JITTER)
        delivery.next_attempt_at = await moment_in(session, wait)
    if webhook.active and now() - webhook.failing_since >= FAILING_FOR:
        reason = "For three days everything that was sent there has failed."
        await webhooks.switch_off(session, webhook, reason)
        said = f"Events were sent to {webhook.url}. {reason}\n\nSet it right and switch it on again:"
        where = f"/settings/webhooks/{webhook.id}"
        await mails.to_owners(session, webhook.project_id, "A webhook was switched off", said, where)


async def let_go(session: AsyncSession, attempt: Attempt) -> None:
    """Leave an attempt that nothing came of to whoever comes next."""
    webhook = await _held_for(session, attempt)
    if webhook is not None:
        webhook.busy_until = await moment_in(session)


def topic(webhook_id: str) -> str:
    """Return what to listen to for what becomes of a webhook's deliveries."""
    return f"deliveries:{webhook_id}"


async def _ready(session: AsyncSession, caller: Caller, webhook_id: str) -> None:
    caller.require("webhooks:write")
    if not (await webhooks.find(session, caller, webhook_id, stays=True)).active:
        raise WebhookInactive(webhook_id=webhook_id)


async def _send(session: AsyncSession, caller: Caller, webhook_id: str, **about: Any) -> Delivery:
    due_at = await moment_in(session)
    delivery = Delivery(project_id=caller.project_id, webhook_id=webhook_id, next_attempt_at=due_at, **about)
    session.add(delivery)
    await session.flush()
    signals.send(session, DUE, topic(webhook_id))
    return delivery


async def _held_by_nobody(session: AsyncSession, project_id: str, webhook_id: str) -> Webhook | None:
    free = (col(Webhook.active), Webhook.busy_until <= func.clock_timestamp())
    query = select(Webhook).where(Webhook.project_id == project_id, Webhook.id == webhook_id, *free)
    return (await session.exec(query.with_for_update(skip_locked=True))).first()


async def _held_for(session: AsyncSession, attempt: Attempt) -> Webhook | None:
    mine = (Webhook.id == attempt.webhook_id, Webhook.busy_until == attempt.held_until)
    query = select(Webhook).where(Webhook.project_id == attempt.project_id, *mine)
    return (await session.exec(query.with_for_update())).first()


async def _read_on(session: AsyncSession, webhook: Webhook) -> None:
    """Make a delivery of every event that the webhook wants and that the feed shows since it was last read."""
    seen = sa.tuple_(Event.position, Event.id) > (webhook.seen_position, webhook.seen_id)
    query = select(Event.position, Event.id, Event.type).where(
        Event.project_id == webhook.project_id, seen, Event.position < func.feed_horizon()
    )
    fresh = (await session.exec(query.order_by(col(Event.position), col(Event.id)).limit(_READ_AT_ONCE))).all()
    if not fresh:
        return
    webhook.seen_position, webhook.seen_id = fresh[-1][:2]
    due_at = await moment_in(session)
    for _, event_id, type in fresh:
        if type != WebhookTest.name and webhook.wants(type):
            delivery = Delivery(
                project_id=webhook.project_id,
                webhook_id=webhook.id,
                event_id=event_id,
                event_type=type,
                next_attempt_at=due_at,
                created_at=due_at,
            )
            session.add(delivery)
    await session.flush()
    signals.send(session, topic(webhook.id))


def _first_due(webhook: Webhook) -> Any:
    waiting = col(Delivery.state).in_((DeliveryState.pending, DeliveryState.failed))
    ours = (Delivery.project_id == webhook.project_id, Delivery.webhook_id == webhook.id)
    query = select(Delivery).where(*ours, waiting, col(Delivery.next_attempt_at) <= func.clock_timestamp())
    return query.order_by(col(Delivery.next_attempt_at), col(Delivery.id)).limit(1)


def _of(caller: Caller, webhook_id: str) -> Any:
    return select(Delivery).where(Delivery.project_id == caller.project_id, Delivery.webhook_id == webhook_id)
