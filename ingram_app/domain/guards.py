"""Guards: a version that rolls out is watched, and taken back when its runs fail too often or cost too much."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import execute
from ingram_app.core.errors import NotFound
from ingram_app.domain import agents, audit, event_types, events
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent
from ingram_app.domain.rollouts import Guard
from ingram_app.domain.runs import OVER, Run


@dataclass(frozen=True, slots=True)
class Measured:
    """How the runs of one version went that began in the window and have ended."""

    ended: int = 0
    failed: int = 0
    mean_cost: float | None = None
    """In US dollars; none when no cost is known."""

    @property
    def failure_rate(self) -> float:
        return self.failed / self.ended if self.ended else 0.0


async def watched(session: AsyncSession) -> list[tuple[str, str]]:
    """Return (project, agent) of every rollout with a guard: for the dispatcher, which sees no more than this."""
    agents_ = sa.table("agents", sa.column("id"), sa.column("project_id"), sa.column("guard"))
    query = sa.select(agents_.c.project_id, agents_.c.id).where(agents_.c.guard.is_not(None))
    return [(row[0], row[1]) for row in (await execute(session, query)).all()]


async def check(session: AsyncSession, caller: Caller, agent_id: str) -> bool:
    """Take the agent's rollout back if it breaks its guard; return whether this call did. Many may check at once."""
    caller.require("agents:write")
    try:
        agent = await agents.find(session, caller, agent_id)
    except NotFound:
        return False
    if agent.guard is None or agent.rollout_began_at is None:
        return False
    guard = Guard.model_validate(agent.guard)
    rolling, active = await _measure(session, caller, agent, guard)
    broken = _broken(guard, rolling, active)
    if broken is None:
        return False
    told = {
        "percent": agent.rollout_percent,
        "broke": broken,
        "guard": agent.guard,
        "rollout": _told(rolling),
        "active": _told(active) | {"version": agent.active_version},
    }
    return await _halt(session, caller, agent, told)


async def _halt(session: AsyncSession, caller: Caller, agent: Agent, figures: dict[str, Any]) -> bool:
    """Take back this very rollout, unless somebody was faster."""
    version, moment = agent.rollout_version or 0, now()
    same = (
        col(Agent.project_id) == caller.project_id,
        col(Agent.id) == agent.id,
        col(Agent.rollout_version) == version,
        col(Agent.rollout_began_at) == agent.rollout_began_at,
        col(Agent.guard).is_not(None),
    )
    halted = {"version": version, "halted_at": moment.isoformat(), **figures}
    back = {"rollout_version": None, "rollout_percent": 0, "rollout_began_at": None, "guard": None}
    update = sa.update(Agent).where(*same).values(**back, halted=halted, updated_at=moment).returning(col(Agent.id))
    if (await execute(session, update)).first() is None:
        return False
    await events.tell(session, caller, event_types.AgentRolloutHalted(agent.id, version, figures))
    await audit.note(session, caller, "agent.rollout_halted", agent.id, version=version, **figures)
    return True


async def _measure(session: AsyncSession, caller: Caller, agent: Agent, guard: Guard) -> tuple[Measured, Measured]:
    """Return how the version that rolls out did, since that began, and how the active one did."""
    since = now() - timedelta(minutes=guard.window_minutes)
    began: datetime = agent.rollout_began_at or since
    version = col(Run.agent_version)
    counts = (version == agent.active_version) | ((version == agent.rollout_version) & (col(Run.created_at) >= began))
    query = (
        sa.select(
            version,
            func.count(),
            func.count().filter(col(Run.status) == "failed"),
            func.avg(Run.cost_micros),
        )
        .where(
            col(Run.project_id) == caller.project_id,
            col(Run.agent_id) == agent.id,
            col(Run.created_at) >= since,
            col(Run.status).in_(OVER),
            counts,
        )
        .group_by(version)
    )
    found: dict[int | None, Measured] = {
        number: Measured(ended, failed, None if cost is None else float(cost) / 1_000_000)
        for number, ended, failed, cost in (await execute(session, query)).all()
    }
    return found.get(agent.rollout_version, Measured()), found.get(agent.active_version, Measured())


def _broken(guard: Guard, rolling: Measured, active: Measured) -> str | None:
    """Return the bound that does not hold, none while all do or too little is known."""
    if rolling.ended < guard.min_runs:
        return None
    if guard.max_failure_rate is not None and rolling.failure_rate > guard.max_failure_rate:
        return "max_failure_rate"
    if guard.max_cost_ratio is None or rolling.mean_cost is None or not active.mean_cost:
        return None
    return "max_cost_ratio" if rolling.mean_cost / active.mean_cost > guard.max_cost_ratio else None


def _told(measured: Measured) -> dict[str, Any]:
    return asdict(measured) | {"failure_rate": measured.failure_rate}
