"""Erasures: all that was held about a person's smith is gone, but for what it used and cost. The receipt stays.

The smith's row goes, and with it every row that refers to it; a noun that is held about a smith refers to it so that
it goes along. What a run under way writes later finds no run to write to: its carrier loses the lease and lets go.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import (
    approvals,
    audit,
    budgets,
    event_types,
    events,
    frames,
    idempotency,
    runs,
    smiths,
    tokens,
    usage,
)
from ingram_app.domain.access import Caller


class Erasure(SQLModel, table=True):
    """The receipt, and the tombstone: an id that stands here never comes back."""

    __tablename__ = "erasures"
    __table_args__ = (Index("uq_erasures_smith_id", "project_id", "smith_id", unique=True),)

    id: str = Field(default_factory=lambda: new_id("ers"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    smith_id: str
    counts: dict[str, int] = Field(sa_type=JSONB)
    """How many there were of each: threads, runs, messages, frames, tokens …"""
    erased_at: datetime = Field(default_factory=now, sa_type=Moment)


_WHOSE = sa.text("select id from smiths where project_id = :project_id and (id = :smith_id or moved_to = :smith_id)")
_THREADS = sa.text(
    "select from threads where project_id = :project_id and smith_id = any(:whose) order by smith_id, id for update"
)
_LIVE = sa.text(
    "select id from runs where project_id = :project_id and smith_id = any(:whose)"
    " and status not in ('completed', 'failed', 'cancelled') order by id for update"
)
_OF_SMITH = "where project_id = :project_id and smith_id = any(:whose)"
_OF_RUNS = f"where project_id = :project_id and run_id in (select id from runs {_OF_SMITH})"
_COUNT = {
    "threads": f"threads {_OF_SMITH}",
    "runs": f"runs {_OF_SMITH}",
    "messages": f"(select jsonb_array_elements(messages) from transcripts {_OF_RUNS}) m",
    "summaries": f"summaries {_OF_SMITH}",
    "attachments": f"attachments {_OF_SMITH}",
    "tool_calls": f"tool_calls {_OF_SMITH}",
    "approvals": f"approvals {_OF_SMITH}",
    "connections": f"connections {_OF_SMITH}",
    "frames": f"frames {_OF_RUNS}",
    "spans": f"sent_spans {_OF_SMITH}",
    "revisions": f"smith_revisions {_OF_SMITH}",
    "memories": f"memories {_OF_SMITH}",
    "memory_documents": f"memory_documents {_OF_SMITH}",
    "model_keys": f"model_keys {_OF_SMITH}",
    "budgets": budgets.OF_SMITHS,
    "events": f"events {_OF_SMITH}",
    "tokens": "tokens where project_id = :project_id and sub = any(:subjects)",
}
_UNTIE = f"update meter_events set smith_id = null, told_by = '', idempotency_key = null, metadata = '{{}}' {_OF_SMITH}"
"""What was counted stays with the customer it is billed to, and no longer says for whom."""
_DELETE = (
    _UNTIE,
    *(f"delete from {_COUNT[kind]}" for kind in ("runs", "threads", "events", "tokens")),
    f"delete from memory_ops {_OF_SMITH}",
    "delete from smiths where project_id = :project_id and id = :smith_id",
)


async def erase(session: AsyncSession, caller: Caller, smith_id: str) -> Erasure:
    """Erase a smith, live or archived, with the anonymous ones it was before, and return the receipt.

    Asked again, it is the same receipt. Raises `NotFound`.
    """
    caller.require("smiths:write")
    try:
        smith = await smiths.hold(session, caller, smith_id)
    except NotFound:
        return await find(session, caller, smith_id)
    known = await _whose(session, caller, smith_id)
    await execute(session, _THREADS, known)  # before its runs, as carriers do
    for (run_id,) in (await execute(session, _LIVE, known)).all():
        signals.send(session, f"{runs.CANCEL}:{run_id}", frames.topic(run_id))
    receipt = Erasure(project_id=caller.project_id, smith_id=smith_id, counts=await _counts(session, known))
    session.add(receipt)
    await session.flush()
    await usage.forget(session, known)
    await budgets.forget(session, known)
    for statement in _DELETE:
        await execute(session, sa.text(statement), known)
    session.expunge(smith)
    for one in known["whose"]:
        await idempotency.forget(session, caller, one)
    await events.tell(session, caller, event_types.SmithErased(receipt_id=receipt.id), smith_id=smith_id)
    await audit.note(session, caller, "smith.erased", smith_id, receipt_id=receipt.id)
    signals.send(session, runs.topic(caller.project_id), approvals.topic(caller.project_id))
    return receipt


async def preview(session: AsyncSession, caller: Caller, smith_id: str) -> dict[str, int]:
    """Return how much of each kind an erasure would remove."""
    caller.require("smiths:read")
    return await _counts(session, await _whose(session, caller, smith_id))


async def find(session: AsyncSession, caller: Caller, smith_id: str) -> Erasure:
    """Return the receipt of an erased smith. Raises `NotFound`."""
    caller.require("smiths:read")
    query = select(Erasure).where(Erasure.project_id == caller.project_id, Erasure.smith_id == smith_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound(noun="smith", id=smith_id)
    return found


async def _whose(session: AsyncSession, caller: Caller, smith_id: str) -> dict[str, Any]:
    """Return, as parameters, the smith and the anonymous ones that it was before."""
    known: dict[str, Any] = {"project_id": caller.project_id, "smith_id": smith_id}
    whose = [row[0] for row in (await execute(session, _WHOSE, known)).all()]
    return known | {"whose": whose, "subjects": [tokens.subject(caller.project_id, one) for one in whose]}


async def _counts(session: AsyncSession, known: dict[str, Any]) -> dict[str, int]:
    counted = {kind: sa.text(f"select count(*) from {rows}") for kind, rows in _COUNT.items()}
    return {kind: int((await execute(session, query, known)).scalar()) for kind, query in counted.items()}
