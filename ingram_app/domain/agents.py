"""Agents: the design of an assistant, as a draft, as numbered versions, and which of them is live.

draft ──publish──▶ version 1, 2, 3 … (never changed) ──rollout──▶ active
Here are the tables and the draft; `versions` publishes, `rollouts` says who runs what. Every project has one default
agent, for smiths that name none.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, alone, execute
from ingram_app.core.errors import Conflict, Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import audit, designs
from ingram_app.domain.access import Caller
from ingram_app.domain.designs import Design
from ingram_app.domain.paging import FIRST, Page, Place, page

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
SLUG_LENGTH = 63
NAME_LENGTH = 120
_OPTIONAL = JSONB(none_as_null=True)


class Agent(SQLModel, table=True):
    __tablename__ = "agents"
    __table_args__ = (
        Index("uq_agents_slug", "project_id", "slug", unique=True, postgresql_where=sa.text("archived_at is null")),
        Index("uq_agents_default", "project_id", unique=True, postgresql_where=sa.text("is_default")),
        Index("ix_agents_page", "project_id", "created_at", "id"),
        Index("ix_agents_guarded", "id", postgresql_where=sa.text("guard is not null")),
    )

    id: str = Field(default_factory=lambda: new_id("agt"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    slug: str | None = None
    """Null on the default agent alone."""
    name: str
    is_default: bool = False
    draft: dict[str, Any] = Field(default_factory=lambda: designs.plain(Design()), sa_type=JSONB)
    active_version: int | None = None
    previous_version: int | None = None
    """What was active before: the way back."""
    rollout_version: int | None = None
    """What a share of the smiths runs beside the active one."""
    rollout_percent: int = 0
    """The share: 1 to 99, or 0 while nothing rolls out."""
    rollout_began_at: datetime | None = Field(default=None, sa_type=Moment)
    guard: dict[str, Any] | None = Field(default=None, sa_type=_OPTIONAL)
    """The bounds that the version which rolls out has to keep (`rollouts.Guard`)."""
    halted: dict[str, Any] | None = Field(default=None, sa_type=_OPTIONAL)
    """How the last rollout broke its guard (`guards.check`); none once there was another."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)
    archived_at: datetime | None = Field(default=None, sa_type=Moment)

    @property
    def published(self) -> bool:
        return self.active_version is not None


class AgentVersion(SQLModel, table=True):
    """The database refuses to change a row of this table, and deletes it only with its agent."""

    __tablename__ = "agent_versions"

    agent_id: str = Field(foreign_key="agents.id", ondelete="CASCADE", primary_key=True)
    version: int = Field(primary_key=True)
    """1, 2, 3 … within the agent."""
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE", index=True)
    snapshot: dict[str, Any] = Field(sa_type=JSONB)
    note: str | None = None
    created_by: dict[str, str | None] | None = Field(default=None, sa_type=JSONB)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Figures:
    smith_count: int
    last_activity_at: datetime | None


_smiths = sa.table("smiths", sa.column("agent_id"), sa.column("tester_id"), sa.column("archived_at"))
_runs = sa.table("runs", sa.column("agent_id"), sa.column("agent_version"), sa.column("created_at"))


class AgentExists(Conflict):
    """There is already an agent with the slug {slug} in this project. Choose another, or change that one."""


class AgentInUse(Conflict):
    """{smiths} live smiths run the agent {agent_id}. Attach them to another agent, or archive them, first."""


class DefaultAgent(Conflict):
    """This is the project's default agent, which smiths that name none run; it can not be deleted."""


class InvalidSlug(Invalid):
    """The slug {slug} must be of a-z, 0-9 and inner hyphens, at most 63 characters."""


class InvalidAgentName(Invalid):
    """An agent's name has from 1 to 120 characters."""

    code = "invalid_name"


class AgentUnpublished(Invalid):
    """The agent {agent_id} has no version{version}. Publish one first: POST /v1/agents/{agent_id}/versions."""


class NothingToUpdate(Invalid):
    """The request names nothing to change."""


async def create(session: AsyncSession, caller: Caller, *, name: str, slug: str | None = None, **design: Any) -> Agent:
    """Draft an agent; nothing is live before it is published.

    Raises `InvalidAgentName`, `InvalidSlug`, `AgentExists`, `InvalidDesign`.
    """
    caller.require("agents:write")
    name = named(name)
    if slug is None:
        slug = await _free_slug(session, caller, name)
    elif not SLUG.fullmatch(slug) or len(slug) > SLUG_LENGTH:
        raise InvalidSlug(slug=slug[:80], param="slug")
    agent = Agent(project_id=caller.project_id, name=name, slug=slug, draft=designs.changed({}, design))
    try:
        async with session.begin_nested():
            session.add(agent)
    except sa.exc.IntegrityError:
        raise AgentExists(slug=slug, param="slug") from None
    await audit.note(session, caller, "agent.created", agent.id, name=name, slug=slug)
    return agent


async def create_default(session: AsyncSession, project_id: str) -> Agent:
    """Give a new project the agent of smiths that name none, live from the start."""
    agent = Agent(project_id=project_id, name="Default", is_default=True, active_version=1)
    session.add(agent)
    await session.flush()
    session.add(AgentVersion(agent_id=agent.id, version=1, project_id=project_id, snapshot=agent.draft))
    return agent


