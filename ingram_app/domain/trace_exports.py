"""Trace exports: the collector that a project's traces are sent to over OTLP, and how far that has come.

on ──▶ switched off, by hand or after three days of nothing but failures ──▶ on

What is to be sent is read off the feed, which tells of every run that ends: a run costs nothing more for it. A batch is
sent by whoever holds the export, and only when it has arrived is the place in the feed moved on: what a process that
died had sent is sent again, with the same ids. One that is switched on begins with the runs that end from then on.
"""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa
from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, alone, compact, execute, moment_in
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import audit, event_types, events, keyrings, mails, projects, run_spans, semantics, webhooks
from ingram_app.domain.access import Caller, platform
from ingram_app.domain.event_types import RunCancelled, RunCompleted, RunFailed
from ingram_app.domain.events import Event
from ingram_app.domain.runs import Run
from ingram_app.gateways import otlp

MOST_HEADERS = 20
HEADER_LENGTH = 4000
BATCH = 20
"""Runs that are sent at once. After a failure they are sent one by one, so that it is that one's alone."""
HOLD_SECONDS = 60
"""Longer than reading a batch and sending it may take."""
FIRST_WAIT_SECONDS = 5
LONGEST_WAIT_SECONDS = 600
JITTER = (0.8, 1.2)
FAILING_FOR = timedelta(days=3)
UNWANTED = (400, 413, 422)
"""Statuses with which a collector says of a batch that it will never take it."""
_READ_AT_ONCE = 500
_ENDINGS = (RunCompleted.name, RunFailed.name, RunCancelled.name)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = {"host", "connection", "transfer-encoding", "te", "upgrade", "trailer", "expect", "accept-encoding"}
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class TraceExport(SQLModel, table=True):
    __tablename__ = "trace_exports"

    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", primary_key=True)
    endpoint: str
    header_names: list[str] = Field(sa_type=JSONB)
    sealed_headers: bytes
    """A JSON object, sealed for the project."""
    include_content: bool = False
    """Whether what people, models and tools said goes along."""
    active: bool = True
    disabled_reason: str | None = None
    """Why the platform has switched it off."""
    seen_position: int = Field(default=0, sa_type=sa.BigInteger)
    seen_id: str = ""
    """The last event of the feed whose run is done with, and its position."""
    busy_until: datetime = Field(default=_LONG_AGO, sa_type=Moment)
    """Whoever sends has it until then; after a failure it rests until then."""
    failures: int = 0
    """In a row."""
    failing_since: datetime | None = Field(default=None, sa_type=Moment)
    last_status: int | None = None
    last_error: str | None = None
    last_exported_at: datetime | None = Field(default=None, sa_type=Moment)
    exported_runs: int = 0
    dropped_runs: int = 0
    """Those that the collector did not want, or that could not be told."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)

    @property
    def state(self) -> "ExportState":
        if not self.active:
            return ExportState.switched_off
        return ExportState.failing if self.failing_since else ExportState.active


class ExportState(StrEnum):
    active = "active"
    failing = "failing"
    switched_off = "switched_off"


@dataclass(frozen=True, slots=True)
class Batch:
    """Runs to be sent, and all that is needed to send them."""

    project_id: str
    run_ids: list[str]
    held_until: datetime
    seen: tuple[int, str]
    """How far the feed is done with once they are sent."""
    endpoint: str
    headers: dict[str, str] = field(repr=False)
    include_content: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of sending a batch."""

    status: int | None = None
    error: str | None = None
    """Of one that was taken: what the collector said against parts of it."""
    in_vain: bool = False
    """Whether trying again would be: it could not even be put into words."""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class InvalidEndpoint(Invalid):
    """Traces can not be sent to {endpoint}: {reason}."""


class InvalidHeaders(Invalid):
    """The header {name} can not be sent: {reason}."""


