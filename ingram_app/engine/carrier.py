"""The carrier: takes one run from where it stands to its end, whatever that is.

It holds the lease while it works, watches for a wish to cancel, bounds the time, and closes the run. If the process
stops it lets go at once; if it dies, the lease ends by itself. Either way another carrier goes on.
"""

import asyncio
import logging
from typing import Any

from sqlalchemy.exc import DBAPIError

from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.core.errors import IngramError
from ingram_app.core.settings import settings
from ingram_app.domain import frames, leases, projects
from ingram_app.domain.frames import RunCancelled, RunFailed
from ingram_app.domain.leases import Ending, Lease, LeaseLost
from ingram_app.domain.runs import CANCEL, Run, RunStatus
from ingram_app.engine.loop import Loop
from ingram_app.engine.scribe import Scribe

log = logging.getLogger(__name__)


class TimeLimitExceeded(IngramError):
    """The run worked for {seconds} seconds without coming to an end. The setting max_seconds allows more."""


class CancelAsked(Exception):
    """Somebody wants the run stopped."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason


async def carry(run: Run) -> None:
    """Carry a run that this process has claimed."""
    lease = leases.of(run)
    try:
        await _carry(run, lease)
    except LeaseLost:
        log.warning("run %s is carried by another process by now", run.id)
    except DBAPIError as failed:
        log.warning("run %s is left to whoever takes it up again: %s", run.id, failed.orig)
    except asyncio.CancelledError:
        await asyncio.shield(_let_go(lease))
        raise


async def _carry(run: Run, lease: Lease) -> None:
    async with transaction(lease.tenancy) as session:
        latest = await frames.latest(session, run.id)
        limits = (await projects.at(session, run.project_id)).limits
    scribe = Scribe(lease, latest)
    loop = Loop(run, lease, scribe, limits)
    writing = asyncio.ensure_future(scribe.write_on())
    try:
        ending = await _end_of(loop, writing, limits.max_seconds or 0)
    finally:
        await scribe.stop(writing)
    async with transaction(lease.tenancy) as session:
        await leases.finish(session, lease, ending, scribe.rest())


async def _end_of(loop: Loop, writing: "asyncio.Future[None]", seconds: float) -> Ending:
    """Return how the run ended: it answered, failed, or was stopped. Raises `LeaseLost`."""
    answering = asyncio.ensure_future(loop.answer())
    watching = asyncio.ensure_future(_watch(loop.lease))
    try:
        tasks: set[asyncio.Future[Any]] = {answering, watching, writing}
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeLimitExceeded(seconds=int(seconds))
        ending: Ending = done.pop().result()
        return ending
    except CancelAsked as asked:
        await _stop(answering)
        loop.scribe.say_last(RunCancelled(asked.reason))
        return Ending(RunStatus.cancelled, {"warnings": loop.warnings, **loop.usage()})
    except (LeaseLost, DBAPIError):
        raise
    except Exception as failure:
        return _failed(loop, failure)
    finally:
        await _stop(answering)
        await _stop(watching)


def _failed(loop: Loop, failure: Exception) -> Ending:
    if not isinstance(failure, IngramError):
        log.error("run %s failed on our side", loop.run.id, exc_info=failure)
        failure = IngramError()
    error = {"code": failure.code, "message": failure.sentence}
    loop.scribe.say_last(RunFailed(error))
    return Ending(RunStatus.failed, {"error": error, "warnings": loop.warnings, **loop.usage()})


async def _watch(lease: Lease) -> Ending:
    """Hold on to the lease for as long as the run works. Raises `CancelAsked`, `LeaseLost`."""
    with signals.listening(f"{CANCEL}:{lease.run_id}") as heard:
        while True:
            async with transaction(lease.tenancy) as session:
                run = await leases.renew(session, lease)
            if run.cancel_asked_at is not None:
                raise CancelAsked(run.cancel_reason)
            try:
                await asyncio.wait_for(heard.get(), settings().run_lease_seconds / 3)
            except TimeoutError:
                continue


async def _let_go(lease: Lease) -> None:
    try:
        async with transaction(lease.tenancy) as session:
            await leases.release(session, lease)
    except (LeaseLost, DBAPIError) as failed:
        log.info("run %s could not be let go of: %r", lease.run_id, failed)


async def _stop(task: "asyncio.Future[Any]") -> None:
    """Cancel a task and wait until it is over; what it raised is somebody else's."""
    task.cancel()
    await asyncio.wait({task})
