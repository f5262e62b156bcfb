"""A run's waterfall: each model call and tool call as a bar on the time it took, which opens to what is known of it."""

import json
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import is_at, named
from ingram_app.console.figures import counted, duration, money
from ingram_app.console.looks import section
from ingram_app.console.session import standing
from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import traces
from ingram_app.domain.run_spans import Span
from ingram_app.domain.spans import SpanKind
from ingram_app.domain.traces import Branch, Trace

_MOST = 100
"""Spans that are shown; the API has the rest."""
_NARROWEST_PERCENT = 0.4
_KINDS = {
    SpanKind.run: "run",
    SpanKind.model_call: "model",
    SpanKind.tool_call: "tool",
    SpanKind.memory_op: "memory",
    SpanKind.retrieval: "retrieval",
    SpanKind.runtime_event: "wait",
}
_CALLED = {
    "retrieval memory": "Facts told",
    "memory learn": "Learnt from the turn",
    "memory fold": "Document written anew",
}


@dataclass
class Bar:
    """One span."""

    id: str
    depth: int
    kind: str
    name: str
    why: str
    """Its name, and why it failed or was waited for."""
    status: str
    left: str
    """Where it begins, as CSS counts: a share of the whole."""
    width: str
    took: str
    figures: str
    details: list[list[str]]
    """Names and values."""


class Waterfall(rx.State):
    run_id: str = ""
    """Whose it is."""
    bars: list[Bar] = []
    hidden: int = 0

    @rx.event
    async def load(self):
        """Show the spans of the run that the address names."""
        caller = await standing(self)
        wanted = named(self, "runs")
        try:
            async with transaction(caller.tenancy) as session:
                trace = await traces.find(session, caller, wanted)
        except NotFound:
            return self.reset()  # the page says so
        bars = bars_of(trace)
        self.run_id, self.bars, self.hidden = wanted, bars[:_MOST], max(len(bars) - _MOST, 0)


def bars_of(trace: Trace) -> list[Bar]:
    """Return the trace's spans as bars, each below the one that it hangs on."""
    return [_bar(trace.spans[0], span, depth) for depth, span in _walk(traces.tree(trace.spans))]


def _walk(branches: list[Branch], depth: int = 0) -> list[tuple[int, Span]]:
    return [found for branch in branches for found in [(depth, branch.span), *_walk(branch.children, depth + 1)]]


def _bar(whole: Span, span: Span, depth: int) -> Bar:
    end = whole.ended_at or now()
    length = max((end - whole.started_at).total_seconds(), 0.001)
    left = min(max((span.started_at - whole.started_at).total_seconds() / length * 100, 0), 100 - _NARROWEST_PERCENT)
    took = max(((span.ended_at or end) - span.started_at).total_seconds(), 0)
    width = min(max(took / length * 100, _NARROWEST_PERCENT), 100 - left)
    return Bar(
        id=span.id,
        depth=depth,
        kind=_KINDS[span.kind],
        name=_name(span),
        why=": ".join([_name(span), *filter(None, [span.attributes.get("error.message")])]),
        status=span.status.value,
        left=f"{left:.2f}%",
        width=f"{width:.2f}%",
        took=duration(span.started_at, span.ended_at),
        figures=_figures(span),
        details=[[name, _spelt(value)] for name, value in span.attributes.items()],
    )


def _name(span: Span) -> str:
    if "ingram.sent" in span.attributes:
        return span.name
    if span.kind is SpanKind.run:
        return "Run"
    if span.kind is SpanKind.model_call:
        return span.model or "model"
    return str(span.attributes.get("gen_ai.tool.name") or _CALLED.get(span.name) or span.name.capitalize())


def _figures(span: Span) -> str:
    told = []
    if span.input_tokens is not None and span.output_tokens is not None:
        told.append(counted(span.input_tokens + span.output_tokens, "token"))
    if span.cost is not None:
        told.append(money(round(span.cost * 1_000_000)))
    return " · ".join(told)


def _spelt(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def waterfall() -> rx.Component:
    """The bars, one below the other; a bar opens to what is known of it."""
    return section(
        "Waterfall",
        "Where the time went. Open a bar for its details.",
        rx.cond(is_at(Waterfall.run_id), rx.el.ol(rx.foreach(Waterfall.bars, _row), class_name="waterfall")),
        rx.cond(
            (Waterfall.hidden > 0) & is_at(Waterfall.run_id),
            rx.el.p(f"{Waterfall.hidden} more. The API has all of them.", class_name="muted small"),
        ),
    )


def _row(bar: Bar) -> rx.Component:
    return rx.el.li(
        rx.el.details(
            rx.el.summary(
                rx.el.span(bar.kind, class_name="kind"),
                rx.el.span(bar.name, class_name="name clip", title=bar.why),
                rx.el.span(
                    rx.el.span(class_name=f"bar {bar.kind} {bar.status}", style={"left": bar.left, "width": bar.width}),
                    class_name="track",
                    aria_hidden="true",
                ),
                rx.el.span(bar.took, class_name="took"),
            ),
            rx.el.dl(
                rx.cond(bar.figures != "", rx.el.div(rx.el.dt("Used"), rx.el.dd(bar.figures))),
                rx.el.div(rx.el.dt("Status"), rx.el.dd(bar.status)),
                rx.foreach(bar.details, lambda pair: rx.el.div(rx.el.dt(pair[0]), rx.el.dd(pair[1]))),
                class_name="span-details",
            ),
        ),
        key=bar.id,
        style={"--depth": bar.depth.to_string()},
    )
