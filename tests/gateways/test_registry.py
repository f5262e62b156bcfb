"""Which provider a model's id names."""

import pytest

from ingram_app.gateways.providers import PROVIDERS, UnknownProvider, find


@pytest.mark.parametrize(
    ("model_id", "provider", "name"),
    [
        ("gpt-6.1-sol", "openai", "gpt-6.1-sol"),
        ("o3", "openai", "o3"),
        ("o4-mini", "openai", "o4-mini"),
        ("chatgpt-4o-latest", "openai", "chatgpt-4o-latest"),
        ("claude-sonnet-5-5", "anthropic", "claude-sonnet-5-5"),
        ("gemini-3.8-flash", "google", "gemini-3.8-flash"),
        ("openai/ft:gpt-4o:acme", "openai", "ft:gpt-4o:acme"),
        ("anthropic/claude-next", "anthropic", "claude-next"),
        ("google/gemma-3", "google", "gemma-3"),
        ("local/smollm2-135m", "local", "smollm2-135m"),
        ("test/echo", "test", "echo"),
        ("ollama/llama3.3:70b", "ollama", "llama3.3:70b"),
        ("openrouter/anthropic/claude-sonnet-5-5", "openrouter", "anthropic/claude-sonnet-5-5"),
    ],
)
def test_an_id_names_a_provider_and_the_name_it_knows(model_id: str, provider: str, name: str):
    found, known_as = find(model_id)
    assert (found.id, known_as) == (provider, name)


@pytest.mark.parametrize(
    "model_id", ["", "mistral", "omega", "/x", "ollama/", "Ollama/x", "-x/y", "a b/c", f"{'x' * 64}/y"]
)
def test_an_id_that_names_none_is_told_how_ids_look(model_id: str):
    with pytest.raises(UnknownProvider, match="Ids look like") as unknown:
        find(model_id)
    assert (unknown.value.status, unknown.value.code, unknown.value.param) == (422, "unknown_provider", "model")


def test_every_model_of_a_catalog_is_found_with_its_provider():
    for provider in PROVIDERS.values():
        assert provider.models
        for model in provider.models:
            assert find(model.id)[0] is provider
