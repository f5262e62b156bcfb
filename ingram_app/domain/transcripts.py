"""Transcripts: the messages that each run added to its thread. Those of completed turns are the thread's history.

A transcript is also the run's checkpoint: it is written before each model call, and whoever takes the run up again
goes on from it.
"""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

Messages = list[dict[str, Any]]
"""As the model layer writes them down: requests and responses in turn."""
HISTORY_BYTES = 256 * 1024
"""As much of a thread's past as is sent to a model, newest turns first, never half a turn."""
HISTORY_TURNS = 200


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


async def keep(session: AsyncSession, transcript: Transcript) -> None:
    """Write a run's transcript down, in place of what was there."""
    row = transcript.model_dump()
    later = {"messages": row["messages"], "complete": row["complete"]}
    upsert = insert(Transcript).values(row)
    await session.execute(upsert.on_conflict_do_update(index_elements=["run_id"], set_=later))


async def of_run(session: AsyncSession, project_id: str, run_id: str) -> Messages:
    """Return what the run has added so far."""
    query = select(Transcript.messages).where(Transcript.project_id == project_id, Transcript.run_id == run_id)
    return list((await session.exec(query)).first() or [])


async def history(session: AsyncSession, project_id: str, smith_id: str, thread_id: str) -> Messages:
    """Return the thread's completed turns that fit `HISTORY_BYTES`, the newest kept, oldest first."""
    query = (
        select(Transcript.messages)
        .where(
            Transcript.project_id == project_id,
            Transcript.smith_id == smith_id,
            Transcript.thread_id == thread_id,
            col(Transcript.complete),
        )
        .order_by(col(Transcript.run_id).desc())
        .limit(HISTORY_TURNS)
    )
    turns: list[Messages] = []
    room = HISTORY_BYTES
    for messages in (await session.exec(query)).all():
        room -= len(json.dumps(messages))
        if room < 0 and turns:
            break
        turns.insert(0, list(messages))
    return [message for turn in turns for message in turn]
