"""Suggested replies: what the person may want to say next, shown beside the answer."""

from collections.abc import Sequence
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolReturnPart

from ingram_app.engine.tools.tool import Deed, Use

NAME = "suggest_replies"


async def _suggest(use: Use, arguments: dict[str, Any]) -> str:
    return "They will be shown with your answer; do not repeat them in it."


def suggested(messages: Sequence[ModelMessage]) -> list[str]:
    """Return the replies that the model has suggested last, of those suggestions that were taken."""
    taken, replies = set[str](), list[str]()
    for message in messages:
        if isinstance(message, ModelRequest):
            returns = [part for part in message.parts if isinstance(part, ToolReturnPart)]
            taken |= {part.tool_call_id for part in returns if part.tool_name == NAME and part.outcome == "success"}
    for message in messages:
        if isinstance(message, ModelResponse):
            calls = [call for call in message.tool_calls if call.tool_call_id in taken]
            replies = list(calls[-1].args_as_dict()["replies"]) if calls else replies
    return replies


DEEDS: dict[str, Deed] = {NAME: _suggest}
