"""Embeddings: texts as vectors of length 1, near each other where the texts mean the same.

A vector can be compared only with those of the same model, so each is kept with its model's id.
"""

from collections.abc import Sequence

from ingram_app.gateways.embeddings import local, openai
from ingram_app.gateways.embeddings.openai import EmbeddingRequestFailed
from ingram_app.gateways.providers import Credential, find

Vector = list[float]
TEXT_CHARACTERS = 32_000
"""A text is cut there before it is embedded."""


async def embed(
    model_id: str, credential: Credential | None, texts: Sequence[str], *, as_queries: bool = False
) -> list[Vector]:
    """Return a vector for each text. A question is embedded otherwise than what may answer it: `as_queries`.

    Raises `EmbeddingRequestFailed`, `UnknownProvider`, `ModelKeyMissing`, `BaseUrlRequired`, `ForbiddenTarget`.
    """
    provider, name = find(model_id)
    cut = [text[:TEXT_CHARACTERS] for text in texts]
    if provider.id == local.PROVIDER:
        return await local.embed(name, cut, as_queries=as_queries)
    return await openai.embed(provider, name, credential, cut)


__all__ = ["TEXT_CHARACTERS", "EmbeddingRequestFailed", "Vector", "embed"]
