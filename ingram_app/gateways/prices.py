"""What a model call costs, from the price list that comes with the installation; nobody is asked.

The list is loaded at the first question, which takes a quarter of a second.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from genai_prices import calc_price
from pydantic_ai.usage import RequestUsage, RunUsage

from ingram_app.gateways.providers import UnknownProvider, find

_FREE = ("local", "test")


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens of each kind cost, in millionths of a US dollar. Reasoning is output."""

    input: int
    output: int
    cache_read: int | None = None
    """Unset: as other input."""
    cache_write: int | None = None


def cost_micros(model_id: str, usage: RequestUsage | RunUsage, own: Price | None = None) -> int | None:
    """Return the cost in millionths of a US dollar, rounded half up; None when the price is not known.

    An `own` price holds in place of the list's, also for a model that is free.
    Cached and reasoning tokens are counted at their own prices. The prices of an endpoint of a project's own are
    known when it is called what its provider is called: groq, mistral, deepseek, openrouter …
    """
    if own is not None:
        return _at(own, usage)
    try:
        provider, name = find(model_id)
    except UnknownProvider:
        return None
    if provider.id in _FREE:
        return 0
    dollars = _dollars(provider.id, name, usage)
    return None if dollars is None else int((dollars * 1_000_000).quantize(Decimal(1), ROUND_HALF_UP))


def dollars(micros: int) -> str:
    """Write millionths of a US dollar as dollars: with as many digits as they need, never as a power of ten."""
    return format((Decimal(micros) / 1_000_000).normalize(), "f")


def _at(price: Price, usage: RequestUsage | RunUsage) -> int:
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    total = max(0, usage.input_tokens - read - written) * price.input + usage.output_tokens * price.output
    total += read * (price.input if price.cache_read is None else price.cache_read)
    total += written * (price.input if price.cache_write is None else price.cache_write)
    return (total + 500_000) // 1_000_000


def _dollars(provider_id: str, name: str, usage: RequestUsage | RunUsage) -> Decimal | None:
    try:
        return calc_price(usage, name, provider_id=provider_id).total_price
    except (LookupError, ValueError):
        return None
