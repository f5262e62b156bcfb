"""The courier: brings what is told on the feeds to the webhooks that want it. Any number may work, in any process.

Whoever is slow has only itself to wait for: each webhook has a lane of its own, and no lane is held for long.
"""

import asyncio
import logging
import random
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core import signals
from ingram_app.core.database import Tenancy, dispatching, transaction
from ingram_app.domain import deliveries, events
from ingram_app.domain.deliveries import Attempt, Outcome
from ingram_app.gateways import signed_post

log = logging.getLogger(__name__)
LANES = 200
"""Webhooks that one process delivers to at once."""
TURN = 20
"""Deliveries to one webhook before others have their turn."""
_LOOK_AGAIN_SECONDS = 1.0
"""How long something that is due waits at most when no signal comes."""
_APART_SECONDS = 0.05
"""The feeds are looked through at most so often."""


async def deliver_forever() -> None:
    """Look for what is due whenever something is told, and every second for what is to be tried again."""
    lanes: set[asyncio.Task[None]] = set()
    try:
        with signals.listening(events.TOLD, deliveries.DUE) as heard:
            while True:
                try:
                    await _begin(lanes)
                except SQLAlchemyError as failed:
                    log.warning("could not look for what is to be delivered: %s", failed)
                await asyncio.sleep(_APART_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_SECONDS * random.uniform(0.5, 1)):
                        await heard.get()
                while not heard.empty():
                    heard.get_nowait()
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


async def _begin(lanes: set[asyncio.Task[None]]) -> None:
    if len(lanes) >= LANES:
        return
    async with dispatching() as session:
        found = await deliveries.due(session, LANES - len(lanes))
    for project_id, webhook_id in found:
        lane = asyncio.create_task(_serve(project_id, webhook_id))
        lanes.add(lane)
        lane.add_done_callback(lanes.discard)


async def _serve(project_id: str, webhook_id: str) -> None:
    """Deliver to one webhook, one after the other. A lane that is lost never stops the others."""
    tenancy = Tenancy(project_id=project_id)
    try:
        for _ in range(TURN):
            async with transaction(tenancy) as session:
                attempt = await deliveries.take(session, project_id, webhook_id)
            if attempt is None:
                return
            await _make(tenancy, attempt)
    except SQLAlchemyError as failed:
        log.warning("the webhook %s is left to whoever takes it up again: %s", webhook_id, failed)
    except Exception:
        log.exception("the lane of the webhook %s was lost on the way", webhook_id)


async def _make(tenancy: Tenancy, attempt: Attempt) -> None:
    try:
        outcome = await _outcome_of(attempt)
    except asyncio.CancelledError:
        await asyncio.shield(_let_go(tenancy, attempt))
        raise
    async with transaction(tenancy) as session:
        await deliveries.settle(session, attempt, outcome)


async def _outcome_of(attempt: Attempt) -> Outcome:
    try:
        answer = await signed_post.send(attempt.url, secrets=attempt.secrets, id=attempt.event_id, body=attempt.body)
    except Exception:
        log.exception("the delivery %s failed on our side", attempt.delivery_id)
        return Outcome(error="Something went wrong on our side. It has been logged.")
    return Outcome(answer.status, answer.error, answer.excerpt, answer.duration_ms)


async def _let_go(tenancy: Tenancy, attempt: Attempt) -> None:
    with suppress(SQLAlchemyError):
        async with transaction(tenancy) as session:
            await deliveries.let_go(session, attempt)
