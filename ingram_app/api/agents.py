"""/v1/agents: the designs of assistants, and which smiths run them."""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.domain import access, agents, rosters
from ingram_app.domain.agents import Agent, Figures
from ingram_app.domain.designs import Design
from ingram_app.domain.rollouts import Guard
from ingram_app.domain.rosters import Roster

router = APIRouter(prefix="/agents", tags=["agents"], route_class=Route)


class NewAgent(Design):
    name: str = Field(min_length=1, max_length=120)
    slug: str | None = None


class AgentChanges(Design):
    name: str | None = Field(default=None, min_length=1, max_length=120)


class Import(In):
    from_smith: str
    name: str = Field(min_length=1, max_length=120)


class Attach(In):
    """Which smiths: all of the project, or those named."""

    all: bool = False
    smith_ids: list[str] = Field(default=[], max_length=rosters.AT_ONCE)


class MeasuredOut(Out):
    """The runs of one version that began in the guard's window and have ended."""

    ended: int
    failed: int
    failure_rate: float
    mean_cost: float | None
    """In US dollars; null when no cost is known."""


class ActiveOut(MeasuredOut):
    version: int


class HaltOut(Out):
    version: int
    percent: int
    halted_at: datetime
    broke: Literal["max_failure_rate", "max_cost_ratio"]
    guard: Guard
    rollout: MeasuredOut
    active: ActiveOut


class AgentOut(Out):
    id: str
    slug: str | None
    name: str
    is_default: bool
    draft: dict[str, Any]
    active_version: int | None
    rollout_version: int | None
    rollout_percent: int
    previous_version: int | None
    """What was active before."""
    guard: Guard | None
    """What the version that rolls out has to keep."""
    halted: HaltOut | None
    """How the last rollout broke its guard and was taken back; null once there was another."""
    smith_count: int
    last_activity_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, agent: Agent, figures: Figures) -> "AgentOut":
        return cls(
            **agent.model_dump(include=set(cls.model_fields)),
            smith_count=figures.smith_count,
            last_activity_at=figures.last_activity_at,
        )


class AttachedOut(Out):
    smith_id: str
    override_keys: list[str]


class RosterOut(Out):
    attached: list[AttachedOut]
    """The smiths asked for, which all run the agent now; at most 200 of them with `all`."""
    count: int


@router.post("", status_code=201, response_model=AgentOut)
async def create_agent(body: NewAgent, caller: Caller, session: InTransaction) -> AgentOut:
    """Draft an agent. Nothing is live before its first version is published."""
    return await shown(session, caller, await agents.create(session, caller, **body.model_dump(exclude_unset=True)))


@router.get("", response_model=PageOut[AgentOut])
async def list_agents(caller: Caller, session: InTransaction, place: Place) -> PageOut[AgentOut]:
    """List the project's agents, newest first."""
    found = await agents.browse(session, caller, place)
    figures = await agents.figures(session, caller, [agent.id for agent in found.data])
    data = [AgentOut.of(agent, figures[agent.id]) for agent in found.data]
    return PageOut(data=data, next_cursor=found.next_cursor, has_more=found.has_more)


@router.get("/{agent_id}", response_model=AgentOut)
async def get_agent(agent_id: str, caller: Caller, session: InTransaction) -> AgentOut:
    """Show one agent with its draft."""
    return await shown(session, caller, await agents.find(session, caller, agent_id))


@router.patch("/{agent_id}", response_model=AgentOut)
async def change_agent(agent_id: str, body: AgentChanges, caller: Caller, session: InTransaction) -> AgentOut:
    """Edit the name and the draft. What is live stays as it is until a version is published and rolled out."""
    changes = body.model_dump(exclude_unset=True)
    return await shown(session, caller, await agents.change(session, caller, agent_id, changes))


@router.delete("/{agent_id}", status_code=204)
async def delete_agent(agent_id: str, caller: Caller, session: InTransaction) -> None:
    """Archive an agent that no live smith runs."""
    await agents.archive(session, caller, agent_id)


@router.post("/import", status_code=201, response_model=AgentOut)
async def import_agent(body: Import, caller: Caller, session: InTransaction) -> AgentOut:
    """Draft an agent from what a smith runs with, its own overrides and all."""
    return await shown(session, caller, await rosters.import_smith(session, caller, **body.model_dump()))


@router.post("/{agent_id}/attach", response_model=RosterOut)
async def attach_smiths(agent_id: str, body: Attach, caller: Caller, session: InTransaction) -> Roster:
    """Have smiths run this agent: all of them, or none if one can not. What they override stays; pins go."""
    return await rosters.attach(session, caller, agent_id, **body.model_dump())


async def shown(session: AsyncSession, caller: access.Caller, agent: Agent) -> AgentOut:
    """Return the agent as it is shown, with its figures."""
    await session.flush()
    return AgentOut.of(agent, (await agents.figures(session, caller, [agent.id]))[agent.id])
