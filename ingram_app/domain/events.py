"""Events: what has happened in a project, for its operators and their systems, in one feed.

To add one: write its class and name it in `AnyEvent`. The feed, its catalogue and webhooks follow.
An event is written in the transaction of the change it tells of: there is neither without the other.

The feed's order is that in which the transactions began to write, and it shows an event only once no earlier one can
still come: whoever has read down to an event has missed none before it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, get_args

import sqlalchemy as sa
from sqlalchemy import Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, compact, execute
from ingram_app.core.ids import new_id
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import FIRST, Page, Place, page


@dataclass(frozen=True, slots=True)
class RunPaused:
    """A run waits for somebody: a person who approves, or a program that answers for a tool."""

    name: ClassVar[str] = "run.paused"
    run_id: str
    thread_id: str
    reason: str
    """`approval` or `tool`."""


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """A run has ended with an answer."""

    name: ClassVar[str] = "run.completed"
    run_id: str
    thread_id: str
    agent_id: str
    agent_version: int | None
    status: str
    """`completed`."""
    stop_reason: str | None
    """Why the model stopped: `stop`, or `length` when it was cut short."""
    usage: dict[str, Any] | None
    """Tokens and, in US dollars, cost, as the run shows them; null when no model was called."""


@dataclass(frozen=True, slots=True)
class RunFailed:
    """A run has ended without an answer."""

    name: ClassVar[str] = "run.failed"
    run_id: str
    thread_id: str
    agent_id: str
    agent_version: int | None
    status: str
    """`failed`."""
    error: dict[str, str] | None
    """`code`, for programs, and `message`, for people."""
    usage: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """A run has been stopped before it came to its end."""

    name: ClassVar[str] = "run.cancelled"
    run_id: str
    thread_id: str
    agent_id: str
    agent_version: int | None
    status: str
    """`cancelled`."""
    reason: str | None
    """What was said by who cancelled it."""
    usage: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ToolExecuting:
    """A tool is about to be used."""

    name: ClassVar[str] = "tool.executing"
    run_id: str
    tool: str
    tool_call_id: str


@dataclass(frozen=True, slots=True)
class ToolCompleted:
    """A tool has been used, or was not, and the model is told so."""

    name: ClassVar[str] = "tool.completed"
    run_id: str
    tool: str
    tool_call_id: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class ApprovalRequired:
    """A tool call waits for a person to approve it; the approval shows its arguments."""

    name: ClassVar[str] = "approval.required"
    approval_id: str
    run_id: str
    tool: str
    tool_call_id: str


@dataclass(frozen=True, slots=True)
class ApprovalResolved:
    """An approval was decided, or has expired."""

    name: ClassVar[str] = "approval.resolved"
    approval_id: str
    run_id: str
    tool: str
    tool_call_id: str
    status: str
    """`approved`, `rejected` or `expired`."""
    reason: str | None


@dataclass(frozen=True, slots=True)
class AgentPublished:
    """A version of an agent has been made from its draft."""

    name: ClassVar[str] = "agent.published"
    agent_id: str
    version: int
    note: str | None


@dataclass(frozen=True, slots=True)
class AgentRolledOut:
    """A version of an agent runs from now on, for all of its smiths or for a share of them."""

    name: ClassVar[str] = "agent.rolled_out"
    agent_id: str
    version: int
    percent: int


@dataclass(frozen=True, slots=True)
class AgentRolloutHalted:
    """A guarded rollout went back to 0 percent by itself; `figures` say why."""

    name: ClassVar[str] = "agent.rollout_halted"
    agent_id: str
    version: int
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SmithCreated:
    """There is a new smith."""

    name: ClassVar[str] = "smith.created"
    external_id: str | None
    agent_id: str


@dataclass(frozen=True, slots=True)
class SmithClaimed:
    """Someone who was anonymous has signed in; `from_smith_id` is the anonymous smith, if that was another one."""

    name: ClassVar[str] = "smith.claimed"
    external_id: str
    from_smith_id: str | None


@dataclass(frozen=True, slots=True)
class SmithArchived:
    """A smith answers no more, and its external id is free again."""

    name: ClassVar[str] = "smith.archived"
    external_id: str | None


@dataclass(frozen=True, slots=True)
class MemoryUpdated:
    """What a smith keeps about its person has changed."""

    name: ClassVar[str] = "memory.updated"
    what: str
    """`document`, or `fact`."""
    memory_id: str | None
    """The fact."""


@dataclass(frozen=True, slots=True)
class SmithErased:
    """All that was held about a person is gone."""

    name: ClassVar[str] = "smith.erased"
    receipt_id: str


@dataclass(frozen=True, slots=True)
class WebhookTest:
    """Somebody wants to see whether a webhook is reached; it is sent to that one, whatever it asks for."""

    name: ClassVar[str] = "webhook.test"
    webhook_id: str


@dataclass(frozen=True, slots=True)
class WebhookDisabled:
    """The platform has switched a webhook off, because nothing that was sent there arrives any more."""

    name: ClassVar[str] = "webhook.disabled"
    webhook_id: str
    url: str
    reason: str


AnyEvent = (
    RunPaused
    | RunCompleted
    | RunFailed
    | RunCancelled
    | ToolExecuting
    | ToolCompleted
    | ApprovalRequired
    | ApprovalResolved
    | AgentPublished
    | AgentRolledOut
    | AgentRolloutHalted
    | SmithCreated
    | SmithClaimed
    | SmithArchived
    | SmithErased
    | MemoryUpdated
    | WebhookTest
    | WebhookDisabled
)
TYPES = tuple(kind.name for kind in get_args(AnyEvent))
TOLD = "events"
"""What to listen to for new events of any project."""


class Event(SQLModel, table=True):
    __tablename__ = "events"
    __table_args__ = (Index("ix_events_feed", "project_id", "position", "id"),)

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
        query = query.where(Event.created_at >= (since if since.tzinfo else since.replace(tzinfo=UTC)))
    return await page(session, query, Event, place, by="position")


def types_of(asked: str) -> Sequence[str]:
    """Return the types that are meant: one exactly, or those of a family, `agent` or `agent.`; none for nonsense."""
    return [name for name in TYPES if name == asked or name.startswith(asked.rstrip(".") + ".")]


def topic(project_id: str) -> str:
    """Return what to listen to for a project's new events."""
    return f"events:{project_id}"
