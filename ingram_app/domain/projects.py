"""Projects: the walls between tenants. Everything else hangs in one; its id is the tenant of every query.

live ──archive──▶ archived: every token dies, every run stops. Its rows and keys stay.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field as Shape
from sqlalchemy import Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, Tenancy, alone, enter, execute
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.core.ids import new_id
from ingram_app.domain import agents, audit, keyrings
from ingram_app.domain.access import Actor, Caller
from ingram_app.domain.designs import ModelId
from ingram_app.domain.paging import FIRST, Page, Place, page
from ingram_app.domain.teammates import Teammate
from ingram_app.gateways import providers
from ingram_app.gateways.prices import Price

NAME_LENGTH = 80


class Limits(BaseModel):
    """What one run may take. Unset means the platform's default."""

    model_config = ConfigDict(extra="forbid")

    max_steps: int | None = Shape(default=None, ge=1, le=1000)
    """Model calls."""
    max_seconds: int | None = Shape(default=None, ge=1, le=86_400)
    max_seconds_to_first_token: int | None = Shape(default=None, ge=1, le=3600)
    """How long a model may take to begin; then a fallback model is asked, or the run fails."""
    max_output_tokens: int | None = Shape(default=None, ge=1)
    max_total_tokens: int | None = Shape(default=None, ge=1)
    """Of input and output, of all model calls together; a call is not begun once they are exceeded."""
    max_cost_micros: int | None = Shape(default=None, ge=1)
    """Millionths of a US dollar; a model call is not begun once they are exceeded."""
    max_history_tokens: int | None = Shape(default=None, ge=100)
    """Of what was said on the thread before; what is older is summarised. Unset: as much as the model takes."""
    max_memory_tokens: int | None = Shape(default=None, ge=0, le=100_000)
    """Of facts that the smith keeps about its person, and that are told with a turn; the document comes on top."""
    max_input_bytes: int | None = Shape(default=None, ge=1, le=1_048_576)
    max_attachment_bytes: int | None = Shape(default=None, ge=1, le=8_388_608)
    """Of one picture or file."""
    max_concurrent_runs: int | None = Shape(default=None, ge=1, le=100_000)
    """Runs of the project that work at once; those beyond it wait."""
    max_queued_runs: int | None = Shape(default=None, ge=1, le=1_000_000)
    """Runs of the project that wait; one more is refused."""


Days = Annotated[int, Shape(ge=1, le=36_500)]


class Retention(BaseModel):
    """For how many days what is over is kept. Unset means the platform's default, and where that is unset, for good."""

    model_config = ConfigDict(extra="forbid")

    runs_days: Days | None = None
    """Of runs after they ended; they go with all that hangs on them, but for what they used and cost."""
    events_days: Days | None = None
    """An event that is still to be sent somewhere stays until it is."""
    threads_days: Days | None = None
    """Of threads after their last turn; a thread goes with all that was said on it."""
    deliveries_days: Days | None = None
    """Of what was delivered or given up; a delivery goes with its event at the latest."""
    traces_days: Days | None = None
    """Of spans that programs have sent."""


class Preferences(BaseModel):
    """A project's own settings."""

    model_config = ConfigDict(extra="forbid")

    default_model: ModelId | None = None
    embedding_model: ModelId | None = None
    limits: Limits = Limits()
    retention: Retention = Retention()


PLATFORM = Preferences(
    default_model="local/smollm2-135m",
    embedding_model="local/multilingual-e5-small",
    limits=Limits(
        max_steps=25,
        max_seconds=600,
        max_seconds_to_first_token=300,
        max_output_tokens=100_000,
        max_memory_tokens=1000,
        max_input_bytes=1_048_576,
        max_attachment_bytes=5_242_880,
        max_queued_runs=10_000,
    ),
    retention=Retention(events_days=90, deliveries_days=30, traces_days=30),
)
"""What holds where a project says nothing."""


