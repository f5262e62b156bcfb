"""Threads: the conversations of one smith. The id is the caller's own string, or one of ours; unique per smith."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, func, text
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, ask, execute, keepable
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.core.journeys import Rows
from ingram_app.core.secrets import digest
from ingram_app.domain import smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import FIRST, Page, Place, page

ID_LENGTH = 200
TITLE_LENGTH = 80


class Thread(SQLModel, table=True):
    __tablename__ = "threads"
    __table_args__ = (Index("ix_threads_page", "smith_id", "created_at", "id"),)

    smith_id: str = Field(foreign_key="smiths.id", ondelete="CASCADE", primary_key=True)
    id: str = Field(primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", index=True)
    title: str
    """Made from the first turn."""
    run_count: int = 0
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    last_activity_at: datetime = Field(default_factory=now, sa_type=Moment)


_ENTER = text(
    "with alive as (select id from smiths"
    " where project_id = :project_id and id = :smith_id and archived_at is null for key share)"
    " insert into threads (smith_id, id, project_id, title, run_count, created_at, last_activity_at)"
    " select id, :id, :project_id, :title, 1, :now, :now from alive"
    " on conflict (smith_id, id) do update"
    " set run_count = threads.run_count + 1, last_activity_at = excluded.last_activity_at"
    " where threads.project_id = excluded.project_id returning run_count"
)

_HOLD = text(
    "select id from threads where project_id = :project_id and smith_id = :smith_id and id = :id for no key update"
)


class InvalidTitle(Invalid):
    """A thread's title has from 1 to 80 printable characters."""


class InvalidThreadId(Invalid):
    """A thread id has from 1 to 200 printable characters."""


def enter(session: AsyncSession, caller: Caller, smith_id: str, thread_id: str | None, said: str) -> tuple[str, Rows]:
    """Count a turn of the thread, begun if it is new, with the next that is executed; `number_of` reads the answer.

    Turns of one thread wait here for each other until the transaction ends: this is their order of arrival.
    They wait for a claim or an erasure of the smith too. Raises `InvalidThreadId`.
    """
    if thread_id is not None and not (1 <= len(thread_id) <= ID_LENGTH and thread_id.isprintable()):
        raise InvalidThreadId(param="thread_id")
    title = keepable(" ".join(said.split())[:TITLE_LENGTH]) or "Untitled"
    thread_id = thread_id or new_id("thr")
    known = {"smith_id": smith_id, "id": thread_id, "project_id": caller.project_id, "title": title, "now": now()}
    return thread_id, ask(session, _ENTER, known)


def number_of(entered: Rows, smith_id: str) -> int:
    """Return a turn's number on its thread. Raises `NotFound` when the smith is gone meanwhile."""
    number: int | None = entered.scalar()
    if number is None:
        raise NotFound(noun="smith", id=smith_id)
    return number


async def hold(session: AsyncSession, project_id: str, smith_id: str, thread_id: str) -> bool:
    """Keep new turns of the thread waiting until the transaction ends; not, when it was deleted just now."""
    known = {"project_id": project_id, "smith_id": smith_id, "id": thread_id}
    return (await execute(session, _HOLD, known)).scalar() is not None


async def find(session: AsyncSession, caller: Caller, smith_id: str, thread_id: str) -> Thread:
    """Return one thread of a smith. Raises `SmithMismatch`, `NotFound`."""
    caller.require("runs:read")
    await smiths.embody(session, caller, smith_id)
    query = _of(caller, smith_id).where(Thread.id == thread_id)
    thread: Thread | None = (await session.exec(query)).first()
    if thread is None:
        raise NotFound(noun="thread", id=thread_id)
    return thread


async def rename(session: AsyncSession, caller: Caller, smith_id: str, thread_id: str, title: str) -> Thread:
    """Give a thread another title. Raises `SmithMismatch`, `NotFound`, `InvalidTitle`."""
    caller.require("runs:write")
    await smiths.embody(session, caller, smith_id, stays=True)
    await hold(session, caller.project_id, smith_id, thread_id)
    thread = await find(session, caller, smith_id, thread_id)
    thread.title = title.strip()
    if not (1 <= len(thread.title) <= TITLE_LENGTH and thread.title.isprintable()):
        raise InvalidTitle(param="title")
    return thread


async def browse(session: AsyncSession, caller: Caller, smith_id: str, place: Place = FIRST) -> Page[Thread]:
    """Return a smith's threads, newest first. Raises `SmithMismatch`, `NotFound`."""
    caller.require("runs:read")
    await smiths.embody(session, caller, smith_id)
    return await page(session, _of(caller, smith_id), Thread, place)


def topic(smith_id: str, thread_id: str) -> str:
    """Return what to listen to for runs that come in, or begin, on a thread."""
    return f"thread:{digest(f'{smith_id} {thread_id}')[:32]}"


async def totals(session: AsyncSession, caller: Caller, smith_id: str) -> tuple[int, int]:
    """Return how many threads a smith has, and how many turns they hold."""
    caller.require("runs:read")
    counted = select(func.count(), func.coalesce(func.sum(Thread.run_count), 0))
    threads, turns = (
        await session.exec(counted.where(Thread.project_id == caller.project_id, Thread.smith_id == smith_id))
    ).one()
    return threads, int(turns)


def _of(caller: Caller, smith_id: str) -> Any:
    return select(Thread).where(Thread.project_id == caller.project_id, Thread.smith_id == smith_id)
