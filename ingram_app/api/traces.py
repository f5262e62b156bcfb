"""/v1/traces and /v1/runs/{id}/trace: how runs went, as spans."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.runs import status_named
from ingram_app.api.shapes import Out, PageOut
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import is_id
from ingram_app.domain import runs, traces
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.traces import Branch, SpanKind, SpanStatus, Trace

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
    run_id: str
    smith_id: str
    thread_id: str
    agent_id: str
    status: RunStatus
    model: str
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, run: Run) -> "TraceListed":
        same = ("smith_id", "thread_id", "agent_id", "status", "model", "input_tokens", "output_tokens", "started_at")
        cost = None if run.cost_micros is None else run.cost_micros / 1_000_000
        told = {name: getattr(run, name) for name in same}
        return cls(id=traces.id_of(run.id), run_id=run.id, cost=cost, ended_at=run.finished_at, **told)


class TraceOut(TraceListed):
    spans: list[SpanOut]
    span_tree: list[BranchOut]

    @classmethod
    def of_trace(cls, trace: Trace) -> "TraceOut":
        listed = TraceListed.of(trace.run).model_dump()
        told = [SpanOut.model_validate(span) for span in trace.spans]
        return cls(**listed, spans=told, span_tree=[BranchOut.of(branch) for branch in traces.tree(trace.spans)])


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
    """List the project's traces, newest first: every run is one."""
    which: Any = {"smith_id": smith_id, "status": status_named(status), "among": None if run_id is None else [run_id]}
    found = await runs.browse(session, caller, place, **which, since=since, may="traces:read")
    data = [TraceListed.of(run) for run in found.data]
    return PageOut(data=data, next_cursor=found.next_cursor, has_more=found.has_more)


@router.get("/traces/{trace_id}", response_model=TraceOut)
async def get_trace(trace_id: str, caller: Caller, session: InTransaction) -> TraceOut:
    """Show how a run went: its spans, one after the other and as a tree."""
    if not is_id(trace_id, "trc"):
        caller.require("traces:read")
        raise NotFound(noun="trace", id=trace_id)
    try:
        return TraceOut.of_trace(await traces.find(session, caller, traces.run_of(trace_id)))
    except NotFound:
        raise NotFound(noun="trace", id=trace_id) from None


@router.get("/runs/{run_id}/trace", response_model=TraceOut)
async def get_trace_of_run(run_id: str, caller: Caller, session: InTransaction) -> TraceOut:
    """Show how a run went: the trace with the run's own id behind `trc_`."""
    return TraceOut.of_trace(await traces.find(session, caller, run_id))
