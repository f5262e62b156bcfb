"""Attachments: pictures and files of a conversation, each kept once on its thread, by its hash, beside what was said.

{type: image, data, media_type, filename?}   comes in, and is from then on
{type: image, sha256, media_type, bytes, filename?}
{type: image, url}                           stays where it is: the model's provider fetches it, never we

What is said of a file is its hash; its bytes are put in its place when a model is asked. It goes with its thread.
"""

import binascii
import hashlib
import mimetypes
from base64 import b64decode, b64encode
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy import LargeBinary, text
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core.clock import now
from ingram_app.core.database import Moment, execute, keepable
from ingram_app.core.errors import Invalid, NotFound, TooLarge
from ingram_app.core.media import FILES, IMAGES
from ingram_app.domain import smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.turns import Turn

Part = dict[str, Any]
KINDS = {"image": IMAGES, "file": FILES}
AT_ONCE = 20
"""Attachments of one turn."""
NAME_LENGTH = 200
URL_LENGTH = 2000


class Attachment(SQLModel, table=True):
    __tablename__ = "attachments"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["smith_id", "thread_id"],
            ["threads.smith_id", "threads.id"],
            name="fk_attachments_thread",
            ondelete="CASCADE",
            onupdate="CASCADE",
        ),
        sa.Index("ix_attachments_thread", "smith_id", "thread_id"),
    )

    smith_id: str = Field(primary_key=True)
    sha256: str = Field(primary_key=True)
    thread_id: str = Field(primary_key=True)
    project_id: str = Field(index=True)
    media_type: str
    size: int
    """Bytes."""
    content: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(default_factory=now, sa_type=Moment)

    @property
    def base64(self) -> str:
        """The content, as JSON can spell it."""
        return b64encode(self.content).decode()

    @property
    def suffix(self) -> str:
        """How the name of such a file ends."""
        return mimetypes.guess_extension(self.media_type) or ""


class InvalidAttachment(Invalid):
    """The {kind} can not be taken: {reason}."""


class AttachmentTooLarge(TooLarge):
    """The {kind} has {size} bytes; at most {most} are taken. Send a smaller one, or raise max_attachment_bytes in the
    settings."""

    code = "payload_too_large"


@dataclass(frozen=True, slots=True)
class Luggage:
    """What a turn brings along: files by their hash, and the hashes of files that the smith has already."""

    files: dict[str, tuple[str, bytes]]
    """Of each hash the media type and the content."""
    known: frozenset[str] = frozenset()


NONE = Luggage({})
_KEEP = text(
    "insert into attachments (smith_id, sha256, thread_id, project_id, media_type, size, content, created_at)"
    " values (:smith_id, :sha256, :thread_id, :project_id, :media_type, :size, :content, :now) on conflict do nothing"
)
_KEEP_KNOWN = text(
    "insert into attachments (smith_id, sha256, thread_id, project_id, media_type, size, content, created_at)"
    " select distinct on (sha256) smith_id, sha256, cast(:thread_id as text), project_id, media_type, size, content,"
    " cast(:now as timestamptz)"
    " from attachments where project_id = :project_id and smith_id = :smith_id and sha256 = any(:hashes)"
    " on conflict do nothing"
)
_KNOWN = text(
    "select distinct on (sha256) sha256, media_type, size from attachments"
    " where project_id = :project_id and smith_id = :smith_id and sha256 = any(:hashes)"
)
_CONTENTS = text(
    "select a.sha256, a.content from runs r join attachments a on a.smith_id = r.smith_id and a.thread_id = r.thread_id"
    " where r.project_id = :project_id and r.id = :run_id and a.project_id = :project_id and a.sha256 = any(:hashes)"
)


async def unpack(
    session: AsyncSession, caller: Caller, smith_id: str, turn: Turn, most_bytes: int
) -> tuple[Turn, Luggage]:
    """Return the turn as it is kept, and what it brings along. Raises `InvalidAttachment`, `AttachmentTooLarge`."""
    parts = _parts(turn.input)
    if not parts:
        return replace(turn, input=keepable(turn.input)), NONE
    if len(parts) > AT_ONCE:
        raise _refusal("input", f"it has more than {AT_ONCE} attachments")
    hashes = [part["sha256"] for part in parts if part.get("sha256")]
    known = await _known(session, caller.project_id, smith_id, hashes)
    files: dict[str, tuple[str, bytes]] = {}
    kept = [
        {**said, "content": [_kept(part, files, known, most_bytes) for part in said["content"]]}
        if isinstance(said["content"], list)
        else said
        for said in turn.input
    ]
    return replace(turn, input=keepable(kept)), Luggage(files, frozenset(hashes))


async def keep(session: AsyncSession, project_id: str, smith_id: str, thread_id: str, luggage: Luggage) -> None:
    """Keep what a turn brought along, on its thread."""
    whose = {"project_id": project_id, "smith_id": smith_id, "thread_id": thread_id, "now": now()}
    for sha256, (media_type, content) in luggage.files.items():
        row = {"sha256": sha256, "media_type": media_type, "size": len(content), "content": content}
        await execute(session, _KEEP, whose | row)
    if luggage.known:
        await execute(session, _KEEP_KNOWN, whose | {"hashes": list(luggage.known)})


