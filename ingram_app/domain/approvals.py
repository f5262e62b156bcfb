"""Approvals: a tool call that waits for a person to say yes or no.

pending ──▶ approved | rejected     by a person, once
   └──────▶ expired                 nobody decided in time, or the run was cancelled before anybody had

An approval is for the very arguments that are shown: it carries their digest, and nothing else is run under it.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import JSON, Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import schemas, signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute, one_of
from ingram_app.core.errors import Conflict, Invalid, NotFound, Refused
from ingram_app.core.ids import new_id
from ingram_app.domain import access, event_types, events
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import FIRST, Page, Place, page
from ingram_app.domain.tool_calls import ToolCall


class ApprovalStatus(StrEnum):
    pending = "pending"
    approved = "approved"
    rejected = "rejected"
    expired = "expired"


class Approval(SQLModel, table=True):
    __tablename__ = "approvals"
    __table_args__ = (
        Index("ix_approvals_page", "project_id", "created_at", "id"),
        Index("ix_approvals_smith", "smith_id", "created_at", "id"),
        Index("ix_approvals_waiting", "project_id", "created_at", "id", postgresql_where=text("status = 'pending'")),
        Index("ix_approvals_expiry", "expires_at", postgresql_where=text("status = 'pending'")),
        Index("ix_approvals_run", "run_id"),
    )

    id: str = Field(default_factory=lambda: new_id("apr"), primary_key=True)
    project_id: str
    smith_id: str
    agent_id: str
    run_id: str = Field(foreign_key="runs.id", ondelete="CASCADE")
    tool_call_id: str
    tool: str
    args: Any = Field(sa_type=JSON)
    args_digest: str
    elicitation: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    """What the tool asks of the person besides, if it asks anything."""
    approver: Literal["operator", "smith"] = Field(default="operator", sa_type=sa.String)
    four_eyes: bool = False
    status: ApprovalStatus = Field(default=ApprovalStatus.pending, sa_type=one_of(ApprovalStatus))
    actor: dict[str, str | None] | None = Field(default=None, sa_type=JSONB)
    """Who decided."""
    reason: str | None = None
    content: dict[str, Any] | None = Field(default=None, sa_type=JSONB)
    """What the person answered to the elicitation."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    resolved_at: datetime | None = Field(default=None, sa_type=Moment)
    expires_at: datetime | None = Field(default=None, sa_type=Moment)

    @property
    def too_late(self) -> bool:
        return self.expires_at is not None and self.expires_at <= now()


class ApprovalResolved(Conflict):
    """The approval {approval_id} is {status} already{by}: that stands."""


class OperatorRequired(Refused):
    """The approval {approval_id} is for an operator of the project to decide, not for the smith."""


class InvalidContent(Invalid):
    """The `content` is not what the approval {approval_id} asks for: {fault}."""


class FourEyesRequired(Refused):
    """The approval {approval_id} is for somebody else to decide than whoever started the run."""


def of_call(call: ToolCall, agent_id: str) -> Approval:
    """Return what is asked of a person before a gated call is made."""
    gate = call.gate or {}
    seconds = gate.get("expires_in_seconds")
    return Approval(
        project_id=call.project_id,
        smith_id=call.smith_id,
        agent_id=agent_id,
        run_id=call.run_id,
        tool_call_id=call.tool_call_id,
        tool=call.tool,
        args=call.args,
        args_digest=call.args_digest,
        elicitation=gate.get("elicitation"),
        approver=gate.get("approver", "operator"),
        four_eyes=gate.get("four_eyes", False),
        expires_at=now() + timedelta(seconds=seconds) if seconds else None,
    )


async def ask(session: AsyncSession, approvals: Sequence[Approval]) -> None:
    """Put questions before whoever is to decide."""
    for approval in approvals:
        session.add(approval)
        required = event_types.ApprovalRequired(approval.id, approval.run_id, approval.tool, approval.tool_call_id)
        await events.tell(session, access.platform(approval.project_id), required, smith_id=approval.smith_id)
        signals.send(session, topic(approval.project_id))
    await session.flush()


async def find(session: AsyncSession, caller: Caller, approval_id: str) -> Approval:
    """Return one approval of the project, or of the caller's smith. Raises `NotFound`."""
    caller.require("approvals:read")
    found: Approval | None = (await session.exec(_visible(caller).where(Approval.id == approval_id))).first()
    if found is None:
        raise NotFound(noun="approval", id=approval_id)
    return found


async def browse(
    session: AsyncSession,
    caller: Caller,
    place: Place = FIRST,
    *,
    status: ApprovalStatus | None = None,
    smith_id: str | None = None,
    agent_id: str | None = None,
    run_id: str | None = None,
) -> Page[Approval]:
    """Return the project's approvals, newest first, as far as they match. Raises `SmithMismatch`."""
    caller.require("approvals:read")
    query = _visible(caller)
    if smith_id is not None:
        caller.require_own(smith_id)
    whose = ((Approval.smith_id, smith_id), (Approval.agent_id, agent_id), (Approval.run_id, run_id))
    for column, value in ((Approval.status, status), *whose):
        if value is not None:
            query = query.where(column == value)
    return await page(session, query, Approval, place)


