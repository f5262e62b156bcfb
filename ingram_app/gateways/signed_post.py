"""A signed post: one message to an address that a customer names, signed so that the receiver can tell whose it is.

Signed twice, each form with every secret that is given:

    X-IC-Signature     t=<unix>,v1=<hex>,…        HMAC-SHA256 of `<unix>.<body>`; the key is the whole secret, as text
    webhook-signature  v1,<base64> …              Standard Webhooks: the key is what follows `whsec_`, out of base64
"""

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx2
from standardwebhooks import Webhook

from ingram_app.gateways import outbound
from ingram_app.gateways.outbound import ForbiddenTarget

SECONDS = 10
EXCERPT_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it: a status, or why there is none."""

    status: int | None
    error: str | None
    excerpt: str | None
    """How the answer began."""
    duration_ms: int


async def send(url: str, *, secrets: list[str], id: str, body: bytes) -> Answer:
    """Post a message, and read no more of the answer than an excerpt. What goes wrong is part of what comes back."""
    begun = time.monotonic()
    status: int | None = None
    error = excerpt = None
    headers = signed(secrets, id, body, datetime.now(UTC))
    try:
        async with (
            asyncio.timeout(SECONDS),
            outbound.client().stream("POST", url, content=body, headers=headers) as answer,
        ):
            status = answer.status_code
            if answer.has_redirect_location:
                error = "It redirects, which is not followed."
            excerpt = await _beginning(answer)
    except (TimeoutError, httpx2.TimeoutException):
        error = error if status else f"It did not answer within {SECONDS} seconds."
    except ForbiddenTarget as refused:
        error = refused.sentence
    except (httpx2.HTTPError, httpx2.InvalidURL) as failed:
        error = error if status else f"It could not be reached: {failed}"
    return Answer(status, error, excerpt, int((time.monotonic() - begun) * 1000))


def signed(secrets: list[str], id: str, body: bytes, at: datetime) -> dict[str, str]:
    """Return the headers of a message that is sent at this moment."""
    unix = str(int(at.timestamp()))
    ours = [hmac.digest(secret.encode(), f"{unix}.".encode() + body, hashlib.sha256).hex() for secret in secrets]
    standard = [Webhook(secret).sign(id, at, body.decode()) for secret in secrets]
    return {
        "content-type": "application/json",
        "accept-encoding": "identity",  # an excerpt is all that is read, and nothing is unpacked
        "user-agent": "Ingram-Cloud-Webhooks/1",
        "x-ic-event-id": id,
        "x-ic-signature": ",".join([f"t={unix}", *(f"v1={one}" for one in ours)]),
        "webhook-id": id,
        "webhook-timestamp": unix,
        "webhook-signature": " ".join(standard),
    }


async def _beginning(answer: httpx2.Response) -> str:
    read = b""
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) >= EXCERPT_BYTES:
            break
    return read[:EXCERPT_BYTES].decode(errors="replace")