class Project(SQLModel, table=True):
    __tablename__ = "projects"
    __table_args__ = (
        Index(
            "uq_projects_name", "organization_id", "name", unique=True, postgresql_where=sa.text("archived_at is null")
        ),
    )

    id: str = Field(default_factory=lambda: new_id("proj"), primary_key=True)
    organization_id: str = Field(foreign_key="organizations.id", ondelete="CASCADE")
    name: str = Field(max_length=NAME_LENGTH)
    about: dict[str, Any] = Field(default_factory=dict, sa_column=sa.Column("metadata", JSONB, nullable=False))
    preferences: dict[str, Any] = Field(default_factory=lambda: Preferences().model_dump(), sa_type=JSONB)
    max_concurrent_runs: int | None = Field(
        default=None,
        sa_column=sa.Column(sa.Integer, sa.Computed("(preferences -> 'limits' ->> 'max_concurrent_runs')::integer")),
    )
    """The limit of that name, for whoever hands out runs and may see no other preference."""
    budgeted: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    """It has budgets: `budgets` says so, for whoever reads the project anyway."""
    own_prices: dict[str, dict[str, Any]] = Field(
        default_factory=dict, sa_column=sa.Column(JSONB, nullable=False, server_default="{}")
    )
    """By model; see `prices`."""
    created_at: datetime = Field(default_factory=now, sa_type=Moment)
    archived_at: datetime | None = Field(default=None, sa_type=Moment)

    @property
    def default_model(self) -> str:
        return self.preferences.get("default_model") or PLATFORM.default_model or ""

    def model(self, wanted: str) -> str:
        """Return the model that a design wants; `default` is the project's own."""
        return self.default_model if wanted == "default" else wanted

    @property
    def embedding_model(self) -> str:
        return self.preferences.get("embedding_model") or PLATFORM.embedding_model or ""

    @property
    def limits(self) -> Limits:
        """The limits that hold: the project's own on the platform's."""
        return PLATFORM.limits.model_copy(update=self._said_of("limits"))

    @property
    def retention(self) -> Retention:
        """For how long things are kept: the project's own word on the platform's."""
        return PLATFORM.retention.model_copy(update=self._said_of("retention"))

    def _said_of(self, part: str) -> dict[str, Any]:
        return {name: value for name, value in self.preferences.get(part, {}).items() if value is not None}

    @property
    def prices(self) -> dict[str, Price]:
        """What models cost that the project has a price of its own for."""
        return {model: Price(**price) for model, price in self.own_prices.items()}


@dataclass(frozen=True, slots=True)
class Figures:
    """How much hangs in a project: what lives, and every run there was."""

    agents: int
    smiths: int
    runs: int
    tokens: int


_agents = sa.table("agents", sa.column("project_id"), sa.column("archived_at"))
_smiths = sa.table("smiths", sa.column("project_id"), sa.column("tester_id"), sa.column("archived_at"))
_runs = sa.table("runs", sa.column("project_id"))
_tokens = sa.table("tokens", sa.column("project_id"), sa.column("revoked_at"))


class InvalidProjectName(Invalid):
    """A project's name has from 1 to 80 characters."""

    code = "invalid_name"


class ProjectNameTaken(Invalid):
    """There is already a project named {name}. Choose another name."""

    code = "invalid_name"


async def create_or_adopt(
    session: AsyncSession, caller: Caller, name: str, about: dict[str, Any] | None = None
) -> Project:
    """Return the organization's live project of exactly this name, made with its keys and default agent if need be."""
    caller.require_organization()
    return await _named(session, caller, named(name)) or await _make(session, caller, named(name), about or {})


async def create(session: AsyncSession, caller: Caller, name: str) -> Project:
    """Return a new project with its keys and default agent. Raises `InvalidProjectName`, `ProjectNameTaken`."""
    caller.require_organization()
    if await _named(session, caller, named(name)) is not None:
        raise ProjectNameTaken(name=named(name), param="name")
    return await _make(session, caller, named(name), {})


async def find(session: AsyncSession, caller: Caller, project_id: str) -> Project:
    """Return a live project of the caller's organization. Raises `NotFound`."""
    caller.require_organization()
    return await _one(session, _live(caller).where(Project.id == project_id), project_id)


async def own(session: AsyncSession, caller: Caller) -> Project:
    """Return the live project that the caller stands in. Raises `NotFound`."""
    return await _one(session, _own(caller), caller.project_id)


async def at(session: AsyncSession, project_id: str) -> Project:
    """Return the project that the transaction is for. Raises `NotFound`."""
    return await _one(session, select(Project).where(Project.id == project_id), project_id)


async def browse(session: AsyncSession, caller: Caller, place: Place = FIRST, name: str | None = None) -> Page[Project]:
    """Return the organization's live projects, newest first."""
    caller.require_organization()
    query = _live(caller)
    return await page(session, query.where(Project.name == name) if name is not None else query, Project, place)


async def of_teammate(session: AsyncSession, teammate: Teammate) -> list[Project]:
    """Return the live projects that a teammate may stand in, by name."""
    enter(session, Tenancy(organization_id=teammate.organization_id))
    query = _live(_as_operator(teammate)).order_by(Project.name)
    return list((await session.exec(query)).all())


async def standing(session: AsyncSession, teammate: Teammate, project_id: str = "") -> Caller:
    """Return the caller that a teammate is, in a project or, with none named, above them. Raises `NotFound`."""
    caller = _as_operator(teammate)
    enter(session, caller.tenancy)
    if not project_id:
        return caller
    project = await _one(session, _live(caller).where(Project.id == project_id), project_id)
    return replace(caller, project_id=project.id)


