"""A model whose answers are made in this process, chunk by chunk, without a wire."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from ingram_app.gateways.providers.chunks import Chunk, ChunkStream


class EmbeddedModel(Model[Any]):
    """Everything of a model but its `chunks`."""

    provider_id: str

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    @abstractmethod
    def chunks(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the answer; closing the generator stops it."""

    @property
    def model_name(self) -> str:
        return self._name

    @property
    def system(self) -> str:
        return self.provider_id

    @property
    def base_url(self) -> None:
        return None

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

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: object = None,
    ) -> AsyncGenerator[StreamedResponse, None]:
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        async with aclosing(self.chunks(messages, settings or {}, parameters)) as chunks:
            yield ChunkStream(parameters, self._name, self.provider_id, None, chunks)
