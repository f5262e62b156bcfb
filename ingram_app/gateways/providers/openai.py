"""OpenAI, and every endpoint that speaks its chat completions: Ollama, vLLM, LM Studio, gateways."""

from pydantic_ai.models import Model
from pydantic_ai.profiles.openai import openai_model_profile

from ingram_app.gateways import outbound
from ingram_app.gateways.providers.openai_wire import OpenAIModel
from ingram_app.gateways.providers.provider import BaseUrlRequired, CatalogModel, Credential, Provider

_BASE_URL = "https://api.openai.com/v1"


class OpenAI(Provider):
    """The company's own API, or a proxy in front of it."""

    id = "openai"
    label = "OpenAI"
    models = (
        CatalogModel("gpt-6-astra", "GPT-6 Astra"),
        CatalogModel("gpt-6.1-sol", "GPT-6.1 Sol"),
        CatalogModel("gpt-6.1-terra", "GPT-6.1 Terra"),
        CatalogModel("gpt-6-luna", "GPT-6 Luna"),
        CatalogModel("gpt-5.4-mini", "GPT-5.4 mini"),
        CatalogModel("gpt-5.4-nano", "GPT-5.4 nano"),
    )

    def model(self, name: str, credential: Credential | None) -> Model:
        credential = self.key_for(name, credential)
        return OpenAIModel(
            name,
            provider_id=self.id,
            base_url=credential.base_url or _BASE_URL,
            api_key=credential.api_key,
            client=outbound.client(),
            profile=openai_model_profile(name),
        )


class CompatibleEndpoint(Provider):
    """An endpoint that a project names itself; its credential brings the base URL, up to and with `/v1`."""

    def __init__(self, word: str) -> None:
        self.id = word
        self.label = word

    def model(self, name: str, credential: Credential | None) -> Model:
        if credential is None or not credential.base_url:
            raise BaseUrlRequired(provider=self.id, param="base_url")
        return OpenAIModel(
            name,
            provider_id=self.id,
            base_url=credential.base_url,
            api_key=credential.api_key,
            client=outbound.client(),
        )
