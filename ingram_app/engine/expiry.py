"""Expiry: approvals that nobody has decided in time are closed, and their runs go on, told that nobody has."""

import asyncio
import logging
import random

from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core.database import Tenancy, dispatching, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import answers, approvals

log = logging.getLogger(__name__)


async def expire_forever() -> None:
    """Look for approvals whose time is over, until cancelled. Several processes may look at once."""
    while True:
        try:
            await _expire()
        except SQLAlchemyError as failed:
            log.warning("could not look for expired approvals: %s", failed)
        await asyncio.sleep(settings().run_lease_seconds / 3 * random.uniform(0.5, 1))


async def _expire() -> None:
    async with dispatching() as session:
        late = await approvals.overdue(session)
    for project_id, approval_id in late:
        async with transaction(Tenancy(project_id=project_id)) as session:
            await answers.expire(session, project_id, approval_id)
