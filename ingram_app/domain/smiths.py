"""Smiths: one end user's private running clone of an agent. Its identity is the pair (external_id, agent).

live ──archive──▶ archived: its external_id is free again, its tokens act no more.
What a smith runs with is worked out when it is asked for: the live version of its agent, with its own overrides.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Index, func
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute
from ingram_app.core.errors import Conflict, NotFound
from ingram_app.core.ids import new_id
from ingram_app.core.readings import Reading
from ingram_app.domain import agents, audit, customers, designs, event_types, events, rendering, revisions, tokens
from ingram_app.domain.access import Caller
from ingram_app.domain.agents import Agent, AgentVersion, NothingToUpdate
from ingram_app.domain.designs import Recorded
from ingram_app.domain.paging import FIRST, Page, Place, page
from ingram_app.domain.projects import Project
from ingram_app.domain.rendering import Rendered
from ingram_app.domain.tokens import Minted
from ingram_app.domain.versions import check_pin

ANONYMOUS = "anon:"
"""How the external id of someone begins who has not signed in."""
EXTERNAL_ID_LENGTH = 200
PROFILE = ("display_name", "locale", "timezone", "customer_id")
BUCKETS_PER_PERCENT = 100
LIVE = sa.text("archived_at is null")
TRIES = sa.text("tester_id is not null")
BY_BEGINNING = {"external_id": "text_pattern_ops"}


class Smith(SQLModel, table=True):
    __tablename__ = "smiths"
    __table_args__ = (
        Index("uq_smiths_identity", "project_id", "external_id", "agent_id", unique=True, postgresql_where=LIVE),
        Index("ix_smiths_page", "project_id", "created_at", "id"),
        Index("ix_smiths_agent_id", "agent_id", "bucket", postgresql_where=LIVE),
        Index("ix_smiths_customer", "project_id", "customer_id", postgresql_where=LIVE),
        Index("ix_smiths_prefix", "project_id", "external_id", postgresql_ops=BY_BEGINNING, postgresql_where=LIVE),
        Index("ix_smiths_moved_to", "moved_to", postgresql_where=sa.text("moved_to is not null")),
        Index("uq_smiths_tester", "agent_id", "tester_id", unique=True, postgresql_where=TRIES),
    )

    id: str = Field(default_factory=lambda: new_id("smt"), primary_key=True)
    project_id: str = Field(foreign_key="projects.id", ondelete="CASCADE")
    agent_id: str = Field(foreign_key="agents.id")
    external_id: str | None = None
    """The end user's id in the customer's product; `anon:…` for one who has not signed in there."""
    display_name: str | None = None
    locale: str | None = None
    timezone: str | None = None
    customer_id: str | None = Field(default=None, foreign_key="customers.id")
    """Whom what it uses is billed to, from now on; none: nobody."""
    about: dict[str, Any] = Field(default_factory=dict, sa_column=sa.Column("metadata", JSONB, nullable=False))
    overrides: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)
    """Fields of the design that are this smith's own."""
    pin: int | None = None
    """The agent's version it stays on, whatever is rolled out."""
    tester_id: str | None = None
    """Whose scratch smith it is: that of one who tries the agent's draft. Nobody else sees it (`tryouts`)."""
    bucket: int | None = Field(
        default=None,
        sa_column=sa.Column(sa.Integer, sa.Computed("smith_bucket(agent_id, id)", persisted=True)),
        exclude=True,
    )
    """Its place among the 10,000 by which versions roll out, kept by the database; see `rollouts`."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)
    archived_at: datetime | None = Field(default=None, sa_type=Moment)
    moved_to: str | None = Field(default=None, foreign_key="smiths.id", ondelete="CASCADE")
    """The smith that has what was said to this one, since its person signed in."""

    @property
    def own_config(self) -> dict[str, Any]:
        """What is written down in its revisions."""
        return {"agent_id": self.agent_id, "pin": self.pin, "overrides": self.overrides}


@dataclass(frozen=True, slots=True)
class Clone:
    """A smith with what it really runs with at this moment."""

    smith: Smith
    agent: Agent
    version: int | None
    """The agent's version it runs; none while the agent has not been published, or when it tries the draft."""
    inherited: dict[str, Any]
    """What the agent's version says, or the draft that it tries."""
    recorded: dict[str, Any] | None = None
    """What it ran with at another moment, when it is to do so again."""

    @property
    def config(self) -> dict[str, Any]:
        """The effective design: overrides on the agent's on the platform's defaults."""
        return self.recorded or designs.effective(self.inherited, self.smith.overrides)

    @property
    def source(self) -> Literal["agent", "override", "custom"]:
        """Whose the config is: the agent's alone; the agent's with fields of its own; its own alone."""
        if not self.smith.overrides:
            return "agent"
        whole = self.version is None or self.smith.overrides.keys() >= set(designs.FIELDS)
        return "custom" if whole else "override"

    def rendered(self, moment: datetime) -> Rendered:
        """Return the instructions with their variables filled in, as they read at that moment."""
        return self._filled(self.config, moment)

    def _filled(self, config: dict[str, Any], moment: datetime) -> Rendered:
        smith = self.smith
        if not config["variables"] and "{{" not in (config["instructions"] or ""):
            return Rendered(config["instructions"])
        built_in = {
            "external_id": smith.external_id,
            "display_name": smith.display_name,
            "locale": smith.locale,
            "timezone": smith.timezone,
            "now": rendering.clock(moment, smith.timezone),
        }
        return rendering.render(config["instructions"], config["variables"], built_in, smith.about)

    def stamp(self, moment: datetime) -> dict[str, Any]:
        """Return what a run that begins at that moment records of its smith, whatever changes later."""
        config = self.config
        rendered = self._filled(config, moment)
        return {
            "smith_id": self.smith.id,
            "agent_id": self.agent.id,
            "agent_version": self.version,
            "config": config,
            "rendered_instructions": None if rendered.text == config["instructions"] else rendered.text,
            "warnings": rendered.warnings,
        }