async def known(session: AsyncSession, caller: Caller, approval_ids: Collection[str]) -> list[Approval]:
    """Return those approvals of the project."""
    caller.require("approvals:read")
    return list((await session.exec(_visible(caller).where(col(Approval.id).in_(approval_ids)))).all())


async def waiting(session: AsyncSession, caller: Caller) -> int:
    """Return how many approvals of the project wait for somebody."""
    caller.require("approvals:read")
    counted = select(func.count()).where(
        Approval.project_id == caller.project_id, Approval.status == ApprovalStatus.pending
    )
    return (await session.exec(counted)).one()


async def of_run(session: AsyncSession, project_id: str, run_id: str) -> list[Approval]:
    """Return all approvals that a run has asked for, oldest first, as they stand now: they change with the run held."""
    query = select(Approval).where(Approval.project_id == project_id, Approval.run_id == run_id)
    query = query.order_by(col(Approval.created_at), col(Approval.id)).execution_options(populate_existing=True)
    return list((await session.exec(query)).all())


async def resolve(
    session: AsyncSession, caller: Caller, approval: Approval, status: ApprovalStatus, **facts: Any
) -> None:
    """Close a pending approval, whose run the caller of this holds. Raises `ApprovalResolved`."""
    if approval.status is not ApprovalStatus.pending:
        raise ApprovalResolved(approval_id=approval.id, status=approval.status.value, by=_by(approval))
    approval.status, approval.resolved_at = status, now()
    for name, fact in facts.items():
        setattr(approval, name, fact)
    session.add(approval)
    await session.flush()
    resolved = event_types.ApprovalResolved(
        approval.id, approval.run_id, approval.tool, approval.tool_call_id, status.value, approval.reason
    )
    await events.tell(session, caller, resolved, smith_id=approval.smith_id)
    signals.send(session, topic(approval.project_id))


def check_decider(caller: Caller, approval: Approval, started_by: dict[str, str | None] | None) -> None:
    """Raises `InsufficientScope`, `OperatorRequired`, `FourEyesRequired`, and `ApprovalResolved` past its time."""
    caller.require("approvals:write")
    if caller.smith_id and approval.approver != "smith":
        raise OperatorRequired(approval_id=approval.id)
    if approval.four_eyes and started_by is not None and started_by["id"] == caller.actor.id:
        raise FourEyesRequired(approval_id=approval.id)
    if approval.status is ApprovalStatus.pending and approval.too_late:
        raise ApprovalResolved(approval_id=approval.id, status="expired", by="")


def check_content(approval: Approval, content: dict[str, Any] | None) -> None:
    """Look at what a person answers to a tool's question. Raises `InvalidContent`."""
    asked = (approval.elicitation or {}).get("requestedSchema")
    if asked is not None:
        try:
            fault = schemas.fault({"type": "object", **asked}, content or {})
        except schemas.SchemaWrong:
            fault = None  # the tool's own mistake, and its own to find
        if fault is not None:
            raise InvalidContent(approval_id=approval.id, fault=fault, param="content")


async def lapse(session: AsyncSession, caller: Caller, run_id: str) -> None:
    """Close what nobody has decided, now that the caller cancels the run."""
    for approval in await of_run(session, caller.project_id, run_id):
        if approval.status is ApprovalStatus.pending:
            await resolve(session, caller, approval, ApprovalStatus.expired, reason="The run was cancelled.")


async def overdue(session: AsyncSession) -> list[tuple[str, str]]:
    """Return (project, approval) of those whose time is over. For the dispatcher's transaction."""
    approvals = sa.table("approvals", *(sa.column(name) for name in ("id", "project_id", "status", "expires_at")))
    late = (approvals.c.status == "pending") & (approvals.c.expires_at <= func.clock_timestamp())
    query = sa.select(approvals.c.project_id, approvals.c.id).where(late).order_by(approvals.c.expires_at).limit(100)
    return [(row[0], row[1]) for row in (await execute(session, query)).all()]


def topic(project_id: str) -> str:
    """Return what to listen to for changes of a project's approvals."""
    return f"approvals:{project_id}"


def _visible(caller: Caller) -> Any:
    query = select(Approval).where(Approval.project_id == caller.project_id)
    return query.where(Approval.smith_id == caller.smith_id) if caller.smith_id else query


def _by(approval: Approval) -> str:
    who = approval.actor and (approval.actor.get("email") or f"{approval.actor['kind']} {approval.actor['id']}")
    return f", by {who}" if who else ""
