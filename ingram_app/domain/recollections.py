"""Recollections: a smith's past turns as they are searched: what was asked and what was answered, as one text.

They are written down when somebody first asks for them: a turn that nobody recalls costs nothing.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, compact, execute
from ingram_app.domain import turns

CONTENT_LENGTH = 4000
AT_ONCE = 200
"""Turns that are written down when they are asked for, the newest first."""


class Recollection(SQLModel, table=True):
    __tablename__ = "recollections"
    __table_args__ = (Index("ix_recollections_smith", "smith_id", "created_at"),)

    run_id: str = Field(foreign_key="runs.id", ondelete="CASCADE", primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", index=True)
    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE")
    thread_id: str
    content: str
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    """When the turn was."""
    words: Any = Field(
        default=None,
        sa_column=sa.Column(TSVECTOR, sa.Computed("to_tsvector('simple', content)", persisted=True)),
    )


_NEW = text(
    "select r.id, r.input, r.output->>'content' from runs r"
    " where r.project_id = :project_id and r.smith_id = :smith_id and r.status = 'completed' and r.input <> '[]'"
    " and not exists (select from recollections m where m.run_id = r.id)"
    " order by r.created_at desc limit :limit"
)
_ARE_THERE = text("select exists (select from recollections where project_id = :project_id and smith_id = :smith_id)")
_KEEP = text(
    "insert into recollections (run_id, project_id, smith_id, thread_id, content, created_at)"
    " select r.id, r.project_id, r.smith_id, r.thread_id, said.content, r.created_at"
    " from jsonb_to_recordset(cast(:told as jsonb)) as said(id text, content text)"
    " join runs r on r.id = said.id and r.project_id = :project_id and r.smith_id = :smith_id and r.input <> '[]'"
    " for share of r on conflict do nothing"  # a thread that is being deleted is waited for
)


async def are_there(session: AsyncSession, project_id: str, smith_id: str) -> bool:
    """Tell whether any of a smith's turns have been written down to be searched."""
    return bool((await execute(session, _ARE_THERE, {"project_id": project_id, "smith_id": smith_id})).scalar())


async def catch_up(session: AsyncSession, project_id: str, smith_id: str) -> int:
    """Write down the newest turns that are not yet; return how many there were."""
    known = {"project_id": project_id, "smith_id": smith_id, "limit": AT_ONCE}
    rows = (await execute(session, _NEW, known)).all()
    told = [{"id": run_id, "content": _told(said, answer)} for run_id, said, answer in rows]
    if told:
        await execute(session, _KEEP, {"project_id": project_id, "smith_id": smith_id, "told": compact(told)})
    return len(told)


def _told(said: list[dict[str, Any]], answer: str | None) -> str:
    asked = "\n".join(turns.words(message["content"]) for message in said if message["role"] == "user")
    half = CONTENT_LENGTH // 2
    return f"User: {asked.strip()[:half]}\nAssistant: {(answer or '').strip()[:half]}"
