"""The pusher: tells Stripe what the customers of projects have used. Any number may work, in any process."""

import asyncio
import logging

from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import pushes
from ingram_app.domain.pushes import Attempt
from ingram_app.engine import lanes
from ingram_app.gateways import stripe
from ingram_app.gateways.stripe import Answer, Came

log = logging.getLogger(__name__)
LANES = 20
"""Projects that one process pushes for at once."""
TURN = 20
"""Times that a project is looked at before others have their turn."""


async def push_forever() -> None:
    """Look for what is due whenever something is, and every second for what is to be tried again."""
    await lanes.go_forever(pushes.due, _serve, most=LANES, seconds=1, told=(pushes.DUE,))


async def _serve(project_id: str) -> bool:
    """Push what is due of one project, many at once."""
    tenancy = Tenancy(project_id=project_id)
    for _ in range(TURN):
        async with transaction(tenancy) as session:
            attempts = await pushes.take(session, project_id)
        if not attempts:
            return False
        async with asyncio.TaskGroup() as together:
            for attempt in attempts:
                together.create_task(_make(tenancy, attempt))
    return True


async def _make(tenancy: Tenancy, attempt: Attempt) -> None:
    answer = await lanes.or_let_go(tenancy, attempt, _report(attempt), pushes.let_go)
    async with transaction(tenancy) as session:
        await pushes.settle(session, attempt, answer)


async def _report(attempt: Attempt) -> Answer:
    try:
        return await stripe.report(
            attempt.key,
            identifier=attempt.push_id,
            event_name=attempt.event_name,
            customer=attempt.customer,
            value=attempt.value,
            at=attempt.at,
        )
    except Exception:
        log.exception("the push %s failed on our side", attempt.push_id)
        return Answer(Came.unknown, "Something went wrong on our side. It has been logged.")