class SmithExists(Conflict):
    """The agent {agent_id} already has a live smith of the external id {external_id}."""


async def create(session: AsyncSession, caller: Caller, given: dict[str, Any]) -> tuple[Clone, bool]:
    """Return the smith of this external id and agent, and whether it is new; one that lives is left as it is.

    Raises `NotFound` for an agent or a customer that is not there, `InvalidPin`.
    """
    caller.require("smiths:write")
    if given.get("customer_id"):
        await customers.join(session, caller, given["customer_id"])
    agent_id = given.get("agent_id")
    agent = await (agents.join(session, caller, agent_id) if agent_id else agents.the_default(session, caller))
    smith = Smith(project_id=caller.project_id, agent_id=agent.id, external_id=given.get("external_id"))
    await _apply(session, caller, smith, given)
    row = smith.model_dump()
    new = insert(Smith).values(row).on_conflict_do_nothing().returning(col(Smith.id))
    if (await execute(session, new)).first() is not None:
        created = event_types.SmithCreated(external_id=smith.external_id, agent_id=agent.id)
        await events.tell(session, caller, created, smith_id=smith.id)
        await audit.note(session, caller, "smith.created", smith.id)
        await revisions.append(session, caller, smith.id, smith.own_config)
        return await find(session, caller, smith.id), True
    same = (Smith.external_id == smith.external_id, Smith.agent_id == agent.id)
    found = await _clones(session, caller, *same)
    return (found[0], False) if found else await create(session, caller, given)  # it was archived just now


async def find(session: AsyncSession, caller: Caller, smith_id: str) -> Clone:
    """Return a live smith of the caller's project. Raises `NotFound`."""
    caller.require("smiths:read")
    clone = await embody(session, caller, smith_id)
    if clone.smith.tester_id is not None:
        raise NotFound(noun="smith", id=smith_id)
    return clone


async def embody(session: AsyncSession, caller: Caller, smith_id: str, *, stays: bool = False) -> Clone:
    """Return a live smith for one who acts as it or for it, also one that tries a draft.

    If it `stays`, nobody claims or erases it meanwhile: who writes begins so. Raises `SmithMismatch`, `NotFound`.
    """
    caller.require_own(smith_id)
    found = await _clones(session, caller, Smith.id == smith_id, stays=stays)
    if not found:
        raise NotFound(noun="smith", id=smith_id)
    return found[0]


