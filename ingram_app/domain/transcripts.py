"""Transcripts: the messages that each run added to its thread. Those of completed turns are the thread's history.

A transcript is also the run's checkpoint: it is written before each model call, and whoever takes the run up again
goes on from it.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import compact, execute

Messages = list[dict[str, Any]]
"""As the model layer writes them down: requests and responses in turn."""
HISTORY_BYTES = 256 * 1024
"""As much of a thread's past as is sent to a model, newest turns first, never half a turn."""
HISTORY_TURNS = 200
NOTHING = "[]"


class Transcript(SQLModel, table=True):
    __tablename__ = "transcripts"
    __table_args__ = (
        Index("ix_transcripts_history", "smith_id", "thread_id", "run_id", postgresql_where=sa.text("complete")),
    )

    run_id: str = Field(foreign_key="runs.id", ondelete="CASCADE", primary_key=True)
    project_id: str = Field(index=True)
    smith_id: str
    thread_id: str
    messages: Messages = Field(sa_type=JSONB)
    complete: bool = False
    """The turn has come to its end and is part of the thread's history."""


_KEEP = sa.text(
    "insert into transcripts (run_id, project_id, smith_id, thread_id, messages, complete)"
    " select id, project_id, smith_id, thread_id, cast(:messages as jsonb), :complete"
    " from runs where project_id = :project_id and id = :run_id"
    " on conflict (run_id) do update set messages = excluded.messages, complete = excluded.complete"
)
_OF_RUN = sa.text("select messages::text from transcripts where project_id = :project_id and run_id = :run_id")
_HISTORY = sa.text(
    "select messages::text from transcripts where project_id = :project_id and smith_id = :smith_id"
    " and thread_id = :thread_id and complete order by run_id desc limit :turns"
)


async def keep(session: AsyncSession, transcript: Transcript) -> None:
    """Write a run's transcript down, in place of what was there, under the smith and thread that the run is now of."""
    kept = {"run_id": transcript.run_id, "project_id": transcript.project_id, "complete": transcript.complete}
    await execute(session, _KEEP, kept | {"messages": compact(transcript.messages)})


async def of_run(session: AsyncSession, project_id: str, run_id: str) -> str:
    """Return what the run has added so far, as JSON."""
    known = {"project_id": project_id, "run_id": run_id}
    return (await execute(session, _OF_RUN, known)).scalar() or NOTHING


async def history(session: AsyncSession, project_id: str, smith_id: str, thread_id: str) -> str:
    """Return the thread's completed turns that fit `HISTORY_BYTES`, the newest kept, oldest first, as JSON."""
    known = {"project_id": project_id, "smith_id": smith_id, "thread_id": thread_id, "turns": HISTORY_TURNS}
    turns: list[str] = []
    room = HISTORY_BYTES
    for (messages,) in (await execute(session, _HISTORY, known)).all():
        room -= len(messages)
        if room < 0 and turns:
            break
        turns.append(messages.removeprefix("[").removesuffix("]"))
    return f"[{','.join(turn for turn in reversed(turns) if turn)}]"
