"""What a tool is to the engine: a deed that takes arguments of its schema and returns any JSON value."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ingram_app.domain.runs import Run


class ToolRefused(Exception):
    """What a tool tells the model when it does not do what it was asked for."""


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a tool."""

    run: Run
    idempotency_id: str
    """The same however often this one use is tried: hand it on to whatever the tool calls."""
    content: dict[str, Any] | None = None
    """What the person who approved it answered to the tool's question, if it asked one."""


Deed = Callable[[Use, dict[str, Any]], Awaitable[Any]]
"""Raises `ToolRefused`; whatever else it raises is told to the model as a failure of the tool."""
