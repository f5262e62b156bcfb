"""Tryouts: talking to an agent's draft before it is published, through a scratch smith that nobody else sees.

A scratch smith is one teammate's own. It is in no list, count or figure, and each of its runs takes the draft as it
stands then. It goes with its threads and runs when its teammate is done, or has left it alone for an hour.
"""

from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import signals
from ingram_app.core.clock import now
from ingram_app.core.database import execute
from ingram_app.domain import agents
from ingram_app.domain.access import Caller
from ingram_app.domain.runs import BUSY, CANCEL, Run
from ingram_app.domain.smiths import Smith

KEPT = timedelta(hours=1)
"""How long a scratch smith stays that nobody uses."""


async def begin(session: AsyncSession, caller: Caller, agent_id: str) -> str:
    """Return the caller's scratch smith of the agent, made if there is none. Raises `NotFound`."""
    caller.require("runs:write")
    agent = await agents.join(session, caller, agent_id)
    smith = Smith(
        project_id=caller.project_id,
        agent_id=agent.id,
        tester_id=caller.actor.id,
        display_name=f"Draft of {agent.name}",
    )
    used = {"updated_at": smith.updated_at, "display_name": smith.display_name}
    upsert = insert(Smith).values(smith.model_dump())
    upsert = upsert.on_conflict_do_update(
        index_elements=["agent_id", "tester_id"], index_where=text("tester_id is not null"), set_=used
    )
    return str((await execute(session, upsert.returning(col(Smith.id)))).scalar())


async def mine(session: AsyncSession, caller: Caller, agent_id: str) -> str | None:
    """Return the caller's scratch smith of the agent, none when there is none."""
    caller.require("runs:read")
    query = select(Smith.id).where(
        *_scratch(caller), col(Smith.agent_id) == agent_id, col(Smith.tester_id) == caller.actor.id
    )
    return (await session.exec(query)).first()


async def end(session: AsyncSession, caller: Caller, agent_id: str) -> None:
    """Remove the caller's scratch smith of the agent, with its threads and runs, if there is one."""
    caller.require("runs:write")
    smith_id = await mine(session, caller, agent_id)
    if smith_id is None:
        return
    at_work = select(Run.id).where(
        Run.project_id == caller.project_id, Run.smith_id == smith_id, col(Run.status).in_(BUSY)
    )
    for run_id in (await session.exec(at_work)).all():
        signals.send(session, f"{CANCEL}:{run_id}")
    await execute(session, sa.delete(Smith).where(*_scratch(caller), col(Smith.id) == smith_id))


async def left(session: AsyncSession) -> list[tuple[str, str]]:
    """Return (project, smith) of scratch smiths begun an hour ago: for the dispatcher, which sees no more than this."""
    known = ("id", "project_id", "tester_id", "updated_at")
    smiths = sa.table("smiths", *(sa.column(name) for name in known))
    query = (
        sa.select(smiths.c.project_id, smiths.c.id)
        .where(smiths.c.tester_id.is_not(None), smiths.c.updated_at < now() - KEPT)
        .order_by(smiths.c.updated_at)
        .limit(100)
    )
    return [(row[0], row[1]) for row in (await execute(session, query)).all()]


async def forget(session: AsyncSession, caller: Caller, smith_id: str) -> bool:
    """Remove a scratch smith unless it was used within the hour; return whether it is gone by this."""
    caller.require("runs:write")
    recent = (
        sa.select(col(Run.id))
        .where(
            col(Run.project_id) == caller.project_id,
            col(Run.smith_id) == smith_id,
            col(Run.status).in_(("queued", *BUSY)) | (col(Run.created_at) >= now() - KEPT),
        )
        .exists()
    )
    gone = sa.delete(Smith).where(
        *_scratch(caller), col(Smith.id) == smith_id, col(Smith.updated_at) < now() - KEPT, ~recent
    )
    return (await execute(session, gone)).rowcount > 0


def _scratch(caller: Caller) -> tuple[sa.ColumnElement[bool], ...]:
    return col(Smith.project_id) == caller.project_id, col(Smith.tester_id).is_not(None)
