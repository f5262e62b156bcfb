"""What a tool is to the engine: a deed that takes arguments of its schema and returns any JSON value."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ingram_app.domain.runs import Run
from ingram_app.domain.tool_calls import ToolKind

SECONDS = 60
"""As long as one use of a tool may take."""


class ToolRefused(Exception):
    """What a tool tells the model when it does not do what it was asked for."""


class ToolUnavailable(ToolRefused):
    """The same, when the run's operators should know of it too: it is a warning of the run."""

    def __init__(self, why: str, code: str = "tool_unavailable") -> None:
        super().__init__(why)
        self.code = code


class ToolAsks(Exception):
    """A tool wants to know something from a person first; the call is made again with the answer."""

    def __init__(self, question: dict[str, Any]) -> None:
        super().__init__(question.get("message"))
        self.question = question


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a tool."""

    run: Run
    idempotency_id: str
    """The same however often this one use is tried: hand it on to whatever the tool calls."""
    answers: Sequence[tuple[dict[str, Any], dict[str, Any] | None]] = ()
    """What people have answered to the tool's questions."""


Deed = Callable[[Use, dict[str, Any]], Awaitable[Any]]
"""Raises `ToolRefused`; `ToolAsks`; whatever else it raises is told to the model as a failure of the tool."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a model can call."""

    name: str
    description: str
    parameters: dict[str, Any]
    deed: Deed | None = None
    """None for what the caller's program does."""
    repeatable: bool = False
    seconds: float = SECONDS
    gate: dict[str, Any] | None = None
    """The rule by which a call waits for a person, if the tool brings one."""
    of: str = ""
    """The hosted tool that it is a function of: rules may name that too."""

    @property
    def kind(self) -> ToolKind:
        return ToolKind.client if self.deed is None else ToolKind.hosted
