"""/v1/smiths/{id}/runs and /v1/runs: start a turn, look at it, follow it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from ingram_app.api.deps import Caller, InTransaction, Place, Route, claim
from ingram_app.api.shapes import In, Out, PageOut
from ingram_app.api.streaming import STILL_HERE, event, event_stream
from ingram_app.core.database import Tenancy, transaction
from ingram_app.core.errors import Invalid
from ingram_app.domain import claims, frames, runs, smiths
from ingram_app.domain.arrivals import OnBusy
from ingram_app.domain.frames import Shown
from ingram_app.domain.idempotency import IdempotencyInProgress, keep
from ingram_app.domain.paging import Page
from ingram_app.domain.runs import PAUSED, Run, RunStatus
from ingram_app.domain.turns import Turn

router = APIRouter(tags=["runs"], route_class=Route)


class TextPart(In):
    type: Literal["text"]
    text: str


class ImagePart(In):
    """A picture: its bytes, the hash of one that was sent before, or an https address that the provider fetches."""

    type: Literal["image"]
    data: str | None = None
    """Base64."""
    media_type: str | None = None
    """image/png, image/jpeg, image/gif or image/webp."""
    sha256: str | None = None
    url: str | None = None
    filename: str | None = None
    bytes: int | None = None
    """As it is told of one that was sent before; it is not read."""


class FilePart(In):
    """A file: its bytes, or the hash of one that was sent before."""

    type: Literal["file"]
    data: str | None = None
    """Base64."""
    media_type: str | None = None
    """application/pdf, application/json, text/plain, text/csv or text/markdown."""
    sha256: str | None = None
    filename: str | None = None
    bytes: int | None = None
    """As it is told of one that was sent before; it is not read."""


Part = Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]


class Message(In):
    role: Literal["user", "assistant"] = "user"
    content: str | list[Part]
    """The words of an assistant are text alone."""


class NewRun(In):
    input: list[Message] = Field(default=[], max_length=1000)
    thread_id: str | None = None
    on_busy: OnBusy = OnBusy.queue
    """What becomes of the turn under way on the thread: see *Threads*."""
    stream: bool = False
    background: bool = False
    channel: str = Field(default="api", max_length=40)
    metadata: dict[str, Any] = {}
    response_format: dict[str, Any] | None = None

    def turn(self) -> Turn:
        return Turn(
            input=[message.model_dump(exclude_none=True) for message in self.input],
            thread_id=self.thread_id,
            on_busy=self.on_busy,
            channel=self.channel,
            metadata=self.metadata,
            response_format=self.response_format,
            background=self.background,
        )


class InvalidLastEventId(Invalid):
    """Last-Event-ID must be the number of a frame, not {given}."""


class InvalidStatus(Invalid):
    """{status} is no status of a run. They are: {statuses}."""


class RunOut(Out):
    id: str
    smith_id: str
    agent_id: str
    agent_version: int | None
    thread_id: str
    status: RunStatus
    channel: str
    model: str
    answered_by: str | None
    input: list[dict[str, Any]]
    output: dict[str, Any] | None
    stop_reason: str | None
    error: dict[str, str] | None
    warnings: list[dict[str, str]]
    usage: dict[str, Any] | None
    metadata: dict[str, Any] = Field(validation_alias="about")
    actor: dict[str, str | None] | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that was started by this request, or by the first one with its Idempotency-Key."""

    run: Run
    again: bool
    named: bool
    """It came with an Idempotency-Key."""


async def _accept(request: Request, smith_id: str, body: NewRun, caller: Caller) -> Accepted:
    """Start the run in a transaction of its own, so that its work begins before it is answered."""
    async with transaction(caller.tenancy) as session:
        known = await claim(request, caller, session)
        if known is not None and known.resource_id is not None:
            return Accepted(
                await runs.find(session, caller, smith_id, known.resource_id, may="runs:write"), again=True, named=True
            )
        run = await runs.start(session, caller, smith_id, body.turn())
        if known is not None:
            known.resource_id = run.id
            if body.background and not body.stream:
                await keep(session, known, 202, rendered(run))
        return Accepted(run, again=False, named=known is not None)


@router.post("/smiths/{smith_id}/runs", response_model=RunOut, responses={202: {"model": RunOut}})
async def create_run(body: NewRun, caller: Caller, accepted: Annotated[Accepted, Depends(_accept)]) -> Response:
    """Run a turn. Answers when it ends or pauses; `stream` answers with its frames (SSE), `background` with 202."""
    if body.background and not body.stream:
        return Response(rendered(accepted.run), 202, media_type="application/json")
    return await told(accepted, streamed=body.stream)


