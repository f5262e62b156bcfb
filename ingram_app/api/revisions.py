"""/v1/smiths/{id}/revisions: what a smith's own config has been."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.api.smiths import SmithOut
from ingram_app.domain import revisions, smiths
from ingram_app.domain.paging import Page
from ingram_app.domain.revisions import Revision

router = APIRouter(prefix="/smiths/{smith_id}/revisions", tags=["smiths"], route_class=Route)


class Restoring(In):
    note: str | None = Field(default=None, max_length=2000)


class RevisionOut(Out):
    version: int
    snapshot: dict[str, Any]
    """`{agent_id, pin, overrides}`."""
    note: str | None
    created_by: dict[str, str | None] | None
    created_at: datetime


@router.get("", response_model=PageOut[RevisionOut])
async def list_revisions(smith_id: str, caller: Caller, session: InTransaction, place: Place) -> Page[Revision]:
    """List what a smith's agent, pin and overrides have been, newest first."""
    await smiths.find(session, caller, smith_id)
    return await revisions.browse(session, caller, smith_id, place)


@router.post("/{version}/restore", response_model=SmithOut)
async def restore_revision(
    smith_id: str, version: int, caller: Caller, session: InTransaction, body: Restoring | None = None
) -> SmithOut:
    """Give a smith the config of a revision back. That is a new revision, unless it changes nothing."""
    return SmithOut.of(await smiths.restore(session, caller, smith_id, version, body.note if body else None))
