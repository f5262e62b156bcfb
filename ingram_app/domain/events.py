"""Events: what has happened in a project, for its operators and their systems, in one feed.

`event_types` has all that can be told. An event is written in the transaction of the change it tells of: there is
neither without the other.

The feed's order is that in which the transactions began to write, and it shows an event only once no earlier one can
still come: whoever has read down to an event has missed none before it.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import in_utc, now
from ingram_app.core.database import Moment, compact, execute
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain.access import Caller
from ingram_app.domain.event_types import TYPES, AnyEvent
from ingram_app.domain.paging import FIRST, Page, Place, page

TOLD = "events"
"""What to listen to for new events of any project."""


class Event(SQLModel, table=True):
    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_feed", "project_id", "position", "id"),
        Index("ix_events_smith", "smith_id", "position", "id", postgresql_where=text("smith_id is not null")),
    )

    id: str = Field(default_factory=lambda: new_id("evt"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    position: int = Field(sa_column=sa.Column(sa.BigInteger, nullable=False, server_default=text("feed_position()")))
    """Its transaction's place among all; see `feed_base` in core/migrations.py."""
    type: str
    smith_id: str | None = None
    data: dict[str, Any] = Field(sa_type=JSONB)
    actor: dict[str, str | None] | None = Field(default=None, sa_type=JSONB)
    """Null for what the platform did by itself."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)

    def spelt(self) -> bytes:
        """Return the event as the feed shows it and as webhooks get it, in JSON."""
        shown = {
            "v": 1,
            "id": self.id,
            "type": self.type,
            "tenant_id": self.project_id,
            "smith_id": self.smith_id,
            "data": self.data,
            "actor": self.actor,
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
        }
        return compact(shown).encode()


_TELL = text(
    "insert into events (id, project_id, type, smith_id, data, actor, created_at) values (:event_id, :project_id,"
    " :event_type, :smith_id, cast(:event_data as jsonb), cast(:actor as jsonb), :now)"
)


async def tell(session: AsyncSession, caller: Caller, event: AnyEvent, *, smith_id: str | None = None) -> str:
    """Put an event of the caller's project on its feed, about one smith if there is one; return its id."""
    row = columns(event)
    about = {
        "project_id": caller.project_id,
        "smith_id": smith_id,
        "actor": None if caller.actor.kind == "platform" else compact(caller.actor.as_json()),
        "now": now(),
    }
    await execute(session, _TELL, row | about)
    told(session, caller.project_id)
    return str(row["event_id"])


def columns(event: AnyEvent) -> dict[str, Any]:
    """Return an event as parameters of a statement that puts it on the feed beside what it tells of."""
    return {"event_id": new_id("evt"), "event_type": event.name, "event_data": compact(asdict(event))}


def told(session: AsyncSession, project_id: str) -> None:
    """Wake whoever looks at the project's feed, once there is something new on it."""
    signals.send(session, topic(project_id), TOLD)


async def browse(
    session: AsyncSession,
    caller: Caller,
    place: Place = FIRST,
    *,
    type: str | None = None,
    smith_id: str | None = None,
    since: datetime | None = None,
) -> Page[Event]:
    """Return the project's events, newest first; `type` is one exactly, or a family: `agent` or `agent.`."""
    caller.require("events:read")
    query = select(Event).where(Event.project_id == caller.project_id, Event.position < func.feed_horizon())
    if type:
        query = query.where(col(Event.type).in_(types_of(type)))
    if smith_id is not None:
        query = query.where(Event.smith_id == smith_id)
    if since is not None:
        query = query.where(Event.created_at >= in_utc(since))
    return await page(session, query, Event, place, by="position")


async def find(session: AsyncSession, caller: Caller, event_id: str) -> Event:
    """Return one event of the project. Raises `NotFound`."""
    caller.require("events:read")
    query = select(Event).where(Event.project_id == caller.project_id, Event.id == event_id)
    event = (await session.exec(query)).first()
    if event is None:
        raise NotFound(noun="event", id=event_id)
    return event


def types_of(asked: str) -> Sequence[str]:
    """Return the types that are meant: one exactly, or those of a family, `agent` or `agent.`; none for nonsense."""
    return [name for name in TYPES if name == asked or name.startswith(asked.rstrip(".") + ".")]


def topic(project_id: str) -> str:
    """Return what to listen to for a project's new events."""
    return f"events:{project_id}"
