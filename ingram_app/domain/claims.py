"""Claims: someone who was anonymous has signed in, and keeps what was said.

anon:… ──claim──▶ the user's smith                       when the user has none of this agent yet
anon:… ──claim──▶ archived, all that was said moves over  when there is one; that one's config and customer hold

A run that is under way moves too, and ends where it now belongs. A thread whose id the user has already gets one of
ours. Every token of the anonymous smith ends: it was given to a stranger, and would now open a person's assistant.
"""

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import execute
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import audit, event_types, events, memory, runs, slots, smiths, tokens
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import Run
from ingram_app.domain.smiths import ANONYMOUS, Clone, Smith

THREADS = {"threads": "id", "runs": "thread_id", "transcripts": "thread_id", "recollections": "thread_id"}
"""The tables that move, in the order in which carriers lock them, and where each names its thread.

Summaries and attachments go with their thread.
"""


class SmithNotAnonymous(Conflict):
    """The smith {smith_id} is somebody's: only one whose external id begins with `anon:` can be claimed."""


class InvalidExternalId(Invalid):
    """Who has signed in has an external id from 1 to 200 characters that does not begin with `anon:`."""


async def claim(session: AsyncSession, caller: Caller, smith_id: str, external_id: str) -> Clone:
    """Return the user's smith, which now has what was said to the anonymous one; asked again, it is the same.

    Raises `NotFound`, `SmithNotAnonymous`, `InvalidExternalId`.
    """
    caller.require("smiths:write")
    if not 1 <= len(external_id) <= smiths.EXTERNAL_ID_LENGTH or external_id.startswith(ANONYMOUS):
        raise InvalidExternalId(param="external_id")
    smith = await smiths.hold(session, caller, smith_id)
    known = await smiths.find(session, caller, smith.moved_to or smith_id)
    if known.smith.external_id == external_id:
        return known
    if not (known.smith.external_id or "").startswith(ANONYMOUS):
        raise SmithNotAnonymous(smith_id=smith_id)
    user = await _of_user(session, caller, smith, external_id)
    while user is None and not await _rename(session, smith, external_id):
        user = await _of_user(session, caller, smith, external_id)  # it was made just now
    if user is not None:
        await _move(session, caller, smith, user)
    await tokens.revoke_of_smith(session, caller, smith_id)
    claimed = event_types.SmithClaimed(external_id=external_id, from_smith_id=smith_id if user else None)
    kept_id = user.id if user else smith_id
    await events.tell(session, caller, claimed, smith_id=kept_id)
    await audit.note(session, caller, "smith.claimed", kept_id, from_smith_id=smith_id)
    return await smiths.find(session, caller, kept_id)


async def outcome(session: AsyncSession, run: Run) -> Run:
    """Return a run as it stands now, for whoever has waited for it; a claim may have moved it. Raises `NotFound`."""
    query = select(Run).where(Run.project_id == run.project_id, Run.id == run.id)
    if (found := (await session.exec(query)).first()) is None:
        raise NotFound(noun="run", id=run.id)
    return found


async def _of_user(session: AsyncSession, caller: Caller, smith: Smith, external_id: str) -> Smith | None:
    """Return the user's smith of the same agent, held; anonymous ones are always held first, so nobody crosses."""
    query = select(Smith).where(
        Smith.project_id == caller.project_id,
        Smith.external_id == external_id,
        Smith.agent_id == smith.agent_id,
        col(Smith.archived_at).is_(None),
    )
    return (await session.exec(query.with_for_update())).first()


async def _rename(session: AsyncSession, smith: Smith, external_id: str) -> bool:
    """Make it the user's smith; not, when one was made at the same moment."""
    named = sa.update(Smith).where(col(Smith.id) == smith.id).values(external_id=external_id, updated_at=now())
    try:
        async with session.begin_nested():
            await execute(session, named)
    except sa.exc.IntegrityError:
        return False
    await session.refresh(smith)
    return True


async def _move(session: AsyncSession, caller: Caller, smith: Smith, user: Smith) -> None:
    """Give the user's smith all that was said to the anonymous one, and archive that."""
    between = {"project_id": smith.project_id, "from": smith.id, "to": user.id}
    taken = [row[0] for row in (await execute(session, _TAKEN, between)).all()]
    names = {"old": taken, "new": [new_id("thr") for _ in taken]}
    for table, column in THREADS.items():
        await execute(session, _moved(table, column), between | names)
    await execute(session, _FACTS, between)
    for statement in (_DONE_FOR_BOTH, *_PLAIN, _CONNECTIONS):
        await execute(session, statement, between)
    await _fold(session, caller, smith, user)
    smith.archived_at = smith.updated_at = now()
    smith.moved_to = user.id
    await session.flush()
    for (thread_id,) in (await execute(session, _WAITING, between)).all():  # whoever came for one meanwhile went away
        slots.next_in_thread(session, user.project_id, user.id, thread_id)
    signals.send(session, runs.topic(smith.project_id))


async def _fold(session: AsyncSession, caller: Caller, smith: Smith, user: Smith) -> None:
    """Add what the anonymous smith's document says to the user's; not, when there is no room for it."""
    stranger, known = [await memory.newest(session, smith.project_id, one.id) for one in (smith, user)]
    if stranger is None or (known and stranger.content in known.content):
        return
    both = f"{known.content.rstrip()}\n\n{stranger.content}" if known else stranger.content
    if len(both.encode()) <= memory.MOST_BYTES:
        await memory.write(session, caller, user.id, both)


_FACTS = sa.text(
    "update memories m set smith_id = cast(:to as varchar), superseded_by = coalesce(m.superseded_by,"
    " (select same.id from memories same where same.project_id = :project_id"
    " and same.smith_id = cast(:to as varchar) and same.digest = m.digest and same.superseded_by is null))"
    " where m.project_id = :project_id and m.smith_id = :from"
)
"""What both know is held once: of the anonymous smith's it becomes history."""
_PLAIN = [
    sa.text(f"update {table} set smith_id = :to where project_id = :project_id and smith_id = :from")
    for table in ("vectors", "retrievals", "memory_ops", "tool_calls", "approvals", "sent_traces", "sent_spans")
]
_DONE_FOR_BOTH = sa.text(
    "delete from memory_ops op where op.project_id = :project_id and op.smith_id = :from and op.state = 'waiting'"
    " and op.kind <> 'learn' and exists (select from memory_ops theirs where theirs.project_id = :project_id"
    " and theirs.smith_id = :to and theirs.state = 'waiting' and theirs.kind = op.kind)"
)
_CONNECTIONS = sa.text(
    "update connections c set smith_id = cast(:to as varchar) where c.project_id = :project_id and c.smith_id = :from"
    " and not exists (select from connections theirs where theirs.project_id = :project_id"
    " and theirs.smith_id = cast(:to as varchar) and theirs.provider = c.provider)"
)
"""An account of the same service that the user has connected already is the one that counts."""
_TAKEN = sa.text(
    "select id from threads where project_id = :project_id and smith_id = :from"
    " and id in (select id from threads where project_id = :project_id and smith_id = :to)"
)
_WAITING = sa.text(
    "select distinct thread_id from runs where project_id = :project_id and smith_id = :to and status = 'queued'"
)


def _moved(table: str, column: str) -> sa.TextClause:
    renamed = f"select new from unnest(cast(:old as text[]), cast(:new as text[])) as n(old, new) where old = {column}"
    return sa.text(
        f"update {table} set smith_id = :to, {column} = coalesce(({renamed}), {column})"
        " where project_id = :project_id and smith_id = :from"
    )