async def figures(session: AsyncSession, caller: Caller) -> Figures:
    """Return how much hangs in the caller's own project."""
    caller.require("project:read")

    def live(table: Any, *still: Any) -> Any:
        return sa.select(sa.func.count()).where(table.c.project_id == caller.project_id, *still).scalar_subquery()

    counts = sa.select(
        live(_agents, _agents.c.archived_at.is_(None)),
        live(_smiths, _smiths.c.archived_at.is_(None), _smiths.c.tester_id.is_(None)),
        live(_runs),
        live(_tokens, _tokens.c.revoked_at.is_(None)),
    )
    return Figures(*(await execute(session, counts)).one())


async def rename(session: AsyncSession, caller: Caller, name: str) -> Project:
    """Rename the caller's own project. Raises `InvalidProjectName`, `ProjectNameTaken`."""
    caller.require("project:write")
    project = await own(session, caller)
    await alone(session, f"projects {project.organization_id}")
    try:
        async with session.begin_nested():
            project.name = named(name)
            session.add(project)
    except sa.exc.IntegrityError:
        raise ProjectNameTaken(name=name, param="name") from None
    await audit.note(session, caller, "project.renamed", project.id, name=project.name)
    return project


async def prefer(session: AsyncSession, caller: Caller, changes: dict[str, Any]) -> Project:
    """Change settings of the caller's own project; `null` puts one back to the platform's default.

    Raises `UnknownProvider` for a model that nobody could serve.
    """
    caller.require("project:write")
    for model in ("default_model", "embedding_model"):
        if changes.get(model):
            providers.find(changes[model])
    project = await _one(session, _own(caller).with_for_update(), caller.project_id)
    merged = {**project.preferences, **changes}
    for part in ("limits", "retention"):
        if changes.get(part) is not None:
            merged[part] = {**project.preferences.get(part, {}), **changes[part]}
        elif part in changes:
            merged[part] = {}
    project.preferences = Preferences.model_validate(merged).model_dump()
    await audit.note(session, caller, "project.settings_changed", project.id, changes=changes)
    return project


async def archive(session: AsyncSession, caller: Caller, project_id: str) -> None:
    """Close a project: from now on its tokens are refused; `closures.close` stops its runs too.

    Raises `NotFound`.
    """
    project = await find(session, caller, project_id)
    project.archived_at = now()
    await audit.note(session, replace(caller, project_id=project.id), "project.deleted", project.id, name=project.name)


async def stand_in(session: AsyncSession, caller: Caller, project_id: str) -> Project:
    """Go on in one of the organization's live projects, also as the database sees it. Raises `NotFound`."""
    project = await find(session, caller, project_id)
    await _stand_in(session, caller, project)
    return project


def named(name: str) -> str:
    """Return the name as it is kept. Raises `InvalidProjectName`."""
    kept = name.strip()
    if not 1 <= len(kept) <= NAME_LENGTH or not kept.isprintable():
        raise InvalidProjectName(param="name")
    return kept


async def _named(session: AsyncSession, caller: Caller, name: str) -> Project | None:
    """Return the live project of this name, if there is one; nobody else makes one until the transaction ends."""
    await alone(session, f"projects {caller.organization_id}")
    found: Project | None = (await session.exec(_live(caller).where(Project.name == name))).first()
    return found


async def _make(session: AsyncSession, caller: Caller, name: str, about: dict[str, Any]) -> Project:
    project = Project(organization_id=caller.organization_id, name=name, about=about)
    session.add(project)
    await session.flush()
    await _stand_in(session, caller, project)
    await keyrings.create(session, project.id)
    await agents.create_default(session, project.id)
    await audit.note(session, replace(caller, project_id=project.id), "project.created", project.id, name=name)
    return project


def _as_operator(teammate: Teammate) -> Caller:
    actor = Actor(kind="operator", id=teammate.id, email=teammate.email)
    return Caller(actor=actor, scopes=teammate.role.scopes, organization_id=teammate.organization_id)


async def _one(session: AsyncSession, query: Any, project_id: str) -> Project:
    project: Project | None = (await session.exec(query)).first()
    if project is None:
        raise NotFound(noun="project", id=project_id)
    return project


async def _stand_in(session: AsyncSession, caller: Caller, project: Project) -> None:
    enter(session, Tenancy(project_id=project.id, organization_id=caller.organization_id))


def _own(caller: Caller) -> Any:
    return select(Project).where(Project.id == caller.project_id, col(Project.archived_at).is_(None))


def _live(caller: Caller) -> Any:
    return select(Project).where(Project.organization_id == caller.organization_id, col(Project.archived_at).is_(None))
