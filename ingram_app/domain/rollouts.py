"""Rollouts: which of an agent's versions which of its smiths run. One row says it for all of them.

active ──33 %──▶ active, and a version beside it ──100 %──▶ that version active
       ◀──0 %, or it broke its guard──┘

A smith stands on one side by its bucket, `sha256(agent_id ":" smith_id) mod 10000`, which the database keeps with it:
raising the percentage only adds smiths, and each stays where it is.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import execute
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import agents, audit, designs, event_types, events, smiths, versions
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent, AgentUnpublished, AgentVersion, NothingToUpdate
from ingram_app.domain.audit import AuditEntry
from ingram_app.domain.paging import FIRST, Page, Place, page
from ingram_app.domain.smiths import BUCKETS_PER_PERCENT, Smith
from ingram_app.domain.versions import Change

_UNSAID: Any = object()
_HISTORY = ("agent.published", "agent.rolled_out", "agent.rollout_halted")
_projects = sa.table("projects", sa.column("id"), sa.column("organization_id"))
_Runs = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
_Minutes = Annotated[int, Field(strict=True, ge=1, le=7 * 24 * 60)]


class Guard(BaseModel):
    """Bounds that a version has to keep while it rolls out. When one breaks, the rollout goes back to 0 percent."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    max_failure_rate: Annotated[float, Field(strict=True, ge=0, lt=1)] | None = None
    """Of the version's ended runs, what share may have failed."""
    max_cost_ratio: Annotated[float, Field(strict=True, gt=0)] | None = None
    """How many times what a run of the active version costs one may cost, on average."""
    min_runs: _Runs
    """With fewer ended runs nothing is judged."""
    window_minutes: _Minutes
    """How far back runs count; of the version that rolls out, those since its rollout began."""

    @model_validator(mode="after")
    def _bounds_something(self) -> "Guard":
        if self.max_failure_rate is None and self.max_cost_ratio is None:
            raise ValueError("it needs max_failure_rate or max_cost_ratio")
        return self


@dataclass(frozen=True, slots=True)
class Split:
    """Which smiths run which version: `percent` of them `version`, all others the active one."""

    active: int | None
    version: int | None
    percent: int

    @property
    def edge(self) -> int:
        """The first bucket that runs the active version."""
        return self.percent * BUCKETS_PER_PERCENT

    def at(self, bucket: int) -> int | None:
        return self.version if bucket < self.edge else self.active

    def in_sql(self) -> Any:
        """The version that a smith runs unless it is pinned."""
        share = (col(Smith.bucket) < self.edge, sa.literal(self.version, sa.Integer))
        return sa.case(share, else_=sa.literal(self.active, sa.Integer))


