"""Revisions: what a smith's own config has been, one after the other: its agent, its pin, its overrides.

They are only ever added to. A change that changes nothing adds none; a profile is no config, and has none.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, compact, execute
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import FIRST, Page, Place, page

NUMBERS = range(1, 2**31)
"""What a revision can be numbered."""


class Revision(SQLModel, table=True):
    """The database refuses every change to a row of this table."""

    __tablename__ = "smith_revisions"
    __table_args__ = (
        Index("uq_smith_revisions", "smith_id", "version", unique=True),
        Index("ix_smith_revisions_page", "smith_id", "created_at", "id"),
    )

    id: str = Field(default_factory=lambda: new_id("rev"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", index=True)
    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE")
    version: int
    """1, 2, 3 … within the smith."""
    snapshot: dict[str, Any] = Field(sa_type=JSONB)
    """`{agent_id, pin, overrides}`."""
    note: str | None = None
    created_by: dict[str, str | None] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


_APPEND_MOVED = sa.text(
    "insert into smith_revisions (id, project_id, smith_id, version, snapshot, created_by, created_at)"
    " select 'rev_' || gen_random_uuid(), s.project_id, s.id,"
    " 1 + coalesce((select max(version) from smith_revisions r where r.smith_id = s.id), 0),"
    " jsonb_build_object('agent_id', s.agent_id, 'pin', s.pin, 'overrides', s.overrides), cast(:by as jsonb), :moment"
    " from smiths s where s.project_id = :project_id and s.agent_id = :agent_id and s.updated_at = :moment"
    " and s.archived_at is null and s.tester_id is null"
)


async def append(
    session: AsyncSession, caller: Caller, smith_id: str, snapshot: dict[str, Any], note: str | None = None
) -> Revision:
    """Write down what a smith's config is now. Whoever calls has made it, or holds it until the transaction ends."""
    caller.require("smiths:write")
    newest = select(sa.func.max(Revision.version)).where(
        Revision.project_id == caller.project_id, Revision.smith_id == smith_id
    )
    revision = Revision(
        project_id=caller.project_id,
        smith_id=smith_id,
        version=((await session.exec(newest)).one() or 0) + 1,
        snapshot=snapshot,
        note=note,
        created_by=caller.actor.as_json(),
    )
    session.add(revision)
    await session.flush()
    return revision


async def append_moved(session: AsyncSession, caller: Caller, agent_id: str, moment: datetime) -> None:
    """Write down what their config is now for every smith that was moved to an agent at that moment."""
    caller.require("smiths:write")
    known = {"project_id": caller.project_id, "agent_id": agent_id, "moment": moment}
    await execute(session, _APPEND_MOVED, known | {"by": compact(caller.actor.as_json())})


async def browse(session: AsyncSession, caller: Caller, smith_id: str, place: Place = FIRST) -> Page[Revision]:
    """Return a smith's revisions, newest first."""
    caller.require("smiths:read")
    return await page(session, _of(caller, smith_id), Revision, place)


async def find(session: AsyncSession, caller: Caller, smith_id: str, version: int) -> Revision:
    """Return one revision of a smith. Raises `NotFound`."""
    caller.require("smiths:read")
    if version not in NUMBERS:
        raise NotFound(noun="revision", id=version)
    found: Revision | None = (await session.exec(_of(caller, smith_id).where(Revision.version == version))).first()
    if found is None:
        raise NotFound(noun="revision", id=version)
    return found


def _of(caller: Caller, smith_id: str) -> Any:
    return select(Revision).where(Revision.project_id == caller.project_id, Revision.smith_id == smith_id)
