"""/v1/smiths/{id}/threads: the conversations of a smith: read, followed, renamed, deleted."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator

from ingram_app.api.deps import Caller, InTransaction, Place, Route, authenticate
from ingram_app.api.gate import SLASH
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.api.streaming import STILL_HERE, event, event_stream
from ingram_app.core.database import transaction
from ingram_app.core.errors import Unauthenticated
from ingram_app.domain import conversations, threads
from ingram_app.domain.conversations import Point
from ingram_app.domain.paging import Page
from ingram_app.domain.speech import Message
from ingram_app.domain.threads import Thread

router = APIRouter(prefix="/smiths/{smith_id}/threads", tags=["threads"], route_class=Route)
CHECKED_SECONDS = 5.0
"""How often a stream asks whether its token still opens anything."""

ThreadId = Annotated[str, Path(), AfterValidator(lambda written: written.replace(SLASH, "/"))]
"""Any printable string: a slash in it comes as `%2F`."""


class ThreadOut(Out):
    id: str
    title: str
    run_count: int
    created_at: datetime
    last_activity_at: datetime


class SummaryOut(Out):
    text: str
    reaches: int
    """The number of the last turn that it tells of."""
    run_id: str
    """The run that it was made for, whose usage it is part of."""
    model: str
    input_tokens: int
    output_tokens: int
    created_at: datetime


class ConversationOut(ThreadOut):
    summary: SummaryOut | None
    """What the smith remembers of turns that are too old to be sent to its model as they were."""


class Title(In):
    title: str


class MessageOut(Out):
    run_id: str
    role: Literal["user", "assistant", "tool", "system"]
    content: list[dict[str, Any]]
    """`text`, `reasoning`, `tool_call`, `tool_result`; `interruption` ends a turn that was interrupted."""
    created_at: datetime


@router.get("", response_model=PageOut[ThreadOut])
async def list_threads(smith_id: str, caller: Caller, session: InTransaction, place: Place) -> Page[Thread]:
    """List one smith's threads, newest first."""
    return await threads.browse(session, caller, smith_id, place)


@router.get("/{thread_id}", response_model=ConversationOut)
async def get_thread(smith_id: str, thread_id: ThreadId, caller: Caller, session: InTransaction) -> ConversationOut:
    """Show one thread, with the summary of its older turns. Its turns: `GET /v1/smiths/{smith_id}/runs?thread_id=…`."""
    found = await conversations.find(session, caller, smith_id, thread_id)
    return ConversationOut(**ThreadOut.model_validate(found.thread).model_dump(), summary=found.summary)


@router.get("/{thread_id}/messages", response_model=PageOut[MessageOut])
async def list_messages(
    smith_id: str, thread_id: ThreadId, caller: Caller, session: InTransaction, place: Place
) -> Page[Message]:
    """List what was said on a thread, newest first: what the smith remembers, and the turns under way."""
    return await conversations.messages(session, caller, smith_id, thread_id, place)


@router.patch("/{thread_id}", response_model=ThreadOut)
async def rename_thread(
    smith_id: str, thread_id: ThreadId, body: Title, caller: Caller, session: InTransaction
) -> Thread:
    """Give a thread another title."""
    return await threads.rename(session, caller, smith_id, thread_id, body.title)


@router.delete("/{thread_id}", status_code=204)
async def delete_thread(smith_id: str, thread_id: ThreadId, caller: Caller) -> None:
    """Delete a thread and all that was said on it; a run under way is stopped. What its runs used is kept."""
    async with transaction(caller.tenancy) as session:
        live = await conversations.stop(session, caller, smith_id, thread_id)
    await conversations.stopped(caller.project_id, live)
    async with transaction(caller.tenancy) as session:
        await conversations.remove(session, caller, smith_id, thread_id)


@dataclass(frozen=True, slots=True)
class Followed:
    thread: Thread
    since: Point


async def _followed(
    smith_id: str, thread_id: ThreadId, caller: Caller, last_event_id: Annotated[str | None, Header()] = None
) -> Followed:
    async with transaction(caller.tenancy) as session:
        thread = await threads.find(session, caller, smith_id, thread_id)
        return Followed(thread, await conversations.point(session, thread, last_event_id))


@router.get("/{thread_id}/events", response_class=StreamingResponse)
async def follow_thread(request: Request, followed: Annotated[Followed, Depends(_followed)]) -> Response:
    """Stream the frames of the thread's runs (SSE): of those under way, and of all that come. It stays open.

    An event's id is `<run_id>:<number>`; with it as `Last-Event-ID` the stream goes on after that frame.
    """
    return event_stream(_told(request, followed))


async def _told(request: Request, followed: Followed) -> AsyncIterator[str]:
    checked = time.monotonic()
    async for said in conversations.follow(followed.thread, followed.since):
        if time.monotonic() > checked + CHECKED_SECONDS:
            checked = time.monotonic()
            try:
                await authenticate(request)
            except Unauthenticated:
                return
        yield event(said.frame, said.id) if said else STILL_HERE
