"""/v1/traces and /v1/runs/{id}/trace: how runs went, as spans, and what a project's programs tell of besides."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.runs import status_named
from ingram_app.api.shapes import In, Out, PageOut, When
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import is_id
from ingram_app.domain import spans, traces
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.spans import SentTrace, SpanKind, SpanStatus, Told
from ingram_app.domain.traces import Branch, Trace

router = APIRouter(tags=["traces"], route_class=Route)


class SpanOut(Out):
    id: str
    trace_id: str
    parent_span_id: str | None
    kind: SpanKind
    name: str
    status: SpanStatus
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    attributes: dict[str, Any]
    """By OpenTelemetry's names for generative AI; our own begin with `ingram.`."""


class BranchOut(SpanOut):
    children: list["BranchOut"]

    @classmethod
    def of(cls, branch: Branch) -> "BranchOut":
        span = SpanOut.model_validate(branch.span)
        return cls(**span.model_dump(), children=[cls.of(child) for child in branch.children])


class TraceListed(Out):
    id: str
    """`trc_…` of a run; 32 hex digits when a program of yours has sent it."""
    run_id: str | None
    smith_id: str | None
    thread_id: str | None
    agent_id: str | None
    status: RunStatus
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, whole: Run | SentTrace) -> "TraceListed":
        same = ("smith_id", "status", "model", "input_tokens", "output_tokens", "started_at")
        told = {name: getattr(whole, name) for name in same}
        told["cost"] = None if whole.cost_micros is None else whole.cost_micros / 1_000_000
        if isinstance(whole, SentTrace):
            return cls(id=whole.id, run_id=None, thread_id=None, agent_id=None, ended_at=whole.ended_at, **told)
        told |= {"thread_id": whole.thread_id, "agent_id": whole.agent_id, "ended_at": whole.finished_at}
        return cls(id=spans.trace_of(whole.id), run_id=whole.id, **told)


class TraceOut(TraceListed):
    spans: list[SpanOut]
    span_tree: list[BranchOut]

    @classmethod
    def of_trace(cls, trace: Trace) -> "TraceOut":
        listed = TraceListed.of(trace.whole).model_dump()
        told = [SpanOut.model_validate(span) for span in trace.spans]
        return cls(**listed, spans=told, span_tree=[BranchOut.of(branch) for branch in traces.tree(trace.spans)])


Count = Annotated[int, Field(ge=0, le=10**12)]
SpanId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$", examples=["00f067aa0ba902b7"])]
_OWN = r"[0-9a-f]{32}"


class SpanIn(In):
    id: SpanId
    """16 hex digits, as OpenTelemetry's. Sent again, the span takes the place of what was sent before."""
    trace_id: str = Field(pattern=rf"^(trc_[1-9A-HJ-NP-Za-km-z]{{21,22}}|{_OWN})$")
    """`trc_…` of a run, to hang there, or 32 hex digits for a trace of your own."""
    parent_span_id: SpanId | None = None
    kind: SpanKind
    name: str = Field(min_length=1, max_length=200)
    status: SpanStatus = SpanStatus.ok
    started_at: When
    ended_at: When | None = None
    """Null while it is `running`."""
    duration_ms: Annotated[int, Field(ge=0, le=10**10)] | None = None
    """In place of `ended_at`."""
    smith_id: str | None = None
    """Whom a trace of your own is about; that of a run is about the run's."""
    model: str | None = Field(default=None, max_length=200)
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cost: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None = None
    """In US dollars."""
    attributes: dict[str, Any] = Field(default={}, max_length=200)

    def told(self) -> Told:
        same = self.model_dump(exclude={"duration_ms", "cost", "ended_at"})
        ended = self.ended_at
        if ended is None and self.duration_ms is not None:
            ended = self.started_at + timedelta(milliseconds=self.duration_ms)
        return Told(**same, ended_at=ended, cost_micros=None if self.cost is None else round(self.cost * 1_000_000))


class SpansIn(In):
    spans: list[SpanIn] = Field(min_length=1, max_length=500)


class SpansTaken(Out):
    accepted: int
    """Spans, each counted once."""


@router.get("/traces", response_model=PageOut[TraceListed])
async def list_traces(
    caller: Caller,
    session: InTransaction,
    place: Place,
    smith_id: str | None = None,
    run_id: str | None = None,
    status: str | None = None,
    since: datetime | None = None,
) -> PageOut[TraceListed]:
    """List the project's traces, newest first: every run is one, and so is what programs have sent of their own."""
    about: Any = {"smith_id": smith_id, "run_id": run_id, "status": status_named(status), "since": since}
    found = await traces.browse(session, caller, place, **about)
    data = [TraceListed.of(run) for run in found.data]
    return PageOut(data=data, next_cursor=found.next_cursor, has_more=found.has_more)


@router.post("/traces:ingest", status_code=202, response_model=SpansTaken)
async def ingest_spans(body: SpansIn, caller: Caller, session: InTransaction) -> SpansTaken:
    """Tell of steps that programs of yours took: in a run's trace, or in one of their own. All are kept, or none."""
    return SpansTaken(accepted=await spans.ingest(session, caller, [span.told() for span in body.spans]))


@router.get("/traces/{trace_id}", response_model=TraceOut)
async def get_trace(trace_id: str, caller: Caller, session: InTransaction) -> TraceOut:
    """Show how a run went, or what a program has sent: its spans, one after the other and as a tree."""
    if re.fullmatch(_OWN, trace_id):
        return TraceOut.of_trace(await traces.find_sent(session, caller, trace_id))
    run_id = spans.run_of(trace_id)
    if run_id is None or not is_id(trace_id, "trc"):
        caller.require("traces:read")
        raise NotFound(noun="trace", id=trace_id)
    try:
        return TraceOut.of_trace(await traces.find(session, caller, run_id))
    except NotFound:
        raise NotFound(noun="trace", id=trace_id) from None


@router.get("/runs/{run_id}/trace", response_model=TraceOut)
async def get_trace_of_run(run_id: str, caller: Caller, session: InTransaction) -> TraceOut:
    """Show how a run went: the trace with the run's own id behind `trc_`."""
    return TraceOut.of_trace(await traces.find(session, caller, run_id))
