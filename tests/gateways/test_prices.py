"""What a call costs."""

from decimal import Decimal

import pytest
from pydantic_ai.usage import RequestUsage, RunUsage

from ingram_app.gateways import prices
from ingram_app.gateways.prices import cost_micros
from ingram_app.gateways.providers import PROVIDERS


def test_a_call_costs_what_the_list_says():
    assert cost_micros("gpt-4o-mini", RequestUsage(input_tokens=1_000_000)) == 150_000
    assert cost_micros("gpt-4o-mini", RequestUsage(output_tokens=1_000_000)) == 600_000


def test_cached_tokens_cost_less():
    cached = RequestUsage(input_tokens=1_000_000, cache_read_tokens=1_000_000)
    assert cost_micros("gpt-4o-mini", cached) == 75_000


def test_reasoning_tokens_are_part_of_the_answer():
    usage = RequestUsage(output_tokens=1_000_000, details={"reasoning_tokens": 900_000})
    assert cost_micros("gpt-4o-mini", usage) == 600_000


def test_a_whole_run_has_a_cost_too():
    assert cost_micros("openai/gpt-4o-mini", RunUsage(input_tokens=10, output_tokens=10, requests=2)) == 8


@pytest.mark.parametrize(("dollars", "micros"), [("0.0000005", 1), ("0.00000049", 0), ("0.0000015", 2)])
def test_half_a_millionth_rounds_up(monkeypatch: pytest.MonkeyPatch, dollars: str, micros: int):
    monkeypatch.setattr(prices, "_dollars", lambda *_: Decimal(dollars))
    assert cost_micros("gpt-4o-mini", RequestUsage()) == micros


@pytest.mark.parametrize("model_id", ["gpt-99-unheard-of", "ollama/llama3", "nonsense"])
def test_an_unknown_price_is_none(model_id: str):
    assert cost_micros(model_id, RequestUsage(input_tokens=10)) is None


def test_a_usage_that_makes_no_sense_has_no_price():
    assert cost_micros("gpt-4o-mini", RequestUsage(input_tokens=1, cache_read_tokens=2)) is None


def test_embedded_models_are_free():
    for model_id in ("local/smollm2-135m", "test/echo"):
        assert cost_micros(model_id, RequestUsage(input_tokens=10**9)) == 0


def test_every_model_of_the_catalogs_has_a_price():
    for provider in PROVIDERS.values():
        for model in provider.models:
            assert cost_micros(model.id, RequestUsage(input_tokens=1)) is not None, model.id


@pytest.mark.parametrize(
    ("micros", "written"), [(97, "0.000097"), (50, "0.00005"), (2_500_000, "2.5"), (10**13, "10000000"), (0, "0")]
)
def test_dollars_are_written_out(micros: int, written: str) -> None:
    assert prices.dollars(micros) == written
