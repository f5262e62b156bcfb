"""Embeddings of OpenAI, and of every endpoint that speaks its `/embeddings`."""

import math
from collections.abc import Sequence
from typing import Any

import httpx2

from ingram_app.core.errors import UpstreamFailed
from ingram_app.gateways import outbound
from ingram_app.gateways.providers import BaseUrlRequired, Credential, Provider

_OPENAI = "https://api.openai.com/v1"
_AT_ONCE = 128
"""Texts in one request."""
_TIMEOUT_SECONDS = 60
_LONGEST_REASON = 300


class EmbeddingRequestFailed(UpstreamFailed):
    """{provider} did not embed with {model}: {reason}"""


async def embed(
    provider: Provider, name: str, credential: Credential | None, texts: Sequence[str]
) -> list[list[float]]:
    """Return a vector for each text, of length 1. Raises `EmbeddingRequestFailed`, `ModelKeyMissing`."""
    credential = provider.key_for(name, credential)
    base_url = credential.base_url or (_OPENAI if provider.id == "openai" else None)
    if base_url is None:
        raise BaseUrlRequired(provider=provider.id, param="base_url")
    vectors: list[list[float]] = []
    for place in range(0, len(texts), _AT_ONCE):
        some = list(texts[place : place + _AT_ONCE])
        answer = await _post(provider, name, f"{base_url.rstrip('/')}/embeddings", credential.api_key, some)
        vectors += _read(provider, name, answer, len(some))
    return vectors


async def _post(provider: Provider, name: str, url: str, api_key: str, texts: list[str]) -> Any:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    body = {"model": name, "input": texts, "encoding_format": "float"}
    try:
        answer = await outbound.client().post(url, json=body, headers=headers, timeout=_TIMEOUT_SECONDS)
        if answer.status_code != 200:
            raise _failed(provider, name, f"it answered with status {answer.status_code}")
        return answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as failure:
        raise _failed(provider, name, str(failure) or type(failure).__name__, hide=api_key) from None


def _read(provider: Provider, name: str, answer: Any, expected: int) -> list[list[float]]:
    try:
        rows = sorted(answer["data"], key=lambda row: row["index"])
        vectors = [_unit([float(number) for number in row["embedding"]]) for row in rows]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise _failed(provider, name, "its answer holds no embeddings") from None
    if len(vectors) != expected or len({len(vector) for vector in vectors}) != 1:
        raise _failed(provider, name, f"it answered {len(vectors)} embeddings for {expected} texts")
    return vectors


def _unit(vector: list[float]) -> list[float]:
    length = math.hypot(*vector)
    if not math.isfinite(length):
        raise ValueError(length)
    return [number / length for number in vector]


def _failed(provider: Provider, name: str, reason: str, *, hide: str = "") -> EmbeddingRequestFailed:
    told = reason.replace(hide, "…") if hide else reason
    return EmbeddingRequestFailed(provider=provider.label, model=name, reason=told[:_LONGEST_REASON])