async def find(session: AsyncSession, caller: Caller, smith_id: str, sha256: str) -> Attachment:
    """Return an attachment of any thread of a smith. Raises `SmithMismatch`, `NotFound`."""
    caller.require("runs:read")
    await smiths.embody(session, caller, smith_id)
    query = select(Attachment).where(
        Attachment.project_id == caller.project_id, Attachment.smith_id == smith_id, Attachment.sha256 == sha256
    )
    found = (await session.exec(query.limit(1))).first()
    if found is None:
        raise NotFound(noun="attachment", id=sha256[:80])
    return found


async def glance(
    session: AsyncSession, caller: Caller, smith_id: str, sha256: str, most_bytes: int
) -> Attachment | None:
    """Return an attachment of a smith if it is there, and no larger than that."""
    caller.require("runs:read")
    query = select(Attachment).where(
        Attachment.project_id == caller.project_id,
        Attachment.smith_id == smith_id,
        Attachment.sha256 == sha256,
        Attachment.size <= most_bytes,
    )
    return (await session.exec(query.limit(1))).first()


async def contents(session: AsyncSession, project_id: str, run_id: str, hashes: Collection[str]) -> dict[str, bytes]:
    """Return the bytes of attachments of a run's thread, by hash, as far as they are there."""
    known = {"project_id": project_id, "run_id": run_id, "hashes": list(hashes)}
    return {sha256: bytes(content) for sha256, content in (await execute(session, _CONTENTS, known)).all()}


async def _known(
    session: AsyncSession, project_id: str, smith_id: str, hashes: list[str]
) -> dict[str, tuple[str, int]]:
    if not hashes:
        return {}
    rows = await execute(session, _KNOWN, {"project_id": project_id, "smith_id": smith_id, "hashes": hashes})
    return {sha256: (media_type, size) for sha256, media_type, size in rows.all()}


def _parts(input: list[dict[str, Any]]) -> list[Part]:
    """Return the attachments of an input. Raises `InvalidAttachment` for one that an assistant would have sent."""
    found = []
    for said in input:
        parts = said["content"] if isinstance(said["content"], list) else ()
        attached = [part for part in parts if part["type"] in KINDS]
        if attached and said["role"] != "user":
            raise _refusal(attached[0]["type"], "only users send such")
        found += attached
    return found


def _kept(part: Part, files: dict[str, tuple[str, bytes]], known: dict[str, tuple[str, int]], most_bytes: int) -> Part:
    """Return a part as it is kept; its file joins `files`. Raises `InvalidAttachment`, `AttachmentTooLarge`."""
    kind = part["type"]
    if kind not in KINDS:
        return part
    if sum(part.get(name) is not None for name in ("data", "sha256", "url")) != 1:
        raise _refusal(kind, "it needs either data, or the sha256 of one sent before, or for an image a url")
    if part.get("url") is not None:
        return {"type": kind, "url": _checked_url(kind, part["url"])}
    named = {"filename": _checked_name(kind, part["filename"])} if part.get("filename") else {}
    if part.get("sha256") is not None:
        if part["sha256"] not in known or known[part["sha256"]][0] not in KINDS[kind]:
            raise _refusal(kind, "no such one has been sent to this smith before")
        media_type, size = known[part["sha256"]]
        return {"type": kind, "media_type": media_type, "bytes": size, "sha256": part["sha256"], **named}
    content = _decoded(kind, part.get("data") or "", most_bytes)
    media_type = str(part.get("media_type") or "")
    if media_type not in KINDS[kind]:
        raise _refusal(kind, f"its media_type must be one of {', '.join(KINDS[kind])}")
    if not content or not KINDS[kind][media_type](content):
        raise _refusal(kind, f"its bytes are not those of a {media_type}")
    sha256 = hashlib.sha256(content).hexdigest()
    files[sha256] = (media_type, content)
    return {"type": kind, "media_type": media_type, "bytes": len(content), "sha256": sha256, **named}


def _decoded(kind: str, data: str, most_bytes: int) -> bytes:
    if (size := len(data) * 3 // 4) > most_bytes + 2:
        raise AttachmentTooLarge(kind=kind, size=size, most=most_bytes, param="input")
    try:
        return b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _refusal(kind, "its data is not base64") from None


def _checked_url(kind: str, url: str) -> str:
    try:
        parted = urlsplit(url)
        whole = parted.scheme == "https" and bool(parted.hostname) and url.isascii() and url.isprintable()
    except ValueError:
        whole = False
    if not whole or " " in url or parted.username is not None or len(url) > URL_LENGTH:
        raise _refusal(kind, "its url must begin with https:// and name nobody's password")
    return url


def _checked_name(kind: str, name: str) -> str:
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise _refusal(kind, f"its filename has more than {NAME_LENGTH} characters, or some that can not be printed")
    return name


def _refusal(kind: str, reason: str) -> InvalidAttachment:
    return InvalidAttachment(kind=kind, reason=reason, param="input")
