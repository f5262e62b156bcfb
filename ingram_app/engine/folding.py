"""Folding: what runs have said becomes fewer frames, a day after they ended. One process at a time is at it."""

import asyncio
import logging
import random

from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core.database import NOBODY, Tenancy, dispatching, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import access, folds

log = logging.getLogger(__name__)
SECONDS = 60


async def fold_forever() -> None:
    """Fold what is ripe, every minute."""
    while True:
        try:
            while await fold_some():
                pass
        except SQLAlchemyError as failed:
            log.warning("could not fold frames: %s", failed)
        await asyncio.sleep(SECONDS * random.uniform(0.5, 1))


async def fold_some() -> int:
    """Fold the frames of some runs; return of how many."""
    async with transaction(NOBODY) as held:
        since = await folds.come_to(held)
        if since is None:
            return 0
        async with dispatching() as session:
            ripe, come = await folds.ripe(session, since, settings().frames_fold_after_seconds)
        for project_id, run_ids in ripe.items():
            async with transaction(Tenancy(project_id=project_id)) as session:
                await folds.fold(session, access.platform(project_id), run_ids)
        if ripe:
            await folds.go_on_from(held, come)
        return sum(map(len, ripe.values()))
