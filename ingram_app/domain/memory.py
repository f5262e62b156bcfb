"""Memory: the working document of a smith about its person, put before the model on each turn.

Every writing is a revision; undoing one writes the one before it anew, so that nothing is lost on the way.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.domain import event_types, events, smiths
from ingram_app.domain.access import Caller

MOST_BYTES = 32 * 1024
REVISIONS = 100
"""Older ones are forgotten."""


class MemoryDocument(SQLModel, table=True):
    """One revision; the newest is the document."""

    __tablename__ = "memory_documents"

    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE", primary_key=True)
    version: int = Field(primary_key=True)
    """1, 2, 3 … within the smith."""
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", index=True)
    content: str
    """Markdown."""
    actor: dict[str, str | None] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


class InvalidMemoryContent(Invalid):
    """The memory document has {size} bytes; at most 32768 are kept. Shorten it, or keep facts as memories."""

    code = "invalid_content"


class MemoryDocumentChanged(Conflict):
    """The memory document was written anew in the meantime: it is at version {version}. Nothing was overwritten."""


_ALONE = text(
    "select id from smiths where project_id = :project_id and id = :smith_id and archived_at is null for no key update"
)


async def read(session: AsyncSession, caller: Caller, smith_id: str) -> MemoryDocument | None:
    """Return a smith's document, none before the first writing. Raises `SmithMismatch`, `NotFound`."""
    caller.require("memories:read")
    await smiths.embody(session, caller, smith_id)
    return await newest(session, caller.project_id, smith_id)


async def newest(session: AsyncSession, project_id: str, smith_id: str) -> MemoryDocument | None:
    """Return the document of a smith that the transaction is for."""
    query = _of(project_id, smith_id).order_by(col(MemoryDocument.version).desc()).limit(1)
    found: MemoryDocument | None = (await session.exec(query)).first()
    return found


async def revisions(session: AsyncSession, caller: Caller, smith_id: str) -> list[MemoryDocument]:
    """Return what the document was, newest first. Raises `SmithMismatch`, `NotFound`."""
    caller.require("memories:read")
    await smiths.embody(session, caller, smith_id)
    query = _of(caller.project_id, smith_id).order_by(col(MemoryDocument.version).desc())
    return list((await session.exec(query)).all())


async def write(
    session: AsyncSession,
    caller: Caller,
    smith_id: str,
    content: str,
    *,
    over: int | None = None,
    deed: str = "written",
) -> MemoryDocument:
    """Write the document anew, `over` that version alone if one is named; the same words again change nothing.

    Raises `SmithMismatch`, `NotFound`, `InvalidMemoryContent`, `MemoryDocumentChanged`.
    """
    caller.require("memories:write")
    if (size := len(content.encode())) > MOST_BYTES:
        raise InvalidMemoryContent(size=size, param="content")
    await smiths.embody(session, caller, smith_id)
    if (await execute(session, _ALONE, {"project_id": caller.project_id, "smith_id": smith_id})).first() is None:
        raise NotFound(noun="smith", id=smith_id)  # it was claimed just now
    last = await newest(session, caller.project_id, smith_id)
    if last is not None and last.content == content:
        return last
    version = last.version if last else 0
    if over not in (None, version):
        raise MemoryDocumentChanged(version=version)
    fresh = MemoryDocument(
        smith_id=smith_id,
        version=version + 1,
        project_id=caller.project_id,
        content=content,
        actor=caller.actor.as_json(),
    )
    session.add(fresh)
    await session.flush()
    await _forget_old(session, fresh)
    await tell(session, caller, smith_id, deed)
    return fresh


async def restore(session: AsyncSession, caller: Caller, smith_id: str, version: int) -> MemoryDocument:
    """Write a revision anew as the newest. Raises `SmithMismatch`, `NotFound`."""
    caller.require("memories:write")
    found: MemoryDocument | None = (
        await session.exec(_of(caller.project_id, smith_id).where(MemoryDocument.version == version))
    ).first()
    await smiths.embody(session, caller, smith_id)
    if found is None:
        raise NotFound(noun="revision", id=version)
    return await write(session, caller, smith_id, found.content, deed="restored")


async def tell(session: AsyncSession, caller: Caller, smith_id: str, deed: str, memory_id: str | None = None) -> None:
    """Tell what was done to the document, or to a fact, and wake whoever looks at the smith's memory."""
    what = "document" if memory_id is None else "fact"
    await events.tell(session, caller, event_types.MemoryUpdated(what, memory_id, deed), smith_id=smith_id)
    signals.send(session, topic(smith_id))


def topic(smith_id: str) -> str:
    """Return what to listen to for changes of a smith's memory."""
    return f"memory:{smith_id}"


async def _forget_old(session: AsyncSession, newest: MemoryDocument) -> None:
    old = sa.delete(MemoryDocument).where(
        col(MemoryDocument.project_id) == newest.project_id,
        col(MemoryDocument.smith_id) == newest.smith_id,
        col(MemoryDocument.version) <= newest.version - REVISIONS,
    )
    await execute(session, old)


def _of(project_id: str, smith_id: str) -> Any:
    return select(MemoryDocument).where(MemoryDocument.project_id == project_id, MemoryDocument.smith_id == smith_id)
