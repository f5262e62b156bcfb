"""Leases: who carries which run. A lease ends by itself when its holder is silent; then another takes the run up.

Every write of a carrier is fenced: it names its process and its attempt, and does nothing when either is outdated.
A run that pauses is let go of; when all that it waits for has been answered, it is leased anew.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import process, signals
from ingram_app.core.clock import now
from ingram_app.core.database import Tenancy, afterwards, answered, compact, execute
from ingram_app.core.journeys import Rows
from ingram_app.core.settings import settings
from ingram_app.domain import (
    access,
    approvals,
    batches,
    event_types,
    events,
    frames,
    model_calls,
    runs,
    slots,
    spending,
    tool_calls,
    transcripts,
)
from ingram_app.domain.approvals import Approval
from ingram_app.domain.frames import Shown
from ingram_app.domain.model_calls import Call
from ingram_app.domain.runs import BUSY, Run, RunStatus
from ingram_app.domain.tool_calls import ToolCall
from ingram_app.domain.transcripts import Transcript

RELEASED = "runs.released"
"""Told when a process that stops has let go of a run."""
FENCED = "where id = :run_id and project_id = :project_id and lease_owner = :owner and attempt = :attempt"
_UNTIL = "clock_timestamp() + make_interval(secs => :seconds)"
_TAKE = text(
    "update runs set status = 'running', attempt = attempt + 1, lease_owner = :owner, reserved_micros = 0,"
    " updated_at = :now,"
    " carriers_lost = carriers_lost + (status = 'running' and lease_owner is not null)::int,"
    f" started_at = coalesce(started_at, :now), lease_until = {_UNTIL} where id = :run_id"
)
_RENEW = text(
    f"update runs set lease_until = {_UNTIL} {FENCED}"
    f" returning cancel_asked_at is not null, cancel_reason, {spending.ANY}"
)
_OF_RUN = "id, project_id, smith_id, agent_id, agent_version, channel"
_RENEW_AND_STAMP = text(
    f"with held as (update runs set lease_until = {_UNTIL},"
    f" reserved_micros = case when :paid then 0 else reserved_micros end {FENCED} returning {_OF_RUN},"
    f" cancel_asked_at is not null as cancelled, cancel_reason), stamped as ({model_calls.kept_for('held')})"
    f" select cancelled, cancel_reason, {spending.BY_NOW} from held"
)
_RESERVE = text(
    f"update runs set reserved_micros = :micros {FENCED} returning id, project_id, agent_id, smith_id,"
    " (select s.customer_id from smiths s where s.id = runs.smith_id)"
)
_RELEASE = text(f"update runs set lease_until = clock_timestamp(), lease_owner = null {FENCED}")
_PAUSE = text(
    "update runs set status = :status, output = cast(:output as jsonb), warnings = cast(:warnings as jsonb),"
    " input_tokens = :input_tokens, output_tokens = :output_tokens, cost_micros = :cost_micros,"
    f" answered_by = :answered_by, updated_at = :now, lease_owner = null, lease_until = null {FENCED}"
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
OUTCOME = ("output", "error", "warnings", "stop_reason", "input_tokens", "output_tokens", "cost_micros", "answered_by")
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

    def check(self, written: Rows) -> None:
        """Raises `LeaseLost` when a write that was conditional on the lease did nothing."""
        if not written.rowcount:
            raise LeaseLost(self.run_id)


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
    kept = batches.append(session, lease.run_id, batch, owner=process.NAME, attempt=lease.attempt)
    await answered(session)
    lease.check(kept)
    frames.hand_over(session, lease.run_id, batch)


async def say_alone(session: AsyncSession, lease: Lease, batch: list[Shown]) -> None:
    """Keep frames of the run in a transaction that does nothing else, unless that was done and nobody came to know.

    It raises `LeaseLost` at its end.
    """
    if not await batches.is_there(session, lease.project_id, lease.run_id, batch[-1]):
        kept = batches.append(session, lease.run_id, batch, owner=process.NAME, attempt=lease.attempt)
        afterwards(session, lambda: lease.check(kept))
    frames.hand_over(session, lease.run_id, batch)


def say_together(session: AsyncSession, said: list[tuple[Lease, list[Shown]]]) -> Rows:
    """Keep frames of several runs of a project in a transaction that does nothing else, and hand them over.

    It gives the run and the attempt of each lease for which they are kept. A run whose row is in use is not waited for.
    """
    held = batches.append_together(
        session, [(lease.run_id, lease.attempt, batch) for lease, batch in said], process.NAME
    )

    def hand_over() -> None:
        for lease, batch in said:
            if (lease.run_id, lease.attempt) in held.all():
                frames.go_out(lease.run_id, batch)

    afterwards(session, hand_over)
    return held


async def checkpoint(
    session: AsyncSession, lease: Lease, transcript: Transcript, batch: list[Shown], calls: list[Call]
) -> Held:
    """Keep what the run has added so far, what it took, and the frames that tell of it. Raises `LeaseLost`."""
    held = await renew(session, lease, calls)
    await transcripts.keep(session, transcript)
    if batch:
        await say(session, lease, batch)
    return held


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
    row = columns(pause.values) | {"status": pause.status.value, "now": now()}
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


def columns(values: dict[str, Any]) -> dict[str, Any]:
    """Return a run's outcome as parameters of a statement that keeps it."""
    outcome = {name: values.get(name) for name in OUTCOME}
    return outcome | {name: None if outcome[name] is None else compact(outcome[name]) for name in _AS_JSON}


async def _take(session: AsyncSession, run: Run) -> None:
    taken = {"run_id": run.id, "owner": process.NAME, "now": now(), "seconds": settings().run_lease_seconds}
    await execute(session, _TAKE, taken)
    await session.refresh(run)
    runs.changed(session, run)


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
