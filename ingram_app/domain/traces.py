"""Traces: how a run went, as spans, read off what it has left: row, transcript, tool calls, approvals, memory.

run                     the whole, from its start to its end
├── retrieval           what of its memory the smith had before it
├── model_call          each answer of a model: which one, how long, what it took
│   └── tool_call       each call that the answer asked for
│       └── runtime_event   the wait for a person who was to approve it
└── memory_op           what was learnt from it afterwards

What the project's own programs have sent of a run hangs there too; they may also send traces of their own.

A trace has its run's id behind `trc_`. Spans are named and described by OpenTelemetry's semantic conventions for
generative AI (1.37); their ids are 16 hex digits, always the same for the same run.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.errors import NotFound
from ingram_app.domain import approvals, memory_ops, retrievals, runs, spans as sent, tool_calls, transcripts
from ingram_app.domain.access import Caller
from ingram_app.domain.approvals import Approval, ApprovalStatus
from ingram_app.domain.memory_ops import MemoryOp, OpState
from ingram_app.domain.paging import FIRST, Page, Place, cursor, page
from ingram_app.domain.retrievals import Retrieval
from ingram_app.domain.runs import OVER, Run, RunStatus
from ingram_app.domain.spans import SentSpan, SentTrace, SpanKind, SpanStatus
from ingram_app.domain.tool_calls import CallState, ToolCall

DEEPEST = 50
"""Levels of a tree."""
SHOWN_CHARACTERS = 4000
"""As much of arguments and results as a span holds."""


@dataclass(frozen=True, slots=True)
class Span:
    """One thing that a run did, or waited for."""

    id: str
    trace_id: str
    parent_span_id: str | None
    kind: SpanKind
    name: str
    status: SpanStatus
    started_at: datetime
    ended_at: datetime | None
    """Null while it goes on."""
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    """In US dollars."""
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def duration_ms(self) -> int | None:
        return None if self.ended_at is None else round((self.ended_at - self.started_at).total_seconds() * 1000)


@dataclass(frozen=True, slots=True)
class Trace:
    whole: "Run | SentTrace"
    """A run, or a trace that a program has sent."""
    spans: list[Span]
    """A run's own first, the others in the order in which they began."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A span with those below it."""

    span: Span
    children: "list[Branch]"


def id_of(run_id: str) -> str:
    """Return the id of a run's trace."""
    return run_id.replace("run_", "trc_", 1)


async def find(session: AsyncSession, caller: Caller, run_id: str) -> Trace:
    """Return the trace of a run. Raises `NotFound`."""
    run = await runs.look_up(session, caller, run_id, may="traces:read")
    own = await of_run(session, run)
    told = await sent.of_trace(session, run.project_id, id_of(run.id))
    return Trace(run, [own[0], *sorted([*own[1:], *(_sent(one, own[0]) for one in told)], key=lambda s: s.started_at)])


async def find_sent(session: AsyncSession, caller: Caller, trace_id: str) -> Trace:
    """Return a trace that a program has sent. Raises `NotFound`."""
    caller.require("traces:read")
    whole = (await session.exec(_visible(caller).where(SentTrace.id == trace_id))).first()
    if whole is None:
        raise NotFound(noun="trace", id=trace_id)
    return Trace(whole, [_sent(one) for one in await sent.of_trace(session, whole.project_id, trace_id)])


async def browse(
    session: AsyncSession,
    caller: Caller,
    place: Place = FIRST,
    *,
    smith_id: str | None = None,
    run_id: str | None = None,
    status: RunStatus | None = None,
    since: datetime | None = None,
) -> Page[Run | SentTrace]:
    """Return the project's runs, and the traces that its programs have sent, together newest first."""
    among = None if run_id is None else [run_id]
    about: dict[str, Any] = {"smith_id": smith_id, "status": status, "since": since}
    of_runs = await runs.browse(session, caller, place, **about, among=among, may="traces:read")
    if run_id is not None:
        return Page(list(of_runs.data), of_runs.next_cursor)
    query = _visible(caller)
    if smith_id is not None:
        query = query.where(SentTrace.smith_id == smith_id)
    if status is not None:
        query = query.where(SentTrace.status == status)
    if since is not None:
        query = query.where(SentTrace.created_at >= (since if since.tzinfo else since.replace(tzinfo=UTC)))
    of_programs = await page(session, query, SentTrace, place)
    both = [*of_runs.data, *of_programs.data]
    both.sort(key=lambda one: (one.created_at, one.id.encode()), reverse=True)
    shown = both[: place.limit]
    if len(both) == len(shown) and not (of_runs.has_more or of_programs.has_more):
        return Page(shown, None)
    return Page(shown, cursor(shown[-1].created_at.isoformat(), shown[-1].id))


async def of_run(session: AsyncSession, run: Run) -> list[Span]:
    """Return the spans of a run that was found, its own first."""
    written = json.loads(await transcripts.of_run(session, run.project_id, run.id))
    calls = await tool_calls.of_run(session, run.project_id, run.id)
    asked = await approvals.of_run(session, run.project_id, run.id)
    retrieval = await retrievals.of_run(session, run.project_id, run.id)
    ops = await memory_ops.of_run(session, run.project_id, run.id)
    return spans(run, written, calls, asked, retrieval, ops)


