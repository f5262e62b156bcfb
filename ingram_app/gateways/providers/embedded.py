"""A model whose answers are made in this process, chunk by chunk, without a wire."""

from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from ingram_app.gateways.providers.chunks import Chunk, ChunkModel, ChunkStream


class EmbeddedModel(ChunkModel):
    """Everything of a model but its `chunks`."""

    @abstractmethod
    def chunks(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> AsyncGenerator[Chunk, None]:
        """Yield the answer; closing the generator stops it."""

    @property
    def base_url(self) -> None:
        return None

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
            yield ChunkStream(parameters, self._name, self._provider_id, None, chunks)
