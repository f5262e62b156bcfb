"""Revenue: what each customer used, what it cost and what is charged, to the micro-unit, and all of it."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest

from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import rates, revenue, usage
from ingram_app.domain.access import platform
from tests.world import Client, Tenant, World, error, ok

RATES = {"model_cost_percent": 150, "run_price_micros": 1_000, "meter_prices_micros": {"pages": 20_001}}


@pytest.fixture(scope="module")
async def api(project: Tenant) -> Client:
    return project.api


@pytest.fixture(scope="module")
async def hotel(world: World, project: Tenant) -> str:
    """A customer whose smith has run three times, on a model that has a price, and for which pages were counted."""
    price = """{"test/echo": {"input": 3000001, "output": 5000000}}"""
    world.do("update projects set own_prices = %s where id = %s", price, project.id)
    ok(await project.api.put("/v1/tenant/rates", json=RATES))
    customer = await project.customer("=Hotel")
    smith = await project.smith(customer_id=customer)
    for said in ("one", "one two", "one two three"):
        await project.run(smith["id"], said)
    for quantity in (0.5, 2):
        counted = {"smith_id": smith["id"], "meter": "pages", "quantity": quantity}
        ok(await project.api.post("/v1/usage/events", json=counted))
    ok(await project.api.post("/v1/usage/events", json={"smith_id": smith["id"], "meter": "free", "quantity": 1}))
    await project.run((await project.smith())["id"], "on the house")
    return customer


async def test_a_statement_has_what_was_used_what_it_cost_and_what_is_charged(
    world: World, api: Client, hotel: str
) -> None:
    [(runs, into, out, cost)] = world.ask(
        "select sum(runs), sum(input_tokens), sum(output_tokens), sum(cost_micros) from model_calls"
        " where customer_id = %s",
        hotel,
    )
    assert (runs, cost > 0) == (3, True)
    told = ok(await api.get(f"/v1/customers/{hotel}/statement"))
    calls = int(Decimal(cost * 150 / Decimal(100)).to_integral_value("ROUND_HALF_UP"))
    prices = {"Model calls, in tokens": calls, "Runs": 3_000, "free": 0, "pages": 50_003}
    assert {line["what"]: line["price_micros"] for line in told["lines"]} == prices
    assert {line["what"]: line["quantity"] for line in told["lines"]} == {
        "Model calls, in tokens": into + out,
        "Runs": 3,
        "free": 1,
        "pages": 2.5,
    }
    assert (told["run_count"], told["input_tokens"], told["output_tokens"]) == (3, into, out)
    assert (told["cost_micros"], told["price_micros"]) == (cost, sum(prices.values()))
    assert told["margin_micros"] == told["price_micros"] - cost
    assert (told["customer_id"], told["currency"], told["month"]) == (hotel, "USD", str(rates.month_of(None)))
    before = ok(await api.get(f"/v1/customers/{hotel}/statement", params={"month": str(rates.month_of(None).before)}))
    assert (before["lines"], before["price_micros"]) == ([], 0)


async def test_all_statements_together_are_what_the_project_used(world: World, api: Client, hotel: str) -> None:
    told = ok(await api.get("/v1/tenant/revenue"))
    [(runs, cost)] = world.ask("select sum(runs), sum(cost_micros) from model_calls")
    assert (told["totals"]["run_count"], told["totals"]["cost_micros"]) == (runs, cost)
    for name in ("run_count", "input_tokens", "output_tokens", "cost_micros", "price_micros", "margin_micros"):
        assert told["totals"][name] == sum(one[name] for one in told["data"])
    assert [one["customer_id"] for one in told["data"]] == [hotel, None]
    assert (told["data"][1]["price_micros"], told["data"][1]["cost_micros"] > 0) == (0, True)


async def test_the_csv_adds_up_and_is_no_formula(api: Client, hotel: str) -> None:
    told = ok(await api.get(f"/v1/customers/{hotel}/statement"))
    answer = await api.get(f"/v1/customers/{hotel}/statement", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert sum(int(row["price_micros"]) for row in rows) == told["price_micros"]
    assert sum(int(row["cost_micros"]) for row in rows) == told["cost_micros"]
    assert {row["customer"] for row in rows} == {"'=Hotel"}
    assert [row["quantity"] for row in rows if row["line"] == "pages"] == ["2.5"]


async def test_a_month_that_is_over_keeps_its_rates_and_an_archived_customer_its_statements(
    world: World, api: Client, project: Tenant, hotel: str
) -> None:
    before = rates.month_of(None).before
    customer = await project.customer()
    smith = await project.smith(customer_id=customer)
    ok(await api.post("/v1/usage/events", json={"smith_id": smith["id"], "meter": "pages", "quantity": 2}))
    back = "update meter_events set created_at = %s where customer_id = %s"
    world.do(back, before.since, customer)
    world.do(
        "insert into rate_cards select project_id, %s, 100, 0, '{\"pages\": 7}', now() from rate_cards", before.first
    )
    ok(await api.delete(f"/v1/customers/{customer}"))
    path = f"/v1/customers/{customer}/statement"
    assert ok(await api.get(path, params={"month": str(before)}))["price_micros"] == 14
    world.do(back, before.until, customer)
    assert ok(await api.get(path, params={"month": str(before)}))["price_micros"] == 0
    assert ok(await api.get(path))["price_micros"] == 40_002


async def test_what_was_added_up_and_what_was_not_yet_are_one(world: World, project: Tenant, hotel: str) -> None:
    async def told() -> Any:
        async with transaction(Tenancy(project_id=project.id)) as session:
            return await revenue.of_month(session, platform(project.id), rates.month_of(None))

    before = await told()
    async with transaction(Tenancy(project_id=project.id)) as session:
        await usage.fold(session, platform(project.id), project.id)
    assert world.ask("select count(*) > 0 from usage_sums where customer_id = %s", hotel) == [(True,)]
    assert await told() == before


async def test_it_is_no_matter_for_others(api: Client, other: Tenant, project: Tenant, hotel: str) -> None:
    error(await other.api.get(f"/v1/customers/{hotel}/statement"), 404, "not_found")
    assert ok(await other.api.get("/v1/tenant/revenue"))["data"] == []
    person = await project.person()
    for path in ("/v1/tenant/revenue", f"/v1/customers/{hotel}/statement"):
        error(await person.api.get(path), 403, "tenant_token_required")
