"""/v1/events: the feed of what has happened in the project."""

from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import Out, PageOut
from ingram_app.domain import events
from ingram_app.domain.events import Event
from ingram_app.domain.paging import Page

router = APIRouter(prefix="/events", tags=["events"], route_class=Route)


class EventOut(Out):
    v: Literal[1] = 1
    id: str
    type: str
    tenant_id: str = Field(validation_alias="project_id")
    smith_id: str | None
    data: dict[str, Any]
    actor: dict[str, str | None] | None
    created_at: datetime


@router.get("", response_model=PageOut[EventOut])
async def list_events(
    caller: Caller,
    session: InTransaction,
    place: Place,
    type: str | None = None,
    smith_id: str | None = None,
    since: datetime | None = None,
) -> Page[Event]:
    """List the project's events, newest first. `type` is one exactly, or a family: `agent` finds `agent.published`.

    Whoever reads from the newest down to one read before has missed none between.
    """
    return await events.browse(session, caller, place, type=type, smith_id=smith_id, since=since)
