"""Asking a model, whoever provides it: text and reasoning as they come, the whole response at the end.

async with stream("claude-sonnet-5-5", credential, messages, instructions="Be brief.") as answer:
    async for delta in answer:
        match delta:
            case TextDelta(text): ...
            case ReasoningDelta(text): ...
answer.response     # parts, usage, finish reason
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from pydantic_ai.direct import model_request_stream
from pydantic_ai.messages import (
    InstructionPart,
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from ingram_app.core import later
from ingram_app.gateways.providers.failures import (
    ModelAnswerEmpty,
    ModelStreamBroken,
    ModelTimedOut,
    Whose,
)
from ingram_app.gateways.providers.provider import Credential, Provider
from ingram_app.gateways.providers.registry import find


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


Delta = TextDelta | ReasoningDelta


class Answer:
    """An answer on its way: iterate it once; then `response` is whole."""

    def __init__(self, stream: StreamedResponse, whose: Whose, patience: "_Patience") -> None:
        self._stream = stream
        self._whose = whose
        self._patience = patience
        self._deltas = 0

    @property
    def pieces(self) -> int:
        """How many pieces have come: each holds a token at the least. What never ends tells no usage."""
        return int(getattr(self._stream, "pieces", self._deltas))

    @property
    def response(self) -> ModelResponse:
        """What has come so far; after the last delta, all of it, with its usage."""
        return self._stream.get()

    async def __aiter__(self) -> AsyncIterator[Delta]:
        events = aiter(self._stream)
        async with self._patience.wait():
            event = await anext(events, None)
        while event is not None:
            self._whose.begun = True
            if (delta := _delta(event)) is not None:
                self._deltas += 1
                yield delta
            with self._whose.failures():
                event = await anext(events, None)
        self._check_the_end()

    def _check_the_end(self) -> None:
        response = self.response
        if response.finish_reason is None:
            raise self._whose.error(ModelStreamBroken, "the stream ended without a finish reason.")
        if not response.tool_calls and not (response.text or "").strip():
            raise self._whose.error(ModelAnswerEmpty, response.finish_reason)


class _Patience:
    """How long an answer may take to begin, from now on, whatever the wire is waiting for."""

    def __init__(self, whose: Whose, seconds: float | None) -> None:
        self._whose = whose
        self._seconds = seconds
        self._until = None if seconds is None else asyncio.get_running_loop().time() + seconds

    @asynccontextmanager
    async def wait(self) -> AsyncIterator[None]:
        """Wait no longer than that, and turn what adapters raise into ours. Raises `ModelTimedOut` too."""
        try:
            async with asyncio.timeout_at(self._until):
                with self._whose.failures():
                    yield
        except TimeoutError:
            raise self._whose.error(ModelTimedOut, f"nothing came within {self._seconds} seconds.") from None


@asynccontextmanager
async def stream(
    model_id: str,
    credential: Credential | None,
    messages: Sequence[ModelMessage],
    *,
    instructions: str | None = None,
    settings: Mapping[str, Any] | None = None,
    tools: Sequence[ToolDefinition] = (),
    begins_within_seconds: float | None = None,
) -> AsyncIterator[Answer]:
    """Ask the model and yield its `Answer`; leaving the block early stops the model.

    `settings` are those of pydantic-ai: max_tokens, temperature, thinking, tool_choice …
    Raises one of `ModelRequestFailed` here or while the answer is iterated; before anything is sent also
    `UnknownProvider`, `ModelKeyMissing`, `BaseUrlRequired`, and `ForbiddenTarget` when a base URL leads inside.
    """
    provider, name = find(model_id)
    whose = Whose(provider.label, name, credential.api_key if credential else None)
    patience = _Patience(whose, begins_within_seconds)
    async with AsyncExitStack() as opened:
        async with patience.wait():
            model = await _model(provider, name, credential)
            request = model_request_stream(
                model,
                messages,
                model_settings=cast(ModelSettings, dict(settings or {})),
                model_request_parameters=_parameters(instructions, tools),
            )
            raw = await opened.enter_async_context(request)
        yield Answer(raw, whose, patience)


async def _model(provider: Provider, name: str, credential: Credential | None) -> Model:
    for module in provider.slow_imports:
        await later.module(module)
    return provider.model(name, credential)


def _parameters(instructions: str | None, tools: Sequence[ToolDefinition]) -> ModelRequestParameters:
    parts = [InstructionPart(content=instructions)] if instructions else []
    return ModelRequestParameters(function_tools=list(tools), instruction_parts=parts)


def _delta(event: object) -> Delta | None:
    match event:
        case PartStartEvent(part=TextPart(content=text)) | PartDeltaEvent(delta=TextPartDelta(content_delta=text)):
            return TextDelta(text) if text else None
        case PartStartEvent(part=ThinkingPart(content=text)):
            return ReasoningDelta(text) if text else None
        case PartDeltaEvent(delta=ThinkingPartDelta(content_delta=text)):
            return ReasoningDelta(text) if text else None
    return None
