"""The chat completions protocol, without its SDK: a fifth of the processor time of a streamed answer.

It is lenient in what it takes: no usage, usage at any time, no `[DONE]`, no finish reason before `[DONE]`,
reasoning under either of its two names, tool calls whole or in pieces, with or without an index.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager, suppress
from functools import lru_cache
from typing import Any, cast

import httpx2
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_core import from_json, to_json

from ingram_app.core import process
from ingram_app.gateways.providers import sse
from ingram_app.gateways.providers.chunks import Chunk, ChunkModel, ChunkStream, merged
from ingram_app.gateways.providers.openai_request import request_body
from ingram_app.gateways.wires import GATHERED

_THINKING_TAGS = ("<think>", "</think>")
_DRAIN_SECONDS = 0.2
_REFUSAL_BYTES = 64 * 1024


class OpenAIModel(ChunkModel):
    """A model behind `<base_url>/chat/completions`. An empty key sends none."""

    def __init__(
        self,
        name: str,
        *,
        provider_id: str,
        base_url: str,
        api_key: str,
        client: httpx2.AsyncClient,
        profile: ModelProfile | None = None,
    ) -> None:
        super().__init__(name, provider_id, profile)
        self._url = base_url.rstrip("/")
        self._api_key = api_key
        self._client = client

    @property
    def base_url(self) -> str:
        return self._url

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: object = None,
    ) -> AsyncGenerator[StreamedResponse, None]:
        """Send the request and yield its stream. Raises `ModelHTTPError`, and the errors of httpx2."""
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        settings = settings or {}
        body = request_body(self, messages, settings, parameters)
        async with self._client.stream(
            "POST",
            _address(f"{self._url}/chat/completions"),
            content=to_json(body),
            headers=self._headers(settings),
            timeout=cast(Any, settings.get("timeout", self._client.timeout)),
            extensions={GATHERED: process.breath},
        ) as response:
            if not response.is_success:
                raise await self._refusal(response)
            async with aclosing(self._chunks(response)) as chunks:
                yield ChunkStream(parameters, self._name, self._provider_id, self._url, chunks, _THINKING_TAGS)

    def _headers(self, settings: ModelSettings) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        return headers | settings.get("extra_headers", {})

    async def _refusal(self, response: httpx2.Response) -> ModelHTTPError:
        raw = await _beginning(response)
        try:
            body: Any = from_json(raw)
        except ValueError:
            body = raw.decode(errors="replace")
        status = response.status_code
        if status == 429 and b"insufficient_quota" in raw:
            status = 402
        return ModelHTTPError(status, self._name, body, headers=response.headers)

    async def _chunks(self, response: httpx2.Response) -> AsyncGenerator[Chunk, None]:
        """Yield the chunks of the answer, with a finish reason where only `[DONE]` tells the end."""
        finished = done = False
        events = sse.payloads(response.aiter_bytes())
        try:
            async for payloads in events:
                if done := b"[DONE]" in payloads:
                    payloads = payloads[: payloads.index(b"[DONE]")]
                chunks = map(self._read, payloads)
                for chunk in chunks if len(payloads) == 1 else merged(chunks, _THINKING_TAGS):
                    finished = finished or _finishes(chunk)
                    yield chunk
                if done:
                    break
            if not done:
                return
        except httpx2.TransportError:
            # Past the finish reason only the usage can be lost, and that is worth less than the answer.
            if not finished:
                raise
        if not finished:
            yield {"choices": [{"finish_reason": "stop"}]}
        with suppress(TimeoutError, httpx2.HTTPError):
            # A response that was read to its end leaves its connection to the next request.
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in events:
                    pass

    def _read(self, payload: bytes) -> Chunk:
        try:
            chunk = from_json(payload)
        except ValueError:
            chunk = None
        if not isinstance(chunk, dict):
            raise ModelAPIError(self._name, "it sent an event that is not a JSON object")
        return chunk


@lru_cache(maxsize=256)
def _address(url: str) -> httpx2.URL:
    return httpx2.URL(url)


async def _beginning(response: httpx2.Response) -> bytes:
    """Return the body of a refusal, as much of it as anybody would read."""
    read = b""
    async for piece in response.aiter_bytes():
        read += piece
        if len(read) > _REFUSAL_BYTES:
            break
    return read[:_REFUSAL_BYTES]


def _finishes(chunk: Chunk) -> bool:
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(
        isinstance(choice, dict) and bool(choice.get("finish_reason")) for choice in choices
    )
