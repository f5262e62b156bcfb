"""The carrier: takes one run from where it stands to its end, or to where it waits for others.

It holds the lease while it works, watches for a wish to cancel, bounds the time, and closes the run or has it pause.
If the process stops it lets go at once; if it dies, the lease ends by itself. Either way another carrier goes on.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError as PoolTimeout

from ingram_app.core import signals
from ingram_app.core.database import afterwards, transaction
from ingram_app.core.errors import IngramError
from ingram_app.core.settings import settings
from ingram_app.domain import endings, frames, leases
from ingram_app.domain.endings import Ending
from ingram_app.domain.frames import RunCancelled, RunFailed, Shown
from ingram_app.domain.leases import CancelAsked, Lease, LeaseLost, Pause
from ingram_app.domain.runs import CANCEL, Birth, Run, RunStatus
from ingram_app.engine.loop import Loop
from ingram_app.engine.scribe import Scribe
from ingram_app.engine.standing import at_birth, read

log = logging.getLogger(__name__)


UNREACHABLE = (OperationalError, InterfaceError, PoolTimeout)
"""The database is away: nothing is wrong with the run."""


CARRIERS_LOST = 5
"""As often as a process may die, or be killed, over one run."""


class RunAbandoned(IngramError):
    """{times} processes stopped working while they carried the run, so it is not begun again. It may be what makes
    them stop: look into their logs at that time."""


class TimeLimitExceeded(IngramError):
    """The run worked for {seconds} seconds without coming to an end. The setting max_seconds allows more."""


async def carry(work: Run | Birth) -> None:
    """Carry a run that this process has claimed, at its birth or later, for as far as it goes."""
    run = work.run if isinstance(work, Birth) else work
    lease = leases.of(run)
    try:
        await _carry(work, run, lease)
    except LeaseLost:
        log.warning("run %s is carried by another process by now", run.id)
    except UNREACHABLE as failed:
        log.warning("run %s is left to whoever takes it up again: %s", run.id, failed)
    except asyncio.CancelledError:
        await asyncio.shield(_let_go(lease))
        raise
    finally:
        frames.forget(run.id)


async def _carry(work: Run | Birth, run: Run, lease: Lease) -> None:
    standing = at_birth(work) if isinstance(work, Birth) else await read(run)
    scribe = Scribe(lease, standing.latest)
    loop = Loop(run, lease, scribe, standing)
    if run.carriers_lost >= CARRIERS_LOST:
        return await _close(loop, _failed(loop, RunAbandoned(times=run.carriers_lost)))
    writing = asyncio.ensure_future(scribe.write_on())
    try:
        ending = await _end_of(loop, writing)
    finally:
        await scribe.stop(writing)
    try:
        await _close(loop, ending)
    except (LeaseLost, *UNREACHABLE):
        raise
    except CancelAsked as asked:
        await _close(loop, _cancelled(loop, asked))
    except Exception as failure:  # an answer that can not be kept is no reason to ask for it again, for ever
        await _close(loop, _failed(loop, failure))


async def _close(loop: Loop, ending: Ending | Pause) -> None:
    async with loop.scribe.batch(*loop.last_words) as batch:
        if isinstance(ending, Pause):
            async with transaction(loop.lease.tenancy) as session:
                await leases.pause(session, loop.lease, ending, batch, loop.meter.calls)
        elif loop.purse.budgeted or not await _end_at_once(loop, ending, batch):
            async with transaction(loop.lease.tenancy) as session:
                await endings.finish(session, loop.lease, ending, batch, loop.meter.calls)
                afterwards(session, lambda: ending.show_on(loop.run))


async def _end_at_once(loop: Loop, ending: Ending, batch: list[Shown]) -> bool:
    """Close a run as one without budgets; return whether it was one."""
    with suppress(LeaseLost):
        async with transaction(loop.lease.tenancy) as session:
            endings.finish_unbudgeted(session, loop.lease, ending, batch, loop.meter.calls)
            afterwards(session, lambda: ending.show_on(loop.run))
        return True
    return False


async def _end_of(loop: Loop, writing: "asyncio.Future[None]") -> Ending | Pause:
    """Return how the run ended: it answered, waits for others, failed, or was stopped. Raises `LeaseLost`."""
    answering = asyncio.ensure_future(_answer(loop))
    watching = asyncio.ensure_future(_watch(loop))
    seconds = loop.limits.max_seconds or 0
    try:
        tasks: set[asyncio.Future[Any]] = {answering, watching, writing}
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise TimeLimitExceeded(seconds=seconds)
        for task in done - {answering}:
            task.result()
        return answering.result()
    except CancelAsked as asked:
        await _stop(answering)
        return _cancelled(loop, asked)
    except (LeaseLost, *UNREACHABLE):
        raise
    except Exception as failure:
        return _failed(loop, failure)
    finally:
        await _stop(answering)
        await _stop(watching)


async def _answer(loop: Loop) -> Ending | Pause:
    """Return how the run completed, or what it waits for. Raises `CancelAsked` for one that was to stop meanwhile."""
    if loop.run.cancel_asked_at is not None:
        raise CancelAsked(loop.run.cancel_reason)
    return await loop.answer()


def _cancelled(loop: Loop, asked: CancelAsked) -> Ending:
    loop.last_words = [RunCancelled(asked.reason)]
    values = {"warnings": loop.warnings, **loop.usage()}
    return Ending(RunStatus.cancelled, values, loop.broken_off(), reason=asked.reason)


def _failed(loop: Loop, failure: Exception) -> Ending:
    if not isinstance(failure, IngramError):
        log.error("run %s failed on our side", loop.run.id, exc_info=failure)
        failure = IngramError()
    error = {"code": failure.code, "message": failure.sentence}
    loop.last_words = [RunFailed(error)]
    return Ending(RunStatus.failed, {"error": error, "warnings": loop.warnings, **loop.usage()})


async def _watch(loop: Loop) -> None:
    """Hold on to the lease for as long as the run works. Raises `CancelAsked`, `LeaseLost`."""
    heard_of = loop.standing.access is not None  # a run that was just born can not have been asked to stop yet
    with signals.listening(f"{CANCEL}:{loop.run.id}") as heard:
        while True:
            if not heard_of:
                async with transaction(loop.lease.tenancy) as session:
                    held = await leases.renew(session, loop.lease)
                if held.cancelled:
                    raise CancelAsked(held.reason)
            heard_of = False
            with suppress(TimeoutError):
                async with asyncio.timeout(settings().run_lease_seconds / 3):
                    await heard.get()


async def _let_go(lease: Lease) -> None:
    try:
        async with transaction(lease.tenancy) as session:
            await leases.release(session, lease)
    except UNREACHABLE as failed:
        log.info("run %s could not be let go of: %r", lease.run_id, failed)


async def _stop(task: "asyncio.Future[Any]") -> None:
    """Cancel a task and wait until it is over; what it raised is somebody else's."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
