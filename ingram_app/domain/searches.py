"""Searches: whom a project's smiths ask when they search the web, and the key they show there.

A project's own choice, `none` among them, goes before what the installation has for everybody.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, Tenancy, alone, transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import audit, keyrings
from ingram_app.domain.access import Caller
from ingram_app.gateways import outbound, searching
from ingram_app.gateways.searching import Engine

Provider = Literal["brave", "tavily", "searxng", "none"]


class Search(SQLModel, table=True):
    __tablename__ = "searches"

    project_id: str = Field(primary_key=True, foreign_key="projects.id", ondelete="CASCADE")
    provider: Provider = Field(sa_type=sa.String)
    sealed_key: bytes | None = None
    url: str | None = None
    """Where the service is, for one of the project's own."""
    updated_at: datetime = Field(default_factory=now, sa_type=Moment)


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds for a project."""

    provider: Provider
    url: str | None
    source: Literal["project", "platform"]

    @property
    def available(self) -> bool:
        return self.provider != "none"


class SearchKeyRequired(Invalid):
    """Give the `api_key` of {provider}: there is none kept."""


class SearchUrlRequired(Invalid):
    """SearXNG is a server of your own: give its `url`, which begins with https:// (http:// only where private
    addresses are allowed)."""


class SearchUrlRefused(Invalid):
    """The address of {provider} is known: leave `url` out."""


async def put(
    session: AsyncSession, caller: Caller, provider: Provider, *, api_key: str | None = None, url: str | None = None
) -> Holding:
    """Choose whom the project's smiths ask; the key stays when none is given for the same service.

    Raises `SearchKeyRequired`, `SearchUrlRequired`, `SearchUrlRefused`.
    """
    caller.require("project:write")
    if provider == "searxng" and (url is None or not outbound.is_callable(url)):
        raise SearchUrlRequired(param="url")
    if provider != "searxng" and url is not None:
        raise SearchUrlRefused(provider=provider, param="url")
    await alone(session, f"{caller.project_id} search")
    row = await _own(session, caller.project_id)
    if row is None or row.provider != provider:
        if row is not None:
            await session.delete(row)
            await session.flush()
        row = Search(project_id=caller.project_id, provider=provider)
    if provider in ("brave", "tavily"):
        if api_key is not None:
            row.sealed_key = (await keyrings.find(session, caller.project_id)).seal(api_key.encode())
        elif row.sealed_key is None:
            raise SearchKeyRequired(provider=provider, param="api_key")
    row.url, row.updated_at = url, now()
    session.add(row)
    await session.flush()
    await audit.note(session, caller, "search.set", caller.project_id, provider=provider)
    return Holding(provider, url, "project")


async def find(session: AsyncSession, caller: Caller) -> Holding:
    """Return what holds for the caller's project."""
    caller.require("agents:read")
    return await holding(session, caller.project_id)


async def holding(session: AsyncSession, project_id: str) -> Holding:
    """Return what holds for a project, for one who acts in it."""
    row = await _own(session, project_id)
    if row is not None:
        return Holding(row.provider, row.url, "project")
    platform = searching.installed()
    return Holding(platform.name if platform else "none", None, "platform")  # type: ignore[arg-type]


async def remove(session: AsyncSession, caller: Caller) -> None:
    """Go back to what the installation has. Raises `NotFound`."""
    caller.require("project:write")
    row = await _own(session, caller.project_id)
    if row is None:
        raise NotFound(noun="search service", id=caller.project_id)
    await session.delete(row)
    await audit.note(session, caller, "search.removed", caller.project_id, provider=row.provider)


async def reach(project_id: str) -> Engine | None:
    """Return whom a project's smiths ask, if there is anybody. Opens a transaction of its own."""
    async with transaction(Tenancy(project_id=project_id)) as session:
        row = await _own(session, project_id)
        if row is None:
            return searching.installed()
        if row.provider == "none":
            return None
        ring = await keyrings.find(session, project_id)
        return Engine(row.provider, ring.unseal(row.sealed_key).decode() if row.sealed_key else "", row.url)


async def _own(session: AsyncSession, project_id: str) -> Search | None:
    found: Any = await session.exec(select(Search).where(Search.project_id == project_id))
    row: Search | None = found.first()
    return row
