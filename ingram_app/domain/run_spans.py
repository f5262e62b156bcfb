"""Run spans: what a run did, read off what it has left: row, transcript, tool calls, approvals, memory.

run                     the whole, from its start to its end
├── retrieval           what of its memory the smith had before it
├── model_call          a try at an answer that failed
├── runtime_event       the wait before a model was asked again
├── model_call          each answer of a model: which one, how long, what it took
│   └── tool_call       each call that the answer asked for
│       └── runtime_event   the wait for a person who was to approve it
└── memory_op           what was learnt from it afterwards

They are named and described by OpenTelemetry's semantic conventions for generative AI (1.37); their ids are 16 hex
digits, always the same for the same run.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.domain import approvals, memory_ops, retrievals, tool_calls, transcripts
from ingram_app.domain.approvals import Approval, ApprovalStatus
from ingram_app.domain.memory_ops import MemoryOp, OpState
from ingram_app.domain.retrievals import Retrieval
from ingram_app.domain.runs import OVER, Run, RunStatus
from ingram_app.domain.spans import SpanKind, SpanStatus, trace_of
from ingram_app.domain.tool_calls import CallState, ToolCall

SHOWN_CHARACTERS = 4000
"""As much of arguments and results as a span holds."""
SHORTEST_WAIT = timedelta(milliseconds=20)
"""What is shorter between two tries is our own work."""


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
        trace_id=trace_of(run.id),
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
    found: list[Span] = []
    for step, message in enumerate(answers, start=1):
        found += [*_of_failed(root, step, _told(message)), _of_answer(run, root, step, message)]
    if run.status is RunStatus.failed and (run.error or {}).get("code", "").startswith("model_"):
        began = found[-1].ended_at if found and found[-1].ended_at else root.started_at
        failed = _of_answer(run, root, len(answers) + 1, {"metadata": {"began_at": began.isoformat()}})
        why = {"error.type": (run.error or {})["code"], "error.message": (run.error or {}).get("message")}
        attributes = failed.attributes | why
        found.append(replace(failed, status=SpanStatus.error, ended_at=run.finished_at, attributes=attributes))
    return found


def _of_failed(root: Span, step: int, told: dict[str, Any]) -> list[Span]:
    """Return a span for each try that failed before an answer came, and for the wait after it."""
    tries, found = [*told.get("failed", []), told], []
    for number, (one, then) in enumerate(pairwise(tries), start=1):
        began, ended, again = (
            datetime.fromisoformat(at) for at in (one["began_at"], one["ended_at"], then["began_at"])
        )
        why = {"error.type": one["code"], "error.message": one["message"]}
        details = {"gen_ai.operation.name": "chat", "gen_ai.request.model": one["model"], **why}
        name, model = f"chat {one['model']}", one["model"]
        times = {"status": SpanStatus.error, "started_at": began, "ended_at": ended}
        found.append(_below(root, SpanKind.model_call, name, f"try {step}.{number}", details, model=model, **times))
        if again - ended >= SHORTEST_WAIT:
            times = {"status": SpanStatus.ok, "started_at": ended, "ended_at": again}
            name = "wait before asking again"
            found.append(_below(root, SpanKind.runtime_event, name, f"wait {step}.{number}", why, **times))
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
        "ingram.tries": len(told["failed"]) + 1 if "failed" in told else None,
        "ingram.degraded_by": told.get("degraded_by"),
        "ingram.step": step,
    }
    return _below(
        root,
        SpanKind.model_call,
        f"chat {model}",
        f"model {step}",
        details,
        status=SpanStatus.cancelled if message.get("state") == "interrupted" else SpanStatus.ok,
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
    if call.state is CallState.refused:  # before it was begun: then it was over at once
        ended = call.done_at or call.created_at
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
