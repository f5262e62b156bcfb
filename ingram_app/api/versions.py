"""/v1/agents/{agent_id}/versions: what was published of an agent, and how it differs."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.agents import AgentOut, shown
from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.domain import versions
from ingram_app.domain.agents import AgentVersion
from ingram_app.domain.paging import Page
from ingram_app.domain.versions import Difference

router = APIRouter(prefix="/agents/{agent_id}/versions", tags=["agents"], route_class=Route)


class NewVersion(In):
    note: str | None = Field(default=None, max_length=2000)


class VersionOut(Out):
    version: int
    snapshot: dict[str, Any]
    created_by: dict[str, str | None] | None
    note: str | None
    created_at: datetime


class ChangeOut(Out):
    field: str
    before: Any
    after: Any


class DifferenceOut(Out):
    before: str
    """A version's number, or `draft`."""
    after: str
    changes: list[ChangeOut]
    instructions: str
    """A unified diff of the instructions, empty when they are the same."""


@router.post("", status_code=201, response_model=VersionOut)
async def publish_version(
    agent_id: str, caller: Caller, session: InTransaction, body: NewVersion | None = None
) -> AgentVersion:
    """Freeze the draft as the next version. The first goes live by itself; later ones wait for a rollout."""
    return await versions.publish(session, caller, agent_id, body.note if body else None)


@router.get("", response_model=PageOut[VersionOut])
async def list_versions(agent_id: str, caller: Caller, session: InTransaction, place: Place) -> Page[AgentVersion]:
    """List the agent's versions, newest first."""
    return await versions.browse(session, caller, agent_id, place)


@router.get("/{version}", response_model=VersionOut)
async def get_version(agent_id: str, version: int, caller: Caller, session: InTransaction) -> AgentVersion:
    """Show one version."""
    return await versions.find(session, caller, agent_id, version)


@router.get("/{a}/diff/{b}", response_model=DifferenceOut)
async def compare_versions(agent_id: str, a: str, b: str, caller: Caller, session: InTransaction) -> Difference:
    """Show, field by field, how version `a` became version `b`. The word `draft` stands for what is not published."""
    return await versions.compare(session, caller, agent_id, a, b)


@router.post("/{version}/restore", response_model=AgentOut)
async def restore_version(agent_id: str, version: int, caller: Caller, session: InTransaction) -> AgentOut:
    """Put a version's design into the draft, in place of what is there. What is live stays."""
    return await shown(session, caller, await versions.restore(session, caller, agent_id, version))
