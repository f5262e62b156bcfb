"""Memory operations: what is done for a smith's memory when nobody waits, each once.

learn   after a turn: new facts are drawn from what the person said in it
fold    when the smith has been quiet for a while: its facts are folded into its document
embed   when facts or turns have no vector by the project's embedding model

waiting ◀──▶ working ──▶ done | failed       one that was lost on the way is done again when its hold ends

One row is one operation. Its run is the turn that it is done for; what it takes is charged to that run's smith. Of a
smith at most one `fold` and one `embed` waits: what would be another puts it off, or has it done for both.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Index, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute, moment_in, one_of
from ingram_app.core.ids import new_id
from ingram_app.domain import projects
from ingram_app.domain.access import Caller
from ingram_app.domain.projects import Project

DUE = "memory_ops.due"
"""Told when there is something to be done now."""
HOLD_SECONDS = 180
"""Longer than an operation may take."""
RETRIES_SECONDS = (5, 30, 120, 600)
EVER_AFTER_SECONDS = 3600
"""What is to be embedded is not given up: until then it is found by its words."""


class OpKind(StrEnum):
    learn = "learn"
    fold = "fold"
    embed = "embed"


class OpState(StrEnum):
    waiting = "waiting"
    working = "working"
    done = "done"
    failed = "failed"


WAITS = "state = 'waiting' and kind <> 'learn'"
IS_DUE = "due_at is not null"


class MemoryOp(SQLModel, table=True):
    __tablename__ = "memory_ops"
    __table_args__ = (
        Index("ix_memory_ops_due", "project_id", "due_at", "id", postgresql_where=text(IS_DUE)),
        Index("ix_memory_ops_ended", "project_id", "ended_at"),
        Index("ix_memory_ops_smith", "smith_id", "kind", "began_at"),
        Index("uq_memory_ops_run", "run_id", "kind", unique=True),
        Index("uq_memory_ops_waiting", "smith_id", "kind", unique=True, postgresql_where=text(WAITS)),
    )

    id: str = Field(default_factory=lambda: new_id("mop"), primary_key=True)
    project_id: str
    smith_id: str
    """No key, like that of the project: whoever ends a run holds it already, and would wait for who holds the smith."""
    run_id: str | None = Field(default=None, foreign_key="runs.id", ondelete="CASCADE")
    kind: OpKind = Field(sa_type=one_of(OpKind))
    state: OpState = Field(default=OpState.waiting, sa_type=one_of(OpState))
    due_at: datetime | None = Field(default=None, sa_type=Moment)
    """When it is to be done; while it is being done, when it is given to another. Null once it is over."""
    attempts: int = 0
    agent_id: str | None = None
    """The stamps of what it took: agent, its version, the smith's customer at that time, and who answered."""
    agent_version: int | None = None
    customer_id: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_micros: int = 0
    outcome: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)
    """Of `learn`: `{written: [memory ids], replaced: [memory ids]}`. Of `fold`: `{facts: how many, version}`."""
    error: str | None = None
    """The code of what went wrong the last time."""
    began_at: datetime | None = Field(default=None, sa_type=Moment)
    """The last time."""
    ended_at: datetime | None = Field(default=None, sa_type=Moment)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


class OpLost(Exception):
    """Another process does it by now: write nothing."""


AND_LATER = (
    "insert into memory_ops (id, project_id, smith_id, run_id, kind, state, due_at, attempts, input_tokens,"
    " output_tokens, cost_micros, outcome, created_at) select op.id, {of}, {smith}, {run}, op.kind, 'waiting',"
    " clock_timestamp() + make_interval(secs => op.seconds), 0, 0, 0, 0, '{{}}', clock_timestamp() from {rows}"
    " unnest(cast(:op_ids as text[]), cast(:op_kinds as text[]), cast(:op_seconds as float8[]))"
    " as op(id, kind, seconds)"
    f" on conflict (smith_id, kind) where {WAITS}"
    " do update set due_at = excluded.due_at, run_id = excluded.run_id"
)
"""Adds operations, for whatever statement knows whose they are."""
_QUEUE = text(
    AND_LATER.format(of="cast(:project_id as text)", smith="cast(:smith_id as text)", run="cast(null as text)", rows="")
)
_EMBED_ALL = text(
    "insert into memory_ops (id, project_id, smith_id, kind, state, due_at, attempts, input_tokens, output_tokens,"
    " cost_micros, outcome, created_at) select 'mop_' || replace(gen_random_uuid()::text, '-', ''), :project_id,"
    " smith_id, 'embed', 'waiting', clock_timestamp(), 0, 0, 0, 0, '{}', clock_timestamp()"
    " from (select smith_id from memories where project_id = :project_id"
    " union select smith_id from recollections where project_id = :project_id) as remembering"
    f" on conflict (smith_id, kind) where {WAITS} do update set due_at = excluded.due_at"
)
_NEXT = text(
    "with recursive due as ("
    f"(select project_id from memory_ops where {IS_DUE} order by project_id limit 1)"
    f" union all select (select project_id from memory_ops where {IS_DUE}"
    " and memory_ops.project_id > due.project_id order by project_id limit 1)"
    " from due where due.project_id is not null)"
    " select due.project_id, oldest.id from due"
    " cross join lateral (select id, due_at, row_number() over (order by due_at, id) as place from memory_ops"
    f" where project_id = due.project_id and {IS_DUE} and due_at <= clock_timestamp()"
    " order by due_at, id limit :most) as oldest order by oldest.place, oldest.due_at limit :most"
)


