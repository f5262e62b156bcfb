"""An aside: one question to a run's model that is not part of the conversation, and that no watcher hears."""

from collections.abc import Sequence

from pydantic_ai.messages import ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.tools import ToolDefinition

from ingram_app.domain.model_keys import Access
from ingram_app.engine.candidates import Candidates
from ingram_app.gateways import providers


async def ask(
    candidates: Candidates, said: str, instructions: str, *, max_tokens: int, tools: Sequence[ToolDefinition] = ()
) -> ModelResponse:
    """Return the answer of the first model that gives one, and whose key opened it: `source` of its metadata.

    Raises `ModelRequestFailed`, `ModelKeyMissing`.
    """
    messages = [ModelRequest(parts=[UserPromptPart(said)])]

    async def listen(model: str, access: Access) -> ModelResponse:
        settings = {"max_tokens": max_tokens}
        async with providers.stream(
            model, access.credential, messages, instructions=instructions, settings=settings, tools=tools
        ) as answer:
            async for _ in answer:
                pass
        response = answer.response
        response.metadata = {"source": access.source}
        return response

    return await candidates.answer(listen)
