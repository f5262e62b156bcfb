"""Server-sent events: what every stream of the API looks like on the wire."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse

from ingram_app.domain.frames import Shown

STILL_HERE = ": still here\n\n"
"""A comment: it keeps a quiet stream open."""


def event_stream(lines: AsyncIterator[str] | Any) -> StreamingResponse:
    """Answer with events as they come."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


def event(frame: Shown, id: str | int) -> str:
    """Return a frame as one event."""
    return f"event: {frame.event}\nid: {id}\ndata: {frame.data}\n\n"
