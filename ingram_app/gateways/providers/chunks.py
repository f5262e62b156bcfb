"""Reading an answer that comes as chat completion chunks, from the wire or from a model in this process."""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import FinishReason, ModelMessage, ModelResponse, ModelResponseStreamEvent
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_json

from ingram_app.core.clock import now

Chunk = Mapping[str, Any]
"""`{"choices": [{"delta": {…}, "finish_reason": …}], "usage": {…}}`, every part optional; or `{"error": {…}}`."""


class Merged(dict[str, Any]):
    """A chunk with the text of several that came together."""

    pieces = 1


_FINISHED: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
}


@dataclass
class ChunkStream(StreamedResponse):
    """The stream of one answer. It is lenient: whatever a chunk lacks is simply not there."""

    name: str
    provider: str
    url: str | None
    chunks: AsyncGenerator[Chunk, None]
    thinking_tags: tuple[str, str] | None = None
    began: datetime = field(default_factory=now)
    pieces: int = field(default=0, init=False)
    """How many chunks with words have come."""
    _call_ids: dict[object, str] = field(default_factory=dict, init=False)

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        async for chunk in self.chunks:
            try:
                events = list(self._events(chunk))
            except (AttributeError, KeyError, TypeError, ValueError):
                raise ModelAPIError(self.name, "it sent something that is not a chat completion chunk") from None
            for event in events:
                yield event

    async def close_stream(self) -> None:
        await self.chunks.aclose()

    def _events(self, chunk: Chunk) -> Iterator[ModelResponseStreamEvent]:
        if error := chunk.get("error"):
            raise self._error(error)
        self.provider_response_id = self.provider_response_id or chunk.get("id")
        if usage := chunk.get("usage"):
            self._usage = _usage_of(usage)
        for choice in chunk.get("choices") or ():
            yield from self._parts(choice.get("delta") or {}, chunk.pieces if isinstance(chunk, Merged) else 1)
            if finish := choice.get("finish_reason"):
                self.finish_reason = _FINISHED.get(finish, "stop")

    def _parts(self, delta: Mapping[str, Any], pieces: int) -> Iterator[ModelResponseStreamEvent]:
        parts = self._parts_manager
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            self.pieces += 1
            yield from parts.handle_thinking_delta(vendor_part_id="reasoning", content=reasoning)
        if text := delta.get("content") or delta.get("refusal"):
            self.pieces += pieces
            yield from parts.handle_text_delta(vendor_part_id="text", content=text, thinking_tags=self.thinking_tags)
        for piece in delta.get("tool_calls") or ():
            yield from self._call(piece)

    def _call(self, piece: Mapping[str, Any]) -> Iterator[ModelResponseStreamEvent]:
        index, call_id, function = piece.get("index"), piece.get("id"), piece.get("function") or {}
        if call_id:
            # Some endpoints give every call the index 0, or none: then the id tells them apart.
            self._call_ids[index] = call_id
        arguments = function.get("arguments")
        yield from self._parts_manager.handle_tool_call_delta_events(
            vendor_part_id=("call", index, self._call_ids.get(index)),
            tool_name=function.get("name"),
            args=to_json(arguments).decode() if isinstance(arguments, dict) else arguments,
            tool_call_id=call_id,
        )

    def _error(self, error: object) -> ModelAPIError:
        code = error.get("code") if isinstance(error, Mapping) else None
        if isinstance(code, int) and 400 <= code < 600:
            return ModelHTTPError(code, self.name, error, in_stream=True)
        return ModelAPIError(self.name, "it sent an error instead of the answer", body=error, in_stream=True)

    @property
    def model_name(self) -> str:
        return self.name

    @property
    def provider_name(self) -> str:
        return self.provider

    @property
    def provider_url(self) -> str | None:
        return self.url

    @property
    def timestamp(self) -> datetime:
        return self.began


def merged(chunks: Iterable[Chunk], apart: Collection[str]) -> Iterator[Chunk]:
    """Yield the chunks, with those that follow each other and hold text alone as one.

    Texts that stand `apart` stay alone. If one can not be read, what came before it is yielded before that is raised.
    """
    whole: Merged | None = None
    try:
        for chunk in chunks:
            text = _text_alone(chunk)
            if text is None or text in apart:
                if whole is not None:
                    yield whole
                yield chunk
                whole = None
            elif whole is None:
                whole = Merged(chunk, choices=[{"delta": {"content": text}}])
                whole.pieces = bool(text)
            else:
                whole["choices"][0]["delta"]["content"] += text
                whole.pieces += bool(text)
    except ModelAPIError:
        if whole is not None:
            yield whole
        raise
    if whole is not None:
        yield whole


def _text_alone(chunk: Chunk) -> str | None:
    """Return the text of a chunk that holds nothing else."""
    match chunk.get("choices"):
        case [{"delta": {"content": str(text)} as delta} as choice]:
            alone = len(delta) == 1 or not any(
                value for name, value in delta.items() if name not in ("content", "role")
            )
            more = choice.get("finish_reason") or chunk.get("usage") or chunk.get("error")
            return text if alone and not more else None
    return None


class ChunkModel(Model[Any]):
    """A model that answers in a stream of chunks; a whole answer is its stream, gathered."""

    def __init__(self, name: str, provider_id: str, profile: ModelProfile | None = None) -> None:
        super().__init__(profile=profile)
        self._name = name
        self._provider_id = provider_id

    @property
    def model_name(self) -> str:
        return self._name

    @property
    def system(self) -> str:
        return self._provider_id

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        async with self.request_stream(messages, model_settings, model_request_parameters) as answer:
            async for _ in answer:
                pass
        return answer.get()


def _usage_of(usage: Mapping[str, Any]) -> RequestUsage:
    """Return the usage of an answer; cached tokens are part of the input, reasoning tokens part of the output."""
    into, out = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    input_tokens = usage.get("prompt_tokens") or 0
    cached = into.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0
    return RequestUsage(
        input_tokens=input_tokens,
        output_tokens=usage.get("completion_tokens") or 0,
        cache_read_tokens=min(cached, input_tokens),
        cache_write_tokens=into.get("cache_write_tokens") or 0,
        details={"reasoning_tokens": reasoning} if (reasoning := out.get("reasoning_tokens")) else {},
    )
