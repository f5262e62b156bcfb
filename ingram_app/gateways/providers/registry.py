"""Every provider, and how a model's id names one.

gpt-… o<digit>… chatgpt-…  openai          openai/…  anthropic/…  google/…   the same, said outright
claude-…                   anthropic       local/…   test/…                  the embedded ones
gemini-…                   google          <word>/…                          the OpenAI-compatible endpoint <word>
"""

import re

from ingram_app.core.errors import Invalid
from ingram_app.gateways.providers.anthropic import Anthropic
from ingram_app.gateways.providers.google import Google
from ingram_app.gateways.providers.local import Local
from ingram_app.gateways.providers.openai import CompatibleEndpoint, OpenAI
from ingram_app.gateways.providers.provider import Provider
from ingram_app.gateways.providers.test import Test

PROVIDERS: dict[str, Provider] = {
    provider.id: provider for provider in (OpenAI(), Anthropic(), Google(), Local(), Test())
}

CUSTOM_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""What a project may call an endpoint of its own."""

_PREFIXES = (
    (re.compile(r"gpt-|chatgpt-|text-embedding-|o\d"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "google"),
)


class UnknownProvider(Invalid):
    """No provider goes with the model id {id}. Ids look like gpt-6.1-sol, claude-sonnet-5-5, gemini-3.8-flash,
    local/smollm2-135m, test/echo, or endpoint/model for an OpenAI-compatible endpoint of your own."""


def named(provider_id: str) -> Provider:
    """Return the provider of this id; one that is not known here is an endpoint of the project's own."""
    return PROVIDERS.get(provider_id) or CompatibleEndpoint(provider_id)


def find(model_id: str) -> tuple[Provider, str]:
    """Return the provider of a model and the name it knows the model by. Raises `UnknownProvider`."""
    word, slash, name = model_id.partition("/")
    if slash and name:
        if word in PROVIDERS:
            return PROVIDERS[word], name
        if CUSTOM_ID.fullmatch(word):
            return CompatibleEndpoint(word), name
    elif not slash:
        for prefix, provider_id in _PREFIXES:
            if prefix.match(model_id):
                return PROVIDERS[provider_id], model_id
    raise UnknownProvider(id=model_id or '""', param="model")
