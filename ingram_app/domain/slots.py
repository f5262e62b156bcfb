"""Slots: how many runs of a project work at once, and which of those that wait are next.

A run that works with a live lease holds a slot of its project; a paused one holds none, and neither does one whose
process died. Runs that wait are taken in turn from every project: the next is always of the project that has the
fewest at work, and its oldest.

How many may wait is bounded too, so that one project can not fill the table for all. They are not counted for each
that comes: a process that has found room takes some of it on trust, an eighth of it for a second at most, so several
processes may together let in a few more.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from sqlalchemy import TextClause, text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.database import afterwards, ask, execute
from ingram_app.core.errors import TooMany
from ingram_app.domain.projects import Project

READY = "runs.ready"
"""Told when a run waits for nothing but somebody to carry it."""
WAITS = "status = 'queued' and ready_at is not null"
_TRUST = 8
_TRUST_SECONDS = 1.0
_KNOWN_AT_MOST = 4096
_WAITING = text(
    "select count(*) from"
    " (select from runs where project_id = :project_id and status = 'queued' limit :limit) as waiting"
)
_room: OrderedDict[tuple[str, int], tuple[float, int]] = OrderedDict()
"""By project and limit: until when, and for how many more, there is known to be room."""
_NEXT_IN_THREAD = text(
    "update runs set ready_at = clock_timestamp() where id = (select id from runs where project_id = :project_id"
    " and smith_id = :smith_id and thread_id = :thread_id and status = 'queued' order by turn limit 1)"
)
_NEXT_AFTER = text(
    "update runs set ready_at = clock_timestamp() where id = (select q.id from runs r join runs q"
    " on q.project_id = r.project_id and q.smith_id = r.smith_id and q.thread_id = r.thread_id"
    " where r.id = :run_id and r.project_id = :project_id and r.finished_at is not null and q.status = 'queued'"
    " order by q.turn limit 1)"
)
_LIMIT = text("select max_concurrent_runs from projects where id = :project_id")
_QUEUE_UP = text("select pg_advisory_xact_lock(hashtextextended('slots of ' || :project_id, 0))")
_SEE = text("select current_setting('app.smith_id', true), set_config('app.smith_id', :smith_id, true)")
_AT_WORK = "project_id = :project_id and status = 'running' and lease_until > clock_timestamp()"
_READY = f"project_id = :project_id and {WAITS}"
_IS_FREE = text(f"select count(*) < :limit from runs where {_AT_WORK}")
_IS_FREE_FOR_A_NEW_ONE = text(
    f"select count(*) < :limit and not exists (select from runs where {_READY}) from runs where {_AT_WORK}"
)
_NEXT = text(
    "with recursive waiting as ("
    f"(select project_id from runs where {WAITS} order by project_id limit 1)"
    f" union all select (select project_id from runs where {WAITS}"
    " and runs.project_id > waiting.project_id order by project_id limit 1)"
    " from waiting where waiting.project_id is not null),"
    " at_work as (select project_id, count(*) as runs from runs"
    " where status = 'running' and lease_until > clock_timestamp() group by project_id)"
    " select waiting.project_id, oldest.id from waiting"
    " join projects on projects.id = waiting.project_id"
    " left join at_work on at_work.project_id = waiting.project_id"
    " cross join lateral (select id, ready_at, row_number() over (order by ready_at, id) as place from runs"
    f" where project_id = waiting.project_id and {WAITS}"
    " order by ready_at, id limit :most) as oldest"
    " where projects.max_concurrent_runs is null"
    " or coalesce(at_work.runs, 0) + oldest.place <= projects.max_concurrent_runs"
    " order by coalesce(at_work.runs, 0) + oldest.place, oldest.ready_at limit :most"
)


class QueueFull(TooMany):
    """{limit} runs of this project wait already; no more may (`max_queued_runs`). Send the next when some are done."""

    code = "concurrency_limit_exceeded"


async def check_room(session: AsyncSession, project: Project) -> None:
    """See that one more run of the project may wait. Raises `QueueFull`."""
    limit = project.limits.max_queued_runs or 0
    until, trusted = _room.pop((project.id, limit), (0.0, 0))
    if trusted <= 0 or until < monotonic():
        left = limit - await _waiting(session, project.id, limit)
        if left < _TRUST:  # so near to the end nobody else looks until the transaction ends
            await execute(session, _QUEUE_UP, {"project_id": project.id})
            left = limit - await _waiting(session, project.id, limit)
        if left <= 0:
            raise QueueFull(limit=limit)
        until, trusted = monotonic() + _TRUST_SECONDS, left // _TRUST
    _room[project.id, limit] = until, trusted - 1
    if len(_room) > _KNOWN_AT_MOST:
        _room.popitem(last=False)


async def _waiting(session: AsyncSession, project_id: str, most: int) -> int:
    async with _seeing_all(session):
        return int((await execute(session, _WAITING, {"project_id": project_id, "limit": most})).scalar() or 0)


def next_in_thread(session: AsyncSession, project_id: str, smith_id: str, thread_id: str) -> None:
    """Let whichever process is next take up the thread's oldest waiting run, now that one is over.

    Whoever calls holds the thread, so that no run can be coming in unseen.
    """
    _ready(session, _NEXT_IN_THREAD, {"project_id": project_id, "smith_id": smith_id, "thread_id": thread_id})


def next_after(session: AsyncSession, project_id: str, run_id: str) -> None:
    """Let whichever process is next take up the oldest run that waits on the thread of one that has ended."""
    _ready(session, _NEXT_AFTER, {"project_id": project_id, "run_id": run_id})


def _ready(session: AsyncSession, statement: TextClause, known: dict[str, str]) -> None:
    made_ready = ask(session, statement, known)
    afterwards(session, lambda: signals.tell(READY) if made_ready.rowcount else None)


async def free_for_a_new_one(session: AsyncSession, project: Project) -> bool:
    """Tell whether a run that begins now may work at once: a slot is free, and nobody waits for it.

    It stays free until the transaction ends. Without a limit there is nothing to ask.
    """
    limit = project.limits.max_concurrent_runs
    return limit is None or await _ask(session, _IS_FREE_FOR_A_NEW_ONE, project.id, limit)


async def free(session: AsyncSession, project_id: str) -> bool:
    """Tell whether one more run of the project may work. It stays so until the transaction ends."""
    limit = (await execute(session, _LIMIT, {"project_id": project_id})).scalar()
    return limit is None or await _ask(session, _IS_FREE, project_id, limit)


async def next_up(session: AsyncSession, most: int) -> list[tuple[str, str]]:
    """Return (project, run) of those that are to be taken up next, in order. For the dispatcher's transaction."""
    return [(row[0], row[1]) for row in (await execute(session, _NEXT, {"most": most})).all()]


async def _ask(session: AsyncSession, question: TextClause, project_id: str, limit: int) -> bool:
    known = {"project_id": project_id}
    await execute(session, _QUEUE_UP, known)  # first: what it waited for is seen by the next statement only
    async with _seeing_all(session):
        return bool((await execute(session, question, known | {"limit": limit})).scalar())


@asynccontextmanager
async def _seeing_all(session: AsyncSession) -> AsyncIterator[None]:
    """Have runs of all the project's smiths count, whoever asks."""
    smith_id = (await execute(session, _SEE, {"smith_id": ""})).scalar()
    yield
    await execute(session, _SEE, {"smith_id": smith_id or ""})
