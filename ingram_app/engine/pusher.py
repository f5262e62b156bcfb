"""The pusher: tells Stripe what the customers of projects have used. Any number may work, in any process."""

import asyncio
import logging
import random
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core import signals
from ingram_app.core.database import Tenancy, dispatching, transaction
from ingram_app.domain import pushes
from ingram_app.domain.pushes import Attempt
from ingram_app.gateways import stripe
from ingram_app.gateways.stripe import Answer, Came

log = logging.getLogger(__name__)
LANES = 20
"""Projects that one process pushes for at once."""
TURN = 20
"""Times that a project is looked at before others have their turn."""
_LOOK_AGAIN_SECONDS = 1.0


async def push_forever() -> None:
    """Look for what is due whenever something is, and every second for what is to be tried again."""
    lanes: dict[str, asyncio.Task[None]] = {}
    try:
        with signals.listening(pushes.DUE) as heard:
            while True:
                try:
                    await _begin(lanes)
                except SQLAlchemyError as failed:
                    log.warning("could not look for what is to be pushed: %s", failed)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_SECONDS * random.uniform(0.5, 1)):
                        await heard.get()
                while not heard.empty():
                    heard.get_nowait()
    finally:
        for lane in lanes.values():
            lane.cancel()
        await asyncio.gather(*lanes.values(), return_exceptions=True)


async def _begin(lanes: dict[str, asyncio.Task[None]]) -> None:
    for project_id in [project_id for project_id, lane in lanes.items() if lane.done()]:
        del lanes[project_id]
    if len(lanes) >= LANES:
        return
    async with dispatching() as session:
        found = await pushes.due(session, LANES)
    for project_id in found:
        if project_id not in lanes:
            lanes[project_id] = asyncio.create_task(_serve(project_id))


async def _serve(project_id: str) -> None:
    """Push what is due of one project. A lane that is lost never stops the others."""
    tenancy = Tenancy(project_id=project_id)
    try:
        for _ in range(TURN):
            async with transaction(tenancy) as session:
                attempts = await pushes.take(session, project_id)
            if not attempts:
                return
            async with asyncio.TaskGroup() as together:
                for attempt in attempts:
                    together.create_task(_make(tenancy, attempt))
    except* SQLAlchemyError as failed:
        log.warning("the pushes of %s are left to whoever takes them up again: %s", project_id, failed.exceptions)
    except* Exception:
        log.exception("the lane of %s was lost on the way", project_id)


async def _make(tenancy: Tenancy, attempt: Attempt) -> None:
    try:
        answer = await _report(attempt)
    except asyncio.CancelledError:
        await asyncio.shield(_let_go(tenancy, attempt))
        raise
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


async def _let_go(tenancy: Tenancy, attempt: Attempt) -> None:
    with suppress(SQLAlchemyError):
        async with transaction(tenancy) as session:
            await pushes.let_go(session, attempt)
