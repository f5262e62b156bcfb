"""The meter: what a run's model calls take. Each is priced when it ends, and kept with what is kept next of the run."""

from collections.abc import Mapping, Sequence

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.usage import RequestUsage

from ingram_app.domain import model_calls
from ingram_app.domain.model_calls import Call
from ingram_app.domain.model_keys import Access
from ingram_app.engine import wording
from ingram_app.engine.candidates import Warn
from ingram_app.gateways import windows
from ingram_app.gateways.prices import Price


class Meter:
    """The calls of one run, those of carriers before this one included."""

    def __init__(self, prices: Mapping[str, Price], used: tuple[int, int, int] | None, warn: Warn) -> None:
        self._prices = prices
        self._used = used
        self._begun = used is not None
        self._taken = 0
        self._warn = warn
        self.calls: list[Call] = []
        """Those that are not kept yet; whoever keeps them empties it."""

    @property
    def used(self) -> dict[str, int]:
        """Columns of the run's row: what its calls took, nothing before there was one."""
        return dict(zip(("input_tokens", "output_tokens", "cost_micros"), self._used or (), strict=False))

    @property
    def begins(self) -> bool:
        """Whether the run's first call is among those that are not kept yet."""
        return not self._begun and self._taken == len(self.calls)

    def take(
        self,
        response: ModelResponse,
        model: str,
        access: Access,
        asked: Sequence[ModelMessage],
        instructions: str | None,
        *,
        whole: bool = True,
    ) -> Call:
        """Price an answer, or what has come of one; what its provider has not said of it is estimated."""
        used, estimated = response.usage, False
        if not whole or not used.has_values():
            used, estimated = _estimate(used, response, asked, instructions), True
        call = model_calls.priced(model, access.source, used, self._prices, estimated=estimated)
        if call.cost_micros is None:
            self._warn("price_unknown", f"The price of {model} is not known; its cost is counted as 0.")
        self.calls.append(call)
        self._taken += 1
        into, out, micros = self._used or (0, 0, 0)
        self._used = into + call.input_tokens, out + call.output_tokens, micros + (call.cost_micros or 0)
        return call


def _estimate(
    told: RequestUsage, response: ModelResponse, asked: Sequence[ModelMessage], instructions: str | None
) -> RequestUsage:
    return RequestUsage(
        input_tokens=told.input_tokens or wording.tokens_of(asked) + windows.tokens_of(instructions or ""),
        output_tokens=max(told.output_tokens, wording.tokens_of([response])),
        cache_read_tokens=told.cache_read_tokens,
        cache_write_tokens=told.cache_write_tokens,
        details=told.details,
    )
