"""How much a model takes at once, in tokens, from the list that comes with the installation; and what a text takes.

The list is loaded at the first question, which takes a quarter of a second.
"""

from genai_prices.data_snapshot import get_snapshot

from ingram_app.gateways.providers import UnknownProvider, find

USUAL_TOKENS = 128_000
"""Of a model that nobody knows."""
LEAST_TOKENS = 16_000
"""What every model takes that is worth a price."""
_BYTES_OF_A_TOKEN = 3
"""English has some four, other languages two or three: what is estimated is rather too much than too little."""


def context_tokens(model_id: str) -> int:
    """Return how many tokens a model takes, question and answer together."""
    try:
        provider, name = find(model_id)
    except UnknownProvider:
        return USUAL_TOKENS
    if provider.context_tokens is not None:
        return provider.context_tokens
    try:
        _, model = get_snapshot().find_provider_model(name, None, provider.id, None)
    except (LookupError, ValueError):
        return USUAL_TOKENS
    return model.context_window or USUAL_TOKENS


def surely_takes(model_id: str) -> int:
    """Return how many tokens a model takes at the least, without a look at the list."""
    try:
        return find(model_id)[0].context_tokens or LEAST_TOKENS
    except UnknownProvider:
        return LEAST_TOKENS


def tokens_of(text: str) -> int:
    """Return about how many tokens a text takes, rather too many than too few."""
    return (len(text) if text.isascii() else len(text.encode(errors="replace"))) // _BYTES_OF_A_TOKEN + 1
