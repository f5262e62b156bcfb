"""Spans: steps that a project's own programs tell of, to be seen beside those of its runs.

A program hangs a span in the trace of a run, by the run's `trc_…` id, or in a trace of its own, by 32 hex digits. A
span is told once: sent again under the same id it takes the place of what was sent before.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, compact, execute, one_of
from ingram_app.core.errors import Conflict, Invalid, NotFound, TooMany
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.smiths import Smith

MOST_OF_A_TRACE = 2000
MOST_ATTRIBUTES_BYTES = 16_384
MOST_A_MINUTE = 60_000
"""Spans of one project, from wherever they are sent."""
AHEAD = timedelta(hours=1)
"""How far a program's clock may be ahead of ours."""


class SpanKind(StrEnum):
    run = "run"
    model_call = "model_call"
    tool_call = "tool_call"
    memory_op = "memory_op"
    retrieval = "retrieval"
    runtime_event = "runtime_event"


class SpanStatus(StrEnum):
    running = "running"
    ok = "ok"
    error = "error"
    cancelled = "cancelled"


class SentTrace(SQLModel, table=True):
    """A trace of which there is a span that was sent. What it says of the whole is put together from its spans."""

    __tablename__ = "sent_traces"
    __table_args__ = (
        Index("ix_sent_traces_page", "project_id", "created_at", "id", postgresql_where=sa.text("run_id is null")),
        Index("ix_sent_traces_old", "project_id", "updated_at"),
        Index("ix_sent_traces_smith", "smith_id", postgresql_where=sa.text("smith_id is not null")),
        Index("ix_sent_traces_run", "run_id", postgresql_where=sa.text("run_id is not null")),
    )

    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", primary_key=True)
    id: str = Field(primary_key=True)
    """32 hex digits, or `trc_…` for that of a run."""
    smith_id: str | None = Field(default=None, foreign_key="smiths.id", ondelete="CASCADE")
    run_id: str | None = Field(default=None, foreign_key="runs.id", ondelete="CASCADE")
    status: RunStatus = Field(default=RunStatus.running, sa_type=one_of(RunStatus))
    """As that of a run: running while a span is, then failed, cancelled or completed."""
    model: str | None = None
    input_tokens: int | None = Field(default=None, sa_type=sa.BigInteger)
    output_tokens: int | None = Field(default=None, sa_type=sa.BigInteger)
    cost_micros: int | None = Field(default=None, sa_type=sa.BigInteger)
    started_at: datetime | None = Field(default=None, sa_type=Moment)
    ended_at: datetime | None = Field(default=None, sa_type=Moment)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)


