"""/v1/organization: the projects of an organization, and their tokens. For organization keys alone."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.api.tokens import MintedOut
from ingram_app.domain import closures, projects, tokens
from ingram_app.domain.paging import Page
from ingram_app.domain.projects import Project

router = APIRouter(prefix="/organization", tags=["organization"], route_class=Route)


class NewProject(In):
    name: str = Field(max_length=1000)
    metadata: dict[str, Any] = {}


class NewProjectToken(In):
    ttl_seconds: int | None = None
    name: str | None = Field(default=None, max_length=200)


class ProjectOut(Out):
    id: str
    organization: str = Field(validation_alias="organization_id")
    name: str
    metadata: dict[str, Any] = Field(validation_alias="about")
    created_at: datetime
    archived_at: datetime | None


@router.post("/projects", status_code=201, response_model=ProjectOut)
async def create_project(body: NewProject, caller: Caller, session: InTransaction) -> Project:
    """Make a project, with keys and a default agent of its own; one of exactly this name is adopted instead."""
    return await projects.create_or_adopt(session, caller, body.name, body.metadata)


@router.get("/projects", response_model=PageOut[ProjectOut])
async def list_projects(
    caller: Caller, session: InTransaction, place: Place, name: Annotated[str | None, Query()] = None
) -> Page[Project]:
    """List the live projects, newest first."""
    return await projects.browse(session, caller, place, name)


@router.get("/projects/{project_id}", response_model=ProjectOut)
async def get_project(project_id: str, caller: Caller, session: InTransaction) -> Project:
    """Show one project."""
    return await projects.find(session, caller, project_id)


@router.delete("/projects/{project_id}", status_code=204)
async def delete_project(project_id: str, caller: Caller, session: InTransaction) -> None:
    """Archive a project: its tokens are refused and its runs stop, within a second."""
    await closures.close(session, caller, project_id)


@router.post("/projects/{project_id}/tokens", status_code=201, response_model=MintedOut)
async def mint_project_token(
    project_id: str, caller: Caller, session: InTransaction, body: NewProjectToken | None = None
) -> MintedOut:
    """Mint a tenant-admin token of a project. Its words are shown this once."""
    body = body or NewProjectToken()
    minted = await tokens.mint_for_project(session, caller, project_id, ttl_seconds=body.ttl_seconds, name=body.name)
    return MintedOut.of(minted)


@router.delete("/projects/{project_id}/tokens/{token_id}", status_code=204)
async def revoke_project_token(project_id: str, token_id: str, caller: Caller, session: InTransaction) -> None:
    """Revoke a token of a project, everywhere within a second."""
    await tokens.revoke_of_project(session, caller, project_id, token_id)


@router.delete("/keys/{token_id}", status_code=204)
async def revoke_organization_key(token_id: str, caller: Caller, session: InTransaction) -> None:
    """Revoke an organization key, everywhere within a second."""
    await tokens.revoke_key(session, caller, token_id)
