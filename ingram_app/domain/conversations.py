"""Conversations: a thread with all that was said in it: read back, followed as it goes on, and deleted.

What is read back is what the smith remembers, the turns that completed or were interrupted, and those under way.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.database import Tenancy, execute, transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.settings import settings
from ingram_app.domain import approvals, audit, frames, runs, smiths, speech, summaries, threads
from ingram_app.domain.access import Caller
from ingram_app.domain.frames import Shown
from ingram_app.domain.paging import FIRST, InvalidCursor, Page, Place, cursor, number
from ingram_app.domain.speech import Message
from ingram_app.domain.summaries import Summary
from ingram_app.domain.threads import Thread


@dataclass(frozen=True, slots=True)
class Conversation:
    """A thread, and the last summary of it, if there is one."""

    thread: Thread
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class Point:
    """A frame of a thread's runs, after which someone goes on listening."""

    turn: int
    """The number of its run on the thread."""
    run_id: str | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """A frame and the run that said it."""

    run_id: str
    frame: Shown

    @property
    def id(self) -> str:
        return f"{self.run_id}:{self.frame.seq}"


class UnknownFrame(Invalid):
    """There is no frame {given} on this thread. A frame is named by its run and its number, as in `run_…:7`."""

    code = "invalid_last_event_id"


_OF_THREAD = "r.project_id = :project_id and r.smith_id = :smith_id and r.thread_id = :thread_id"
_LIVE = "r.status not in ('completed', 'failed', 'cancelled')"
_MESSAGES = text(
    "select r.turn, m.n, r.id as run_id, r.created_at, m.message from runs r"
    " left join transcripts t on t.run_id = r.id and t.project_id = r.project_id"
    " cross join lateral (select n, message from jsonb_array_elements(coalesce(t.messages, r.input))"
    " with ordinality as each(message, n) order by n desc) m"
    f" where {_OF_THREAD} and (t.complete or {_LIVE}) and (r.turn, m.n) < (:turn, :n)"
    " order by r.turn desc, m.n desc limit :limit"
)
_NEXT = text(
    "select r.id, r.turn, r.status from threads t left join lateral (select r.id, r.turn, r.status from runs r"
    f" where {_OF_THREAD} and r.turn > :turn order by r.turn limit 1) r on true"
    " where t.project_id = :project_id and t.smith_id = :smith_id and t.id = :thread_id and t.created_at = :begun"
)
_FIRST_LIVE = text(f"select min(r.turn) from runs r where {_OF_THREAD} and {_LIVE}")
_OF_RUN = text(f"select r.turn from runs r where {_OF_THREAD} and r.id = :run_id")
_WORKING = text(f"select r.id from runs r where {_OF_THREAD} and {_LIVE} order by r.turn desc")
_END_LIVE = text(
    "update runs r set status = 'cancelled', cancel_asked_at = coalesce(cancel_asked_at, clock_timestamp()),"
    " finished_at = clock_timestamp(), lease_owner = null, lease_until = null"
    f" where {_OF_THREAD} and {_LIVE} returning r.id"
)
_EMPTY_RUNS = text(
    "update runs r set thread_id = '', turn = 0, input = '[]', output = null, error = null, warnings = '[]',"
    " config = '{}', metadata = '{}', response_format = null, rendered_instructions = null, cancel_reason = null,"
    " updated_at = clock_timestamp()"
    f" where {_OF_THREAD} returning r.id"
)
_OF_RUNS = "where project_id = :project_id and run_id = any(:run_ids)"
_DELETE = (
    text(f"delete from frames {_OF_RUNS}"),
    text(f"delete from transcripts {_OF_RUNS}"),
    text(f"delete from approvals {_OF_RUNS}"),
    text(f"delete from tool_calls {_OF_RUNS}"),
    text(f"delete from recollections {_OF_RUNS}"),
    text(f"delete from retrievals {_OF_RUNS}"),
    text(f"delete from sent_traces {_OF_RUNS}"),
    text("delete from idempotency_keys where owner_id = :project_id and resource_id = any(:run_ids)"),
    text("delete from threads where project_id = :project_id and smith_id = :smith_id and id = :thread_id"),
)


async def messages(
    session: AsyncSession, caller: Caller, smith_id: str, thread_id: str, place: Place = FIRST
) -> Page[Message]:
    """Return what was said on a thread, newest first. Raises `SmithMismatch`, `NotFound`."""
    await threads.find(session, caller, smith_id, thread_id)
    turn, n = _before(place)
    wanted = {"turn": turn, "n": n, "limit": place.limit + 1}
    rows = (await execute(session, _MESSAGES, _known(caller.project_id, smith_id, thread_id) | wanted)).all()
    shown = rows[: place.limit]
    told = [speech.read(message, run_id, begun.astimezone(UTC)) for _, _, run_id, begun, message in shown]
    if len(rows) <= place.limit:
        return Page(told, None)
    last_turn, last_n, *_ = shown[-1]
    return Page(told, cursor(last_turn, str(last_n)))


async def find(session: AsyncSession, caller: Caller, smith_id: str, thread_id: str) -> Conversation:
    """Return a thread with what it remembers of its older turns. Raises `SmithMismatch`, `NotFound`."""
    thread = await threads.find(session, caller, smith_id, thread_id)
    return Conversation(thread, await summaries.latest(session, thread))


async def stop(session: AsyncSession, caller: Caller, smith_id: str, thread_id: str) -> list[str]:
    """Ask every live run of a thread to stop, those that wait too; return which will. Raises as `threads.find`."""
    caller.require("runs:write")
    await _hold(session, caller, smith_id, thread_id)
    found = await execute(session, _WORKING, _known(caller.project_id, smith_id, thread_id))
    live = [run_id for (run_id,) in found.all()]
    for run_id in live:
        await runs.cancel(session, caller, smith_id, run_id, "The thread was deleted.")
    return live


