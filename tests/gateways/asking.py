"""Asking a model in one line: what came, piece by piece, and the whole response."""

from dataclasses import dataclass
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.tools import ToolDefinition

from ingram_app.gateways.providers import Answer, Credential, ReasoningDelta, TextDelta, stream

WEATHER = ToolDefinition(
    name="weather",
    description="Tells the weather.",
    parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}},
)


@dataclass(frozen=True)
class Asked:
    texts: list[str]
    thoughts: list[str]
    response: ModelResponse

    @property
    def text(self) -> str:
        return "".join(self.texts)


def said(text: str) -> ModelMessage:
    return ModelRequest(parts=[UserPromptPart(text)])


async def ask(model: str, credential: Credential | None, prompt: str | list[ModelMessage], **how: Any) -> Asked:
    messages = [said(prompt)] if isinstance(prompt, str) else prompt
    async with stream(model, credential, messages, **how) as answer:
        deltas = [delta async for delta in answer]
    texts = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    thoughts = [delta.text for delta in deltas if isinstance(delta, ReasoningDelta)]
    return Asked(texts, thoughts, answer.response)


async def collect(answer: Answer, texts: list[str]) -> None:
    """Put the deltas into `texts` as they come, so that they are there when the answer breaks off."""
    async for delta in answer:
        texts.append(delta.text)