def columns(later: Sequence[tuple[OpKind, float]]) -> dict[str, Any]:
    """Return operations, and in how many seconds each is due, as parameters of a statement that adds them."""
    return {
        "op_ids": [new_id("mop") for _ in later],
        "op_kinds": [kind.value for kind, _ in later],
        "op_seconds": [seconds for _, seconds in later],
    }


async def queue(session: AsyncSession, project_id: str, smith_id: str, kind: OpKind) -> None:
    """Have something done for a smith that is no turn's."""
    known = {"project_id": project_id, "smith_id": smith_id}
    await execute(session, _QUEUE, known | columns([(kind, 0.0)]))
    signals.send(session, DUE)


async def prefer(session: AsyncSession, caller: Caller, changes: dict[str, Any]) -> Project:
    """Change settings of a project; with another embedding model all that is embedded is embedded anew, by and by.

    Raises as `projects.prefer`.
    """
    caller.require("project:write")
    before = (await projects.own(session, caller)).embedding_model
    project = await projects.prefer(session, caller, changes)
    if project.embedding_model != before:
        await execute(session, _EMBED_ALL, {"project_id": caller.project_id})
        signals.send(session, DUE)
    return project


async def next_up(session: AsyncSession, most: int) -> list[tuple[str, str]]:
    """Return (project, operation) of those that are due, in turn from every project. For the dispatcher."""
    return [(row[0], row[1]) for row in (await execute(session, _NEXT, {"most": most})).all()]


async def claim(session: AsyncSession, project_id: str, op_id: str) -> MemoryOp | None:
    """Take an operation that is due; nothing, if another was faster, or if it was tried often enough."""
    due = col(MemoryOp.due_at) <= func.clock_timestamp()
    query = select(MemoryOp).where(MemoryOp.project_id == project_id, MemoryOp.id == op_id, due)
    op = (await session.exec(query.with_for_update(skip_locked=True))).first()
    if op is None:
        return None
    if op.attempts > len(RETRIES_SECONDS) and op.kind is not OpKind.embed:
        op.state, op.due_at, op.ended_at = OpState.failed, None, now()
        op.error = op.error or "abandoned"
        return None
    op.state, op.began_at, op.attempts = OpState.working, now(), op.attempts + 1
    op.due_at = await moment_in(session, HOLD_SECONDS)
    return op


async def finish(session: AsyncSession, op: MemoryOp, **values: Any) -> None:
    """Keep what came of an operation and what it took, in the transaction of what it did. Raises `OpLost`."""
    held = await _held(session, op)
    for name, value in values.items():
        setattr(held, name, value)
    held.state, held.due_at, held.ended_at, held.error = OpState.done, None, now(), None
    if op.kind is OpKind.embed:
        await session.delete(held)
    await session.flush()


async def fail(session: AsyncSession, op: MemoryOp, error: str, *, again: bool) -> None:
    """Keep why an operation came to nothing; it is tried again later if that may help. Raises `OpLost`."""
    held = await _held(session, op)
    held.error = error
    if again and (op.attempts <= len(RETRIES_SECONDS) or op.kind is OpKind.embed):
        held.due_at = await moment_in(session, [*RETRIES_SECONDS, EVER_AFTER_SECONDS][min(op.attempts, 5) - 1])
        if op.kind is not OpKind.learn:
            await _wait_again(session, held)
    else:
        held.state, held.due_at, held.ended_at = OpState.failed, None, now()


async def let_go(session: AsyncSession, op: MemoryOp) -> None:
    """Leave an operation that nothing came of to whoever comes next. Raises `OpLost`."""
    held = await _held(session, op)
    held.attempts, held.due_at = held.attempts - 1, await moment_in(session)


async def last_fold(session: AsyncSession, project_id: str, smith_id: str) -> datetime | None:
    """Return when facts of a smith were last looked through to be folded."""
    ours = (MemoryOp.project_id == project_id, MemoryOp.smith_id == smith_id)
    folded = (MemoryOp.kind == OpKind.fold, MemoryOp.state == OpState.done)
    latest: datetime | None = (await session.exec(select(func.max(MemoryOp.began_at)).where(*ours, *folded))).one()
    return latest


async def of_run(session: AsyncSession, project_id: str, run_id: str) -> list[MemoryOp]:
    """Return what was done for memory because of a run, and took a model."""
    ours = (MemoryOp.project_id == project_id, MemoryOp.run_id == run_id)
    query = select(MemoryOp).where(*ours, MemoryOp.kind != OpKind.embed)
    return list((await session.exec(query.order_by(col(MemoryOp.created_at)))).all())


async def _held(session: AsyncSession, op: MemoryOp) -> MemoryOp:
    mine = (MemoryOp.id == op.id, MemoryOp.attempts == op.attempts, MemoryOp.state == OpState.working)
    query = select(MemoryOp).where(MemoryOp.project_id == op.project_id, MemoryOp.smith_id == op.smith_id, *mine)
    held = (await session.exec(query.with_for_update())).first()
    if held is None:
        raise OpLost(op.id)
    return held


async def _wait_again(session: AsyncSession, held: MemoryOp) -> None:
    """Have an operation wait as before it was begun; if another of its kind waits by now, that will do for both."""
    same = (MemoryOp.project_id == held.project_id, MemoryOp.smith_id == held.smith_id, MemoryOp.kind == held.kind)
    waiting = select(MemoryOp.id).where(*same, MemoryOp.state == OpState.waiting)
    if (await session.exec(waiting)).first() is None:
        held.state = OpState.waiting
    else:
        await session.delete(held)
