"""Webhooks: the addresses that a project's events are sent to, and the secrets that sign what is sent.

active ──▶ switched off, by hand or after three days of nothing but failures ──▶ active

One that is switched on hears of what is told from then on; of what was told meanwhile it does not.
"""

import base64
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, alone
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.core.settings import settings
from ingram_app.domain import audit, event_types, events, keyrings
from ingram_app.domain.access import Caller, platform
from ingram_app.domain.agents import NothingToUpdate
from ingram_app.domain.events import Event
from ingram_app.domain.keyrings import Keyring
from ingram_app.gateways import outbound

MOST = 20
URL_LENGTH = 2000
GRACE_SECONDS = 86_400
LONGEST_GRACE_SECONDS = 604_800
_SECRET_BYTES = 32
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class Webhook(SQLModel, table=True):
    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_project", "project_id", "created_at", "id"),)

    id: str = Field(default_factory=lambda: new_id("whk"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    url: str
    events: list[str] = Field(sa_type=JSONB)
    """Types, or families of them; none named: all."""
    active: bool = True
    disabled_reason: str | None = None
    """Why the platform has switched it off."""
    sealed_secret: bytes
    sealed_previous_secret: bytes | None = None
    previous_secret_until: datetime | None = Field(default=None, sa_type=Moment)
    """Until then the secret before signs too."""
    seen_position: int = Field(default=0, sa_type=sa.BigInteger)
    seen_id: str = ""
    """The last event of the feed that it was asked whether it wants, with its position."""
    busy_until: datetime = Field(default=_LONG_AGO, sa_type=Moment)
    """Whoever delivers to it now has it until then; no more than one event is under way to it at a time."""
    failing_since: datetime | None = Field(default=None, sa_type=Moment)
    """When the first of the failures was since which nothing has succeeded."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)

    def wants(self, type: str) -> bool:
        """Tell whether events of this type are for it."""
        return not self.events or any(type in events.types_of(asked) for asked in self.events)

    def signing(self, ring: Keyring) -> list[str]:
        """Return the secrets that sign now: the present one and, while its grace lasts, the one before."""
        found = [ring.unseal(self.sealed_secret).decode()]
        if self.sealed_previous_secret and self.previous_secret_until and self.previous_secret_until > now():
            found.append(ring.unseal(self.sealed_previous_secret).decode())
        return found


@dataclass(frozen=True, slots=True)
class Made:
    """A webhook at the only moment its secret is known."""

    webhook: Webhook
    secret: str = field(repr=False)


class InvalidWebhookUrl(Invalid):
    """Events can not be sent to {url}: {reason}."""

    code = "invalid_url"


class InvalidEvents(Invalid):
    """{type} is no type of event, nor a family of types such as `run`. Name none, and all are sent."""


class InvalidGrace(Invalid):
    """`grace_seconds` must be from 0 to {most}."""

    code = "invalid_grace_seconds"


class TooManyWebhooks(Conflict):
    """A project has at most {most} webhooks. Remove one first."""


class WebhookInactive(Conflict):
    """The webhook {webhook_id} is switched off. Switch it on first."""


async def create(
    session: AsyncSession, caller: Caller, url: str, asked: list[str] | None = None, *, active: bool = True
) -> Made:
    """Have the project's events sent to an address from now on.

    Raises `InvalidWebhookUrl`, `ForbiddenTarget`, `InvalidEvents`, `TooManyWebhooks`.
    """
    caller.require("webhooks:write")
    url, types = checked_url(url), _checked_types(asked or [])
    await alone(session, f"webhooks {caller.project_id}")
    if len(await browse(session, caller)) >= MOST:
        raise TooManyWebhooks(most=MOST)
    ring = await keyrings.find(session, caller.project_id)
    secret = _new_secret()
    sealed = ring.seal(secret.encode())
    webhook = Webhook(project_id=caller.project_id, url=url, events=types, active=active, sealed_secret=sealed)
    await _begin_at_the_end_of_the_feed(session, webhook)
    session.add(webhook)
    await session.flush()
    await audit.note(session, caller, "webhook.created", webhook.id, url=webhook.url, events=webhook.events)
    return Made(webhook, secret)


async def browse(session: AsyncSession, caller: Caller) -> list[Webhook]:
    """Return the project's webhooks, newest first: all of them, for there are at most `MOST`."""
    caller.require("webhooks:read")
    query = select(Webhook).where(Webhook.project_id == caller.project_id)
    return list((await session.exec(query.order_by(col(Webhook.created_at).desc(), col(Webhook.id).desc()))).all())


async def find(session: AsyncSession, caller: Caller, webhook_id: str, *, stays: bool = False) -> Webhook:
    """Return one of the project's webhooks; one that `stays` is not removed until the transaction ends.

    Raises `NotFound`.
    """
    caller.require("webhooks:read")
    query = _own(caller, webhook_id)
    return await _one(session, query.with_for_update(read=True, key_share=True) if stays else query, webhook_id)


async def change(session: AsyncSession, caller: Caller, webhook_id: str, changes: dict[str, Any]) -> Webhook:
    """Change `url`, `events` or `active`.

    Raises `NotFound`, `NothingToUpdate`, `InvalidWebhookUrl`, `ForbiddenTarget`, `InvalidEvents`.
    """
    caller.require("webhooks:write")
    if not changes:
        raise NothingToUpdate()
    webhook = await _to_change(session, caller, webhook_id)
    if "url" in changes:
        webhook.url = checked_url(changes["url"])
    if "events" in changes:
        webhook.events = _checked_types(changes["events"])
    if changes.get("active") and not webhook.active:
        webhook.failing_since, webhook.disabled_reason = None, None
        await _begin_at_the_end_of_the_feed(session, webhook)
    webhook.active, webhook.updated_at = changes.get("active", webhook.active), now()
    await session.flush()
    await audit.note(session, caller, "webhook.changed", webhook.id, **changes)
    return webhook


async def remove(session: AsyncSession, caller: Caller, webhook_id: str) -> None:
    """Send no more there, and forget what was sent. Raises `NotFound`."""
    caller.require("webhooks:write")
    webhook = await _to_change(session, caller, webhook_id)
    await session.delete(webhook)
    await audit.note(session, caller, "webhook.removed", webhook.id, url=webhook.url)


async def rotate_secret(
    session: AsyncSession, caller: Caller, webhook_id: str, grace_seconds: int = GRACE_SECONDS
) -> Made:
    """Sign with a new secret from now on, and until the grace is over with the present one too.

    Raises `NotFound`, `InvalidGrace`.
    """
    caller.require("webhooks:write")
    if not 0 <= grace_seconds <= LONGEST_GRACE_SECONDS:
        raise InvalidGrace(most=LONGEST_GRACE_SECONDS, param="grace_seconds")
    webhook = await _to_change(session, caller, webhook_id)
    ring = await keyrings.find(session, caller.project_id)
    secret = _new_secret()
    webhook.sealed_previous_secret = webhook.sealed_secret if grace_seconds else None
    webhook.previous_secret_until = now() + timedelta(seconds=grace_seconds) if grace_seconds else None
    webhook.sealed_secret, webhook.updated_at = ring.seal(secret.encode()), now()
    await session.flush()
    await audit.note(session, caller, "webhook.secret_rotated", webhook.id, grace_seconds=grace_seconds)
    return Made(webhook, secret)


async def switch_off(session: AsyncSession, webhook: Webhook, reason: str) -> None:
    """Have the platform send no more there, and say so on the feed."""
    webhook.active, webhook.disabled_reason, webhook.updated_at = False, reason, now()
    unasked = platform(webhook.project_id)
    await events.tell(session, unasked, event_types.WebhookDisabled(webhook.id, webhook.url, reason))
    await audit.note(session, unasked, "webhook.disabled", webhook.id, reason=reason)


async def end_of_the_feed(session: AsyncSession, project_id: str) -> tuple[int, str]:
    """Return the place of the newest event, for who wants to hear of what is told from now on."""
    newest = select(Event.position, Event.id).where(Event.project_id == project_id)
    last = (await session.exec(newest.order_by(col(Event.position).desc(), col(Event.id).desc()).limit(1))).first()
    return last or (0, "")


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def checked_url(url: str, param: str = "url") -> str:
    """Return an address that the platform may send to, as it is kept. Raises `InvalidWebhookUrl`, `ForbiddenTarget`."""
    url = url.strip()
    shown = url[:200]
    if len(url) > URL_LENGTH or re.fullmatch(r"https?://[\x21-\x7e]+", url) is None:
        raise InvalidWebhookUrl(url=shown, reason="it is no address that begins with https://", param=param)
    if url.startswith("http://") and not settings().allow_private_addresses:
        raise InvalidWebhookUrl(url=shown, reason="it is sent over https only", param=param)
    try:
        host = outbound.host_of(url)
    except ValueError as wrong:
        raise InvalidWebhookUrl(url=shown, reason=str(wrong), param=param) from None
    outbound.refuse_private(host, param=param)
    return url


def _checked_types(asked: list[str]) -> list[str]:
    """Return types and families as they are kept. Raises `InvalidEvents`."""
    for type in asked:
        if not events.types_of(type):
            raise InvalidEvents(type=type[:80], param="events")
    return list(dict.fromkeys(asked))


async def _begin_at_the_end_of_the_feed(session: AsyncSession, webhook: Webhook) -> None:
    webhook.seen_position, webhook.seen_id = await end_of_the_feed(session, webhook.project_id)


async def _to_change(session: AsyncSession, caller: Caller, webhook_id: str) -> Webhook:
    return await _one(session, _own(caller, webhook_id).with_for_update(), webhook_id)


async def _one(session: AsyncSession, query: Any, webhook_id: str) -> Webhook:
    webhook: Webhook | None = (await session.exec(query)).first()
    if webhook is None:
        raise NotFound(noun="webhook", id=webhook_id)
    return webhook


def _own(caller: Caller, webhook_id: str) -> Any:
    return select(Webhook).where(Webhook.project_id == caller.project_id, Webhook.id == webhook_id)
