"""Runs: one turn of one smith, however long it takes. Input in, frames while it works, output recorded.

queued ──▶ running ◀──▶ paused_for_approval | paused_for_tool
   └──────────┴───────────┴──▶ cancelled          running ──▶ completed | failed

A run that somebody waits for is claimed at birth by the process that took it in; others are queued, and the engine of
any process takes them up, in turn from every project. Of one thread one run works at a time, in order of arrival.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import process, signals
from ingram_app.core.clock import in_utc, now
from ingram_app.core.database import Moment, afterwards, one_of
from ingram_app.core.errors import Conflict, NotFound
from ingram_app.core.ids import new_id
from ingram_app.core.journeys import Rows
from ingram_app.core.readings import Prepared, columns, insertion, made
from ingram_app.core.settings import settings
from ingram_app.domain import (
    approvals,
    arrivals,
    event_types,
    events,
    frames,
    memories,
    model_calls,
    model_keys,
    projects,
    slots,
    smiths,
    spending,
    summaries,
    threads,
    transcripts,
)
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import AgentUnpublished
from ingram_app.domain.attachments import keep, unpack
from ingram_app.domain.paging import FIRST, Page, Place, page
from ingram_app.domain.turns import Turn, check
from ingram_app.gateways import windows

BORN = "runs.born"
"""Told within this process when it has claimed a run: with its `Birth`, or with the `Run` that goes on."""
CANCEL = "runs.cancel"
"""Told, with the run's id behind a colon, when a run that is carried somewhere is to stop."""


class RunStatus(StrEnum):
    queued = "queued"
    running = "running"
    completed = "completed"
    paused_for_approval = "paused_for_approval"
    paused_for_tool = "paused_for_tool"
    failed = "failed"
    cancelled = "cancelled"


OVER = frozenset({RunStatus.completed, RunStatus.failed, RunStatus.cancelled})
PAUSED = frozenset({RunStatus.paused_for_approval, RunStatus.paused_for_tool})
BUSY = ("running", "paused_for_approval", "paused_for_tool")


