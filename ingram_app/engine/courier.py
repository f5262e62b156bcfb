"""The courier: brings what is told on the feeds to the webhooks that want it. Any number may work, in any process.

Whoever is slow has only itself to wait for: each webhook has a lane of its own, and no lane is held for long.
"""

import logging

from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import deliveries, events
from ingram_app.domain.deliveries import Attempt, Outcome
from ingram_app.engine import lanes
from ingram_app.gateways import signed_post

log = logging.getLogger(__name__)
LANES = 200
"""Webhooks that one process delivers to at once."""
TURN = 20
"""Deliveries to one webhook before others have their turn."""


async def deliver_forever() -> None:
    """Look for what is due whenever something is told, and every second for what is to be tried again."""
    await lanes.go_forever(deliveries.due, _serve, most=LANES, seconds=1, told=(events.TOLD, deliveries.DUE))


async def _serve(project_id: str, webhook_id: str) -> bool:
    """Deliver to one webhook, one after the other, until one fails: then others have their turn first."""
    tenancy = Tenancy(project_id=project_id)
    for _ in range(TURN):
        async with transaction(tenancy) as session:
            attempt = await deliveries.take(session, project_id, webhook_id)
        if attempt is None:
            return False
        if not await _make(tenancy, attempt):
            break
    return True


async def _make(tenancy: Tenancy, attempt: Attempt) -> bool:
    outcome = await lanes.or_let_go(tenancy, attempt, _outcome_of(attempt), deliveries.let_go)
    async with transaction(tenancy) as session:
        await deliveries.settle(session, attempt, outcome)
    return outcome.succeeded


async def _outcome_of(attempt: Attempt) -> Outcome:
    try:
        answer = await signed_post.send(attempt.url, secrets=attempt.secrets, id=attempt.event_id, body=attempt.body)
    except Exception:
        log.exception("the delivery %s failed on our side", attempt.delivery_id)
        return Outcome(error="Something went wrong on our side. It has been logged.")
    return Outcome(answer.status, answer.error, answer.excerpt, answer.duration_ms)