async def summon(
    session: AsyncSession, caller: Caller, smith_id: str, recorded: Recorded | None = None
) -> tuple[Clone, Project]:
    """Return a live smith that is to act, as it is now or was `recorded`, and its project, to be looked at only.

    Raises `SmithMismatch`, `NotFound`.
    """
    caller.require_own(smith_id)
    found = await _SUMMONED.first(session, project_id=caller.project_id, smith_id=smith_id)
    if found is None:
        raise NotFound(noun="smith", id=smith_id)
    smith, agent, version, project = found
    clone = _clone(smith, agent, version)
    if recorded is not None:
        clone = replace(clone, version=recorded.version, recorded=recorded.config)
    return clone, project


async def browse(
    session: AsyncSession,
    caller: Caller,
    place: Place = FIRST,
    *,
    external_id: str | None = None,
    external_id_prefix: str | None = None,
    customer_id: str | None = None,
    agent_id: str | None = None,
) -> Page[Clone]:
    """Return the project's live smiths, newest first, as far as they match."""
    caller.require("smiths:read")
    query = _live(caller)
    wanted = ((Smith.external_id, external_id), (Smith.customer_id, customer_id), (Smith.agent_id, agent_id))
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    if external_id_prefix:
        query = query.where(col(Smith.external_id).startswith(external_id_prefix, autoescape=True))
    found = await page(session, query, Smith, place)
    shown = col(Smith.id).in_([smith.id for smith in found.data])
    clones = {clone.smith.id: clone for clone in await _clones(session, caller, shown)}
    return Page([clones[smith.id] for smith in found.data], found.next_cursor)


async def known(session: AsyncSession, caller: Caller, smith_ids: Collection[str]) -> dict[str, Smith]:
    """Return those smiths of the project, by id, also archived ones: whom a list of something else is about."""
    caller.require("smiths:read")
    query = select(Smith).where(Smith.project_id == caller.project_id, col(Smith.id).in_(smith_ids))
    return {smith.id: smith for smith in (await session.exec(query)).all()}


async def change(session: AsyncSession, caller: Caller, smith_id: str, changes: dict[str, Any]) -> Clone:
    """Change profile, agent, pin or overrides; `null` takes an override back.

    Raises `NotFound`, also for a customer that is not there, `InvalidPin`, `InvalidDesign`, `NothingToUpdate`, and
    `SmithExists` when the agent has a smith of this person.
    """
    caller.require("smiths:write")
    if not changes:
        raise NothingToUpdate()
    if changes.get("customer_id"):
        await customers.join(session, caller, changes["customer_id"])
    clone = await _change(session, caller, smith_id, changes)
    await audit.note(session, caller, "smith.changed", smith_id, fields=sorted(changes))
    return clone


async def restore(session: AsyncSession, caller: Caller, smith_id: str, version: int, note: str | None = None) -> Clone:
    """Give a smith the config of one of its revisions back, as its newest.

    Raises `NotFound`, also for an agent that is archived by now, and `SmithExists`.
    """
    caller.require("smiths:write")
    await find(session, caller, smith_id)
    then = (await revisions.find(session, caller, smith_id, version)).snapshot
    blank = dict.fromkeys(designs.FIELDS)
    changes = {"agent_id": then["agent_id"], "pin": then["pin"]} | blank | then["overrides"]
    clone = await _change(session, caller, smith_id, changes, note or f"Revision {version} again.")
    await audit.note(session, caller, "smith.restored", smith_id, version=version)
    return clone


async def _change(
    session: AsyncSession, caller: Caller, smith_id: str, changes: dict[str, Any], note: str | None = None
) -> Clone:
    smith = await hold(session, caller, smith_id)
    if smith.archived_at is not None:
        raise NotFound(noun="smith", id=smith_id)
    stood = smith.own_config
    if changes.get("agent_id") not in (None, smith.agent_id):
        smith.agent_id = (await agents.join(session, caller, changes["agent_id"])).id
        smith.pin = None
    smith.updated_at = now()
    identity = {"agent_id": smith.agent_id, "external_id": smith.external_id}
    session.add(smith)
    try:
        await _apply(session, caller, smith, changes)
        await session.flush()
    except sa.exc.IntegrityError:
        raise SmithExists(**identity, param="agent_id") from None
    if smith.own_config != stood:
        await revisions.append(session, caller, smith_id, smith.own_config, note)
    return await find(session, caller, smith_id)


async def hold(session: AsyncSession, caller: Caller, smith_id: str) -> Smith:
    """Return a smith, also an archived one, and keep everyone else from changing it until the transaction ends.

    Nothing new is said to it meanwhile either. Raises `NotFound`.
    """
    caller.require("smiths:write")
    there = (Smith.project_id == caller.project_id, Smith.id == smith_id, col(Smith.tester_id).is_(None))
    query = select(Smith).where(*there).with_for_update()
    if (smith := (await session.exec(query)).first()) is None:
        raise NotFound(noun="smith", id=smith_id)
    return smith


