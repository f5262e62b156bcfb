"""/v1/agents: the designs of assistants, their versions, and which is live."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, ListOut, Out, PageOut
from ingram_app.domain import access, agents
from ingram_app.domain.agents import Agent, AgentVersion, Figures
from ingram_app.domain.designs import Design

router = APIRouter(prefix="/agents", tags=["agents"], route_class=Route)


class NewAgent(Design):
    name: str = Field(min_length=1, max_length=120)
    slug: str | None = None


class AgentChanges(Design):
    name: str | None = Field(default=None, min_length=1, max_length=120)


class NewVersion(In):
    note: str | None = Field(default=None, max_length=2000)


class Rollout(In):
    version: int
    percent: int = 100


class AgentOut(Out):
    id: str
    slug: str | None
    name: str
    is_default: bool
    draft: dict[str, Any]
    active_version: int | None
    rollout_version: int | None
    rollout_percent: int
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


class VersionOut(Out):
    version: int
    snapshot: dict[str, Any]
    created_by: dict[str, str | None] | None
    note: str | None
    created_at: datetime


@router.post("", status_code=201, response_model=AgentOut)
async def create_agent(body: NewAgent, caller: Caller, session: InTransaction) -> AgentOut:
    """Draft an agent. Nothing is live before its first version is published."""
    return await _shown(session, caller, await agents.create(session, caller, **body.model_dump(exclude_unset=True)))


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
    return await _shown(session, caller, await agents.find(session, caller, agent_id))


@router.patch("/{agent_id}", response_model=AgentOut)
async def change_agent(agent_id: str, body: AgentChanges, caller: Caller, session: InTransaction) -> AgentOut:
    """Edit the name and the draft. What is live stays as it is until a version is published and rolled out."""
    changes = body.model_dump(exclude_unset=True)
    return await _shown(session, caller, await agents.change(session, caller, agent_id, changes))


@router.delete("/{agent_id}", status_code=204)
async def delete_agent(agent_id: str, caller: Caller, session: InTransaction) -> None:
    """Archive an agent that no live smith runs."""
    await agents.archive(session, caller, agent_id)


@router.post("/{agent_id}/versions", status_code=201, response_model=VersionOut)
async def publish_version(
    agent_id: str, caller: Caller, session: InTransaction, body: NewVersion | None = None
) -> AgentVersion:
    """Freeze the draft as the next version. The first goes live by itself; later ones wait for a rollout."""
    return await agents.publish(session, caller, agent_id, body.note if body else None)


@router.get("/{agent_id}/versions", response_model=ListOut[VersionOut])
async def list_versions(agent_id: str, caller: Caller, session: InTransaction) -> dict[str, list[AgentVersion]]:
    """List the agent's versions, newest first."""
    return {"data": await agents.versions(session, caller, agent_id)}


@router.get("/{agent_id}/versions/{version}", response_model=VersionOut)
async def get_version(agent_id: str, version: int, caller: Caller, session: InTransaction) -> AgentVersion:
    """Show one version."""
    return await agents.version(session, caller, agent_id, version)


@router.post("/{agent_id}/rollout", response_model=AgentOut)
async def roll_out(agent_id: str, body: Rollout, caller: Caller, session: InTransaction) -> AgentOut:
    """Make a version live for all smiths of the agent at once."""
    agent = await agents.roll_out(session, caller, agent_id, body.version, body.percent)
    return await _shown(session, caller, agent)


async def _shown(session: AsyncSession, caller: access.Caller, agent: Agent) -> AgentOut:
    await session.flush()
    return AgentOut.of(agent, (await agents.figures(session, caller, [agent.id]))[agent.id])
