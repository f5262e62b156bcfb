"""Rates: what is charged, to the micro-unit, and from which month on."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ingram_app.domain.rates import Month, RateCard, month_of
from tests.world import Client, Tenant, World, error, ok

PATH = "/v1/tenant/rates"


@pytest.fixture(scope="module")
async def api(project: Tenant) -> Client:
    return project.api


def test_a_price_is_rounded_once_and_half_up() -> None:
    card = RateCard(project_id="p", month=date(2026, 11, 1), model_cost_percent=150, run_price_micros=7)
    card.meter_prices_micros = {"pages": 3}
    assert [card.of_model_cost(micros) for micros in (0, 1, 2, 3, 10**15 + 1)] == [0, 2, 3, 5, 15 * 10**14 + 2]
    assert card.of_runs(3) == 21
    quantities = ("0.1", "0.166666", "0.166667", "0.5", "999999999999999")
    assert [card.of_meter("pages", Decimal(one)) for one in quantities] == [0, 0, 1, 2, 2999999999999997]
    assert card.of_meter("free", Decimal(10)) == 0


def test_a_month_is_that_of_the_calendar() -> None:
    december = month_of("2026-12")
    assert (str(december.next), str(december.before), str(december.next.before)) == ("2027-01", "2026-11", "2026-12")
    assert str(Month(date(2027, 1, 1)).before) == "2026-12"
    assert (december.since.isoformat(), december.until.isoformat()) == (
        "2026-12-01T00:00:00+00:00",
        "2027-01-01T00:00:00+00:00",
    )


async def test_a_card_holds_from_this_month_and_leaves_those_before(world: World, api: Client, other: Tenant) -> None:
    usual = ok(await api.get(PATH))
    assert (usual["model_cost_percent"], usual["run_price_micros"], usual["meter_prices_micros"]) == (100, 0, {})
    for percent in (120, 130):
        given = {"model_cost_percent": percent, "run_price_micros": 10**12, "meter_prices_micros": {"pages": 20_000}}
        made = ok(await api.put(PATH, json=given))
        assert {name: made[name] for name in given} == given
        assert (made["month"], ok(await api.get(PATH))) == (str(month_of(None)), made)
    before = {"month": str(month_of(None).before)}
    assert ok(await api.get(PATH, params=before))["model_cost_percent"] == 100
    world.do("update rate_cards set month = month - interval '1 month'")
    ok(await api.put(PATH, json={"model_cost_percent": 150}))
    assert ok(await api.get(PATH, params=before))["model_cost_percent"] == 130
    assert ok(await api.get(PATH, params={"month": str(month_of(None).next)}))["model_cost_percent"] == 150
    assert ok(await other.api.get(PATH))["model_cost_percent"] == 100


@pytest.mark.parametrize(
    "given",
    [
        {"model_cost_percent": -1},
        {"model_cost_percent": 100_001},
        {"model_cost_percent": 1.5},
        {"run_price_micros": 10**12 + 1},
        {"meter_prices_micros": {"pages": -1}},
        {"meter_prices_micros": {"pa ges": 1}},
        {"meter_prices_micros": {f"m{n}": 1 for n in range(201)}},
    ],
)
async def test_what_is_no_price_is_refused(api: Client, given: dict[str, Any]) -> None:
    error(await api.put(PATH, json=given), 422, "schema_error")


@pytest.mark.parametrize("month", ["2026", "2026-13", "2026-1", "11-2026", "9999-12", "x", "2026-11-01", ""])
async def test_what_is_no_month_is_refused(api: Client, month: str) -> None:
    error(await api.get(PATH, params={"month": month}), 422, "invalid_month", "month")
