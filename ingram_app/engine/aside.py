"""An aside: one question to a run's model that is not part of the conversation, and that no watcher hears."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pydantic_ai.messages import ModelRequest, ModelResponse, UserPromptPart
from pydantic_ai.tools import ToolDefinition

from ingram_app.core.database import Tenancy, transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import model_calls
from ingram_app.domain.memory_ops import OpLost
from ingram_app.domain.model_calls import Call, Whose
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


@asynccontextmanager
async def paid(whose: Whose, call: Call | None) -> AsyncIterator[None]:
    """Keep what an answer took also when what it was for, which keeps both together, comes to nothing."""
    try:
        yield
    except (IngramError, OpLost):
        if call is not None:
            async with transaction(Tenancy(project_id=whose.project_id)) as session:
                await model_calls.stamp(session, whose, [call])
        raise