async def archive(session: AsyncSession, caller: Caller, smith_id: str) -> None:
    """Take a smith out of use and free its external id. Raises `NotFound`."""
    smith = await hold(session, caller, smith_id)
    if smith.archived_at is not None:
        raise NotFound(noun="smith", id=smith_id)
    smith.archived_at = smith.updated_at = now()
    await session.flush()
    await events.tell(session, caller, event_types.SmithArchived(external_id=smith.external_id), smith_id=smith_id)
    await audit.note(session, caller, "smith.archived", smith_id)


async def mint_token(session: AsyncSession, caller: Caller, *, smith_id: str | None, **terms: Any) -> Minted:
    """Make a token of the caller's project; a smith token only for a smith that is there. Raises as `tokens.mint`."""
    caller.require("tokens:write")
    minted = await tokens.mint(session, caller, smith_id=smith_id, **terms)
    if smith_id is not None:
        kept = _live(caller).where(Smith.id == smith_id).with_for_update(key_share=True, read=True)
        if (await session.exec(kept)).first() is None:  # one that is being claimed is waited for
            raise NotFound(noun="smith", id=smith_id)
    return minted


async def _apply(session: AsyncSession, caller: Caller, smith: Smith, given: dict[str, Any]) -> None:
    for field in PROFILE:
        if field in given:
            setattr(smith, field, given[field] or None)
    if "metadata" in given:
        smith.about = given["metadata"] or {}
    own = {field: value for field, value in given.items() if field in designs.FIELDS}
    designs.check(own)
    kept = {field: value for field, value in smith.overrides.items() if field not in own}
    smith.overrides = kept | {field: value for field, value in own.items() if value is not None}
    if "pin" in given:
        smith.pin = given["pin"]
        if smith.pin is not None:
            await check_pin(session, caller, smith.agent_id, smith.pin)


def are_live(caller: Caller) -> tuple[Any, ...]:
    """Return the conditions that the project's live smiths meet, without those that try a draft."""
    return *_are_there(caller), col(Smith.tester_id).is_(None)


def _are_there(caller: Caller) -> tuple[Any, ...]:
    return Smith.project_id == caller.project_id, col(Smith.archived_at).is_(None)


def _live(caller: Caller) -> Any:
    return select(Smith).where(*are_live(caller))


async def _clones(session: AsyncSession, caller: Caller, *which: Any, stays: bool = False) -> list[Clone]:
    """Return live smiths with their agents and the versions that they run, in one query."""
    query = _embodied(select(Smith, Agent, AgentVersion)).where(*_are_there(caller), *which)
    query = query.with_for_update(read=True, key_share=True, of=Smith) if stays else query
    return [_clone(*row) for row in (await session.exec(query)).all()]


def _embodied(query: Any) -> Any:
    """Join smiths with their agents and the versions that they run."""
    rolls_out = col(Smith.bucket) < col(Agent.rollout_percent) * BUCKETS_PER_PERCENT
    runs_version = func.coalesce(
        Smith.pin, sa.case((rolls_out, col(Agent.rollout_version)), else_=col(Agent.active_version))
    )
    is_run = (
        (col(AgentVersion.agent_id) == Smith.agent_id)
        & (AgentVersion.version == runs_version)
        & col(Smith.tester_id).is_(None)
    )
    return query.join(Agent, col(Agent.id) == Smith.agent_id).outerjoin(AgentVersion, is_run)


def _clone(smith: Smith, agent: Agent, version: AgentVersion | None) -> Clone:
    if version is None:
        return Clone(smith, agent, None, agent.draft if smith.tester_id else {})
    return Clone(smith, agent, version.version, version.snapshot)


_SUMMONED: Reading[tuple[Smith, Agent, AgentVersion | None, Project]] = Reading(
    _embodied(select(Smith, Agent, AgentVersion, Project))
    .join(Project, col(Project.id) == Smith.project_id)
    .where(Smith.id == sa.bindparam("smith_id"), Smith.project_id == sa.bindparam("project_id"))
    .where(col(Smith.archived_at).is_(None), col(Project.archived_at).is_(None))
)