def spans(
    run: Run,
    written: Sequence[dict[str, Any]],
    calls: Sequence[ToolCall],
    asked: Sequence[Approval],
    retrieval: Retrieval | None = None,
    ops: Sequence[MemoryOp] = (),
) -> list[Span]:
    """Return what a run's remains tell, its own span first."""
    root = _of_run(run)
    found = _of_answers(run, root, written)
    if retrieval is not None:
        found.append(_of_retrieval(root, retrieval))
    found += [_of_op(root, op) for op in ops]
    by_step = {span.attributes.get("ingram.step"): span for span in found}
    for call in calls:
        parent = by_step.get(call.step, root)
        span = _of_call(run, parent, call)
        found.append(span)
        found += [_of_approval(span, one) for one in asked if one.tool_call_id == call.tool_call_id]
    return [root, *sorted(found, key=lambda span: span.started_at)]


def tree(spans: Sequence[Span]) -> list[Branch]:
    """Return the spans as branches: those first that hang on no other, or on themselves by a detour.

    Below `DEEPEST` levels they hang side by side.
    """
    branches = {span.id: Branch(span, []) for span in spans}
    hangs: dict[str, tuple[int, str | None]] = {}
    for branch in branches.values():
        path: dict[str, Span] = {}
        at: Branch | None = branch
        while at is not None and at.span.id not in hangs and at.span.id not in path:
            path[at.span.id] = at.span
            at = branches.get(at.span.parent_span_id or "")
        level, upon = hangs.get(at.span.id, (0, None)) if at is not None else (0, None)
        parent = None if level == 0 or at is None else at.span.id
        for id in reversed(path):
            level, upon = level + 1, parent if level < DEEPEST else upon
            hangs[id], parent = (level, upon), id
    roots: list[Branch] = []
    for branch in branches.values():
        upon = hangs[branch.span.id][1]
        (roots if upon is None else branches[upon].children).append(branch)
    return roots


def _visible(caller: Caller) -> Any:
    query = select(SentTrace).where(SentTrace.project_id == caller.project_id, col(SentTrace.run_id).is_(None))
    return query.where(SentTrace.smith_id == caller.smith_id) if caller.smith_id else query


def _sent(told: SentSpan, root: Span | None = None) -> Span:
    """Return a span that was sent; one that hangs on no other hangs on the run."""
    same = ("id", "trace_id", "kind", "name", "status", "started_at", "ended_at", "model")
    return Span(
        **{name: getattr(told, name) for name in same},
        parent_span_id=told.parent_span_id or (None if root is None else root.id),
        input_tokens=told.input_tokens,
        output_tokens=told.output_tokens,
        cost=None if told.cost_micros is None else told.cost_micros / 1_000_000,
        attributes={**told.attributes, "ingram.sent": True},
    )


def _of_run(run: Run) -> Span:
    status = {
        RunStatus.completed: SpanStatus.ok,
        RunStatus.failed: SpanStatus.error,
        RunStatus.cancelled: SpanStatus.cancelled,
    }
    told = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.id": run.agent_id,
        "gen_ai.conversation.id": run.thread_id,
        "ingram.agent_version": run.agent_version,
        "ingram.channel": run.channel,
        "ingram.status": run.status.value,
        "ingram.attempts": run.attempt,
        "ingram.warnings": run.warnings,
        "error.type": (run.error or {}).get("code"),
    }
    return Span(
        id=_id(run.id, "run"),
        trace_id=id_of(run.id),
        parent_span_id=None,
        kind=SpanKind.run,
        name="invoke_agent",
        status=status.get(run.status, SpanStatus.running),
        started_at=run.started_at or run.created_at,
        ended_at=run.finished_at if run.status in OVER else None,
        model=run.answered_by or run.model,
        input_tokens=run.input_tokens,
        output_tokens=run.output_tokens,
        cost=None if run.cost_micros is None else run.cost_micros / 1_000_000,
        attributes=_said(told),
    )


def _of_answers(run: Run, root: Span, written: Sequence[dict[str, Any]]) -> list[Span]:
    """Return a span for each answer of a model, and one for a call that is on its way or failed."""
    answers = [message for message in written if message["kind"] == "response" and _told(message)]
    found = [_of_answer(run, root, step, message) for step, message in enumerate(answers, start=1)]
    if run.status is RunStatus.failed and (run.error or {}).get("code", "").startswith("model_"):
        began = found[-1].ended_at if found and found[-1].ended_at else root.started_at
        failed = _of_answer(run, root, len(found) + 1, {"metadata": {"began_at": began.isoformat()}})
        why = {"error.type": (run.error or {})["code"], "error.message": (run.error or {}).get("message")}
        attributes = failed.attributes | why
        found.append(replace(failed, status=SpanStatus.error, ended_at=run.finished_at, attributes=attributes))
    return found


