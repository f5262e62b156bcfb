"""The crew: the runs that this process carries, each in a task of its own."""

import asyncio
import logging
from collections.abc import Callable

from ingram_app.domain.runs import Birth, Run
from ingram_app.engine.carrier import carry

log = logging.getLogger(__name__)

_carried: set[asyncio.Task[None]] = set()


def begin(work: Run | Birth, done: Callable[[], None]) -> None:
    """Carry a run that this process has claimed; call `done` when it is over, or let go of."""
    task = asyncio.create_task(_carry(work))
    _carried.add(task)
    task.add_done_callback(_carried.discard)
    task.add_done_callback(lambda _: done())


async def disperse() -> None:
    """Let go of every run that is carried here."""
    tasks = list(_carried)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(work: Run | Birth) -> None:
    """One lost run never stops the next."""
    try:
        await carry(work)
    except Exception:
        log.exception("run %s was lost on the way", (work.run if isinstance(work, Birth) else work).id)