async def stopped(project_id: str, run_ids: Sequence[str]) -> None:
    """Return when the runs that were asked to stop have, or would have long ago if anybody carried them."""
    with suppress(TimeoutError):
        async with asyncio.timeout(settings().run_lease_seconds):
            for run_id in run_ids:
                await frames.until_over(project_id, run_id)


async def remove(session: AsyncSession, caller: Caller, smith_id: str, thread_id: str) -> None:
    """Delete a thread with all that was said in it. Who has something to say yet finds nothing to write to.

    What its runs used and cost is kept, in runs of no thread that hold nothing else.
    Raises `SmithMismatch`, `NotFound`.
    """
    caller.require("runs:write")
    await _hold(session, caller, smith_id, thread_id)
    known: dict[str, Any] = _known(caller.project_id, smith_id, thread_id)
    for (run_id,) in (await execute(session, _END_LIVE, known)).all():
        signals.send(session, f"{runs.CANCEL}:{run_id}", frames.topic(run_id))
    emptied = await wipe(session, caller, smith_id, thread_id)
    await audit.note(session, caller, "thread.deleted", thread_id, smith_id=smith_id, runs=emptied)


async def wipe(session: AsyncSession, caller: Caller, smith_id: str, thread_id: str) -> int:
    """Delete a thread of which no run is live, with all that was said in it; return how many runs were emptied.

    Whoever calls holds the thread, and has asked for permission.
    """
    known: dict[str, Any] = _known(caller.project_id, smith_id, thread_id)
    known["run_ids"] = [run_id for (run_id,) in (await execute(session, _EMPTY_RUNS, known)).all()]
    for statement in _DELETE:
        await execute(session, statement, known)
    of_project = runs.topic(caller.project_id), approvals.topic(caller.project_id)
    signals.send(session, *of_project, threads.topic(smith_id, thread_id))
    return len(known["run_ids"])


async def point(session: AsyncSession, thread: Thread, last: str | None) -> Point:
    """Return where to go on after the frame `last`, `run_…:7`; without one, before the first run that is not over.

    Raises `UnknownFrame`.
    """
    known = _known(thread.project_id, thread.smith_id, thread.id)
    if not last:
        first = (await execute(session, _FIRST_LIVE, known)).scalar()
        return Point(thread.run_count if first is None else first - 1)
    run_id, _, seq = last.partition(":")
    turn = (await execute(session, _OF_RUN, known | {"run_id": run_id})).scalar()
    if turn is None or not (seq.isascii() and seq.isdigit() and len(seq) < 10):
        raise UnknownFrame(given=repr(last[:80]), param="Last-Event-ID")
    return Point(turn, run_id, int(seq))


async def follow(thread: Thread, since: Point) -> AsyncIterator[Said | None]:
    """Yield the frames of the thread's runs past a point, run after run, for as long as the thread is there.

    `None` when it is quiet. Whoever calls has checked that it may be seen. No connection is held while waiting.
    """
    turn, run_id, place = since.turn, since.run_id, since.seq
    with signals.listening(threads.topic(thread.smith_id, thread.id)) as heard:
        while True:
            if run_id is not None:
                async for frame in frames.follow(thread.project_id, run_id, place):
                    place = frame.seq if frame else place
                    yield Said(run_id, frame) if frame else None
                if not await frames.told_all(thread.project_id, run_id, place):
                    if not await _goes_on(thread.project_id, run_id, place):
                        yield None
                    continue
            following = await _next(thread, turn)
            if following is None:
                return
            next_id, next_turn, status = following
            run_id, place = None, 0
            if next_id is not None and status != "queued":
                turn, run_id = next_turn, next_id
            elif await frames.heard_on(heard) is frames.QUIET:
                yield None


async def _hold(session: AsyncSession, caller: Caller, smith_id: str, thread_id: str) -> None:
    """Keep new turns of a thread waiting until the transaction ends. Raises `SmithMismatch`, `NotFound`."""
    await smiths.embody(session, caller, smith_id, stays=True)
    await threads.find(session, caller, smith_id, thread_id)
    if not await threads.hold(session, caller.project_id, smith_id, thread_id):
        raise NotFound(noun="thread", id=thread_id)


async def _next(thread: Thread, turn: int) -> Sequence[Any] | None:
    """Return id, number and status of the run after that of this number, three times None when none is there yet;
    nothing when the thread has gone."""
    known = _known(thread.project_id, thread.smith_id, thread.id) | {"turn": turn, "begun": thread.created_at}
    async with transaction(Tenancy(project_id=thread.project_id)) as session:
        return (await execute(session, _NEXT, known)).first()


async def _goes_on(project_id: str, run_id: str, place: int) -> bool:
    """Wait for a run that has paused after `place`; return whether something was heard of it."""
    with signals.listening(frames.topic(run_id)) as heard:
        async with transaction(Tenancy(project_id=project_id)) as session:
            if await frames.browse(session, project_id, run_id, place, 1):
                return True
        return await frames.heard_on(heard) is not frames.QUIET


def _before(place: Place) -> tuple[int, int]:
    """Return the turn and the message in it before which a page begins. Raises `InvalidCursor`."""
    after = place.after(number)
    if after is None:
        return 2**31 - 1, 0
    try:
        return after[0], number(after[1])
    except ValueError:
        raise InvalidCursor(cursor=repr(place.cursor), param="cursor") from None


def _known(project_id: str, smith_id: str, thread_id: str) -> dict[str, Any]:
    return {"project_id": project_id, "smith_id": smith_id, "thread_id": thread_id}
