"""Sweeping: what was made for a while goes when that is over."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core.database import Tenancy, dispatching, transaction
from ingram_app.domain import access, bygones, retention, tryouts
from ingram_app.domain.access import Caller
from ingram_app.domain.retention import BEGINNING, Mark
from ingram_app.engine import rounds

log = logging.getLogger(__name__)
SECONDS = 300
OLD_SECONDS = 3600
_PROJECTS_AT_ONCE = 500


async def sweep_forever() -> None:
    """Remove scratch smiths that nobody has used for an hour."""
    await rounds.go_forever(tryouts.left, tryouts.forget, SECONDS)


async def sweep() -> int:
    """Remove them now; return how many went."""
    return await rounds.go(tryouts.left, tryouts.forget)


async def sweep_old_forever() -> None:
    """Remove what projects keep no longer, about every hour; not at the start, when there is other work."""
    while True:
        await asyncio.sleep(OLD_SECONDS * random.uniform(0.5, 1))
        try:
            await sweep_old()
        except SQLAlchemyError as failed:
            log.warning("could not look for what is kept no longer: %s", failed)


async def sweep_old() -> None:
    """Remove it now, project by project."""
    after = ""
    while True:
        async with dispatching() as session:
            found = await retention.where(session, after, _PROJECTS_AT_ONCE)
        for project_id in found:
            try:
                await _sweep(project_id)
            except SQLAlchemyError as failed:
                log.warning("the sweep of %s is left to the next: %s", project_id, failed)
        if len(found) < _PROJECTS_AT_ONCE:
            return
        after = found[-1]


async def _sweep(project_id: str) -> None:
    tenancy, caller = Tenancy(project_id=project_id), access.platform(project_id)
    async with transaction(tenancy) as session:
        kept = await retention.days(session, caller)
    since: Mark | None = BEGINNING
    more = True
    while more or since is not None:
        async with transaction(tenancy) as session:
            swept = await retention.sweep(session, caller, kept, since)
        since, more = swept.events, swept.more
    runs = await _sweep_all(bygones.sweep_runs, caller, kept.runs_days)
    threads = await _sweep_all(bygones.sweep_threads, caller, kept.threads_days)
    if runs or threads:
        log.info("%s: %s runs and %s threads are kept no longer", project_id, runs, threads)
        async with transaction(tenancy) as session:
            await bygones.note(session, caller, runs, threads)


async def _sweep_all(sweep: Callable[..., Awaitable[int]], caller: Caller, days: int | None) -> int:
    """Sweep piece by piece until nothing goes any more; return how much went."""
    swept = 0
    while days is not None:
        async with transaction(caller.tenancy) as session:
            gone = await sweep(session, caller, days)
        swept += gone
        if not gone:
            break
    return swept