class SentSpan(SQLModel, table=True):
    __tablename__ = "sent_spans"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["project_id", "trace_id"],
            ["sent_traces.project_id", "sent_traces.id"],
            name="fk_sent_spans_trace",
            ondelete="CASCADE",
        ),
        Index("ix_sent_spans_smith", "smith_id", "trace_id", "id", postgresql_where=sa.text("smith_id is not null")),
    )

    project_id: str = Field(primary_key=True)
    trace_id: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    """16 hex digits."""
    smith_id: str | None = None
    """That of its trace."""
    parent_span_id: str | None = None
    kind: SpanKind = Field(sa_type=one_of(SpanKind))
    name: str
    status: SpanStatus = Field(sa_type=one_of(SpanStatus))
    started_at: datetime = Field(sa_type=Moment)
    ended_at: datetime | None = Field(default=None, sa_type=Moment)
    model: str | None = None
    input_tokens: int | None = Field(default=None, sa_type=sa.BigInteger)
    output_tokens: int | None = Field(default=None, sa_type=sa.BigInteger)
    cost_micros: int | None = Field(default=None, sa_type=sa.BigInteger)
    attributes: dict[str, Any] = Field(sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


class SpanPace(SQLModel, table=True):
    """How far ahead of its pace a project has sent spans."""

    __tablename__ = "span_paces"

    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", primary_key=True)
    spent_until: datetime = Field(sa_type=Moment)
    """When, at an even pace, what was taken so far would have come; never more than a minute ahead."""


@dataclass(frozen=True, slots=True)
class Told:
    """A span as a program tells of it."""

    id: str
    trace_id: str
    kind: SpanKind
    name: str
    status: SpanStatus
    started_at: datetime
    ended_at: datetime | None = None
    parent_span_id: str | None = None
    smith_id: str | None = None
    """Whom it is about; of the trace of a run it is the run's."""
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_micros: int | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


class InvalidSpan(Invalid):
    """The span {id} can not be kept: {reason}."""


class TraceFull(Conflict):
    """The trace {trace_id} would have more than {most} spans. Begin another."""


class SpansTooFast(TooMany):
    """Of one project {most} spans a minute are taken. Send these again a little later."""

    code = "rate_limit_exceeded"


async def ingest(session: AsyncSession, caller: Caller, told: Sequence[Told]) -> int:
    """Keep spans of the caller's project, all or none; return how many there were, each counted once.

    Raises `SpansTooFast`, `InvalidSpan`, `NotFound`, `SmithMismatch`, `TraceFull`.
    """
    caller.require("traces:write")
    await _pace(session, caller, _AT_PACE, len(told))
    for span in told:
        _check(span)
    by_trace: dict[str, dict[str, Told]] = defaultdict(dict)
    for span in told:
        by_trace[span.trace_id][span.id] = span
    smiths_of = await _whose(session, caller, by_trace)
    for trace_id in sorted(by_trace):
        spans = by_trace[trace_id].values()
        smith_id = await _open(session, caller, trace_id, smiths_of[trace_id])
        await _keep(session, caller, smith_id, spans)
        known = {"project_id": caller.project_id, "trace_id": trace_id, "now": now()}
        if int((await execute(session, _COUNT, known)).scalar()) > MOST_OF_A_TRACE:
            raise TraceFull(trace_id=trace_id, most=MOST_OF_A_TRACE)
        await execute(session, _SUM_UP, known)
    await _pace(session, caller, _SPEND, len(told))
    return sum(map(len, by_trace.values()))


async def of_trace(session: AsyncSession, project_id: str, trace_id: str) -> list[SentSpan]:
    """Return what was sent of one trace, in the order in which it began."""
    query = select(SentSpan).where(SentSpan.project_id == project_id, SentSpan.trace_id == trace_id)
    return list((await session.exec(query.order_by(col(SentSpan.started_at), col(SentSpan.id)))).all())


def trace_of(run_id: str) -> str:
    """Return the id of a run's trace."""
    return run_id.replace("run_", "trc_", 1)


def run_of(trace_id: str) -> str | None:
    """Return the id of the run that a trace is of, if it is of one."""
    return trace_id.replace("trc_", "run_", 1) if trace_id.startswith("trc_") else None


_COLUMNS = {
    **{"id": "text", "trace_id": "text", "parent_span_id": "text", "kind": "text", "name": "text", "status": "text"},
    **{"started_at": "timestamptz", "ended_at": "timestamptz", "model": "text", "input_tokens": "bigint"},
    **{"output_tokens": "bigint", "cost_micros": "bigint", "attributes": "jsonb"},
}
_KEEP = sa.text(
    f"insert into sent_spans (project_id, smith_id, created_at, {', '.join(_COLUMNS)})"
    f" select :project_id, cast(:smith_id as varchar), :now, {', '.join(_COLUMNS)}"
    f" from jsonb_to_recordset(cast(:rows as jsonb)) as told({', '.join(map(' '.join, _COLUMNS.items()))})"
    " on conflict (project_id, trace_id, id) do update set "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in ("id", "trace_id"))
)
_COUNT = sa.text("select count(*) from sent_spans where project_id = :project_id and trace_id = :trace_id")
_SUM_UP = sa.text(
    "update sent_traces t set updated_at = :now, started_at = s.began,"
    " ended_at = case when s.open then null else s.ended end, model = s.model,"
    " input_tokens = s.input_tokens, output_tokens = s.output_tokens, cost_micros = s.cost_micros,"
    " status = case when s.open then 'running' when s.failed then 'failed' when s.cancelled then 'cancelled'"
    " else 'completed' end"
    " from (select min(started_at) as began, max(ended_at) as ended, bool_or(status = 'running') as open,"
    " bool_or(status = 'error') as failed, bool_or(status = 'cancelled') as cancelled,"
    " max(model) filter (where kind = 'model_call') as model,"
    " sum(input_tokens) filter (where kind = 'model_call') as input_tokens,"
    " sum(output_tokens) filter (where kind = 'model_call') as output_tokens,"
    " sum(cost_micros) filter (where kind = 'model_call') as cost_micros"
    " from sent_spans where project_id = :project_id and trace_id = :trace_id) s"
    " where t.project_id = :project_id and t.id = :trace_id"
)
_OPEN = sa.text(
    "insert into sent_traces (project_id, id, smith_id, run_id, status, created_at, updated_at)"
    " values (:project_id, :trace_id, :smith_id, :run_id, 'running', :now, :now)"
    " on conflict (project_id, id) do update set updated_at = excluded.updated_at returning smith_id"
)

_LATER = "greatest(p.spent_until, clock_timestamp()) + make_interval(secs => :seconds)"
_IN_BOUNDS = f"{_LATER} <= clock_timestamp() + interval '1 minute'"
_AT_PACE = sa.text(
    f"select true where not exists (select from span_paces p where p.project_id = :project_id and not {_IN_BOUNDS})"
)
_SPEND = sa.text(
    "insert into span_paces as p (project_id, spent_until)"
    " values (:project_id, clock_timestamp() + make_interval(secs => :seconds))"
    f" on conflict (project_id) do update set spent_until = {_LATER} where {_IN_BOUNDS} returning true"
)


