"""Turns: what someone says to a smith, before it is a run."""

from dataclasses import dataclass, field
from typing import Any

from ingram_app.core.database import compact
from ingram_app.core.errors import Invalid, TooLarge
from ingram_app.domain.arrivals import OnBusy
from ingram_app.domain.designs import Recorded


@dataclass(frozen=True, slots=True)
class Turn:
    """What someone says to a smith, and how it is to be answered."""

    input: list[dict[str, Any]]
    """`{role, content}`, content a string or a list of `{type: "text", text}` and of attachments."""
    thread_id: str | None = None
    on_busy: OnBusy = OnBusy.queue
    channel: str = "api"
    metadata: dict[str, Any] = field(default_factory=dict)
    response_format: dict[str, Any] | None = None
    background: bool = False
    """Nobody waits: leave it to the queue."""
    recorded: Recorded | None = None
    """The design to answer with, in place of the smith's present one."""

    @property
    def said(self) -> str:
        """The words of the input, without anything else."""
        return "\n".join(words(message["content"]) for message in self.input)


class EmptyInput(Invalid):
    """There is nothing to answer: `input` needs at least one message with some text, a picture or a file."""


class PayloadTooLarge(TooLarge):
    """The input has {size} bytes; at most {most} are taken. Send less, or raise max_input_bytes in the settings."""


class UnsupportedResponseFormat(Invalid):
    """Replies are text: leave `response_format` out, or give it the type text."""


def words(content: str | list[dict[str, Any]]) -> str:
    """Return the text of a message's content."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def _is_only_words(content: str | list[dict[str, Any]]) -> bool:
    return isinstance(content, str) or all(part["type"] == "text" for part in content)


def check(turn: Turn, most: int) -> None:
    """Raises `EmptyInput`, `PayloadTooLarge` past `most` bytes, `UnsupportedResponseFormat`."""
    if turn.response_format not in (None, {"type": "text"}):
        raise UnsupportedResponseFormat(param="response_format")
    if not turn.said.strip() and all(_is_only_words(message["content"]) for message in turn.input):
        raise EmptyInput(param="input")
    size = len(compact(turn.input).encode())
    if size > most:
        raise PayloadTooLarge(size=size, most=most, param="input")