async def find(session: AsyncSession, caller: Caller, agent_id: str, *, to_change: bool = False) -> Agent:
    """Return a live agent of the caller's project. Raises `NotFound`."""
    caller.require("agents:write" if to_change else "agents:read")
    query = _live(caller).where(Agent.id == agent_id)
    return await _one(session, query.with_for_update() if to_change else query, agent_id)


async def join(session: AsyncSession, caller: Caller, agent_id: str) -> Agent:
    """Return an agent that a smith is to run: it stays live until the transaction ends. Raises `NotFound`."""
    caller.require("agents:read")
    return await _one(
        session, _live(caller).where(Agent.id == agent_id).with_for_update(key_share=True, read=True), agent_id
    )


async def the_default(session: AsyncSession, caller: Caller) -> Agent:
    """Return the agent of smiths that name none."""
    query = select(Agent).where(Agent.project_id == caller.project_id, col(Agent.is_default))
    return (await session.exec(query)).one()


async def browse(session: AsyncSession, caller: Caller, place: Place = FIRST, *, name_part: str = "") -> Page[Agent]:
    """Return the project's agents whose name has `name_part` in it, in any case; newest first."""
    caller.require("agents:read")
    query = _live(caller)
    if name_part:
        query = query.where(col(Agent.name).icontains(name_part, autoescape=True))
    return await page(session, query, Agent, place)


async def known(session: AsyncSession, caller: Caller, agent_ids: Collection[str]) -> dict[str, Agent]:
    """Return those agents of the project, by id, also archived ones."""
    caller.require("agents:read")
    query = select(Agent).where(Agent.project_id == caller.project_id, col(Agent.id).in_(agent_ids))
    return {agent.id: agent for agent in (await session.exec(query)).all()}


async def change(session: AsyncSession, caller: Caller, agent_id: str, changes: dict[str, Any]) -> Agent:
    """Edit the draft and the name; what is live stays.

    Raises `NotFound`, `NothingToUpdate`, `InvalidAgentName`, `InvalidDesign`.
    """
    agent = await find(session, caller, agent_id, to_change=True)
    if not changes:
        raise NothingToUpdate()
    if changes.get("name") is not None:
        agent.name = named(changes["name"])
    agent.draft = designs.changed(agent.draft, {k: v for k, v in changes.items() if k in designs.FIELDS})
    agent.updated_at = now()
    await audit.note(session, caller, "agent.changed", agent.id, fields=sorted(changes))
    return agent


async def archive(session: AsyncSession, caller: Caller, agent_id: str) -> None:
    """Take an agent out of use; its slug is free again. Raises `NotFound`, `DefaultAgent`, `AgentInUse`."""
    agent = await find(session, caller, agent_id, to_change=True)
    if agent.is_default:
        raise DefaultAgent()
    smiths = (await figures(session, caller, [agent_id]))[agent_id].smith_count
    if smiths:
        raise AgentInUse(agent_id=agent_id, smiths=smiths)
    agent.archived_at = now()
    await audit.note(session, caller, "agent.archived", agent.id)


async def figures(session: AsyncSession, caller: Caller, agent_ids: Sequence[str]) -> dict[str, Figures]:
    """Return how many live smiths each agent has, and when one of them last ran; whoever tries a draft is not one."""
    theirs = (_smiths.c.archived_at.is_(None), _smiths.c.tester_id.is_(None))
    live = sa.select(func.count()).where(_smiths.c.agent_id == Agent.id, *theirs)
    latest = sa.select(func.max(_runs.c.created_at)).where(
        _runs.c.agent_id == Agent.id, _runs.c.agent_version.is_not(None)
    )
    query = sa.select(col(Agent.id), live.scalar_subquery(), latest.scalar_subquery()).where(
        col(Agent.project_id) == caller.project_id, col(Agent.id).in_(agent_ids)
    )
    return {row[0]: Figures(row[1], row[2]) for row in (await execute(session, query)).all()}


def _live(caller: Caller) -> Any:
    return select(Agent).where(Agent.project_id == caller.project_id, col(Agent.archived_at).is_(None))


async def _one(session: AsyncSession, query: Any, agent_id: str) -> Agent:
    agent: Agent | None = (await session.exec(query)).first()
    if agent is None:
        raise NotFound(noun="agent", id=agent_id)
    return agent


def named(name: str) -> str:
    """Return the name as it is kept. Raises `InvalidAgentName`."""
    kept = name.strip()
    if not 1 <= len(kept) <= NAME_LENGTH:
        raise InvalidAgentName(param="name")
    return kept


async def _free_slug(session: AsyncSession, caller: Caller, name: str) -> str:
    await alone(session, f"slugs {caller.project_id}")
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:SLUG_LENGTH].rstrip("-") or "agent"
    taken = select(Agent.slug).where(
        Agent.project_id == caller.project_id,
        col(Agent.archived_at).is_(None),
        col(Agent.slug).startswith(stem[: SLUG_LENGTH - 4]),
    )
    slugs = set((await session.exec(taken)).all())
    number = 1
    slug = stem
    while slug in slugs:
        number += 1
        slug = f"{stem[: SLUG_LENGTH - 1 - len(str(number))]}-{number}"
    return slug
