"""Rosters: which smiths run an agent: many attached to it at once, and an agent made from what one of them runs."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import alone, execute
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import agents, audit, revisions, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent
from ingram_app.domain.smiths import Smith, SmithExists

LISTED = 200
"""Smiths that are named one by one when all are attached."""
AT_ONCE = 1000
"""Smiths that can be named in one call."""


@dataclass(frozen=True, slots=True)
class Attached:
    smith_id: str
    override_keys: list[str]
    """Fields in which the smith goes on having a value of its own."""


@dataclass(frozen=True, slots=True)
class Roster:
    """The smiths that a call named, which all run the agent now, whether they came to it by that call or before."""

    attached: list[Attached]
    """At most `LISTED` of them when all were attached."""
    count: int
    moved: int
    """How many did not run it before."""


class InvalidAttachment(Invalid):
    """Say which smiths: `all`, or `smith_ids` with 1 to 1,000 ids; not both."""


async def import_smith(session: AsyncSession, caller: Caller, *, from_smith: str, name: str) -> Agent:
    """Draft an agent from what a smith runs with, its own overrides and all. Raises `NotFound`, `InvalidAgentName`."""
    clone = await smiths.find(session, caller, from_smith)
    return await agents.create(session, caller, name=name, **clone.config)


async def attach(
    session: AsyncSession, caller: Caller, agent_id: str, *, all: bool = False, smith_ids: Collection[str] = ()
) -> Roster:
    """Have smiths run the agent, with what they override; a pin to a version of another agent goes.

    Raises `InvalidAttachment`, `NotFound`, `SmithExists`; then none is attached.
    """
    caller.require("smiths:write")
    wanted = sorted(set(smith_ids))
    if all == bool(wanted) or len(wanted) > AT_ONCE:
        raise InvalidAttachment(param="smith_ids")
    agent = await agents.join(session, caller, agent_id)
    await alone(session, f"rosters {caller.project_id}")
    among = _among(caller, None if all else wanted)
    if not all:
        await _require(session, among, wanted)
    moment = now()
    update = (
        sa.update(Smith)
        .where(*among, col(Smith.agent_id) != agent.id)
        .values(agent_id=agent.id, pin=None, updated_at=moment)
    )
    try:
        async with session.begin_nested():
            moved = (await execute(session, update)).rowcount
    except sa.exc.IntegrityError:
        twice = await _twice(session, caller, agent, among)
        raise SmithExists(agent_id=agent.id, external_id=twice, param="smith_ids") from None
    if moved:
        await revisions.append_moved(session, caller, agent.id, moment)
        await audit.note(session, caller, "agent.attached", agent.id, smiths=moved, all=all)
    return await _roster(session, among, LISTED if all else AT_ONCE, moved)


def _among(caller: Caller, wanted: list[str] | None) -> tuple[Any, ...]:
    live = smiths.are_live(caller)
    return live if wanted is None else (*live, col(Smith.id).in_(wanted))


async def _require(session: AsyncSession, among: tuple[Any, ...], wanted: list[str]) -> None:
    """Hold the smiths that are named. Raises `NotFound` for the first that is not there."""
    query = select(Smith.id).where(*among).order_by(Smith.id).with_for_update(key_share=True)
    missing = set(wanted) - set((await session.exec(query)).all())
    if missing:
        raise NotFound(noun="smith", id=min(missing))


async def _twice(session: AsyncSession, caller: Caller, agent: Agent, among: tuple[Any, ...]) -> str | None:
    """Return an external id that would have had two smiths of the agent."""
    there = sa.and_(*smiths.are_live(caller), col(Smith.agent_id) == agent.id)
    query = (
        select(Smith.external_id)
        .where(there | sa.and_(*among), col(Smith.external_id).is_not(None))
        .group_by(col(Smith.external_id))
        .having(func.count() > 1)
        .limit(1)
    )
    return (await session.exec(query)).first()


async def _roster(session: AsyncSession, among: tuple[Any, ...], listed: int, moved: int) -> Roster:
    count = (await session.exec(select(func.count()).select_from(Smith).where(*among))).one()
    query = sa.select(col(Smith.id), col(Smith.overrides)).where(*among).order_by(col(Smith.id).desc()).limit(listed)
    rows = (await execute(session, query)).all()
    return Roster([Attached(smith_id, sorted(overrides)) for smith_id, overrides in rows], count, moved)
