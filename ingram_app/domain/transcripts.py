"""Transcripts: the messages that each run added to its thread. Those of completed turns are the thread's history.

A transcript is also the run's checkpoint: it is written with each answer that asks for tools, and whoever takes the run
up again goes on from it.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.database import compact, execute

Messages = list[dict[str, Any]]
"""As the model layer writes them down: requests and responses in turn."""
NOTHING = "[]"
INTERRUPTED = "(This turn was interrupted here.)"
"""What the model reads at the end of a turn that was stopped for another."""


class Transcript(SQLModel, table=True):
    __tablename__ = "transcripts"
    __table_args__ = (
        Index("ix_transcripts_history", "smith_id", "thread_id", "turn", postgresql_where=sa.text("complete")),
    )

    run_id: str = Field(foreign_key="runs.id", ondelete="CASCADE", primary_key=True)
    project_id: str = Field(index=True)
    smith_id: str
    thread_id: str
    turn: int
    messages: Messages = Field(sa_type=JSONB)
    complete: bool = False
    """The turn has come to its end and is part of the thread's history."""


_KEEP = sa.text(
    "insert into transcripts (run_id, project_id, smith_id, thread_id, turn, messages, complete)"
    " select id, project_id, smith_id, thread_id, turn, cast(:messages as jsonb), :complete"
    " from runs where project_id = :project_id and id = :run_id"
    " on conflict (run_id) do update set messages = excluded.messages, complete = excluded.complete"
)
_OF_RUN = sa.text("select messages::text from transcripts where project_id = :project_id and run_id = :run_id")


async def keep(session: AsyncSession, transcript: Transcript) -> None:
    """Write a run's transcript down, in place of what was there, under the smith and thread that the run is now of."""
    kept = {"run_id": transcript.run_id, "project_id": transcript.project_id, "complete": transcript.complete}
    await execute(session, _KEEP, kept | {"messages": compact(transcript.messages)})


async def of_run(session: AsyncSession, project_id: str, run_id: str) -> str:
    """Return what the run has added so far, as JSON."""
    known = {"project_id": project_id, "run_id": run_id}
    return (await execute(session, _OF_RUN, known)).scalar() or NOTHING


async def break_off(session: AsyncSession, project_id: str, run_id: str) -> None:
    """Make a turn that nobody works on any more, and that is not over, part of the history as far as it went."""
    query = select(Transcript).where(Transcript.project_id == project_id, Transcript.run_id == run_id)
    if (transcript := (await session.exec(query)).first()) is not None:
        transcript.messages, transcript.complete = broken_off(transcript.messages), True


def broken_off(messages: Messages) -> Messages:
    """Return a turn that was stopped on its way as one that can stand in a history: every call answered, and a mark."""
    parts = [part for message in messages for part in message["parts"]]
    answered = {part.get("tool_call_id") for part in parts if part["part_kind"] in ("tool-return", "retry-prompt")}
    calls = [part for part in parts if part["part_kind"] == "tool-call" and part["tool_call_id"] not in answered]
    said_of_it = {"part_kind": "tool-return", "content": INTERRUPTED, "outcome": "interrupted"}
    returns = [said_of_it | {name: call[name] for name in ("tool_name", "tool_call_id")} for call in calls]
    mark = {"part_kind": "user-prompt", "content": INTERRUPTED}
    about = {"metadata": {"interrupted": True}}
    if returns and messages[-1]["kind"] == "request":
        return [*messages[:-1], messages[-1] | about | {"parts": [*messages[-1]["parts"], *returns, mark]}]
    return [*messages, {"kind": "request", "parts": [*returns, mark]} | about]
