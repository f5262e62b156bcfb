"""Anthropic, through pydantic-ai's adapter. Its SDK takes seconds to import, so that happens on first use."""

from functools import lru_cache
from typing import Any

import httpx2
from pydantic_ai.models import Model

from ingram_app.gateways import outbound
from ingram_app.gateways.providers.provider import CatalogModel, Credential, Provider


class Anthropic(Provider):
    """The company's own API, or a proxy in front of it."""

    id = "anthropic"
    label = "Anthropic"
    slow_imports = ("pydantic_ai.models.anthropic", "pydantic_ai.providers.anthropic")
    models = (
        CatalogModel("claude-opus-5-5", "Claude Opus 5.5"),
        CatalogModel("claude-sonnet-5-5", "Claude Sonnet 5.5"),
        CatalogModel("claude-haiku-5-5", "Claude Haiku 5.5"),
        CatalogModel("claude-sonnet-4-6", "Claude Sonnet 4.6"),
    )

    def model(self, name: str, credential: Credential | None) -> Model:
        # Imported on first use: it takes more than four seconds.
        from pydantic_ai.models.anthropic import AnthropicModel

        return AnthropicModel(name, provider=_adapter(self.key_for(name, credential), outbound.client()))


@lru_cache(maxsize=256)
def _adapter(credential: Credential, client: httpx2.AsyncClient) -> Any:
    # Imported on first use, as above.
    from anthropic import AsyncAnthropic
    from pydantic_ai.providers.anthropic import AnthropicProvider

    sdk = AsyncAnthropic(
        api_key=credential.api_key, base_url=_without_version(credential.base_url), http_client=client, max_retries=0
    )
    return AnthropicProvider(anthropic_client=sdk)


def _without_version(base_url: str | None) -> str:
    """Return the base URL as the SDK wants it, which adds `/v1` itself. Naming it keeps the environment's out."""
    return (base_url or "https://api.anthropic.com").rstrip("/").removesuffix("/v1")
