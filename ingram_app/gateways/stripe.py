"""Stripe: tells a project's account there what one of its customers has used, as a Billing meter event.

One request form-encoded, one answer in JSON; the library of Stripe would bring its own client and its own retries.
The key is a project's, so Stripe is reached by the same guarded way as every address of others.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import httpx2

from ingram_app.core.settings import settings
from ingram_app.gateways import outbound
from ingram_app.gateways.outbound import ForbiddenTarget

SECONDS = 15
API_VERSION = "2025-04-30.basil"
_SHOWN = 500


class Came(StrEnum):
    """What is known after a request."""

    accepted = "accepted"
    """Stripe has it, from this request or from one before."""
    rejected = "rejected"
    """Stripe will not take it, however often it is sent."""
    key_refused = "key_refused"
    """Stripe has not taken it: the key may not do this."""
    not_now = "not_now"
    """Stripe has not taken it: it is too busy, or was not reached."""
    unknown = "unknown"
    """It was sent, and whether Stripe has it nobody knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    came: Came
    error: str | None = None
    silent: bool = False
    """Whether we waited for it as long as we wait."""


async def report(key: str, *, identifier: str, event_name: str, customer: str, value: Decimal, at: datetime) -> Answer:
    """Tell of one use. Of one `identifier` Stripe counts the first, for a day at least."""
    form = {
        "event_name": event_name,
        "identifier": identifier,
        "timestamp": str(int(at.timestamp())),
        "payload[stripe_customer_id]": customer,
        "payload[value]": format(value.normalize(), "f"),
    }
    headers = {"authorization": f"Bearer {key}", "stripe-version": API_VERSION}
    address = f"{str(settings().stripe_url).rstrip('/')}/v1/billing/meter_events"
    client = outbound.bounded_client(timeout=httpx2.Timeout(SECONDS, connect=5))
    try:
        async with asyncio.timeout(SECONDS):
            return _read(await client.post(address, data=form, headers=headers))
    except ForbiddenTarget as refused:
        return Answer(Came.not_now, refused.sentence)
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as failed:
        error, silent = f"Stripe could not be reached: {failed or 'it took too long'}", httpx2.TimeoutException
        return Answer(Came.not_now, error, isinstance(failed, silent))
    except (TimeoutError, httpx2.TimeoutException):
        return Answer(Came.unknown, f"Stripe did not answer within {SECONDS} seconds.", silent=True)
    except httpx2.HTTPError as failed:
        return Answer(Came.unknown, f"Stripe broke off: {failed}")


def _read(answer: httpx2.Response) -> Answer:
    if answer.is_success:
        return Answer(Came.accepted)
    code, message = _error(answer)
    told = f"Stripe answered {answer.status_code}: {message}"[:_SHOWN]
    if answer.status_code == 400 and (code == "duplicate_meter_event" or "already exists with identifier" in message):
        return Answer(Came.accepted)
    if answer.status_code in (401, 403):
        return Answer(Came.key_refused, told)
    if answer.status_code in (409, 429):
        return Answer(Came.not_now, told)
    if 400 <= answer.status_code < 500:
        return Answer(Came.rejected, told)
    return Answer(Came.unknown, told)


def _error(answer: httpx2.Response) -> tuple[str, str]:
    try:
        error = answer.json()["error"]
        return str(error.get("code") or ""), str(error.get("message") or "it says nothing more.")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "", "it says nothing that can be read."
