"""/v1/tenant/settings: what a project sets for all its smiths, and what holds where it sets nothing."""

from fastapi import APIRouter

from ingram_app.api.deps import Caller, InTransaction, Route
from ingram_app.api.shapes import In, Out
from ingram_app.domain import memory_ops, projects, vectors
from ingram_app.domain.agents import NothingToUpdate
from ingram_app.domain.designs import ModelId
from ingram_app.domain.projects import PLATFORM, Limits, Preferences, Project, Retention
from ingram_app.domain.vectors import Progress

router = APIRouter(prefix="/tenant/settings", tags=["settings"], route_class=Route)


class SettingsIn(In):
    default_model: ModelId | None = None
    embedding_model: ModelId | None = None
    limits: Limits | None = None
    retention: Retention | None = None


class SettingsOut(Out):
    default_model: str | None
    embedding_model: str | None
    limits: Limits
    retention: Retention
    platform_defaults: Preferences = PLATFORM
    """What holds where a field is null."""

    @classmethod
    def of(cls, project: Project) -> "SettingsOut":
        return cls(**Preferences.model_validate(project.preferences).model_dump())


class ProgressOut(Out):
    model: str
    texts: int
    """Facts, history too, and turns that have been recalled."""
    embedded: int
    """Those that have a vector by this model."""
    smiths_waiting: int
    error: str | None
    """What went wrong with one that is tried again, or was given up."""


@router.get("", response_model=SettingsOut)
async def get_settings(caller: Caller, session: InTransaction) -> SettingsOut:
    """Show the project's settings; null is unset, and the platform's default beside it holds."""
    caller.require("project:read")
    return SettingsOut.of(await projects.own(session, caller))


@router.patch("", response_model=SettingsOut)
async def change_settings(body: SettingsIn, caller: Caller, session: InTransaction) -> SettingsOut:
    """Change some settings; null puts one back to the platform's default."""
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        raise NothingToUpdate()
    return SettingsOut.of(await memory_ops.prefer(session, caller, changes))


@router.get("/embeddings", response_model=ProgressOut)
async def get_embeddings(caller: Caller, session: InTransaction) -> Progress:
    """Show how far the embedding model has come with facts and past turns: after a change all are embedded anew."""
    return await vectors.progress(session, caller)