async def told(accepted: Accepted, *, streamed: bool) -> Response:
    """Answer with what the run says as it goes on, or with the run once it has ended or waits for others."""
    run = accepted.run
    if streamed:
        return _duplicate(run) if accepted.again else stream(run, 0)
    if accepted.again and not (run.over or run.status in PAUSED):
        raise IdempotencyInProgress()
    headers = {"Idempotency-Replayed": "true"} if accepted.again else {}
    shown = rendered(await ended(run, at_hand=not accepted.named))
    return Response(shown, 200, headers, media_type="application/json")


@router.get("/runs", response_model=PageOut[RunOut])
async def list_runs(
    caller: Caller,
    session: InTransaction,
    place: Place,
    status: str | None = None,
    smith_id: str | None = None,
    agent_id: str | None = None,
    thread_id: str | None = None,
    external_id_prefix: str | None = None,
    since: Annotated[datetime | None, Query(description="RFC 3339; begun then or later.")] = None,
    until: Annotated[datetime | None, Query(description="RFC 3339; begun before then.")] = None,
) -> Page[Run]:
    """List the project's runs, newest first."""
    return await runs.browse(
        session,
        caller,
        place,
        status=status_named(status),
        smith_id=smith_id,
        agent_id=agent_id,
        thread_id=thread_id,
        external_id_prefix=external_id_prefix,
        since=since,
        until=until,
    )


@router.get("/smiths/{smith_id}/runs", response_model=PageOut[RunOut])
async def list_smith_runs(
    smith_id: str,
    caller: Caller,
    session: InTransaction,
    place: Place,
    status: str | None = None,
    thread_id: str | None = None,
) -> Page[Run]:
    """List one smith's runs, newest first."""
    await smiths.embody(session, caller, smith_id)
    return await runs.browse(
        session, caller, place, smith_id=smith_id, status=status_named(status), thread_id=thread_id
    )


@router.get("/smiths/{smith_id}/runs/{run_id}", response_model=RunOut)
async def get_run(smith_id: str, run_id: str, caller: Caller, session: InTransaction) -> Run:
    """Show one run."""
    return await runs.find(session, caller, smith_id, run_id)


async def _seen(smith_id: str, run_id: str, caller: Caller) -> Run:
    async with transaction(caller.tenancy) as session:
        return await runs.find(session, caller, smith_id, run_id)


@router.get("/smiths/{smith_id}/runs/{run_id}/events", response_class=StreamingResponse)
async def follow_run(
    run: Annotated[Run, Depends(_seen)], last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Stream the run's frames (SSE), recorded ones first. With `Last-Event-ID` it goes on after that frame."""
    if last_event_id and not (last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 10):
        raise InvalidLastEventId(given=repr(last_event_id[:40]), param="Last-Event-ID")
    return stream(run, int(last_event_id or 0))


async def ended(run: Run, after: int = 0, *, at_hand: bool) -> Run:
    """Return the run once it has ended or waits for others; `after` is the number of a frame that it said before.

    `at_hand`: as its carrier in this process tells it, if it was here. Read, it is always the same byte for byte, which
    who repeats a request may count on.
    """
    await frames.until_over(run.project_id, run.id, after)
    if at_hand and run.over:
        return run
    async with transaction(Tenancy(project_id=run.project_id)) as session:
        return await claims.outcome(session, run)


def stream(run: Run, after: int) -> StreamingResponse:
    return event_stream(_written(frames.follow(run.project_id, run.id, after)))


async def _written(following: AsyncIterator[Shown | None]) -> AsyncIterator[str]:
    async for frame in following:
        yield event(frame, frame.seq) if frame else STILL_HERE


def _duplicate(run: Run) -> StreamingResponse:
    data = frames.duplicate(run.id, run.status)
    return event_stream(iter([f"event: {frames.DUPLICATE}\ndata: {data}\n\n"]))


def rendered(run: Run) -> bytes:
    return RunOut.model_validate(run).model_dump_json().encode()


def status_named(word: str | None) -> RunStatus | None:
    """Return the status that a word names. Raises `InvalidStatus`."""
    if word is None:
        return None
    try:
        return RunStatus(word)
    except ValueError:
        raise InvalidStatus(status=word[:40], statuses=", ".join(RunStatus), param="status") from None