async def put(
    session: AsyncSession,
    caller: Caller,
    endpoint: str,
    headers: Mapping[str, str] | None = None,
    *,
    include_content: bool = False,
    active: bool = True,
) -> TraceExport:
    """Send the traces of runs that end from now on to a collector, in place of any before it.

    Without `headers` those before stay, if the endpoint is of the same host. Raises `InvalidEndpoint`,
    `ForbiddenTarget`, `InvalidHeaders`.
    """
    caller.require("webhooks:write")
    endpoint = _checked_endpoint(endpoint)
    await alone(session, f"trace export {caller.project_id}")
    export = await _to_change(session, caller.project_id)
    ring = await keyrings.find(session, caller.project_id)
    kept = headers is None and export is not None and _host(export.endpoint) == _host(endpoint)
    fresh = export is None or not export.active
    if export is None:
        export = TraceExport(project_id=caller.project_id, endpoint="", header_names=[], sealed_headers=b"")
    if not kept:
        checked = _checked_headers(headers or {})
        export.header_names = sorted(checked)
        export.sealed_headers = ring.seal(compact(checked).encode())
    if fresh:
        export.seen_position, export.seen_id = await webhooks.end_of_the_feed(session, caller.project_id)
    export.endpoint, export.include_content, export.active = endpoint, include_content, active
    export.failures, export.failing_since, export.disabled_reason, export.last_error = 0, None, None, None
    export.busy_until, export.updated_at = _LONG_AGO, now()
    session.add(export)
    await session.flush()
    about = {"endpoint": endpoint, "headers": export.header_names, "include_content": include_content, "active": active}
    await audit.note(session, caller, "trace_export.set", caller.project_id, **about)
    return export


async def find(session: AsyncSession, caller: Caller) -> TraceExport:
    """Return where the project's traces are sent. Raises `NotFound`."""
    caller.require("webhooks:read")
    query = select(TraceExport).where(TraceExport.project_id == caller.project_id)
    export = (await session.exec(query)).first()
    if export is None:
        raise NotFound(noun="trace export", id=caller.project_id)
    return export


async def remove(session: AsyncSession, caller: Caller) -> None:
    """Send no more traces, and forget where to. Raises `NotFound`."""
    caller.require("webhooks:write")
    export = await _to_change(session, caller.project_id)
    if export is None:
        raise NotFound(noun="trace export", id=caller.project_id)
    await session.delete(export)
    await audit.note(session, caller, "trace_export.removed", caller.project_id, endpoint=export.endpoint)


_DUE = text(
    "select project_id from trace_exports x where active and busy_until <= clock_timestamp() and"
    " exists (select from events e where e.project_id = x.project_id"
    " and (e.position, e.id) > (x.seen_position, x.seen_id) and e.position < feed_horizon())"
    " order by busy_until limit :most"
)


async def due(session: AsyncSession, most: int) -> list[tuple[str, ...]]:
    """Return projects where something was told since, those first that have waited longest. For the dispatcher."""
    return [(row[0],) for row in (await execute(session, _DUE, {"most": most})).all()]


async def take(session: AsyncSession, project_id: str) -> Batch | None:
    """Begin to send the next runs that have ended, and hold the export for it; nothing, if there are none."""
    free = (col(TraceExport.active), TraceExport.busy_until <= func.clock_timestamp())
    query = select(TraceExport).where(TraceExport.project_id == project_id, *free)
    export = (await session.exec(query.with_for_update(skip_locked=True))).first()
    if export is None:
        return None
    if (await projects.at(session, project_id)).archived_at is not None:
        export.active, export.disabled_reason = False, "The project was deleted."
        return None
    run_ids, seen = await _read_on(session, export)
    if not run_ids:
        export.seen_position, export.seen_id = seen
        return None
    export.busy_until = until = await moment_in(session, HOLD_SECONDS)
    ring = await keyrings.find(session, project_id)
    headers = _headers_of(ring.unseal(export.sealed_headers))
    return Batch(project_id, run_ids, until, seen, export.endpoint, headers, export.include_content)


async def read(session: AsyncSession, batch: Batch) -> list[otlp.Span]:
    """Return the spans of a batch's runs; of a run that is gone by now, none."""
    query = select(Run).where(Run.project_id == batch.project_id, col(Run.id).in_(batch.run_ids))
    found: list[otlp.Span] = []
    for run in (await session.exec(query.order_by(col(Run.finished_at), col(Run.id)))).all():
        spans = await run_spans.of_run(session, run)
        found += semantics.outgoing(run, spans, include_content=batch.include_content)
    return found


async def settle(session: AsyncSession, batch: Batch, outcome: Outcome) -> None:
    """Keep what came of a batch, and let go of the export. Nothing, if the hold on it has ended meanwhile."""
    mine = (TraceExport.project_id == batch.project_id, TraceExport.busy_until == batch.held_until)
    export = (await session.exec(select(TraceExport).where(*mine).with_for_update())).first()
    if export is None:
        return
    export.busy_until = await moment_in(session)
    export.last_status, export.last_error = outcome.status, outcome.error
    in_vain = outcome.in_vain or outcome.status in UNWANTED
    unwanted = in_vain and len(batch.run_ids) == 1
    if outcome.succeeded or unwanted:
        export.seen_position, export.seen_id = batch.seen
        export.exported_runs += len(batch.run_ids) if outcome.succeeded else 0
        export.dropped_runs += unwanted
    if outcome.succeeded:
        export.failures, export.failing_since, export.last_exported_at = 0, None, now()
        return
    export.last_error = outcome.error or f"It answered {outcome.status}."
    export.failing_since = export.failing_since or now()
    export.failures += 1
    if not in_vain:
        wait = min(FIRST_WAIT_SECONDS * 2 ** min(export.failures - 1, 10), LONGEST_WAIT_SECONDS)
        export.busy_until = await moment_in(session, wait * random.uniform(*JITTER))
    if export.active and now() - export.failing_since >= FAILING_FOR:
        await _switch_off(session, export)


