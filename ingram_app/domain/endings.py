"""Endings: how a run ends. Row, last frames, transcript, calls, event and what is left for memory are one statement.

The thread is held meanwhile, so that whoever comes next on it is not missed. It is the one that the run is of now: a
claim may have moved both to another smith.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import afterwards, answered, ask, compact, keepable
from ingram_app.core.journeys import Rows
from ingram_app.domain import batches, event_types, events, frames, memory_ops, model_calls, runs, slots, spending
from ingram_app.domain.frames import Shown
from ingram_app.domain.leases import FENCED, OUTCOME, Lease, columns
from ingram_app.domain.memory_ops import OpKind
from ingram_app.domain.model_calls import Call
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.transcripts import Transcript

_LATER = memory_ops.AND_LATER.format(of="project_id", smith="smith_id", run=":run_id", rows="closed,")
_FINISH = text(
    "with held as (select t.id as thread from runs r join threads t on t.smith_id = r.smith_id and t.id = r.thread_id"
    " where r.id = :run_id and r.project_id = :project_id and t.project_id = :project_id"
    f" and (:budgeted or not {spending.BY_NOW}) for no key update of t),"
    " closed as (update runs set status = :status, output = cast(:output as jsonb), stop_reason = :stop_reason,"
    " error = cast(:error as jsonb), warnings = cast(:warnings as jsonb), input_tokens = :input_tokens,"
    " output_tokens = :output_tokens, cost_micros = :cost_micros, answered_by = :answered_by,"
    " finished_at = :now, updated_at = :now,"
    f" lease_owner = null, lease_until = null from held {FENCED}"
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
    f" select :budgeted and {spending.BY_NOW} from closed"
)


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
        told = {name: keepable(self.values.get(name)) for name in OUTCOME}
        run.__dict__.update(told, status=self.status, finished_at=self.at, updated_at=self.at)


async def finish(
    session: AsyncSession, lease: Lease, ending: Ending, last_frames: list[Shown], calls: list[Call]
) -> None:
    """Close the run, and have budgets count its calls. Raises `LeaseLost`."""
    closed = _ask(session, lease, ending, last_frames, calls, budgeted=True)
    await answered(session)
    if not closed.rowcount:  # it may have been moved while we waited for its thread: then it is found where it is now
        closed = _ask(session, lease, ending, last_frames, calls, budgeted=True)
        await answered(session)
    lease.check(closed)
    _tell(session, lease, ending, last_frames, calls)
    if closed.one()[0]:
        await spending.count(session, lease.project_id, model_calls.cost(calls), run_id=lease.run_id)


def finish_unbudgeted(
    session: AsyncSession, lease: Lease, ending: Ending, last_frames: list[Shown], calls: list[Call]
) -> None:
    """Close a run whose project has no budgets, in a transaction that does nothing else: one journey, with its end.

    It raises `LeaseLost` then, and has done nothing, when there are budgets by now, the run was just moved, or the
    lease is lost: what it really is `finish` finds out.
    """
    closed = _ask(session, lease, ending, last_frames, calls, budgeted=False)
    afterwards(session, lambda: lease.check(closed))
    _tell(session, lease, ending, last_frames, calls)


def _ask(
    session: AsyncSession, lease: Lease, ending: Ending, last_frames: list[Shown], calls: list[Call], *, budgeted: bool
) -> Rows:
    messages = None if ending.transcript is None else compact(ending.transcript.messages)
    about = {"status": ending.status.value, "now": ending.at, **events.columns(_event(lease, ending))}
    told = {"messages": messages, "complete": ending.status is RunStatus.completed, **batches.columns(last_frames)}
    values = lease.fence | columns(ending.values) | about | told | memory_ops.columns(ending.later)
    return ask(session, _FINISH, values | {"calls": model_calls.spelt(calls), "budgeted": budgeted})


def _tell(session: AsyncSession, lease: Lease, ending: Ending, last_frames: list[Shown], calls: list[Call]) -> None:
    afterwards(session, calls.clear)
    frames.hand_over(session, lease.run_id, last_frames)
    signals.send(session, runs.topic(lease.project_id))
    events.told(session, lease.project_id)
    if ending.later:
        signals.send(session, memory_ops.DUE)
    slots.next_after(session, lease.project_id, lease.run_id)


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
