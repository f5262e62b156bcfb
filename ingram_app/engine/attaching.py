"""Attaching: a message holds the hash of a picture or file; for the moment that a model is asked, its bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    UserContent,
    UserPromptPart,
)

from ingram_app.core.database import transaction
from ingram_app.domain import attachments
from ingram_app.domain.leases import Lease
from ingram_app.domain.runs import Run
from ingram_app.gateways.providers import Provider

GONE = "[A {media_type} that is no longer there.]"
NOT_SENT = "[The user sent this, which you can not see: {what}]"


def of_content(content: str | list[dict[str, Any]]) -> str | list[UserContent]:
    """Return what a user said as the model layer has it, its attachments by their hash."""
    if isinstance(content, str):
        return content
    if all(part["type"] == "text" for part in content):
        return "\n".join(part["text"] for part in content)
    return [_item(part) for part in content]


class Attaching:
    """The attachments that one run's model is shown; each is read once."""

    def __init__(self, run: Run, lease: Lease) -> None:
        self._run = run
        self._lease = lease
        self._contents: dict[str, bytes] = {}

    async def shown(self, messages: Sequence[ModelMessage]) -> Sequence[ModelMessage]:
        """Return the messages with the bytes of all their attachments in place."""
        wanted = {sha256 for item in _items(messages) if (sha256 := hash_of(item)) is not None}
        if not wanted:
            return messages
        if missing := wanted - self._contents.keys():
            run = self._run
            async with transaction(self._lease.tenancy) as session:
                found = await attachments.contents(session, run.project_id, run.id, missing)
            self._contents |= found
        return [self._filled(message) for message in messages]

    def _filled(self, message: ModelMessage) -> ModelMessage:
        if not isinstance(message, ModelRequest):
            return message
        return replace(message, parts=[self._filled_part(part) for part in message.parts])

    def _filled_part(self, part: ModelRequestPart) -> ModelRequestPart:
        if not isinstance(part, UserPromptPart) or isinstance(part.content, str):
            return part
        return replace(part, content=[self._content(item) for item in part.content])

    def _content(self, item: UserContent) -> UserContent:
        sha256 = hash_of(item)
        if sha256 is None or not isinstance(item, BinaryContent):
            return item
        if (content := self._contents.get(sha256)) is None:
            return GONE.format(media_type=item.media_type)
        return BinaryContent(content, media_type=item.media_type, identifier=item.identifier)


def suited(messages: Sequence[ModelMessage], provider: Provider) -> tuple[Sequence[ModelMessage], bool]:
    """Return the messages with words for what the provider can not be sent, and whether there was such a thing."""
    if provider.takes_urls or not any(_is_unsuited(item, provider) for item in _items(messages)):
        return messages, False
    return [_worded(message, provider) for message in messages], True


def _worded(message: ModelMessage, provider: Provider) -> ModelMessage:
    if not isinstance(message, ModelRequest):
        return message
    parts = [
        replace(part, content=[_words(item) if _is_unsuited(item, provider) else item for item in part.content])
        if isinstance(part, UserPromptPart) and not isinstance(part.content, str)
        else part
        for part in message.parts
    ]
    return replace(message, parts=parts)


def _is_unsuited(item: UserContent, provider: Provider) -> bool:
    return isinstance(item, ImageUrl) or (isinstance(item, BinaryContent) and not provider.takes_attachments)


def _words(item: UserContent) -> str:
    return NOT_SENT.format(what=item.url if isinstance(item, ImageUrl) else getattr(item, "media_type", "file"))


def _items(messages: Sequence[ModelMessage]) -> Iterator[UserContent]:
    for message in messages:
        for part in message.parts:
            if isinstance(part, UserPromptPart) and not isinstance(part.content, str):
                yield from part.content


def hash_of(item: object) -> str | None:
    """Return the hash of an attachment whose bytes are elsewhere."""
    if not isinstance(item, BinaryContent) or item.data:
        return None
    return (item.vendor_metadata or {}).get("sha256")


def _item(part: dict[str, Any]) -> UserContent:
    if part["type"] == "text":
        return str(part["text"])
    if "url" in part:
        return ImageUrl(part["url"], media_type="image/jpeg")  # of what kind it is nobody knows, and nobody asks
    about: dict[str, Any] = {name: part[name] for name in ("sha256", "bytes", "filename") if name in part}
    named = part.get("filename") or part["sha256"][:12]
    return BinaryContent(b"", media_type=part["media_type"], identifier=named, vendor_metadata=about)
