"""Exports: everything that is held about a smith's person, a line of JSON each, as a file that is written as it goes.

It is read a page at a time, each in a transaction of its own: nothing is held while the client is slow, and no more
than a page is in memory. What is said meanwhile may be in it or not. There is no secret in it.

To add a noun: write its `Section` and name it in `SECTIONS`.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import compact, execute, transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import audit
from ingram_app.domain.access import Caller
from ingram_app.domain.approvals import Approval
from ingram_app.domain.attachments import Attachment
from ingram_app.domain.connections import Connection
from ingram_app.domain.frames import Frame
from ingram_app.domain.memories import Memory
from ingram_app.domain.memory import MemoryDocument
from ingram_app.domain.memory_ops import MemoryOp
from ingram_app.domain.meters import MeterEvent
from ingram_app.domain.model_keys import ModelKey
from ingram_app.domain.retrievals import Retrieval
from ingram_app.domain.revisions import Revision
from ingram_app.domain.runs import Run
from ingram_app.domain.smiths import Smith
from ingram_app.domain.spans import SentSpan
from ingram_app.domain.summaries import Summary
from ingram_app.domain.threads import Thread
from ingram_app.domain.tokens import Token, subject
from ingram_app.domain.tool_calls import ToolCall
from ingram_app.domain.transcripts import Transcript


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of line: which rows it is made of, and what is told of each."""

    kind: str
    table: type[SQLModel]
    told: tuple[str, ...]
    """Attributes, and no others: what is new on a row is not told by accident."""
    key: tuple[str, ...] = ("id",)
    """What the rows are ordered by; the last of it is unique."""
    whose: Callable[[Any, Caller, str], Any] = lambda table, _, smith_id: table.smith_id == smith_id
    at_once: int = 20
    """Rows of a page: few, where a row can be long."""
    each: str = ""
    """An attribute that is a list and gives a line for each of its items."""
    parts: tuple["Section", ...] = ()
    """What hangs on these rows by their `run_id`."""