async def let_go(session: AsyncSession, batch: Batch) -> None:
    """Leave a batch that nothing came of to whoever comes next."""
    mine = (col(TraceExport.project_id) == batch.project_id, col(TraceExport.busy_until) == batch.held_until)
    await execute(session, sa.update(TraceExport).where(*mine).values(busy_until=func.clock_timestamp()))


async def _read_on(session: AsyncSession, export: TraceExport) -> tuple[list[str], tuple[int, str]]:
    """Return the next runs that the feed tells have ended, and how far that goes."""
    later = sa.tuple_(Event.position, Event.id) > (export.seen_position, export.seen_id)
    run_id = Event.data["run_id"].astext
    query = select(Event.position, Event.id, Event.type, run_id).where(
        Event.project_id == export.project_id, later, Event.position < func.feed_horizon()
    )
    told = (await session.exec(query.order_by(col(Event.position), col(Event.id)).limit(_READ_AT_ONCE))).all()
    most = 1 if export.failures else BATCH
    run_ids: list[str] = []
    seen = (export.seen_position, export.seen_id)
    for position, event_id, type, which in told:
        if type in _ENDINGS:
            if len(run_ids) == most:
                break
            run_ids.append(which)
        seen = (position, event_id)
    return run_ids, seen


async def _switch_off(session: AsyncSession, export: TraceExport) -> None:
    reason = "For three days nothing that was sent there has been taken."
    export.active, export.disabled_reason, export.updated_at = False, reason, now()
    unasked = platform(export.project_id)
    await events.tell(session, unasked, event_types.TraceExportDisabled(export.endpoint, reason))
    await audit.note(session, unasked, "trace_export.disabled", export.project_id, reason=reason)
    said = f"Traces were sent to {export.endpoint}. {reason} The last word of it: {export.last_error}\n\n"
    said += "Set it right and switch it on again:"
    await mails.to_owners(session, export.project_id, "Traces are no longer exported", said, "/settings/traces")


async def _to_change(session: AsyncSession, project_id: str) -> TraceExport | None:
    query = select(TraceExport).where(TraceExport.project_id == project_id)
    return (await session.exec(query.with_for_update())).first()


def _headers_of(sealed: bytes) -> dict[str, str]:
    return {str(name): str(value) for name, value in json.loads(sealed).items()}


def _host(endpoint: str) -> tuple[str, str]:
    parts = urlsplit(endpoint)
    return parts.scheme, parts.netloc


def _checked_endpoint(endpoint: str) -> str:
    """Return the address as it is kept; of one that names a host alone, where collectors take traces.

    Raises `InvalidEndpoint`, `ForbiddenTarget`.
    """
    try:
        kept = webhooks.checked_url(endpoint, "endpoint")
    except webhooks.InvalidWebhookUrl as wrong:
        raise InvalidEndpoint(endpoint=endpoint[:200], reason=wrong.facts["reason"], param="endpoint") from None
    parts = urlsplit(kept)
    return urlunsplit(parts._replace(path="/v1/traces")) if parts.path in ("", "/") else kept


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as they are kept. Raises `InvalidHeaders`."""
    if len(headers) > MOST_HEADERS:
        raise InvalidHeaders(name="…", reason=f"there are more than {MOST_HEADERS}", param="headers")
    for name, value in headers.items():
        if _HEADER.fullmatch(name) is None:
            raise InvalidHeaders(name=repr(name[:100]), reason="its name is none", param="headers")
        if name.lower() in _OURS or name.lower().startswith("content-"):
            raise InvalidHeaders(name=name, reason="it is ours to set", param="headers")
        if re.fullmatch(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{HEADER_LENGTH - 2}}}[\x21-\x7e])?", value) is None:
            reason = f"its value has from 1 to {HEADER_LENGTH} letters of ASCII"
            raise InvalidHeaders(name=name, reason=reason, param="headers")
    return {name.lower(): value for name, value in headers.items()}