async def _pace(session: AsyncSession, caller: Caller, statement: sa.TextClause, many: int) -> None:
    """Look whether so many may come now, before the work; spend them last, for others wait for it until we commit."""
    known = {"project_id": caller.project_id, "seconds": many * 60 / MOST_A_MINUTE}
    if (await execute(session, statement, known)).first() is None:
        raise SpansTooFast(most=MOST_A_MINUTE)


def _check(span: Told) -> None:
    if span.ended_at is not None and span.ended_at < span.started_at:
        raise InvalidSpan(id=span.id, reason="it ends before it begins", param="spans")
    if max(span.started_at, span.ended_at or span.started_at) > now() + AHEAD:
        raise InvalidSpan(id=span.id, reason="it is of a time to come", param="spans")
    if (span.status is SpanStatus.running) != (span.ended_at is None):
        raise InvalidSpan(id=span.id, reason="it is `running` as long as it has no end, and no longer", param="spans")
    if span.parent_span_id == span.id:
        raise InvalidSpan(id=span.id, reason="it hangs on itself", param="spans")
    if len(compact(span.attributes).encode()) > MOST_ATTRIBUTES_BYTES:
        reason = f"its attributes are longer than {MOST_ATTRIBUTES_BYTES} bytes of JSON"
        raise InvalidSpan(id=span.id, reason=reason, param="spans")


async def _whose(session: AsyncSession, caller: Caller, by_trace: dict[str, dict[str, Told]]) -> dict[str, str | None]:
    """Return the smith of each trace, its row held so that it stays until the transaction ends; then runs likewise."""
    wanted: dict[str, str | None] = {}
    for trace_id, spans in by_trace.items():
        named = {span.smith_id for span in spans.values() if span.smith_id}
        for smith_id in named:
            caller.require_own(smith_id)
        if len(named) > 1:
            raise InvalidSpan(id=next(iter(spans)), reason="a trace is about one smith", param="spans")
        wanted[trace_id] = next(iter(named), caller.smith_id or None)
    run_ids = [run_id for trace_id in by_trace if (run_id := run_of(trace_id))]
    of_runs = select(Run.smith_id).where(Run.project_id == caller.project_id, col(Run.id).in_(run_ids))
    ours = (Smith.project_id == caller.project_id, col(Smith.tester_id).is_(None))
    either = col(Smith.id).in_(of_runs) | col(Smith.id).in_({smith for smith in wanted.values() if smith})
    held = select(Smith.id).where(*ours, either).order_by(col(Smith.id)).with_for_update(read=True, key_share=True)
    there = set((await session.exec(held)).all())
    runs = select(Run.id, Run.smith_id).where(Run.project_id == caller.project_id, col(Run.id).in_(run_ids))
    runs = runs.order_by(col(Run.id)).with_for_update(read=True, key_share=True)
    smiths_of = dict((await session.exec(runs)).all())
    return {trace_id: _one(trace_id, smith_id, smiths_of, there) for trace_id, smith_id in wanted.items()}


def _one(trace_id: str, smith_id: str | None, smiths_of: dict[str, str], there: set[str]) -> str | None:
    """Return whom a trace is about. Raises `NotFound`."""
    if (run_id := run_of(trace_id)) is not None:
        if smiths_of.get(run_id) not in there or smith_id not in (None, smiths_of[run_id]):
            raise NotFound(noun="run", id=run_id)
        return smiths_of[run_id]
    if smith_id is not None and smith_id not in there:
        raise NotFound(noun="smith", id=smith_id)
    return smith_id


async def _open(session: AsyncSession, caller: Caller, trace_id: str, smith_id: str | None) -> str | None:
    """Hold the trace, new or not, and return whom it is about. Raises `NotFound` for that of another smith."""
    known = {"project_id": caller.project_id, "trace_id": trace_id, "smith_id": smith_id, "now": now()}
    about = (await execute(session, _OPEN, known | {"run_id": run_of(trace_id)})).scalar()
    if smith_id is not None and about != smith_id:
        raise NotFound(noun="trace", id=trace_id)
    return None if about is None else str(about)


async def _keep(session: AsyncSession, caller: Caller, smith_id: str | None, spans: Iterable[Told]) -> None:
    rows = [{name: getattr(span, name) for name in _COLUMNS} for span in spans]
    for row in rows:
        row |= {name: moment.isoformat() for name in ("started_at", "ended_at") if (moment := row[name])}
    known = {"project_id": caller.project_id, "smith_id": smith_id, "now": now()}
    await execute(session, _KEEP, known | {"rows": compact(rows)})
