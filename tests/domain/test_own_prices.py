"""Own prices: they hold for calls from now on, for the project alone."""

from pydantic_ai.usage import RequestUsage

from ingram_app.gateways.prices import Price, cost_micros
from tests.world import Person, Tenant, World, error, ok

ECHO = "/v1/tenant/prices/test/echo"
PRICE = {"input": 1_000_000, "output": 3_000_000, "cache_read": None, "cache_write": None}


def test_every_kind_of_token_has_its_price_and_halves_are_rounded_up() -> None:
    used = RequestUsage(input_tokens=100, cache_read_tokens=50, cache_write_tokens=20, output_tokens=10)
    assert cost_micros("test/echo", used, Price(2_000_000, 10_000_000, 200_000, 3_000_000)) == 60 + 10 + 60 + 100
    assert cost_micros("nobody/knows", used, Price(1_000_000, 0)) == 100
    assert cost_micros("test/echo", RequestUsage(input_tokens=1), Price(500_000, 0)) == 1
    assert cost_micros("test/echo", used) == 0


async def test_a_price_holds_from_now_on_and_what_was_spent_stays(world: World, project: Tenant) -> None:
    smith = (await project.smith())["id"]
    free = await project.run(smith, "one two")
    assert ok(await project.api.put(ECHO, json=PRICE)) == {"model": "test/echo", **PRICE}
    dear = await project.run(smith, "one two")
    assert (free["usage"]["cost"], dear["usage"]["cost"]) == (0, (dear["usage"]["input_tokens"] + 6) / 1_000_000)
    assert ok(await project.api.get("/v1/tenant/prices"))["data"] == [{"model": "test/echo", **PRICE}]
    assert ok(await project.api.get(ECHO))["output"] == 3_000_000
    assert (await project.api.delete(ECHO)).status_code == 204
    error(await project.api.delete(ECHO), 404, "not_found")
    assert (await project.run(smith, "one two"))["usage"]["cost"] == 0
    spent = "select cost_micros from model_calls where run_id = %s"
    assert world.ask(spent, dear["id"]) == [(dear["usage"]["input_tokens"] + 6,)]
    noted = "select action from audit where project_id = %s and action like 'price.%%' order by created_at"
    assert world.ask(noted, project.id) == [("price.set",), ("price.removed",)]


async def test_a_price_is_the_project_s_own_and_not_for_smiths(project: Tenant, other: Tenant) -> None:
    ok(await project.api.put(ECHO, json=PRICE))
    assert ok(await other.api.get("/v1/tenant/prices"))["data"] == []
    error(await other.api.get(ECHO), 404, "not_found")
    person: Person = await project.person()
    error(await person.api.put(ECHO, json=PRICE), 403, "tenant_token_required")
    ok(await project.api.delete(ECHO))


async def test_what_is_no_price_is_refused(project: Tenant) -> None:
    for wrong in ({"input": -1}, {"input": 1.5}, {"input": 10**13}, {"output": None}, {"extra": 1}):
        error(await project.api.put(ECHO, json=PRICE | wrong), 422, "schema_error")
    error(await project.api.put("/v1/tenant/prices/default", json=PRICE), 422, "price_unspecific", "model")
    error(await project.api.put("/v1/tenant/prices/who%20knows", json=PRICE), 422, "unknown_provider")
