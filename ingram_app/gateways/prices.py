"""What a model call costs, from the price list that comes with the installation; nobody is asked.

The list is loaded at the first question, which takes a quarter of a second.
"""

from decimal import ROUND_HALF_UP, Decimal

from genai_prices import calc_price
from pydantic_ai.usage import RequestUsage, RunUsage

from ingram_app.gateways.providers import UnknownProvider, find

_FREE = ("local", "test")


def cost_micros(model_id: str, usage: RequestUsage | RunUsage) -> int | None:
    """Return the cost in millionths of a US dollar, rounded half up; None when the price is not known.

    Cached and reasoning tokens are counted at their own prices. The prices of an endpoint of a project's own are
    known when it is called what its provider is called: groq, mistral, deepseek, openrouter …
    """
    try:
        provider, name = find(model_id)
    except UnknownProvider:
        return None
    if provider.id in _FREE:
        return 0
    dollars = _dollars(provider.id, name, usage)
    return None if dollars is None else int((dollars * 1_000_000).quantize(Decimal(1), ROUND_HALF_UP))


def _dollars(provider_id: str, name: str, usage: RequestUsage | RunUsage) -> Decimal | None:
    try:
        return calc_price(usage, name, provider_id=provider_id).total_price
    except (LookupError, ValueError):
        return None
