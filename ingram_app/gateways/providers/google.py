"""Google's Gemini API, through pydantic-ai's adapter. Its SDK is heavy to import, so that happens on first use."""

from functools import lru_cache
from typing import Any

import httpx2
from pydantic_ai.models import Model

from ingram_app.gateways import outbound
from ingram_app.gateways.providers.provider import CatalogModel, Credential, Provider


class Google(Provider):
    """The company's own API, or a proxy in front of it."""

    id = "google"
    label = "Google"
    takes_urls = False  # its adapter would fetch them from here
    slow_imports = ("pydantic_ai.models.google", "pydantic_ai.providers.google")
    models = (
        CatalogModel("gemini-4-argon", "Gemini 4 Argon"),
        CatalogModel("gemini-3.8-flash", "Gemini 3.8 Flash"),
        CatalogModel("gemini-3.5-flash-lite", "Gemini 3.5 Flash Lite"),
        CatalogModel("gemini-3.1-pro-preview", "Gemini 3.1 Pro Preview"),
    )

    def model(self, name: str, credential: Credential | None) -> Model:
        # Imported on first use: it takes seconds.
        from pydantic_ai.models.google import GoogleModel

        return GoogleModel(name, provider=_adapter(self.key_for(name, credential), outbound.client()))


@lru_cache(maxsize=256)
def _adapter(credential: Credential, client: httpx2.AsyncClient) -> Any:
    # Imported on first use, as above.
    from google.genai.types import HttpRetryOptions
    from pydantic_ai.providers.google import GoogleProvider

    return GoogleProvider(
        api_key=credential.api_key,
        base_url=_without_version(credential.base_url),
        http_client=client,
        retry_options=HttpRetryOptions(attempts=1),
    )


def _without_version(base_url: str | None) -> str:
    """Return the base URL as the SDK wants it, which adds `/v1beta` itself. Naming it keeps the environment's out."""
    return (base_url or "https://generativelanguage.googleapis.com").rstrip("/").removesuffix("/v1beta")
