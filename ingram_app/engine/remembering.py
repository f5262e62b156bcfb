"""Remembering: does what is to be done for the memory of smiths, after their turns and when they are quiet.

Every process takes what is due, in turn from every project, and never so much of one that others have no seat. What
fails is tried again a few times, ever later; what was lost with its process is done by another.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError

from ingram_app.core import process, signals
from ingram_app.core.database import Tenancy, dispatching, transaction
from ingram_app.core.errors import Conflict, IngramError, NotFound, UpstreamFailed
from ingram_app.core.settings import settings
from ingram_app.domain import memory_ops
from ingram_app.domain.memory_ops import MemoryOp, OpKind, OpLost
from ingram_app.domain.runs import Run
from ingram_app.engine import consolidating, embedding, learning
from ingram_app.gateways.providers import ModelRequestFailed

log = logging.getLogger(__name__)
SHARE = 3
"""A project may have this many times the seats that are free: the last quarter is kept for others."""
GIVES_WAY = 4
"""While runs that somebody waits for have the seats of a process, it takes what they leave, at least so many."""
SECONDS = 150
"""As long as one operation may take: less than it is held for."""
_LOOK_AGAIN_SECONDS = 1.0
_APART_SECONDS = 0.1
"""The table is looked through at most so often."""
_DEEDS: dict[OpKind, Callable[[MemoryOp], Awaitable[None]]] = {
    OpKind.learn: learning.learn,
    OpKind.fold: consolidating.consolidate,
    OpKind.embed: embedding.embed,
}


def after(run: Run) -> list[tuple[OpKind, float]]:
    """Return what is to be done once a run has completed, and in how many seconds."""
    later = [(OpKind.learn, 0.0)] if learning.is_worth_it(run) else []
    if consolidating.is_wanted(run):
        later.append((OpKind.fold, settings().memory_quiet_seconds))
    if "recall" in run.config["enabled_hosted_tools"]:  # others' turns are embedded when somebody first asks for them
        later.append((OpKind.embed, 0.0))
    return later


async def remember_forever() -> None:
    """Do what is due: when told that something is, and every second for what has become so."""
    desk = Desk(settings().memory_ops_per_process)
    try:
        with signals.listening(memory_ops.DUE) as heard:
            while True:
                try:
                    await desk.take_up()
                except SQLAlchemyError as failed:
                    log.warning("could not look for what is to be remembered: %s", failed)
                await asyncio.sleep(_APART_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                        await heard.get()
                while not heard.empty():
                    heard.get_nowait()
    finally:
        await desk.clear()


class Desk:
    """Seats of one process for operations on memory."""

    def __init__(self, seats: int) -> None:
        self._seats = seats
        self._seated: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def take_up(self) -> None:
        """Begin with what is due, as far as there are seats."""
        if self._free <= 0:
            return
        async with dispatching() as session:
            found = await memory_ops.next_up(session, self._free)
        for project_id, op_id in found:
            if self._seated[project_id] < SHARE * self._free:
                self._seated[project_id] += 1
                task = asyncio.create_task(self._do(project_id, op_id))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def clear(self) -> None:
        """Let go of everything."""
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _free(self) -> int:
        return max(GIVES_WAY, self._seats - process.SEATS.taken) - self._seated.total()

    async def _do(self, project_id: str, op_id: str) -> None:
        try:
            if await do(project_id, op_id):
                signals.publish(memory_ops.DUE)  # there may be more than there were seats
        except OpLost:
            log.warning("the operation %s is done by another process by now", op_id)
        except SQLAlchemyError as failed:
            log.warning("the operation %s is left to whoever takes it up again: %s", op_id, failed)
        finally:
            self._seated -= Counter({project_id: 1})


async def do(project_id: str, op_id: str) -> bool:
    """Do one operation that is due; tell whether it was there to be done. Raises `OpLost`."""
    tenancy = Tenancy(project_id=project_id)
    async with transaction(tenancy) as session:
        op = await memory_ops.claim(session, project_id, op_id)
    if op is None:
        return False
    try:
        async with asyncio.timeout(SECONDS):
            await _DEEDS[op.kind](op)
    except asyncio.CancelledError:
        await asyncio.shield(_let_go(tenancy, op))
        raise
    except (OpLost, SQLAlchemyError):
        raise
    except Exception as failure:
        if not isinstance(failure, IngramError | TimeoutError):
            log.exception("the operation %s failed on our side", op_id)
        code = failure.code if isinstance(failure, IngramError) else "timed_out"
        async with transaction(tenancy) as session:
            await memory_ops.fail(session, op, code, again=op.kind is OpKind.embed or _may_help(failure))
    return True


def _may_help(failure: Exception) -> bool:
    """Tell whether it may go better later; a smith that is not there may have become another's."""
    if isinstance(failure, ModelRequestFailed):
        return failure.retryable
    return isinstance(failure, NotFound | Conflict | UpstreamFailed | TimeoutError) or not isinstance(
        failure, IngramError
    )


async def _let_go(tenancy: Tenancy, op: MemoryOp) -> None:
    with suppress(SQLAlchemyError, OpLost):
        async with transaction(tenancy) as session:
            await memory_ops.let_go(session, op)
