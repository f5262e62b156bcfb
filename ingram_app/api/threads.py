"""/v1/smiths/{id}/threads: the conversations of a smith."""

from datetime import datetime

from fastapi import APIRouter

from ingram_app.api.deps import Caller, InTransaction, Place, Route
from ingram_app.api.shapes import Out, PageOut
from ingram_app.domain import threads
from ingram_app.domain.paging import Page
from ingram_app.domain.threads import Thread

router = APIRouter(prefix="/smiths/{smith_id}/threads", tags=["threads"], route_class=Route)


class ThreadOut(Out):
    id: str
    title: str
    run_count: int
    created_at: datetime
    last_activity_at: datetime


@router.get("", response_model=PageOut[ThreadOut])
async def list_threads(smith_id: str, caller: Caller, session: InTransaction, place: Place) -> Page[Thread]:
    """List one smith's threads, newest first."""
    return await threads.browse(session, caller, smith_id, place)


@router.get("/{thread_id}", response_model=ThreadOut)
async def get_thread(smith_id: str, thread_id: str, caller: Caller, session: InTransaction) -> Thread:
    """Show one thread. Its turns: `GET /v1/smiths/{smith_id}/runs?thread_id=…`."""
    return await threads.find(session, caller, smith_id, thread_id)
