"""/exports: what the console hands out as files. A form of its own pages asks, with the session's cookie."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response, StreamingResponse

from ingram_app.api.persons import exported
from ingram_app.api.spreadsheets import spelt
from ingram_app.api.usage import GroupBy, as_csv
from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.errors import Unauthenticated
from ingram_app.core.secrets import digest
from ingram_app.core.settings import settings
from ingram_app.domain import audit, exports, periods, projects, sessions
from ingram_app.domain.access import Caller
from ingram_app.domain.audit import AuditEntry
from ingram_app.domain.paging import MOST, Place

router = APIRouter(prefix="/exports", include_in_schema=False)
Word = Annotated[str, Form(max_length=300)]
_COLUMNS = (
    "time", "actor_kind", "actor_id", "actor_email", "token_id",
    "action", "resource_id", "project_id", "address", "details",
)  # fmt: skip


class SignedOut(Unauthenticated):
    """Nobody is signed in here. Sign in to the console, and ask again."""

    code = "unauthenticated"


@router.post("/audit-log.csv")
async def export_audit_log(
    request: Request, actor: Word = "", action: Word = "", resource: Word = ""
) -> StreamingResponse:
    """Hand out the organization's audit log, as far as it matches, to its owners and admins."""
    caller = await _seated(request)
    caller.require_organization()
    headers = {"content-disposition": 'attachment; filename="audit-log.csv"', "cache-control": "no-store"}
    asked = {"actor": actor or None, "action": action or None, "resource_id": resource or None}
    return StreamingResponse(_lines(caller, asked), media_type="text/csv; charset=utf-8", headers=headers)


@router.post("/{project_id}/usage.csv")
async def export_usage(
    project_id: str,
    request: Request,
    by: Annotated[GroupBy, Form()] = "smith",
    period: Word | None = None,
    first: Annotated[Word | None, Form(alias="from")] = None,
    last: Annotated[Word | None, Form(alias="to")] = None,
) -> Response:
    """Hand out what a project used in a period, by smith, agent, model, customer or app."""
    caller = await _seated(request, project_id)
    asked = periods.asked_for(period or None, first or None, last or None)
    async with transaction(caller.tenancy) as session:
        return await as_csv(session, caller, asked, by)


@router.post("/{project_id}/{smith_id}.jsonl")
async def export_smith(project_id: str, smith_id: str, request: Request) -> StreamingResponse:
    """Hand out everything that is held about a smith's person, to those who may change it."""
    caller = await _seated(request, project_id)
    async with transaction(caller.tenancy) as session:
        await exports.begin(session, caller, smith_id)
    return exported(caller, smith_id)


async def _seated(request: Request, project_id: str = "") -> Caller:
    """Return who sits at the browser that asks, in a project or above them. Raises `SignedOut`, `NotFound`."""
    async with transaction(NOBODY) as session:
        teammate = await sessions.whose(session, digest(request.cookies.get(settings().cookie, "")))
        if teammate is None:
            raise SignedOut()
        caller = await projects.standing(session, teammate, project_id)
    return replace(caller, address=request.client.host if request.client else "")


async def _lines(caller: Caller, asked: dict[str, str | None]) -> AsyncIterator[str]:
    """Yield the log a page at a time; none is held while the reader is slow."""
    yield spelt([_COLUMNS])
    place: Place | None = Place(limit=MOST)
    while place is not None:
        async with transaction(caller.tenancy) as session:
            found = await audit.browse(session, caller, place, **asked)
        yield spelt([_row(entry) for entry in found.data])
        place = Place(limit=MOST, cursor=found.next_cursor) if found.next_cursor else None


def _row(entry: AuditEntry) -> tuple[str, ...]:
    actor, details = entry.actor, json.dumps(entry.details, ensure_ascii=False)
    who = (actor["kind"], actor["id"], actor.get("email"), actor.get("token_id"))
    what = (entry.action, entry.resource_id, entry.project_id, entry.address, details)
    return (entry.created_at.isoformat(), *(cell or "" for cell in (*who, *what)))
