"""Rounds: what the engine looks after at intervals, in every process, whoever is first."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import Tenancy, dispatching, transaction
from ingram_app.domain import access
from ingram_app.domain.access import Caller

log = logging.getLogger(__name__)

Found = Callable[[AsyncSession], Awaitable[list[tuple[str, str]]]]
Deed = Callable[[AsyncSession, Caller, str], Awaitable[bool]]


async def go_forever(find: Found, deed: Deed, seconds: float) -> None:
    """Do `deed` to everything that is found, at least every so many seconds."""
    while True:
        try:
            await go(find, deed)
        except SQLAlchemyError as failed:
            log.warning("could not look for what %s is for: %s", deed.__module__, failed)
        await asyncio.sleep(seconds * random.uniform(0.5, 1))


async def go(find: Found, deed: Deed) -> int:
    """Do `deed` to all (project, id) that the dispatcher finds, each in a transaction of its own; count what it did."""
    async with dispatching() as session:
        found = await find(session)
    done = 0
    for project_id, thing_id in found:
        try:
            async with transaction(Tenancy(project_id=project_id)) as session:
                done += await deed(session, access.platform(project_id), thing_id)
        except Exception:
            log.exception("%s: %s was passed over", deed.__module__, thing_id)
    return done
