"""The lines of a conversation: what was said on a thread, part by part, as its page shows it."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console.figures import moment
from ingram_app.console.looks import button, link, relative_time
from ingram_app.console.session import Session
from ingram_app.domain import attachments
from ingram_app.domain.access import Caller
from ingram_app.domain.speech import Message

SHOWN_BYTES = 262_144
"""As large as a picture may be to stand in the page; a larger one can be downloaded."""
SHOWN_AT_ONCE = 6
CLIPPED = 4000


@dataclass
class Line:
    """A part of what was said."""

    run_id: str
    kind: str
    """`user`, `assistant`, `reasoning`, `call`, `result`, `interruption`, `image`, `file`"""
    text: str
    at: str
    first: bool
    """It is the first of its run on the page."""
    source: str = ""
    """Of a picture that is small enough, the picture itself."""
    sha256: str = ""


def key_of(thread_id: str) -> str:
    """Return a thread's id as it stands in an address of the console: it may be any string."""
    return base64.urlsafe_b64encode(thread_id.encode()).decode().rstrip("=")


def id_of(key: str) -> str:
    """Return the thread's id that stands in an address; an empty one for what is none of ours."""
    try:
        thread_id = base64.urlsafe_b64decode(f"{key}{'=' * (-len(key) % 4)}".encode("ascii", "strict")).decode()
    except ValueError:
        return ""
    return thread_id if key_of(thread_id) == key else ""


def lines_of(messages: Iterable[Message]) -> list[Line]:
    """Return messages, oldest first, as lines."""
    lines: list[Line] = []
    for message in messages:
        for part in message.content:
            first = not lines or lines[-1].run_id != message.run_id
            kind, text = _told(message.role, part)
            sha256 = part.get("sha256", "")
            lines.append(Line(message.run_id, kind, text, moment(message.created_at), first, sha256=sha256))
    return lines


async def show_pictures(session: AsyncSession, caller: Caller, smith_id: str, lines: Iterable[Line]) -> None:
    """Put the small pictures among some lines in their places, the newest first."""
    pictures = [line for line in lines if line.kind == "image" and line.sha256]
    for line in pictures[-SHOWN_AT_ONCE:]:
        found = await attachments.glance(session, caller, smith_id, line.sha256, SHOWN_BYTES)
        if found is not None:
            line.source = f"data:{found.media_type};base64,{found.base64}"


def _told(role: str, part: dict[str, Any]) -> tuple[str, str]:
    match part["type"]:
        case "text":
            return role, part["text"]
        case "tool_call":
            return "call", f"{part['tool']} {_clipped(part['args'])}"
        case "tool_result":
            return (
                "result",
                f"{part['tool']} {'failed' if part['is_error'] else 'answered'}: {_clipped(part['result'])}",
            )
        case "image" | "file" as kind:
            return kind, part.get("url") or f"{part.get('filename') or part['media_type']}, {part['bytes']:,} bytes"
    return part["type"], part["text"]


def _clipped(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= CLIPPED else f"{text[:CLIPPED]} …"


def shown(line: Line, download: Any) -> rx.Component:
    """Lay a line out; `download` hands out a picture or file by its hash."""
    return rx.match(
        line.kind,
        ("user", _words("User", line, "turn asked")),
        ("assistant", _words("Smith", line, "turn")),
        ("reasoning", rx.el.details(rx.el.summary("Reasoning"), rx.el.p(line.text), class_name="reasoning")),
        ("interruption", rx.el.p("This turn was interrupted here.", class_name="notice")),
        ("image", _attachment(line, download)),
        ("file", _attachment(line, download)),
        rx.el.p(
            rx.icon("wrench", size=14, aria_hidden="true"),
            rx.el.span(line.text, class_name="clamp"),
            class_name="tool-line",
        ),
    )


def waiting(status: Any, run_id: Any) -> rx.Component:
    """Tell what a run waits for, and lead to where that is answered."""
    where = rx.cond(Session.builds, "Answer it in the run", "See it in the run")
    return rx.el.p(
        rx.cond(status == "paused_for_tool", "Waits for a tool. ", "Waits for an approval. "),
        link(where, href=f"/p/{Session.project_id}/runs/{run_id}"),
        class_name="notice amber",
    )


def _words(role: str, line: Line, looks: str) -> rx.Component:
    run = rx.cond(
        line.first, link("Run", href=f"/p/{Session.project_id}/runs/{line.run_id}", aria_label=f"Run {line.run_id}")
    )
    return rx.el.div(
        rx.el.div(rx.el.h3(role), rx.el.span(relative_time(line.at), class_name="muted small"), run, class_name="row"),
        rx.el.p(line.text, class_name="words"),
        class_name=looks,
    )


def _attachment(line: Line, download: Any) -> rx.Component:
    return rx.el.figure(
        rx.cond(line.source != "", rx.el.img(src=line.source, alt="A picture that was sent", class_name="picture")),
        rx.el.figcaption(
            rx.el.span(line.text, class_name="muted small"),
            rx.cond(
                line.sha256 != "",
                button("Download", kind="slim", on_click=download(line.sha256)),
            ),
            class_name="row",
        ),
        class_name="attachment",
    )
