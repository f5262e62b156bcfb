"""Versions: an agent's draft, frozen under the next number, and how two of them differ. None ever changes.

draft ──publish──▶ version n ──restore──▶ draft
"""

import difflib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import agents, audit, designs, event_types, events
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent, AgentVersion
from ingram_app.domain.paging import FIRST, Page, Place, page

NUMBERS = range(1, 2**31)
"""What a version can be numbered."""
DRAFT = "draft"
"""What stands in the place of a number for what is not published yet."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a design that is not in the one as in the other."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """How the design `before` becomes the design `after`: each a version's number, or `draft`."""

    before: str
    after: str
    changes: list[Change]
    instructions: str
    """A unified diff of the instructions, empty when they are the same."""


class InvalidPin(Invalid):
    """The agent {agent_id} has no version {pin} to pin."""


async def publish(session: AsyncSession, caller: Caller, agent_id: str, note: str | None = None) -> AgentVersion:
    """Freeze the draft as the next version; the first goes live by itself. Raises `NotFound`."""
    agent = await agents.find(session, caller, agent_id, to_change=True)
    version = AgentVersion(
        agent_id=agent.id,
        version=(await _newest(session, agent)) + 1,
        project_id=agent.project_id,
        snapshot=agent.draft,
        note=note,
        created_by=caller.actor.as_json(),
    )
    session.add(version)
    await session.flush()
    if not agent.published:
        agent.active_version, agent.updated_at = version.version, now()
    await events.tell(session, caller, event_types.AgentPublished(agent.id, version.version, note))
    await audit.note(session, caller, "agent.published", agent.id, version=version.version)
    return version


async def browse(session: AsyncSession, caller: Caller, agent_id: str, place: Place = FIRST) -> Page[AgentVersion]:
    """Return an agent's versions, newest first. Raises `NotFound`, `InvalidCursor`."""
    await agents.find(session, caller, agent_id)
    query = select(AgentVersion).where(AgentVersion.project_id == caller.project_id, AgentVersion.agent_id == agent_id)
    return await page(session, query, AgentVersion, place, by="version", then="agent_id")


async def find(session: AsyncSession, caller: Caller, agent_id: str, number: int) -> AgentVersion:
    """Return one version, also of an agent that is archived by now. Raises `NotFound`."""
    caller.require("agents:read")
    if number not in NUMBERS:
        raise NotFound(noun="version", id=number)
    query = select(AgentVersion).where(
        AgentVersion.project_id == caller.project_id, AgentVersion.agent_id == agent_id, AgentVersion.version == number
    )
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound(noun="version", id=number)
    return found


async def check_pin(session: AsyncSession, caller: Caller, agent_id: str, number: int) -> None:
    """Make sure that a smith of the agent can be pinned to a version. Raises `InvalidPin`."""
    try:
        await find(session, caller, agent_id, number)
    except NotFound:
        raise InvalidPin(agent_id=agent_id, pin=number, param="pin") from None


async def compare(session: AsyncSession, caller: Caller, agent_id: str, before: str, after: str) -> Difference:
    """Return how one design of the agent became another; each is a version's number, or `draft`. Raises `NotFound`."""
    agent = await agents.find(session, caller, agent_id)
    one, other = await _design(session, caller, agent, before), await _design(session, caller, agent, after)
    return Difference(before, after, changes(one, other), diff(one["instructions"], other["instructions"]))


async def restore(session: AsyncSession, caller: Caller, agent_id: str, number: int) -> Agent:
    """Put a version's design into the draft, in place of what is there. Raises `NotFound`."""
    agent = await agents.find(session, caller, agent_id, to_change=True)
    design = (await find(session, caller, agent_id, number)).snapshot
    if agent.draft != design:
        agent.draft, agent.updated_at = design, now()
        await audit.note(session, caller, "agent.version_restored", agent.id, version=number)
    return agent


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Return the fields in which two stored designs differ."""
    one, other = designs.changed(before, {}), designs.changed(after, {})
    return [Change(field, one[field], other[field]) for field in designs.FIELDS if one[field] != other[field]]


def diff(before: str | None, after: str | None) -> str:
    """Return a unified diff of two texts, empty when they are the same."""
    one, other = ((text or "").splitlines() for text in (before, after))
    return "\n".join(difflib.unified_diff(one, other, "before", "after", lineterm=""))


async def _design(session: AsyncSession, caller: Caller, agent: Agent, which: str) -> dict[str, Any]:
    if which == DRAFT:
        return designs.changed(agent.draft, {})
    if not (which.isascii() and which.isdigit() and len(which) <= 10):
        raise NotFound(noun="version", id=which[:40])
    return designs.changed((await find(session, caller, agent.id, int(which))).snapshot, {})


async def _newest(session: AsyncSession, agent: Agent) -> int:
    """Return the number of the agent's newest version, 0 when it has none."""
    numbers = select(func.max(AgentVersion.version)).where(
        AgentVersion.project_id == agent.project_id, AgentVersion.agent_id == agent.id
    )
    return (await session.exec(numbers)).one() or 0
