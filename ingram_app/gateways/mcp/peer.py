"""What is said of MCP servers here: who they are, what they offer, and what comes of a call."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Question = dict[str, Any]
"""What a server wants to know from a person, as MCP spells it: `mode`, `message`, `requestedSchema` or `url`."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server, as one principal reaches it."""

    server: str
    """By what its failures are counted."""
    principal: str
    """Whose sessions they are: no two principals share one."""
    url: str
    bearer: str | None = field(default=None, repr=False)
    headers: Callable[[bytes], dict[str, str]] = field(default=lambda body: {}, repr=False, compare=False)
    """What each request carries besides, by its body."""


@dataclass(frozen=True, slots=True)
class Described:
    """A tool, as its server describes it."""

    name: str
    description: str
    parameters: dict[str, Any]
    destructive: bool
    repeatable: bool
    """A second call with the same arguments adds nothing to the first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said to a question."""

    question: Question
    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    text: str
    is_error: bool


class McpFailed(Exception):
    """A server could not be talked to; the text says why."""

    def __init__(self, why: str, status: int | None = None, *, unheard: bool = False) -> None:
        super().__init__(why)
        self.status = status
        """The HTTP status it refused us with, if it did."""
        self.unheard = unheard
        """The call has not come to the server; it may be made again."""


class Asked(Exception):
    """The server wants to know something from a person first: call again with the answer."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.get("message"))
        self.question = question