SECTIONS = (
    Section(
        "profile",
        Smith,
        ("id", "external_id", "display_name", "locale", "timezone", "customer_id", "about", "agent_id", "pin",
         "overrides", "created_at", "updated_at", "archived_at", "moved_to"),
        whose=lambda table, _, smith_id: (table.id == smith_id) | (table.moved_to == smith_id),
    ),
    Section("revision", Revision, ("version", "snapshot", "note", "created_at"), ("smith_id", "version")),
    Section("thread", Thread, ("id", "title", "run_count", "created_at", "last_activity_at"), at_once=500),
    Section(
        "summary", Summary, ("thread_id", "reaches", "text", "run_id", "model", "created_at"), ("thread_id", "reaches")
    ),
    Section(
        "attachment",
        Attachment,
        ("sha256", "thread_id", "media_type", "size", "base64", "created_at"),
        ("sha256", "thread_id"),
        at_once=1,
    ),
    Section(
        "run",
        Run,
        ("id", "thread_id", "agent_id", "agent_version", "model", "status", "channel", "input", "output", "stop_reason",
         "error", "warnings", "usage", "about", "rendered_instructions", "created_at", "started_at", "finished_at"),
        parts=(
            Section("retrieval", Retrieval, ("run_id", "document", "facts", "model", "began_at"), ("run_id",)),
            Section(
                "memory_op",
                MemoryOp,
                ("run_id", "kind", "state", "outcome", "model", "input_tokens", "output_tokens", "ended_at"),
                ("run_id", "id"),
            ),
            Section("message", Transcript, ("run_id", "thread_id", "complete"), ("run_id",), each="messages"),
            Section(
                "tool_call",
                ToolCall,
                ("run_id", "tool_call_id", "tool", "args", "state", "result", "is_error", "created_at", "done_at"),
                ("run_id", "id"),
            ),
            Section(
                "approval",
                Approval,
                ("id", "run_id", "tool_call_id", "tool", "args", "status", "reason", "created_at", "resolved_at"),
                ("run_id", "id"),
            ),
            Section("frame", Frame, ("run_id", "seq", "event", "data", "created_at"), ("run_id", "seq"), at_once=500),
        ),
    ),
    Section(
        "span",
        SentSpan,
        ("trace_id", "id", "parent_span_id", "kind", "name", "status", "started_at", "ended_at", "model",
         "input_tokens", "output_tokens", "cost_micros", "attributes"),
        ("smith_id", "trace_id", "id"),
        at_once=200,
    ),
    Section("memory_document", MemoryDocument, ("version", "content", "created_at"), ("smith_id", "version")),
    Section(
        "memory",
        Memory,
        ("id", "content", "category", "subject", "confidence", "source_run_id", "superseded_by", "edits", "expires_at",
         "created_at", "updated_at"),
    ),
    Section(
        "usage_event",
        MeterEvent,
        ("id", "meter", "quantity", "customer_id", "idempotency_key", "about", "created_at"),
    ),
    Section(
        "token",
        Token,
        ("id", "name", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"),
        whose=lambda table, caller, smith_id: table.sub == subject(caller.project_id, smith_id),
    ),
    Section("connection", Connection, ("id", "provider", "scopes", "status", "about", "created_at", "updated_at")),
    Section("model_key", ModelKey, ("provider", "base_url", "created_at", "updated_at")),
)  # fmt: skip
_USED = ("model", "run_count", "input_tokens", "output_tokens", "cost_micros")
_SPELT = {"about": "metadata"}
_USAGE = sa.text(
    "select model, sum(runs)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint, sum(cost_micros)::bigint"
    " from model_calls where project_id = :project_id and smith_id = :smith_id group by model order by 1"
)


async def begin(session: AsyncSession, caller: Caller, smith_id: str) -> None:
    """Check that a smith, live or archived, may be exported, and write down that it is. Raises `NotFound`."""
    caller.require("smiths:write")  # who may only look does not carry a person's whole story out of the house
    there = select(Smith.id).where(Smith.project_id == caller.project_id, Smith.id == smith_id)
    if (await session.exec(there.where(col(Smith.tester_id).is_(None)))).first() is None:
        raise NotFound(noun="smith", id=smith_id)
    await audit.note(session, caller, "smith.exported", smith_id)


async def lines(caller: Caller, smith_id: str) -> AsyncIterator[str]:
    """Yield the file of a smith whose export was begun, line by line; at last what it has used, for each model."""
    for section in SECTIONS:
        async for rows in _pages(caller, section, section.whose(section.table, caller, smith_id)):
            for line in _told(section, rows):
                yield line
            for part in section.parts:
                table: Any = part.table
                async for more in _pages(caller, part, table.run_id.in_([row.id for row in rows])):
                    for line in _told(part, more):
                        yield line
    async with transaction(caller.tenancy) as session:
        known = {"project_id": caller.project_id, "smith_id": smith_id}
        used = (await execute(session, _USAGE, known)).all()
    for row in used:
        yield _line("usage", dict(zip(_USED, row, strict=True)))


async def _pages(caller: Caller, section: Section, which: Any) -> AsyncIterator[Sequence[Any]]:
    table: Any = section.table
    key = [getattr(table, name) for name in section.key]
    query = select(table).where(table.project_id == caller.project_id, which).order_by(*key).limit(section.at_once)
    place: tuple[Any, ...] | None = None
    while True:
        later = query if place is None else query.where(sa.tuple_(*key) > place)
        async with transaction(caller.tenancy) as session:
            rows = (await session.exec(later)).all()
        if rows:
            yield rows
        if len(rows) < section.at_once:
            return
        place = tuple(getattr(rows[-1], name) for name in section.key)


def _told(section: Section, rows: Sequence[Any]) -> Iterator[str]:
    for row in rows:
        told = {name: getattr(row, name) for name in section.told}
        if not section.each:
            yield _line(section.kind, told)
        for item in getattr(row, section.each) if section.each else ():
            yield _line(section.kind, told | {section.kind: item})


def _line(kind: str, told: dict[str, Any]) -> str:
    return compact({"type": kind} | {_SPELT.get(name, name): _plain(value) for name, value in told.items()}) + "\n"


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case Decimal():
            return format(value.normalize(), "f")
    return value
