"""Arrivals: where a new turn comes to stand on its thread, and which of those before it make way.

queue       behind all that wait
reject      on an idle thread only
interrupt   next, in place of the run whose turn it is; what that one did stays in the history
rollback    next, in place of the run whose turn it is; that one's turn is taken out of the history

The run whose turn it is works, is paused or, when none is, waits first in line. One that is to come next by having
interrupted makes way for another that interrupts. Those that queue keep their order behind it.
A run's number on its thread is its place in this line, so runs of a thread work in the order of their numbers.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import execute
from ingram_app.core.errors import Conflict, TooMany

QUEUE_LENGTH = 20
"""Runs that may wait on one thread."""


class OnBusy(StrEnum):
    queue = "queue"
    reject = "reject"
    interrupt = "interrupt"
    rollback = "rollback"


PRESSING = frozenset({OnBusy.interrupt, OnBusy.rollback})


class ThreadBusy(Conflict):
    """The thread {thread_id} has a turn under way, the run {run_id}. Wait until it is over, or leave `on_busy` out to
    queue behind it."""


class ConcurrencyLimitExceeded(TooMany):
    """{waiting} runs already wait on the thread {thread_id}. Send the next when some are done."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a turn comes to stand."""

    turn: int
    """Its number on the thread."""
    ahead: int
    """Live runs that come before it."""
    making_way: tuple[str, ...] = ()
    """Those of them, in order, that are to be stopped for it. Nobody else changes them until the transaction ends."""


_LIVE = (
    "select id, turn, status, on_busy from runs where project_id = :project_id and smith_id = :smith_id"
    " and thread_id = :thread_id and status in ('queued', 'running', 'paused_for_approval', 'paused_for_tool')"
)
_LINE = text(f"{_LIVE} order by turn")
_HELD = text(f"select * from ({_LIVE} order by id for update) as held order by turn")
_STEP_BACK = text(
    "update runs set turn = turn + 1 where project_id = :project_id and smith_id = :smith_id"
    " and thread_id = :thread_id and turn >= :turn"
)


async def place(
    session: AsyncSession, project_id: str, smith_id: str, thread_id: str, number: int, on_busy: OnBusy
) -> Place:
    """Return where the thread's turn of this number stands. Whoever calls holds the thread.

    Raises `ThreadBusy`, `ConcurrencyLimitExceeded`.
    """
    known = {"project_id": project_id, "smith_id": smith_id, "thread_id": thread_id}
    line = (await execute(session, _HELD if on_busy in PRESSING else _LINE, known)).all()
    if len(line) > QUEUE_LENGTH:
        raise ConcurrencyLimitExceeded(waiting=len(line) - 1, thread_id=thread_id)
    if not line or on_busy is OnBusy.queue:
        return Place(number, len(line))
    if on_busy is OnBusy.reject:
        raise ThreadBusy(thread_id=thread_id, run_id=line[0][0])
    first, *others = line
    making_way = [(run_id, turn) for run_id, turn, *_ in [first, *(run for run in others if run[3] in PRESSING)]]
    turn = making_way[-1][1] + 1
    if turn < number:
        await execute(session, _STEP_BACK, known | {"turn": turn})
    return Place(turn, len(making_way), tuple(run_id for run_id, _ in making_way))