@dataclass(frozen=True, slots=True)
class Move:
    """What changes for smiths that go from one version to another, in one field."""

    from_version: int
    to_version: int
    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollout would do."""

    moves: int
    """Smiths that would run another version."""
    shielded_by_pin: int
    """Smiths that would, were they not pinned to yet another."""
    shielded_by_override: dict[str, int]
    """Of the smiths that move, how many have a value of their own in a field that changes."""
    changes: list[Move]


class InvalidPercent(Invalid):
    """The percentage {percent} is not a whole number from 0 to 100."""


class InvalidGuard(Invalid):
    """The guard can not be that: {why}."""


async def roll_out(
    session: AsyncSession, caller: Caller, agent_id: str, version: int, percent: Any = 100, guard: Any = _UNSAID
) -> Agent:
    """Let `percent` of the agent's smiths run `version`, and all others the active one; at 100 it becomes active.

    A guard that is left out stays, as long as the same version goes on rolling out; null takes it off.
    Raises `NotFound`, `AgentUnpublished`, `InvalidPercent`, `InvalidGuard`.
    """
    agent = await agents.find(session, caller, agent_id, to_change=True)
    split = await _wanted(session, caller, agent, version, percent)
    kept = _guard(agent, split, guard)
    before = _split(agent)
    if (before, agent.guard, agent.halted) == (split, kept, None):
        return agent
    if split.active != agent.active_version:
        agent.previous_version, agent.active_version = agent.active_version, split.active
    if split.version != agent.rollout_version:
        agent.rollout_began_at = None if split.version is None else now()
    agent.rollout_version, agent.rollout_percent = split.version, split.percent
    agent.guard, agent.halted, agent.updated_at = kept, None, now()
    share = 100 if agent.active_version == version else percent
    await events.tell(session, caller, event_types.AgentRolledOut(agent.id, version, share))
    await audit.note(session, caller, "agent.rolled_out", agent.id, version=version, percent=share, guard=kept)
    return agent


async def roll_back(session: AsyncSession, caller: Caller, agent_id: str) -> Agent:
    """Take back what rolls out or, when nothing does, make the version live again that was before this one.

    Raises `NotFound`, and `NothingToUpdate` when no other version was ever live.
    """
    agent = await agents.find(session, caller, agent_id, to_change=True)
    if agent.rollout_version is not None:
        return await roll_out(session, caller, agent_id, agent.rollout_version, 0)
    if agent.previous_version is None:
        raise NothingToUpdate()
    return await roll_out(session, caller, agent_id, agent.previous_version)


async def plan(
    session: AsyncSession, caller: Caller, agent_id: str, version: int, percent: Any = 100, guard: Any = _UNSAID
) -> Plan:
    """Return what `roll_out` would do, and do nothing. Raises as it does."""
    agent = await agents.find(session, caller, agent_id)
    before, after = _split(agent), await _wanted(session, caller, agent, version, percent)
    _guard(agent, after, guard)
    changes = await _changes(session, caller, agent.id, before, after)
    moves = pinned = 0
    shielded: dict[str, int] = {}
    for left, entered, moving, held, *overridden in await _counts(session, caller, agent.id, before, after):
        moves, pinned = moves + moving, pinned + held
        changing = {move.field for move in changes if (move.from_version, move.to_version) == (left, entered)}
        for field, number in zip(designs.FIELDS, overridden, strict=True):
            if number and field in changing:
                shielded[field] = shielded.get(field, 0) + number
    return Plan(moves, pinned, shielded, changes)


async def history(session: AsyncSession, caller: Caller, agent_id: str, place: Place = FIRST) -> Page[AuditEntry]:
    """Return what was published, rolled out and taken back of an agent, and by whom, newest first."""
    await agents.find(session, caller, agent_id)
    organization = sa.select(_projects.c.organization_id).where(_projects.c.id == caller.project_id)
    query = select(AuditEntry).where(
        AuditEntry.organization_id == organization.scalar_subquery(),
        AuditEntry.project_id == caller.project_id,
        AuditEntry.resource_id == agent_id,
        col(AuditEntry.action).in_(_HISTORY),
    )
    return await page(session, query, AuditEntry, place)


def _split(agent: Agent) -> Split:
    return Split(agent.active_version, agent.rollout_version, agent.rollout_percent)


async def _wanted(session: AsyncSession, caller: Caller, agent: Agent, version: int, percent: Any) -> Split:
    """Return who is to run what. Raises `AgentUnpublished`, `InvalidPercent`."""
    if type(percent) is not int or not 0 <= percent <= 100:
        raise InvalidPercent(percent=repr(percent)[:40], param="percent")
    try:
        await versions.find(session, caller, agent.id, version)
    except NotFound:
        raise AgentUnpublished(agent_id=agent.id, version=f" {version}", param="version") from None
    if percent == 100:
        return Split(version, None, 0)
    if percent == 0 or version == agent.active_version:
        return Split(agent.active_version, None, 0)
    return Split(agent.active_version, version, percent)


def _guard(agent: Agent, split: Split, said: Any) -> dict[str, Any] | None:
    """Return the guard as it is kept. Raises `InvalidGuard`."""
    if said is _UNSAID:
        return agent.guard if split.version is not None and split.version == agent.rollout_version else None
    if said is None:
        return None
    try:
        guard = Guard.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(["guard", *map(str, first["loc"])])
        raise InvalidGuard(why=f"{where}: {first['msg']}", param=where) from None
    if split.version is None:
        raise InvalidGuard(why="it watches a version beside the active one, from 1 to 99 percent", param="guard")
    return guard.model_dump()


async def _changes(session: AsyncSession, caller: Caller, agent_id: str, before: Split, after: Split) -> list[Move]:
    """Return what changes between each version that is left and the one that is entered."""
    pairs = {(before.at(bucket), after.at(bucket)) for bucket in (0, before.edge, after.edge)}
    moved = sorted((one, other) for one, other in pairs if one is not None and other is not None and one != other)
    wanted = col(AgentVersion.version).in_({number for pair in moved for number in pair})
    query = select(AgentVersion).where(
        AgentVersion.project_id == caller.project_id, AgentVersion.agent_id == agent_id, wanted
    )
    designs_of = {version.version: version.snapshot for version in (await session.exec(query)).all()}

    def move(one: int, other: int, change: Change) -> Move:
        return Move(one, other, change.field, change.before, change.after)

    return [
        move(one, other, change)
        for one, other in moved
        for change in versions.changes(designs_of[one], designs_of[other])
    ]


async def _counts(session: AsyncSession, caller: Caller, agent_id: str, before: Split, after: Split) -> list[Any]:
    """Return (from, to, moving, pinned, of the moving how many override each field) for each way smiths would go."""
    smith = (
        sa.select(before.in_sql().label("left"), after.in_sql().label("entered"), col(Smith.pin), col(Smith.overrides))
        .where(*smiths.are_live(caller), col(Smith.agent_id) == agent_id)
        .subquery()
    )
    free = smith.c.pin.is_(None)
    overridden = [func.count().filter(free & smith.c.overrides.has_key(field)) for field in designs.FIELDS]
    counts = (
        func.count().filter(free),
        func.count().filter(smith.c.pin != smith.c.entered),
        *overridden,
    )
    query = (
        sa.select(smith.c.left, smith.c.entered, *counts)
        .where(smith.c.left != smith.c.entered)
        .group_by(smith.c.left, smith.c.entered)
    )
    return list((await execute(session, query)).all())