class Run(SQLModel, table=True):
    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_page", "project_id", "created_at", "id"),
        Index("ix_runs_smith", "smith_id", "created_at", "id"),
        Index("ix_runs_agent", "agent_id", "created_at"),
        Index("ix_runs_thread", "smith_id", "thread_id", "turn"),
        Index("ix_runs_waiting", "smith_id", "thread_id", "turn", postgresql_where=sa.text("status = 'queued'")),
        Index(
            "uq_runs_one_at_a_time",
            "smith_id",
            "thread_id",
            unique=True,
            postgresql_where=sa.text("status in ('running', 'paused_for_approval', 'paused_for_tool')"),
        ),
        Index("ix_runs_finished", "finished_at", "id"),
        Index("ix_runs_leases", "project_id", "lease_until", postgresql_where=sa.text("status = 'running'")),
        Index("ix_runs_queued", "project_id", postgresql_where=sa.text("status = 'queued'")),
        Index("ix_runs_ready", "project_id", "ready_at", "id", postgresql_where=sa.text(slots.WAITS)),
    )

    id: str = Field(default_factory=lambda: new_id("run"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE")
    thread_id: str
    turn: int = 0
    """Its number on the thread. They work in this order; one that has not begun may step back for one that presses."""
    on_busy: arrivals.OnBusy = Field(default=arrivals.OnBusy.queue, sa_type=one_of(arrivals.OnBusy))
    agent_id: str
    agent_version: int | None
    model: str
    """What `default` stood for when the run began."""
    answered_by: str | None = None
    """The model that gave the last answer: this one, or a fallback model. Null before there is an answer."""
    config: dict[str, Any] = Field(sa_type=JSONB)
    """The effective design it runs with, whatever is rolled out meanwhile."""
    rendered_instructions: str | None = None
    """The design's instructions with their variables filled in, once and for all; null when there were none to fill."""
    status: RunStatus = Field(default=RunStatus.queued, sa_type=one_of(RunStatus))
    channel: str = "api"
    input: list[dict[str, Any]] = Field(sa_type=JSONB)
    response_format: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    output: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    stop_reason: str | None = None
    error: dict[str, str] | None = Field(default=None, sa_type=JSONB)
    warnings: list[dict[str, str]] = Field(default_factory=list, sa_type=JSONB)
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_micros: int | None = None
    """Millionths of a US dollar; null when no model was called, or its price is not known."""
    reserved_micros: int = Field(default=0, sa_type=sa.BigInteger, sa_column_kwargs={"server_default": "0"})
    """What budgets hold back for a model call while the run is carried; see `spending`."""
    about: dict[str, Any] = Field(default_factory=dict, sa_column=sa.Column("metadata", JSONB, nullable=False))
    actor: dict[str, str | None] | None = Field(default=None, sa_type=JSONB)
    ready_at: datetime | None = Field(default=None, sa_type=Moment)
    """Since when nothing is before it on its thread; null for a run that waits for another, or was born at work."""
    lease_owner: str | None = None
    """The process that carries the run. Every write of a carrier says `where lease_owner = me and attempt = mine`."""
    lease_until: datetime | None = Field(default=None, sa_type=Moment)
    attempt: int = 0
    carriers_lost: int = 0
    """How often a process went silent while it carried the run."""
    cancel_asked_at: datetime | None = Field(default=None, sa_type=Moment)
    cancel_reason: str | None = None
    interrupted: bool = False
    """It is stopped for a turn that goes on from it: what it did stays in the thread's history."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)
    started_at: datetime | None = Field(default=None, sa_type=Moment)
    finished_at: datetime | None = Field(default=None, sa_type=Moment)

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def usage(self) -> dict[str, Any] | None:
        """Tokens and, in US dollars, cost; null before a model was called."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return model_calls.shown(self.input_tokens, self.output_tokens, self.cost_micros)


@dataclass(slots=True)
class Birth:
    """A run that was claimed at birth, with what was read for it: its carrier need not read that again."""

    run: Run
    access: model_keys.Access
    project: projects.Project
    past: summaries.Past
    replayed: bool = False
    degraded_by: str | None = None
    """The budget, if any, that asks for a cheaper model."""
    born: Rows | None = None

    @property
    def remembers(self) -> bool:
        """There is something of the smith's memory to be told, or was."""
        return self.replayed or (self.born is not None and bool(self.born.scalar()))


_INSERTED = insertion(Run)
_INSERT = Prepared(_INSERTED)
_BORN = _INSERTED.returning(col(Run.id), col(Run.project_id), col(Run.created_at)).cte("born")
_EVENT = sa.bindparam("event", type_=sa.Text), sa.cast(sa.bindparam("data", type_=sa.Text), sa.JSON)
_FRAME = ["run_id", "project_id", "created_at", "seq", "event", "data"]
_BEGIN = sa.insert(frames.Frame).from_select(_FRAME, sa.select(*_BORN.c, sa.literal(1), *_EVENT))
_INSERT_BORN = Prepared(_BEGIN.returning(memories.are_there(sa.bindparam("smith_id", type_=sa.Text))))


class RunNotPaused(Conflict):
    """The run {run_id} is {status}: it waits for no answer."""


async def start(session: AsyncSession, caller: Caller, smith_id: str, turn: Turn) -> Run:
    """Take in a turn; the row is the hand-over to the engine.

    Raises `AgentUnpublished`, `QueueFull`; as `smiths.embody`, `turns.check`, `model_keys.reach`, `threads.enter`,
    `arrivals.place`, `spending.admit`.
    """
    caller.require("runs:write")
    caller.require_own(smith_id)
    keys = model_keys.ask(session, caller.project_id, smith_id)
    thread_id, entered = threads.enter(session, caller, smith_id, turn.thread_id, turn.said)
    clone, project = await smiths.summon(session, caller, smith_id, turn.recorded)
    if clone.version is None and clone.smith.tester_id is None:
        raise AgentUnpublished(agent_id=clone.agent.id, version="")
    turn, luggage = await unpack(session, caller, smith_id, turn, project.limits.max_attachment_bytes or 0)
    check(turn, project.limits.max_input_bytes or 0)
    number = threads.number_of(entered, smith_id)
    run = _new(caller, clone, turn, project, thread_id, number)
    access = model_keys.nearest(keys, run.model)
    await keep(session, caller.project_id, smith_id, thread_id, luggage)
    ahead = await _stand_in_line(session, caller, run) if number > 1 else 0
    at_once = not (turn.background or ahead) and process.SEATS.free and await slots.free_for_a_new_one(session, project)
    past = await summaries.past(session, *_thread_of(run)) if at_once and number > 1 else summaries.Past()
    birth = Birth(run, access, project, past, replayed=turn.recorded is not None)
    if project.budgeted:
        birth.degraded_by = await _admit(session, birth, clone.smith.customer_id, sees=caller.smith_id)
    if at_once:
        _bear(session, birth)
    else:
        await _queue(session, project, run, ahead)
    changed(session, run)
    return run


async def find(session: AsyncSession, caller: Caller, smith_id: str, run_id: str, *, may: str = "runs:read") -> Run:
    """Return one run of a smith as it stands now, for one with that permission. Raises `SmithMismatch`, `NotFound`."""
    caller.require(may)
    return await _one(session, caller, smith_id, run_id)


async def look_up(session: AsyncSession, caller: Caller, run_id: str, *, may: str = "runs:read") -> Run:
    """Return one run of the caller's project, for one with that permission. Raises `NotFound`."""
    caller.require(may)
    return await _one(session, caller, caller.smith_id or None, run_id)


async def browse(
    session: AsyncSession,
    caller: Caller,
    place: Place = FIRST,
    *,
    status: RunStatus | None = None,
    smith_id: str | None = None,
    agent_id: str | None = None,
    thread_id: str | None = None,
    external_id_prefix: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    among: Collection[str] | None = None,
    may: str = "runs:read",
) -> Page[Run]:
    """Return the project's runs, newest first, as far as they match: begun at `since` or later, and before `until`.

    A moment without a zone is one of UTC. Raises `SmithMismatch`.
    """
    caller.require(may)
    query = _visible(caller, smith_id)
    filters = ((Run.status, status), (Run.agent_id, agent_id), (Run.thread_id, thread_id))
    wanted: list[Any] = [column == value for column, value in filters if value is not None]
    wanted += [Run.created_at >= in_utc(since)] if since else []
    wanted += [Run.created_at < in_utc(until)] if until else []
    wanted += [col(Run.id).in_(among)] if among is not None else []
    if external_id_prefix:
        named = col(smiths.Smith.external_id).startswith(external_id_prefix, autoescape=True)
        query = query.join(smiths.Smith, col(smiths.Smith.id) == Run.smith_id).where(named)
    return await page(session, query.where(*wanted), Run, place)


async def cancel(session: AsyncSession, caller: Caller, smith_id: str, run_id: str, reason: str | None = None) -> Run:
    """Stop a run in any live state. One that is carried is asked to, and stops soon; others stop here and now.

    Raises `SmithMismatch`, `NotFound`, and `RunNotPaused` for one that has ended otherwise.
    """
    caller.require("runs:write")
    await threads.hold(session, *_thread_of(await _one(session, caller, smith_id, run_id)))
    run = await _one(session, caller, smith_id, run_id, hold=True)
    if run.status is RunStatus.cancelled:
        return run
    if run.over:
        raise RunNotPaused(run_id=run.id, status=run.status)
    await stop(session, caller, run, reason)
    if run.over:
        slots.next_in_thread(session, *_thread_of(run))
    return run


def changed(session: AsyncSession, run: Run) -> None:
    """Wake whoever looks at the project's runs, or at those of the thread."""
    signals.send(session, topic(run.project_id), threads.topic(run.smith_id, run.thread_id))


def topic(project_id: str) -> str:
    """Return what to listen to for changes of a project's runs."""
    return f"runs:{project_id}"


def _thread_of(run: Run) -> tuple[str, str, str]:
    return run.project_id, run.smith_id, run.thread_id


def _new(caller: Caller, clone: smiths.Clone, turn: Turn, project: projects.Project, thread: str, number: int) -> Run:
    moment = now()
    stamp = clone.stamp(moment)
    return made(
        Run,
        id=new_id("run"),
        project_id=caller.project_id,
        thread_id=thread,
        turn=number,
        on_busy=turn.on_busy,
        model=project.model(stamp["config"]["model"]),
        channel=turn.channel,
        input=turn.input,
        response_format=turn.response_format,
        about=turn.metadata,
        actor=caller.actor.as_json(),
        created_at=moment,
        updated_at=moment,
        **stamp,
    )


async def _admit(session: AsyncSession, birth: Birth, customer_id: str | None, *, sees: str) -> str | None:
    """Hold back what the first model call will cost; return the budget, if any, that asks for a cheaper model."""
    run, past, own = birth.run, birth.past, birth.project.prices.get(birth.run.model)
    told = f"{run.rendered_instructions or run.config['instructions']}{past.text}{run.input}"
    run.reserved_micros = spending.estimate(run.model, windows.tokens_of(told), run.config["model_settings"], own)
    spender = spending.Spender(run.id, run.project_id, run.agent_id, run.smith_id, customer_id)
    return await spending.admit(session, spender, sees=sees)


def _bear(session: AsyncSession, birth: Birth) -> None:
    """Insert the run as one that this process carries, with its first frame, and tell the engine once it is there."""
    run, lasts = birth.run, timedelta(seconds=settings().run_lease_seconds)
    run.status, run.started_at, run.attempt = RunStatus.running, run.created_at, 1
    run.lease_owner, run.lease_until = process.NAME, run.created_at + lasts
    started = frames.shown(run.id, 1, frames.RunStarted(run.smith_id, run.thread_id))
    birth.born = _INSERT_BORN.ask(session, columns(run) | {"event": started.event, "data": started.data})
    frames.hand_over(session, run.id, [started], first=True)
    afterwards(session, lambda: signals.publish(BORN, item=birth))


async def _queue(session: AsyncSession, project: projects.Project, run: Run, ahead: int) -> None:
    """Insert the run as one that waits, and hand it over unless others come first."""
    await slots.check_room(session, project)
    run.ready_at = None if ahead else run.created_at
    await _INSERT.execute(session, columns(run))
    if not ahead:
        signals.send(session, slots.READY)


async def _stand_in_line(session: AsyncSession, caller: Caller, run: Run) -> int:
    """Find the run's place on its thread, stop those that make way, and return how many still come before it."""
    place = await arrivals.place(session, *_thread_of(run), run.turn, run.on_busy)
    run.turn, ahead = place.turn, place.ahead
    if place.making_way:
        stopped = (await session.exec(select(Run).where(col(Run.id).in_(place.making_way)))).all()
        for other in stopped:
            if other.cancel_asked_at is None:  # what was decided of one that is about to stop holds
                other.interrupted = run.on_busy is arrivals.OnBusy.interrupt
            await stop(session, caller, other, f"The run {run.id} took its place.")
        ahead -= sum(other.over for other in stopped)
        if ahead and all(other.status is not RunStatus.running for other in stopped):
            slots.next_in_thread(session, *_thread_of(run))  # whoever came for it just now found it held
    return ahead


async def stop(session: AsyncSession, caller: Caller, run: Run, reason: str | None) -> None:
    """Ask a run to stop that is carried, or whose words are to be kept in their turn; end one that is not."""
    run.cancel_asked_at, run.cancel_reason = run.cancel_asked_at or now(), run.cancel_reason or reason
    if run.status is RunStatus.running or (run.status is RunStatus.queued and run.interrupted):
        signals.send(session, f"{CANCEL}:{run.id}")
    else:
        if run.status in PAUSED:
            await approvals.lapse(session, caller, run.id)
        if run.interrupted:
            await transcripts.break_off(session, run.project_id, run.id)
        await frames.write(session, run.project_id, run.id, frames.RunCancelled(run.cancel_reason))
        run.status, run.output, run.finished_at, run.updated_at = RunStatus.cancelled, None, now(), now()
        whose = (run.id, run.thread_id, run.agent_id, run.agent_version, run.status.value, run.cancel_reason)
        await events.tell(session, caller, event_types.RunCancelled(*whose, run.usage), smith_id=run.smith_id)
        changed(session, run)
    await session.flush()


async def _one(session: AsyncSession, caller: Caller, smith: str | None, run_id: str, *, hold: bool = False) -> Run:
    query = _visible(caller, smith).where(Run.id == run_id)
    run: Run | None = (await session.exec(query.with_for_update() if hold else query)).first()
    if run is None:
        raise NotFound(noun="run", id=run_id)
    return run


def _visible(caller: Caller, smith_id: str | None = None) -> Any:
    if smith_id is not None:
        caller.require_own(smith_id)
    whose = (caller.smith_id or None) if smith_id is None else smith_id
    query = select(Run).where(Run.project_id == caller.project_id)
    return query if whose is None else query.where(Run.smith_id == whose)
