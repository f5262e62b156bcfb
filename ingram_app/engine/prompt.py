"""The prompt: what a run says to its model, in the model layer's own messages."""

from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)

from ingram_app.domain.runs import Run
from ingram_app.domain.transcripts import NOTHING, Messages
from ingram_app.domain.turns import words
from ingram_app.engine.attaching import of_content

_USED = ("input_tokens", "output_tokens")
"""Told of every answer that tells what it took."""


def of_input(run: Run) -> list[ModelMessage]:
    """Return the turn's own input."""
    return [_message(said["role"], said["content"]) for said in run.input]


def settings(run: Run, max_output_tokens: int | None) -> dict[str, Any]:
    """Return how the model is to answer, within what the run still may say."""
    wanted = {name: value for name, value in run.config["model_settings"].items() if value is not None}
    if (effort := wanted.pop("reasoning_effort", None)) is not None:
        wanted["thinking"] = effort
    caps = [cap for cap in (wanted.get("max_tokens"), max_output_tokens) if cap is not None]
    return wanted | ({"max_tokens": min(caps)} if "max_tokens" in wanted else {})


def read(messages: str) -> list[ModelMessage]:
    """Return messages as they were written down, in JSON."""
    return [] if messages == NOTHING else ModelMessagesTypeAdapter.validate_json(messages)


def write(messages: list[ModelMessage]) -> Messages:
    """Return messages to be written down, without what is empty, zero or as always: a quarter of all there is."""
    written: Messages = ModelMessagesTypeAdapter.dump_python(messages, mode="json", exclude_none=True)
    for message in written:
        if message.get("state") == "complete":
            del message["state"]
        if usage := message.get("usage"):
            message["usage"] = {name: used for name, used in usage.items() if used or name in _USED}
    return written


def _message(role: str, content: str | list[dict[str, Any]]) -> ModelMessage:
    if role == "assistant":
        return ModelResponse(parts=[TextPart(content=words(content))])
    return ModelRequest(parts=[UserPromptPart(content=of_content(content))])
