"""The dispatcher of a process: takes up the runs that wait, in turn from every project, and those left by others.

Every process has one, and none is in charge: each asks the database who is next, and claims what it can seat.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core import signals
from ingram_app.core.database import Tenancy, dispatching, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import leases, slots
from ingram_app.domain.runs import Run
from ingram_app.engine import crew

log = logging.getLogger(__name__)
CLAIMED_AT_ONCE = 8
LOOKED_EVERY_SECONDS = 1.0
"""A signal can be lost; then a run that waits is found this much later."""
BEATEN_SECONDS = 0.05
"""Others were faster with all that were next: so soon we look again."""
SHARE = 3
"""A project may have this many times the seats here that are free: the last quarter is kept for others."""


class Dispatcher:
    """Seats of one process for runs that were not born in it."""

    def __init__(self, seats: int) -> None:
        self._seats = seats
        self._seated: Counter[str] = Counter()
        self._claiming = asyncio.Lock()

    async def take_up_forever(self) -> None:
        """Take up what waits: when told that something does, when a seat gets free, and now and then."""
        with signals.listening(slots.READY) as heard:
            while True:
                await _pause(heard, await self._look(self._take_up))

    async def recover_forever(self) -> None:
        """Take up what others have let go of: when they say so, and as often as leases can end."""
        with signals.listening(leases.RELEASED) as heard:
            while True:
                await self._look(self._recover)
                await _pause(heard, settings().run_lease_seconds / 3 * random.uniform(0.5, 1))

    async def stop(self, tasks: Sequence["asyncio.Task[None]"]) -> None:
        """Cancel the tasks that dispatch, never between a claim and its carrier."""
        async with self._claiming:
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, at: Callable[[], Awaitable[float]]) -> float:
        """Return how many seconds there is nothing to be done."""
        try:
            async with self._claiming:
                return await at()
        except SQLAlchemyError as failed:
            log.warning("could not look for runs: %s", failed)
            return LOOKED_EVERY_SECONDS

    async def _take_up(self) -> float:
        if not self._free:
            return LOOKED_EVERY_SECONDS
        async with dispatching() as session:
            waiting = await slots.next_up(session, min(self._free, CLAIMED_AT_ONCE))
        tried = [run for run in waiting if self._seat(run[0])]
        claimed = await asyncio.gather(*(self._claim(*run) for run in tried))
        if any(claimed):
            return 0
        return BEATEN_SECONDS if tried else LOOKED_EVERY_SECONDS * random.uniform(0.5, 1)

    async def _recover(self) -> float:
        async with dispatching() as session:
            left = await leases.abandoned(session)
        await asyncio.gather(*(self._claim(*run) for run in left if self._seat(run[0])))
        return 0

    @property
    def _free(self) -> int:
        return self._seats - self._seated.total()

    def _seat(self, project_id: str) -> bool:
        """Take a seat for a run of the project, if there is one for it."""
        has_one = self._seated[project_id] < SHARE * self._free
        self._seated[project_id] += has_one
        return has_one

    def _rise(self, project_id: str) -> None:
        self._seated -= Counter({project_id: 1})
        signals.publish(slots.READY)

    async def _claim(self, project_id: str, run_id: str) -> bool:
        """Begin to carry a run, if it is still there to be taken; its seat is taken already."""
        run: Run | None = None
        try:
            async with transaction(Tenancy(project_id=project_id)) as session:
                run = await leases.claim(session, run_id)
        except SQLAlchemyError as failed:
            log.warning("run %s could not be taken up: %s", run_id, failed)
        if run is None:
            self._seated -= Counter({project_id: 1})
            return False
        crew.begin(run, lambda: self._rise(project_id))
        return True


async def _pause(heard: "asyncio.Queue[signals.Item]", seconds: float) -> None:
    """Wait so long, or until something was heard; what was heard meanwhile counts as one."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await heard.get()
    while not heard.empty():
        heard.get_nowait()
