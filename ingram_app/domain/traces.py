"""Traces: the spans of a run, with those that the project's own programs have sent of it, or of a trace of their own.

A trace of a run has the run's id behind `trc_`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import in_utc
from ingram_app.core.errors import NotFound
from ingram_app.domain import run_spans, runs, spans as sent
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import FIRST, Page, Place, cursor, page
from ingram_app.domain.run_spans import Span
from ingram_app.domain.runs import Run, RunStatus
from ingram_app.domain.spans import SentSpan, SentTrace

DEEPEST = 50
"""Levels of a tree."""


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


async def find(session: AsyncSession, caller: Caller, run_id: str) -> Trace:
    """Return the trace of a run. Raises `NotFound`."""
    run = await runs.look_up(session, caller, run_id, may="traces:read")
    own = await run_spans.of_run(session, run)
    told = await sent.of_trace(session, run.project_id, sent.trace_of(run.id))
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
        query = query.where(SentTrace.created_at >= in_utc(since))
    of_programs = await page(session, query, SentTrace, place)
    both = [*of_runs.data, *of_programs.data]
    both.sort(key=lambda one: (one.created_at, one.id.encode()), reverse=True)
    shown = both[: place.limit]
    if len(both) == len(shown) and not (of_runs.has_more or of_programs.has_more):
        return Page(shown, None)
    return Page(shown, cursor(shown[-1].created_at.isoformat(), shown[-1].id))


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
