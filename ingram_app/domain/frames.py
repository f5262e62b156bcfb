"""Frames: what a run says while it works, numbered from 1, kept, and followed by anyone who watches.

To add one: write its class and name it in `AnyFrame`. Streams, the console and the reference follow.
A frame is handed to watchers once it is kept, never before: what has been seen can not be lost.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy import ARRAY, JSON, text
from sqlalchemy.exc import OperationalError
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, Tenancy, afterwards, compact, execute, transaction

CHECKED_EVERY_SECONDS = 5.0
"""How long a watcher trusts to be woken before it looks by itself."""
MOST = 1_000_000
"""More frames than a run can have."""
PAGE = 1000
"""Frames that are read at once."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    name: ClassVar[str] = "run.started"
    smith_id: str
    thread_id: str


@dataclass(frozen=True, slots=True)
class MessageDelta:
    name: ClassVar[str] = "message.delta"
    delta: str


@dataclass(frozen=True, slots=True)
class MessageRestarted:
    """The deltas of this message so far no longer hold: its model call was lost, and is made again."""

    name: ClassVar[str] = "message.restarted"
    reason: str


@dataclass(frozen=True, slots=True)
class MessageCompleted:
    name: ClassVar[str] = "message.completed"
    content: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    name: ClassVar[str] = "reasoning.delta"
    delta: str


@dataclass(frozen=True, slots=True)
class ToolExecuting:
    name: ClassVar[str] = "tool.executing"
    tool: str
    tool_call_id: str


@dataclass(frozen=True, slots=True)
class ToolCompleted:
    name: ClassVar[str] = "tool.completed"
    tool: str
    tool_call_id: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class ApprovalRequired:
    name: ClassVar[str] = "approval.required"
    approval_id: str
    tool: str
    tool_call_id: str
    args: Any
    elicitation: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ToolRequired:
    """The caller's own program is to do this and to submit the result."""

    name: ClassVar[str] = "tool.required"
    tool: str
    tool_call_id: str
    args: Any


@dataclass(frozen=True, slots=True)
class ConnectionRequired:
    name: ClassVar[str] = "connection.required"
    provider: str
    mcp_server: str
    authorize_url: str


@dataclass(frozen=True, slots=True)
class RunPaused:
    name: ClassVar[str] = "run.paused"
    reason: str
    """`approval` or `tool`."""


@dataclass(frozen=True, slots=True)
class RunResumed:
    """All that the run waited for has been answered, or has expired."""

    name: ClassVar[str] = "run.resumed"


@dataclass(frozen=True, slots=True)
class RunCompleted:
    name: ClassVar[str] = "run.completed"
    stop_reason: str
    usage: dict[str, Any]
    warnings: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class RunFailed:
    name: ClassVar[str] = "run.failed"
    error: dict[str, str]


@dataclass(frozen=True, slots=True)
class RunCancelled:
    name: ClassVar[str] = "run.cancelled"
    reason: str | None


AnyFrame = (
    RunStarted
    | MessageDelta
    | MessageRestarted
    | MessageCompleted
    | ReasoningDelta
    | ToolExecuting
    | ToolCompleted
    | ApprovalRequired
    | ToolRequired
    | ConnectionRequired
    | RunPaused
    | RunResumed
    | RunCompleted
    | RunFailed
    | RunCancelled
)
LAST = frozenset({RunCompleted.name, RunFailed.name, RunCancelled.name})
"""After one of these there are no more."""
ENDS_STREAM = LAST | {RunPaused.name}
"""After one of these a stream ends, unless the run has gone on meanwhile."""


class Frame(SQLModel, table=True):
    __tablename__ = "frames"

    run_id: str = Field(foreign_key="runs.id", ondelete="CASCADE", primary_key=True)
    seq: int = Field(primary_key=True)
    """1, 2, 3 … within the run; what a stream resumes from."""
    project_id: str = Field(index=True)
    event: str
    data: dict[str, Any] = Field(sa_type=JSON)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    cuts: list[int] | None = Field(default=None, sa_type=ARRAY(sa.Integer))
    """Of one that stands for several, itself the last: how many letters of its words each of them ended with."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame as it goes out."""

    seq: int
    event: str
    data: str
    """JSON, one line."""
    at: datetime = field(default_factory=now, compare=False)
    """When it was said."""
    cuts: Sequence[int] | None = field(default=None, compare=False)

    def after(self, place: int) -> "Shown":
        """Return what of it is new to whoever has heard all up to `place`."""
        first = self.seq - len(self.cuts or ()) + 1
        if not self.cuts or place < first:
            return self
        body = json.loads(self.data)
        body["delta"] = body["delta"][self.cuts[place - first] :]
        return Shown(self.seq, self.event, compact(body), self.at)


_spoken: dict[str, list[Shown]] = {}
"""What runs that were born here and are still carried here have said: their watchers need not ask the database."""
_watched: Counter[str] = Counter()

_BROWSE = text(
    "select seq, event, data::text, created_at, cuts from frames"
    " where project_id = :project_id and run_id = :run_id and seq > :after order by seq limit :limit"
)
_TOLD_ALL = text(
    "select status in ('completed', 'failed', 'cancelled') and not exists (select from frames"
    " where project_id = :project_id and run_id = :run_id and seq > :place)"
    " from runs where project_id = :project_id and id = :run_id"
)


def shown(run_id: str, seq: int, frame: AnyFrame) -> Shown:
    """Return the frame as it goes out, with the run's id in it."""
    body = {"v": 1, "run_id": run_id} | {name: getattr(frame, name) for name in frame.__slots__}
    return Shown(seq, frame.name, compact(body))


