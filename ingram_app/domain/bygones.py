"""Bygones: runs that ended, and threads that fell silent, longer ago than their project keeps them.

A run goes with all that hangs on it: its frames, messages, tool calls, approvals, spans, and the attachments of its
thread that no other run of it names. A thread goes as one does that is deleted. The ledger and the audit log stay, and
so does what a smith has learnt. What somebody holds just now is left to the next sweep.
"""

from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import execute
from ingram_app.domain import audit, conversations
from ingram_app.domain.access import Caller

AT_ONCE = 100
"""Runs, or threads, that go in one transaction."""

_UNREAD = (
    "select e.created_at - interval '1 hour' from trace_exports x cross join lateral (select created_at from events"
    " where project_id = x.project_id and (position, id) > (x.seen_position, x.seen_id)"
    " order by position, id limit 1) e"
    " where x.project_id = :project_id and x.active"
)
"""From when on an export may still want runs: events stand in the order of their transactions, not of their times."""
_OVER = text(
    "select id, smith_id from runs r where project_id = :project_id and created_at < :before and finished_at < :before"
    " and status in ('completed', 'failed', 'cancelled')"
    " and not exists (select from memory_ops o where o.run_id = r.id and o.due_at is not null)"
    f" and finished_at < coalesce(({_UNREAD}), 'infinity') order by created_at, id limit :most"
)
_SMITHS = text("select id from smiths where project_id = :project_id and id = any(:whose) for key share skip locked")
_THREADS = text(
    "select id from threads where project_id = :project_id and (smith_id, id) in (select smith_id, thread_id from runs"
    " where project_id = :project_id and id = any(:run_ids)) for no key update skip locked"
)
_RUNS = text(
    "select id, smith_id, thread_id from runs where project_id = :project_id and id = any(:run_ids)"
    " and smith_id = any(:whose) and (thread_id = '' or thread_id = any(:threads)) for update skip locked"
)
_DELETE = (
    text("delete from idempotency_keys where owner_id = :project_id and resource_id = any(:run_ids)"),
    text("delete from runs where project_id = :project_id and id = any(:run_ids)"),
    text(
        "delete from attachments a where project_id = :project_id and created_at < :before"
        " and (smith_id, thread_id) in (select * from unnest(cast(:smiths as text[]), cast(:threads as text[])))"
        " and not exists (select from runs r where r.smith_id = a.smith_id and r.thread_id = a.thread_id"
        " and strpos(r.input::text, a.sha256) > 0)"
    ),
)
_SILENT = text(
    "select t.smith_id, t.id from threads t join smiths s on s.id = t.smith_id"
    " where t.project_id = :project_id and t.last_activity_at < :before"
    " and not exists (select from runs r where r.smith_id = t.smith_id and r.thread_id = t.id"
    " and (r.finished_at is null or r.finished_at >= :before"
    f" or r.finished_at >= coalesce(({_UNREAD}), 'infinity')"
    " or exists (select from memory_ops o where o.run_id = r.id and o.due_at is not null)))"
    " limit :most for key share of s skip locked for update of t skip locked"
)


async def sweep_runs(session: AsyncSession, caller: Caller, days: int) -> int:
    """Erase some of the runs that ended so many days ago; return how many, none when there are no more."""
    caller.require("project:write")
    known: dict[str, Any] = {"project_id": caller.project_id, "before": now() - timedelta(days=days), "most": AT_ONCE}
    found = (await execute(session, _OVER, known)).all()
    known |= {"run_ids": [row[0] for row in found], "whose": sorted({row[1] for row in found})}
    known["whose"] = [row[0] for row in (await execute(session, _SMITHS, known)).all()]
    known["threads"] = [row[0] for row in (await execute(session, _THREADS, known)).all()]
    held = (await execute(session, _RUNS, known)).all()
    known["run_ids"], known["smiths"], known["threads"] = ([row[place] for row in held] for place in range(3))
    for statement in _DELETE if held else ():
        await execute(session, statement, known)
    return len(held)


async def sweep_threads(session: AsyncSession, caller: Caller, days: int) -> int:
    """Erase some of the threads that have been silent for so many days; return how many, none when there are no more.

    What their runs used and cost is kept, in runs that hold nothing else.
    """
    caller.require("project:write")
    known = {"project_id": caller.project_id, "before": now() - timedelta(days=days), "most": AT_ONCE}
    silent = (await execute(session, _SILENT, known)).all()
    for smith_id, thread_id in silent:
        await conversations.wipe(session, caller, smith_id, thread_id)
    return len(silent)


async def note(session: AsyncSession, caller: Caller, runs: int, threads: int) -> None:
    """Have the audit log tell of what a sweep came to."""
    await audit.note(session, caller, "project.swept", caller.project_id, runs=runs, threads=threads)
