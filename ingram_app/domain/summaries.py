"""Summaries: what a thread remembers of turns that are too old to be sent word for word, and all that it remembers.

turn 1 … 40                       turn 41 … 52
the last summary, which reaches   sent as they were said
as far as 40

A summary is made by the smith's own model when it is needed, and builds on the one before it. Turns are never deleted
for it: they can still be read back.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.domain.threads import Thread

PAST_BYTES = 1024 * 1024
"""As much of a thread's turns as is read for a run, newest first, never half a turn."""
PAST_TURNS = 200


class Summary(SQLModel, table=True):
    __tablename__ = "summaries"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["smith_id", "thread_id"],
            ["threads.smith_id", "threads.id"],
            name="fk_summaries_thread",
            ondelete="CASCADE",
            onupdate="CASCADE",
        ),
    )

    smith_id: str = Field(primary_key=True)
    thread_id: str = Field(primary_key=True)
    reaches: int = Field(primary_key=True)
    """The number of the last turn that it tells of; it tells of all before it too."""
    project_id: str = Field(index=True)
    text: str
    run_id: str = Field(index=True)
    """The run for which it was made, and which was charged for it."""
    model: str
    input_tokens: int
    output_tokens: int
    cost_micros: int
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Past:
    """What a thread remembers, as it is kept."""

    turns: tuple[tuple[int, str], ...] = ()
    """Its newest turns, oldest first: of each the number, and its messages as JSON."""
    summary: str = ""
    more: bool = False
    """There are turns between those and these."""

    @property
    def text(self) -> str:
        """All of it, to be measured."""
        return self.summary + "".join(text for _, text in self.turns)


_OF_THREAD = "project_id = :project_id and smith_id = :smith_id and thread_id = :thread_id"
_LAST = f"select reaches, text from summaries where {_OF_THREAD} order by reaches desc limit 1"
_PAST = sa.text(
    f"with last as ({_LAST}) select 0 as turn, text, reaches from last union all"
    " (select turn, messages::text, 0 from transcripts"
    f" where {_OF_THREAD} and complete and turn > coalesce((select reaches from last), 0)"
    " and turn < :before order by turn desc limit :turns)"
)
_PLACE = sa.text("select smith_id, thread_id from runs where project_id = :project_id and id = :run_id")


async def past(session: AsyncSession, project_id: str, smith_id: str, thread_id: str, before: int = 2**31 - 1) -> Past:
    """Return what a thread remembers of the turns `before` one: as many of the newest as `PAST_BYTES` hold."""
    known = {"project_id": project_id, "smith_id": smith_id, "thread_id": thread_id}
    rows = (await execute(session, _PAST, known | {"before": before, "turns": PAST_TURNS + 1})).all()
    summary, reaches = next(((text, reaches) for turn, text, reaches in rows if turn == 0), ("", 0))
    kept: list[tuple[int, str]] = []
    room = PAST_BYTES
    for turn, messages, _ in (row for row in rows if row[0]):
        room -= len(messages)
        if (room < 0 and kept) or len(kept) == PAST_TURNS:
            break
        kept.append((turn, messages))
    more = len(kept) < len(rows) - bool(reaches)
    return Past(tuple(reversed(kept)), summary, more)


async def keep(session: AsyncSession, summary: Summary) -> None:
    """Write a summary down, on the thread that its run is of by now. Whoever calls holds that run."""
    known = {"project_id": summary.project_id, "run_id": summary.run_id}
    summary.smith_id, summary.thread_id = (await execute(session, _PLACE, known)).one()
    session.add(summary)
    await session.flush()


async def latest(session: AsyncSession, thread: Thread) -> Summary | None:
    """Return what the thread remembers of its older turns, if it has any that are too old."""
    query = select(Summary).where(
        Summary.project_id == thread.project_id, Summary.smith_id == thread.smith_id, Summary.thread_id == thread.id
    )
    return (await session.exec(query.order_by(sa.desc("reaches")).limit(1))).first()
