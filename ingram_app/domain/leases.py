"""Leases: who carries which run. A lease ends by itself when its holder is silent; then another takes the run up.

Every write of a carrier is fenced: it names its process and its attempt, and does nothing when either is outdated.
A run that pauses is let go of; when all that it waits for has been answered, it is leased anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import process, signals
from ingram_app.core.clock import now
from ingram_app.core.database import Tenancy, afterwards, compact, execute, keepable
from ingram_app.core.settings import settings
from ingram_app.domain import (
    access,
    approvals,
    event_types,
    events,
    frames,
    memory_ops,
    model_calls,
    runs,
    slots,
    spending,
    tool_calls,
    transcripts,
)
from ingram_app.domain.approvals import Approval
from ingram_app.domain.frames import Shown
from ingram_app.domain.memory_ops import OpKind
from ingram_app.domain.model_calls import Call
from ingram_app.domain.runs import BUSY, Run, RunStatus
from ingram_app.domain.tool_calls import ToolCall
from ingram_app.domain.transcripts import Transcript

RELEASED = "runs.released"
"""Told when a process that stops has let go of a run."""
_FENCED = "where id = :run_id and project_id = :project_id and lease_owner = :owner and attempt = :attempt"
_UNTIL = "clock_timestamp() + make_interval(secs => :seconds)"
_TAKE = text(
    "update runs set status = 'running', attempt = attempt + 1, lease_owner = :owner, reserved_micros = 0,"
    " updated_at = :now,"
    " carriers_lost = carriers_lost + (status = 'running' and lease_owner is not null)::int,"
    f" started_at = coalesce(started_at, :now), lease_until = {_UNTIL} where id = :run_id"
)
_RENEW = text(
    f"update runs set lease_until = {_UNTIL} {_FENCED}"
    f" returning cancel_asked_at is not null, cancel_reason, {spending.ANY}"
)
_OF_RUN = "id, project_id, smith_id, agent_id, agent_version, channel"
_RENEW_AND_STAMP = text(
    f"with held as (update runs set lease_until = {_UNTIL},"
    f" reserved_micros = case when :paid then 0 else reserved_micros end {_FENCED} returning {_OF_RUN},"
    f" cancel_asked_at is not null as cancelled, cancel_reason), stamped as ({model_calls.kept_for('held')})"
    f" select cancelled, cancel_reason, {spending.BY_NOW} from held"
)
_RESERVE = text(
    f"update runs set reserved_micros = :micros {_FENCED} returning id, project_id, agent_id, smith_id,"
    " (select s.customer_id from smiths s where s.id = runs.smith_id)"
)
_RELEASE = text(f"update runs set lease_until = clock_timestamp(), lease_owner = null {_FENCED}")
_LATER = memory_ops.AND_LATER.format(of="project_id", smith="smith_id", run=":run_id", rows="closed,")
_FINISH = text(
    "with held as (select t.id as thread from runs r join threads t on t.smith_id = r.smith_id and t.id = r.thread_id"
    " where r.id = :run_id and r.project_id = :project_id and t.project_id = :project_id for no key update of t),"
    " closed as (update runs set status = :status, output = cast(:output as jsonb), stop_reason = :stop_reason,"
    " error = cast(:error as jsonb), warnings = cast(:warnings as jsonb), input_tokens = :input_tokens,"
    " output_tokens = :output_tokens, cost_micros = :cost_micros, answered_by = :answered_by,"
    " finished_at = :now, updated_at = :now,"
    f" lease_owner = null, lease_until = null from held {_FENCED}"
    " returning runs.id, runs.project_id, runs.smith_id, runs.thread_id, runs.turn, runs.interrupted, runs.agent_id,"
    f" runs.agent_version, runs.channel), stamped as ({model_calls.kept_for('closed')}),"
    " told as (insert into events (id, project_id, type, smith_id, data, created_at)"
    " select :event_id, project_id, :event_type, smith_id,"
    " cast(:event_data as jsonb) || jsonb_build_object('thread_id', thread_id), :now from closed),"
    " said as (insert into frames (run_id, seq, project_id, event, data, created_at)"
    " select :run_id, f.seq, closed.project_id, f.event, f.data::json, clock_timestamp() from closed,"
    " unnest(cast(:seqs as int[]), cast(:events as text[]), cast(:data as text[])) as f(seq, event, data)),"
    " kept as (insert into transcripts (run_id, project_id, smith_id, thread_id, turn, messages, complete)"
    " select :run_id, project_id, smith_id, thread_id, turn, cast(:messages as jsonb), :complete or interrupted"
    " from closed where cast(:messages as text) is not null"
    " on conflict (run_id) do update set messages = excluded.messages, complete = excluded.complete),"
    f" later as ({_LATER})"
    f" select smith_id, thread_id, {spending.BY_NOW} from closed"
)
_PAUSE = text(
    "update runs set status = :status, output = cast(:output as jsonb), warnings = cast(:warnings as jsonb),"
    " input_tokens = :input_tokens, output_tokens = :output_tokens, cost_micros = :cost_micros,"
    f" answered_by = :answered_by, updated_at = :now, lease_owner = null, lease_until = null {_FENCED}"
)
_FOLLOW = [
    text(
        f"update {table} waiting set smith_id = r.smith_id from runs r"
        " where r.id = :run_id and waiting.run_id = r.id and waiting.smith_id <> r.smith_id"
    )
    for table in ("tool_calls", "approvals")
]
"""A claim may have moved the run to another smith while it worked."""
_LEAVE = text(
    "update runs set status = 'queued', ready_at = :now, lease_owner = null, lease_until = null, updated_at = :now"
    " where id = :run_id"
)
_ABANDONED = text(
    "select project_id, id from runs where status = 'running' and lease_until < clock_timestamp()"
    " order by lease_until limit 100"
)
_STEP_BACK = text("update runs set ready_at = null where id = :run_id")
_OUTCOME = ("output", "error", "warnings", "stop_reason", "input_tokens", "output_tokens", "cost_micros", "answered_by")
_AS_JSON = {"output", "error", "warnings"}


class LeaseLost(Exception):
    """Another process carries the run by now: let go of it at once, and write nothing more."""


class CancelAsked(Exception):
    """Somebody wants the run stopped."""

    def __init__(self, reason: str | None) -> None:
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to carry one run."""

    run_id: str
    project_id: str
    smith_id: str
    thread_id: str
    agent_id: str
    agent_version: int | None
    attempt: int

    @property
    def tenancy(self) -> Tenancy:
        return Tenancy(project_id=self.project_id)

    @property
    def fence(self) -> dict[str, Any]:
        """What every write of the carrier is conditional on, as parameters."""
        return {
            "run_id": self.run_id,
            "project_id": self.project_id,
            "owner": process.NAME,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class Held:
    """What the holder of a lease learns when it goes on holding it."""

    cancelled: bool
    """The run is to be stopped."""
    reason: str | None
    budgeted: bool
    """The project has budgets by now."""
    spent: int = 0
    """What was kept with it of model calls, in micros; budgets have not counted it yet."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    status: RunStatus
    values: dict[str, Any]
    """Columns of the run: output, stop_reason, error, usage …"""
    transcript: Transcript | None = None
    """What it added. Of a run that was stopped it joins the history only if it was interrupted."""
    reason: str | None = None
    """Said by who cancelled it."""
    at: datetime = field(default_factory=now)
    later: Sequence[tuple[OpKind, float]] = ()
    """What is to be done for the smith's memory afterwards, and in how many seconds."""

    def show_on(self, run: Run) -> None:
        """Have a run in memory say what its row says now: whoever waits for it here need not read that."""
        for name in _OUTCOME:
            setattr(run, name, keepable(self.values.get(name)))
        run.status, run.finished_at, run.updated_at = self.status, self.at, self.at


@dataclass(frozen=True, slots=True)
class Pause:
    """What a run waits for."""

    status: RunStatus
    reason: str
    """`approval` or `tool`."""
    values: dict[str, Any]
    """Columns of the run: output, warnings, usage."""
    asked: list[Approval]
    handed_out: list[ToolCall]
    transcript: Transcript | None = None
    """What the run has added, with what is known of its calls so far."""


def of(run: Run) -> Lease:
    """Return the lease on a run that this process has just claimed."""
    return Lease(run.id, run.project_id, run.smith_id, run.thread_id, run.agent_id, run.agent_version, run.attempt)


async def claim(session: AsyncSession, run_id: str) -> Run | None:
    """Take up a run that waits and whose turn it is, or whose carrier went silent; nothing, if another was faster."""
    run = (await session.exec(select(Run).where(Run.id == run_id).with_for_update(skip_locked=True))).first()
    if run is None or not await _may_be_taken(session, run) or not await slots.free(session, run.project_id):
        return None
    if run.attempt == 0:
        await frames.write(session, run.project_id, run.id, frames.RunStarted(run.smith_id, run.thread_id))
    await _take(session, run)
    return run


async def renew(session: AsyncSession, lease: Lease, calls: list[Call] | None = None, *, paid: bool = True) -> Held:
    """Go on holding a run. Raises `LeaseLost`.

    Model calls that it has made meanwhile are kept, and taken out of the list once they are; nothing is held back for
    them any more, unless the one that was admitted is not `paid` yet. Whoever calls has them counted in the end.
    """
    known = lease.fence | {"seconds": settings().run_lease_seconds}
    spent = model_calls.cost(calls or [])
    if calls:
        known |= {"calls": model_calls.spelt(calls), "paid": paid}
        row = (await execute(session, _RENEW_AND_STAMP, known)).first()
        afterwards(session, calls.clear)
    else:
        row = (await execute(session, _RENEW, known)).first()
    if row is None:
        raise LeaseLost(lease.run_id)
    return Held(row[0], row[1], row[2], spent)


async def count(session: AsyncSession, lease: Lease, held: Held) -> None:
    """Have budgets count what was kept: last in the transaction, for others wait for their rows."""
    if held.budgeted:
        await spending.count(session, lease.project_id, held.spent, run_id=lease.run_id)


async def reserve(session: AsyncSession, lease: Lease, micros: int) -> str | None:
    """Hold back what the run's next model call will cost; return the budget, if any, that asks for a cheaper model.

    Raises `LeaseLost`, `BudgetExceeded`.
    """
    row = (await execute(session, _RESERVE, lease.fence | {"micros": micros})).first()
    if row is None:
        raise LeaseLost(lease.run_id)
    return await spending.admit(session, spending.Spender(*row))


async def release(session: AsyncSession, lease: Lease) -> None:
    """Let another process take the run up at once."""
    await execute(session, _RELEASE, lease.fence)
    signals.send(session, RELEASED)


async def say(session: AsyncSession, lease: Lease, batch: list[Shown]) -> None:
    """Keep frames of the run, and hand them to its watchers. Raises `LeaseLost`."""
    if not await frames.append(session, lease.run_id, batch, owner=process.NAME, attempt=lease.attempt):
        raise LeaseLost(lease.run_id)


async def checkpoint(
    session: AsyncSession, lease: Lease, transcript: Transcript, batch: list[Shown], calls: list[Call]
) -> Held:
    """Keep what the run has added so far, what it took, and the frames that tell of it. Raises `LeaseLost`."""
    held = await renew(session, lease, calls)
    await transcripts.keep(session, transcript)
    if batch:
        await say(session, lease, batch)
    return held


async def finish(
    session: AsyncSession, lease: Lease, ending: Ending, last_frames: list[Shown], calls: list[Call]
) -> None:
    """Close the run: last frames, transcript, calls, row, event, and the next of its thread. Raises `LeaseLost`.

    The thread is that which the run is of now: a claim may have moved both to another smith.
    """
    outcome = _columns(ending.values)
    messages = None if ending.transcript is None else compact(ending.transcript.messages)
    about = {"status": ending.status.value, "now": ending.at, **events.columns(_event(lease, ending))}
    told = {"messages": messages, "complete": ending.status is RunStatus.completed, **frames.columns(last_frames)}
    values = lease.fence | outcome | about | told | memory_ops.columns(ending.later)
    values |= {"calls": model_calls.spelt(calls)}
    thread = (await execute(session, _FINISH, values)).first()
    if thread is None:  # it may have been moved while we waited for it: then it is found where it is now
        thread = (await execute(session, _FINISH, values)).first()
    if thread is None:
        raise LeaseLost(lease.run_id)
    afterwards(session, calls.clear)
    frames.hand_over(session, lease.run_id, last_frames)
    signals.send(session, runs.topic(lease.project_id))
    events.told(session, lease.project_id)
    if ending.later:
        signals.send(session, memory_ops.DUE)
    await slots.next_in_thread(session, lease.project_id, thread[0], thread[1])
    if thread[2]:
        await spending.count(session, lease.project_id, model_calls.cost(calls), run_id=lease.run_id)


async def pause(session: AsyncSession, lease: Lease, pause: Pause, last_frames: list[Shown], calls: list[Call]) -> None:
    """Let go of a run that waits for others: what it waits for, its frames and its row, all in one.

    Raises `LeaseLost`, and `CancelAsked` when there is no more to wait for.
    """
    held = await renew(session, lease, calls)
    if held.cancelled:
        raise CancelAsked(held.reason)
    if pause.transcript is not None:
        await transcripts.keep(session, pause.transcript)
    await tool_calls.begin(session, lease.project_id, pause.handed_out)
    await approvals.ask(session, pause.asked)
    await say(session, lease, last_frames)
    row = _columns(pause.values) | {"status": pause.status.value, "now": now()}
    await execute(session, _PAUSE, lease.fence | row)
    for statement in _FOLLOW:
        await execute(session, statement, {"run_id": lease.run_id})
    paused = event_types.RunPaused(lease.run_id, lease.thread_id, pause.reason)
    await events.tell(session, access.platform(lease.project_id), paused, smith_id=lease.smith_id)
    await count(session, lease, held)
    signals.send(session, runs.topic(lease.project_id))


async def resume(session: AsyncSession, run: Run) -> None:
    """Have a paused run, which the caller of this has locked, go on: here at once, or by way of the queue."""
    run.output = None
    session.add(run)
    await frames.write(session, run.project_id, run.id, frames.RunResumed())
    if process.SEATS.free and await slots.free(session, run.project_id):
        await _take(session, run)
        afterwards(session, lambda: signals.publish(runs.BORN, item=run))
        return
    await execute(session, _LEAVE, {"run_id": run.id, "now": now()})
    await session.refresh(run)
    runs.changed(session, run)
    signals.send(session, slots.READY)


async def abandoned(session: AsyncSession) -> list[tuple[str, str]]:
    """Return (project, run) of every run whose carrier went silent. For the dispatcher's transaction."""
    return [(row[0], row[1]) for row in (await execute(session, _ABANDONED)).all()]


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    """Return a run's outcome as parameters of a statement that keeps it."""
    outcome = {name: values.get(name) for name in _OUTCOME}
    return outcome | {name: None if outcome[name] is None else compact(outcome[name]) for name in _AS_JSON}


async def _take(session: AsyncSession, run: Run) -> None:
    taken = {"run_id": run.id, "owner": process.NAME, "now": now(), "seconds": settings().run_lease_seconds}
    await execute(session, _TAKE, taken)
    await session.refresh(run)
    runs.changed(session, run)


def _event(lease: Lease, ending: Ending) -> event_types.AnyEvent:
    values = ending.values
    spent = None
    if "input_tokens" in values:
        spent = model_calls.shown(values["input_tokens"], values["output_tokens"], values.get("cost_micros"))
    whose = (lease.run_id, lease.thread_id, lease.agent_id, lease.agent_version, ending.status.value)
    match ending.status:
        case RunStatus.completed:
            return event_types.RunCompleted(*whose, values.get("stop_reason"), spent)
        case RunStatus.failed:
            return event_types.RunFailed(*whose, values.get("error"), spent)
    return event_types.RunCancelled(*whose, ending.reason, spent)


async def _may_be_taken(session: AsyncSession, run: Run) -> bool:
    if run.status is RunStatus.running:
        expired = select(col(Run.lease_until) < func.clock_timestamp()).where(Run.id == run.id)
        return bool((await session.exec(expired)).one())
    if run.status is not RunStatus.queued:
        return False
    earlier = select(Run.id).where(
        Run.smith_id == run.smith_id,
        Run.thread_id == run.thread_id,
        col(Run.status).in_(BUSY) | ((col(Run.status) == "queued") & (Run.turn < run.turn)),
    )
    if (await session.exec(earlier.limit(1))).first() is None:
        return True
    await execute(session, _STEP_BACK, {"run_id": run.id})  # it is handed over again when what is before it is over
    return False