def hand_over(session: AsyncSession, run_id: str, batch: Sequence[Shown], *, first: bool = False) -> None:
    """Give a batch to the run's watchers once the transaction has landed; `first`: it is the run's first."""
    if first:
        afterwards(session, lambda: _spoken.__setitem__(run_id, []))
    afterwards(session, lambda: go_out(run_id, batch))


def go_out(run_id: str, batch: Sequence[Shown]) -> None:
    """Give a batch that is kept to the run's watchers."""
    if run_id in _spoken:
        _spoken[run_id].extend(batch)
    signals.tell(topic(run_id), item=list(batch))


def forget(run_id: str) -> None:
    """The run is no longer carried here: what it has said is in the table, and nowhere else."""
    _spoken.pop(run_id, None)


async def write(session: AsyncSession, project_id: str, run_id: str, *frames: AnyFrame) -> None:
    """Keep frames of a run that nobody carries at this moment."""
    seq = await latest(session, run_id)
    batch = [shown(run_id, seq + place, frame) for place, frame in enumerate(frames, start=1)]
    for frame in batch:
        session.add(
            Frame(run_id=run_id, seq=frame.seq, project_id=project_id, event=frame.event, data=json.loads(frame.data))
        )
    await session.flush()
    hand_over(session, run_id, batch)


async def latest(session: AsyncSession, run_id: str) -> int:
    """Return the number of the run's last frame, 0 for none."""
    return (await session.exec(select(sa.func.max(Frame.seq)).where(Frame.run_id == run_id))).one() or 0


async def unfinished(session: AsyncSession, project_id: str, run_id: str) -> str:
    """Return the words of the message that the run was in the middle of when it was left."""
    words = ""
    for frame in await browse(session, project_id, run_id, limit=MOST):
        if frame.event == MessageDelta.name:
            words += json.loads(frame.data)["delta"]
        elif frame.event != ReasoningDelta.name:
            words = ""
    return words


async def browse(session: AsyncSession, project_id: str, run_id: str, after: int = 0, limit: int = PAGE) -> list[Shown]:
    """Return the run's frames past `after`, oldest first."""
    known = {"project_id": project_id, "run_id": run_id, "after": after, "limit": limit}
    return [Shown(*row) for row in (await execute(session, _BROWSE, known)).all()]


async def follow(project_id: str, run_id: str, after: int = 0) -> AsyncGenerator[Shown | None]:
    """Yield the run's frames past `after`, those to come too, until it ends or pauses; `None` when it is quiet.

    Whoever calls has checked that the run may be seen. No connection is held while waiting.
    """
    _watched[run_id] += 1
    try:
        async with aclosing(_follow(project_id, run_id, after)) as following:
            async for frame in following:
                yield frame
    finally:
        _watched[run_id] -= 1
        if not _watched[run_id]:
            del _watched[run_id]


async def until_over(project_id: str, run_id: str, after: int = 0) -> None:
    """Return when the run has ended or pauses; what it says meanwhile is in no hurry for this one."""
    async for _ in _follow(project_id, run_id, after):
        pass


def is_watched(run_id: str) -> bool:
    """Tell whether someone at this process waits for the run's every word."""
    return run_id in _watched


async def _follow(project_id: str, run_id: str, after: int) -> AsyncGenerator[Shown | None]:
    with signals.listening(topic(run_id)) as heard:
        batch = list(_spoken.get(run_id, ())) or await _from(project_id, run_id, after)
        place = min(after, batch[-1].seq) if batch else 0
        while True:
            for frame in batch:
                if frame.seq > place:
                    yield frame.after(place)
                    place = frame.seq
            if batch and batch[-1].event in ENDS_STREAM:
                return
            item = await heard_on(heard)
            batch = item if isinstance(item, list) else []
            if not batch or batch[0].seq > place + 1:
                batch = await _past(project_id, run_id, place)
            if not batch and await told_all(project_id, run_id, place):
                return  # what it said has been deleted
            if not batch and item is QUIET:
                yield None


async def _from(project_id: str, run_id: str, after: int) -> list[Shown]:
    """Return all frames from number `after` on; from the last, when there is none of that number."""
    async with transaction(Tenancy(project_id=project_id)) as session:
        found = await browse(session, project_id, run_id, after - 1, MOST)
        return found or await browse(session, project_id, run_id, await latest(session, run_id) - 1)


async def told_all(project_id: str, run_id: str, place: int) -> bool:
    """Tell whether a run is over, or gone, and has said nothing past `place`; not so while the database is away."""
    try:
        async with transaction(Tenancy(project_id=project_id)) as session:
            known = {"project_id": project_id, "run_id": run_id, "place": place}
            return (await execute(session, _TOLD_ALL, known)).scalar() is not False
    except OperationalError:
        return False


async def _past(project_id: str, run_id: str, place: int) -> list[Shown]:
    """Return all frames past `place`; none while the database is away, watchers wait until it is back."""
    try:
        async with transaction(Tenancy(project_id=project_id)) as session:
            return await browse(session, project_id, run_id, place, MOST)
    except OperationalError:
        return []


QUIET = object()


async def heard_on(heard: "asyncio.Queue[signals.Item]") -> signals.Item:
    """Return what was heard, `QUIET` after some seconds of silence."""
    try:
        async with asyncio.timeout(CHECKED_EVERY_SECONDS):
            return await heard.get()
    except TimeoutError:
        return QUIET


def topic(run_id: str) -> str:
    """Return what to listen to for a run's frames."""
    return f"run:{run_id}"


DUPLICATE = "run.duplicate"
"""Sent, never kept: a stream that was asked for twice answers the second time with this alone."""


def duplicate(run_id: str, status: str) -> str:
    """Return the one frame that answers a streaming request sent again."""
    return compact({"v": 1, "run_id": run_id, "status": status})
