"""The audit log: who did what to which thing, and from where. It is only added to, and outlives what it tells of."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, or_, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, compact, execute
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import FIRST, Page, Place, page


class AuditEntry(SQLModel, table=True):
    """The database refuses every change to a row of this table."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_page", "organization_id", "created_at", "id"),
        Index("ix_audit_resource", "organization_id", "resource_id", "created_at"),
    )

    id: str = Field(default_factory=lambda: new_id("aud"), primary_key=True)
    organization_id: str = Field(foreign_key="organizations.id", ondelete="CASCADE")
    project_id: str | None = None
    actor: dict[str, str | None] = Field(sa_type=JSONB)
    action: str
    """What was done to which kind of thing: `agent.published`."""
    resource_id: str
    details: dict[str, Any] = Field(sa_type=JSONB)
    address: str
    """Where the request came from; empty for the platform's own deeds."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


_NOTE = text(
    "insert into audit (id, organization_id, project_id, actor, action, resource_id, details, address, created_at)"
    " select :id, coalesce(nullif(:organization_id, ''),"
    " (select organization_id from projects where id = :project_id)),"
    " nullif(:project_id, ''), cast(:actor as jsonb), :action, :resource_id, cast(:details as jsonb), :address, :now"
)


async def note(session: AsyncSession, caller: Caller, action: str, resource_id: str, **details: Any) -> None:
    """Write down a deed together with it. `details` are facts that JSON can spell, never a secret."""
    row = {
        "id": new_id("aud"),
        "organization_id": caller.organization_id,
        "project_id": caller.project_id,
        "actor": compact(caller.actor.as_json()),
        "action": action,
        "resource_id": resource_id,
        "details": compact(details),
        "address": caller.address,
        "now": now(),
    }
    await execute(session, _NOTE, row)


async def browse(
    session: AsyncSession,
    caller: Caller,
    place: Place = FIRST,
    *,
    resource_id: str | None = None,
    action: str | None = None,
    actor: str | None = None,
) -> Page[AuditEntry]:
    """Return what was done in the organization, newest first. Raises `OrganizationRequired`, `AdminRequired`.

    `action` is one exactly, or all that are done to one kind of thing: `webhook`. `actor` is an id, of a token too, or
    an e-mail address.
    """
    caller.require_organization()
    query = select(AuditEntry).where(AuditEntry.organization_id == caller.organization_id)
    if resource_id is not None:
        query = query.where(AuditEntry.resource_id == resource_id)
    if action is not None:
        family = col(AuditEntry.action).startswith(action.rstrip(".") + ".", autoescape=True)
        query = query.where((col(AuditEntry.action) == action) | family)
    if actor is not None:
        known = [col(AuditEntry.actor)[part].astext for part in ("id", "token_id", "email")]
        query = query.where(or_(*(part == actor for part in known)))
    return await page(session, query, AuditEntry, place)


async def find(session: AsyncSession, caller: Caller, entry_id: str) -> AuditEntry:
    """Return one deed. Raises `OrganizationRequired`, `AdminRequired`, `NotFound`."""
    caller.require_organization()
    whose = (AuditEntry.organization_id == caller.organization_id, AuditEntry.id == entry_id)
    entry = (await session.exec(select(AuditEntry).where(*whose))).first()
    if entry is None:
        raise NotFound(noun="audit entry", id=entry_id)
    return entry