def _of_answer(run: Run, root: Span, step: int, message: dict[str, Any]) -> Span:
    told, used = _told(message), message.get("usage") or {}
    model = told.get("model", run.model)
    details = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.response.model": message.get("model_name"),
        "gen_ai.provider.name": message.get("provider_name"),
        "gen_ai.response.finish_reasons": [message["finish_reason"]] if message.get("finish_reason") else None,
        "gen_ai.usage.input_tokens": used.get("input_tokens"),
        "gen_ai.usage.output_tokens": used.get("output_tokens"),
        "gen_ai.usage.cache_read.input_tokens": used.get("cache_read_tokens") or None,
        "ingram.time_to_first_token_ms": told.get("first_ms"),
        "ingram.tries": told.get("tries"),
        "ingram.degraded_by": told.get("degraded_by"),
        "ingram.step": step,
    }
    return _below(
        root,
        SpanKind.model_call,
        f"chat {model}",
        f"model {step}",
        details,
        status=SpanStatus.ok,
        started_at=datetime.fromisoformat(told["began_at"]),
        ended_at=datetime.fromisoformat(told["ended_at"]) if "ended_at" in told else None,
        model=model,
        input_tokens=used.get("input_tokens"),
        output_tokens=used.get("output_tokens"),
        cost=None if told.get("cost_micros") is None else told["cost_micros"] / 1_000_000,
    )


def _of_retrieval(root: Span, retrieval: Retrieval) -> Span:
    details = {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.request.model": retrieval.model,
        "ingram.memory.document": _cut(retrieval.document) or None,
        "ingram.memory.facts": [{**fact, "content": _cut(fact["content"])} for fact in retrieval.facts],
    }
    told = {"status": SpanStatus.ok, "started_at": retrieval.began_at, "ended_at": retrieval.ended_at}
    return _below(root, SpanKind.retrieval, "retrieval memory", "retrieval", details, **told)


def _of_op(root: Span, op: MemoryOp) -> Span:
    status = {OpState.done: SpanStatus.ok, OpState.failed: SpanStatus.error}
    details = {
        "gen_ai.operation.name": "memory",
        "gen_ai.request.model": op.model,
        "ingram.memory.operation": op.kind.value,
        "ingram.memory.attempts": op.attempts,
        "ingram.memory.outcome": op.outcome or None,
        "error.type": op.error,
    }
    return _below(
        root,
        SpanKind.memory_op,
        f"memory {op.kind.value}",
        f"memory {op.id}",
        details,
        status=status.get(op.state, SpanStatus.running),
        started_at=op.began_at or op.created_at,
        ended_at=op.ended_at,
        model=op.model,
        input_tokens=op.input_tokens,
        output_tokens=op.output_tokens,
        cost=op.cost_micros / 1_000_000,
    )


def _of_call(run: Run, parent: Span, call: ToolCall) -> Span:
    status = SpanStatus.running if call.open else SpanStatus.error if call.is_error else SpanStatus.ok
    ended = call.done_at
    if call.open and run.status in OVER:
        status, ended = SpanStatus.cancelled, run.finished_at
    details = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": call.tool,
        "gen_ai.tool.call.id": call.tool_call_id,
        "gen_ai.tool.call.arguments": _cut(call.args),
        "gen_ai.tool.call.result": _cut(call.result) if not call.open else None,
        "ingram.tool.kind": call.kind.value,
        "ingram.tool.state": call.state.value,
        "ingram.tool.refused": call.state is CallState.refused or None,
    }
    return _below(
        parent,
        SpanKind.tool_call,
        f"execute_tool {call.tool}",
        f"tool {call.id}",
        details,
        status=status,
        started_at=call.begun_at or call.created_at,
        ended_at=ended,
    )


def _of_approval(parent: Span, approval: Approval) -> Span:
    is_open = approval.status is ApprovalStatus.pending
    details = {
        "ingram.approval.id": approval.id,
        "ingram.approval.status": approval.status.value,
        "ingram.approval.by": (approval.actor or {}).get("email") or (approval.actor or {}).get("id"),
        "ingram.approval.reason": approval.reason,
    }
    return _below(
        parent,
        SpanKind.runtime_event,
        f"approval of {approval.tool}",
        f"approval {approval.id}",
        details,
        status=SpanStatus.running if is_open and parent.ended_at is None else SpanStatus.ok,
        started_at=approval.created_at,
        ended_at=approval.resolved_at or parent.ended_at,
    )


def _below(parent: Span, kind: SpanKind, name: str, which: str, details: dict[str, Any], **more: Any) -> Span:
    more |= {"id": _id(parent.trace_id.replace("trc_", "run_", 1), which), "attributes": _said(details)}
    return Span(kind=kind, name=name, trace_id=parent.trace_id, parent_span_id=parent.id, **more)


def _told(message: dict[str, Any]) -> dict[str, Any]:
    """Return what was written down beside an answer when it was given; nothing for one that the caller brought."""
    told = message.get("metadata") or {}
    return told if "began_at" in told else {}


def _id(run_id: str, which: str) -> str:
    return sha256(f"{run_id} {which}".encode()).hexdigest()[:16]


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _said(attributes: dict[str, Any]) -> dict[str, Any]:
    """Leave out what there is nothing to say of."""
    return {name: value for name, value in attributes.items() if value is not None and value != []}
