"""Semantics: how a run's spans are told to collectors, by OpenTelemetry's conventions for generative AI (1.37).

What people, models and tools said is left out unless the project wants it told, as the conventions advise.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

from ingram_app.core.database import compact
from ingram_app.domain.run_spans import SHOWN_CHARACTERS, Span
from ingram_app.domain.runs import Run
from ingram_app.domain.spans import SpanKind, SpanStatus
from ingram_app.gateways import otlp

_PLAIN = frozenset(
    {
        *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.agent.id", "gen_ai.conversation.id", "error.type"),
        *("gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.finish_reasons"),
        *("gen_ai.tool.name", "gen_ai.tool.call.id", "ingram.tool.kind", "ingram.tool.state"),
        *("ingram.run.id", "ingram.smith.id", "ingram.span.kind", "ingram.span.status"),
        *("ingram.channel", "ingram.status", "ingram.approval.id", "ingram.approval.status"),
    }
)
"""Attributes of words that say nothing of what was said. Others go along only with content; numbers always do."""


def trace_id_of(run_id: str) -> str:
    """Return the id that OpenTelemetry knows a run's trace by: 32 hex digits of the SHA-256 of the run's id."""
    return sha256(run_id.encode()).hexdigest()[:32]


def outgoing(run: Run, spans: Sequence[Span], *, include_content: bool) -> Iterator[otlp.Span]:
    """Yield the spans of a run that has ended, its own first."""
    trace_id = trace_id_of(run.id)
    about = {"ingram.run.id": run.id, "ingram.smith.id": run.smith_id}
    for span in spans:
        told = span.attributes | {"ingram.span.kind": span.kind.value, "ingram.span.status": span.status.value} | about
        if include_content and span is spans[0]:
            told |= _said(run)
        shown = {name: it for name, it in told.items() if include_content or _is_plain(name, it)}
        if span.cost is not None:
            shown["ingram.cost_usd"] = span.cost
        yield otlp.Span(
            trace_id=trace_id,
            id=span.id,
            parent_id=span.parent_span_id,
            name=span.name,
            is_call=span.kind is SpanKind.model_call,
            started_at=span.started_at,
            ended_at=span.ended_at or max(run.finished_at or span.started_at, span.started_at),
            error=str(told.get("error.type", "error")) if span.status is SpanStatus.error else None,
            attributes=shown,
        )


def _is_plain(name: str, value: Any) -> bool:
    return isinstance(value, int | float) or name in _PLAIN


def _said(run: Run) -> dict[str, str]:
    """Return what a run was told and what it said, as the conventions spell messages."""
    told = [{"role": said.get("role"), "parts": _parts(said.get("content"))} for said in run.input]
    answer = [{"role": "assistant", "parts": _parts((run.output or {}).get("content"))}]
    return {"gen_ai.input.messages": compact(told), "gen_ai.output.messages": compact(answer)}


def _parts(content: Any) -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    return [
        {"type": "text", "content": str(part.get("text", ""))[:SHOWN_CHARACTERS]}
        if part.get("type") == "text"
        else {"type": str(part.get("type"))}
        for part in parts
    ]
