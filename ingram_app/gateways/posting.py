"""Posting: one message to an address that others name. What goes wrong is part of what comes back."""

import asyncio
import time
from dataclasses import dataclass

import httpx2

from ingram_app.gateways import outbound
from ingram_app.gateways.outbound import ForbiddenTarget

BEGINNING_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it: a status, or why there is none."""

    status: int | None
    error: str | None
    beginning: bytes | None
    """Of what was answered, no more is read."""
    duration_ms: int

    @property
    def excerpt(self) -> str | None:
        """How the answer began."""
        return None if self.beginning is None else self.beginning.decode(errors="replace")


async def post(url: str, *, headers: dict[str, str], body: bytes, within_seconds: float) -> Answer:
    """Post a message, and read no more of the answer than its beginning."""
    begun = time.monotonic()
    status: int | None = None
    error: str | None = None
    beginning: bytes | None = None
    wanted = headers | {"accept-encoding": "identity"}  # nothing is unpacked
    try:
        async with (
            asyncio.timeout(within_seconds),
            outbound.client().stream("POST", url, content=body, headers=wanted) as answer,
        ):
            status = answer.status_code
            if answer.has_redirect_location:
                error = "It redirects, which is not followed."
            beginning = await _beginning(answer)
    except (TimeoutError, httpx2.TimeoutException):
        error = error if status else f"It did not answer within {within_seconds:g} seconds."
    except ForbiddenTarget as refused:
        error = refused.sentence
    except (httpx2.HTTPError, httpx2.InvalidURL) as failed:
        error = error if status else f"It could not be reached: {failed}"
    return Answer(status, error, beginning, int((time.monotonic() - begun) * 1000))


async def _beginning(answer: httpx2.Response) -> bytes:
    read = b""
    async for piece in answer.aiter_raw():
        read += piece
        if len(read) >= BEGINNING_BYTES:
            break
    return read[:BEGINNING_BYTES]
