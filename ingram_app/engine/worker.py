"""The worker of a process: takes runs up that are born here, handed over by jobs, or left behind by others."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import procrastinate
from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core import jobs, process, signals
from ingram_app.core.database import NOBODY, Tenancy, dispatching, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import leases, runs
from ingram_app.domain.runs import Birth, Run
from ingram_app.engine import expiry, guards, sweeping
from ingram_app.engine.carrier import carry
from ingram_app.gateways import outbound

log = logging.getLogger(__name__)
JOBS_AT_ONCE = 32
POLLED_SECONDS = 0.25
"""procrastinate's own wake-up can miss a job; then it is found this much later."""

_carried: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def working(*, interactive: bool) -> AsyncIterator[None]:
    """Work while the block lasts. With `interactive`, also on the runs that are born in this process."""
    process.SEATS.open = settings().runs_per_process if interactive else 0
    loops = [
        signals.relay_forever(),
        _take_up_born(),
        _recover_forever(),
        _do_jobs(),
        guards.watch_forever(),
        sweeping.sweep_forever(),
        expiry.expire_forever(),
    ]
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        process.SEATS.open = 0
        await _end(tasks)
        await _end(list(_carried))
        await signals.all_sent()
        await outbound.close()


async def take_up(project_id: str, run_id: str) -> None:
    """Carry a run to its end, if it is there to be taken."""
    async with transaction(Tenancy(project_id=project_id)) as session:
        run = await leases.claim(session, run_id)
    if run is not None:
        await _carry(run, run)


def _begin(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _carried.add(task)
    task.add_done_callback(_carried.discard)


async def _carry(run: Run, work: Run | Birth) -> None:
    """One lost run never stops the next."""
    process.SEATS.taken += 1
    try:
        await carry(work)
    except Exception:
        log.exception("run %s was lost on the way", run.id)
    finally:
        process.SEATS.taken -= 1


async def _take_up_born() -> None:
    with signals.listening(runs.BORN) as born:
        while True:
            work = await born.get()
            if isinstance(work, Birth | Run):
                _begin(_carry(work.run if isinstance(work, Birth) else work, work))


async def _recover_forever() -> None:
    """Take up what others have let go of: when they say so, and as often as leases can end."""
    with signals.listening(leases.RELEASED) as released:
        while True:
            try:
                await _recover()
            except SQLAlchemyError as failed:
                log.warning("could not look for abandoned runs: %s", failed)
            with suppress(TimeoutError):
                async with asyncio.timeout(settings().run_lease_seconds / 3 * random.uniform(0.5, 1)):
                    await released.get()


async def _recover() -> None:
    async with dispatching() as session:
        left = await leases.abandoned(session)
    free = max(process.SEATS.open, JOBS_AT_ONCE) - process.SEATS.taken
    for project_id, run_id in left[: max(0, free)]:
        _begin(_take_up_left(project_id, run_id))
    async with transaction(NOBODY) as session:
        await jobs.forget_lost(session)


async def _take_up_left(project_id: str, run_id: str) -> None:
    try:
        await take_up(project_id, run_id)
    except SQLAlchemyError as failed:
        log.warning("run %s could not be taken up: %s", run_id, failed)


async def _do_jobs() -> None:
    app = jobs.app()
    app.task(name=runs.TAKE_UP)(take_up)
    while True:
        try:
            async with app.open_async():
                await app.run_worker_async(
                    concurrency=JOBS_AT_ONCE,
                    install_signal_handlers=False,
                    fetch_job_polling_interval=POLLED_SECONDS,
                    delete_jobs="always",
                    shutdown_graceful_timeout=0.1,
                )
        except procrastinate.exceptions.ConnectorException as failed:
            log.warning("the queue can not be reached: %s", failed)
        await asyncio.sleep(1)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks until they are over: the queue's worker, while it begins, can miss that it is cancelled."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=3)
