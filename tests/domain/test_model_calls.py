"""Model calls: each is kept once, with what it took, and stamped with what was so when it happened."""

import asyncio
from typing import Any

import pytest

from ingram_app.core.database import transaction
from ingram_app.domain import model_calls
from ingram_app.domain.access import Caller
from ingram_app.domain.model_calls import Call, Whose
from tests.world import Tenant, World, ok, until

PRICE = {"input": 1_000_000, "output": 1_000_000}


@pytest.fixture(scope="module", autouse=True)
async def priced(project: Tenant) -> None:
    """The test models cost a micro a token."""
    for model in ("echo", "slow", "tools", "fail"):
        ok(await project.api.put(f"/v1/tenant/prices/test/{model}", json=PRICE))


def calls(world: World, run: dict[str, Any], what: str) -> list[tuple[Any, ...]]:
    return world.ask(f"select {what} from model_calls where run_id = %s order by id", run["id"])


async def test_every_call_of_a_run_is_kept_and_the_run_counts_once(world: World, project: Tenant) -> None:
    acme = await project.customer()
    smith = await project.smith(model="test/tools", enabled_hosted_tools=["calculator"], customer_id=acme)
    run = await project.run(smith["id"], '[[call add {"a": 1, "b": 2}]] [[call add {"a": 3, "b": 4}]]', channel="web")
    kept = calls(world, run, "smith_id, agent_id, agent_version, model, customer_id, app, source, runs, estimated")
    stamp = (smith["id"], smith["agent_id"], 1, "test/tools", acme, "web", "local")
    assert kept == [(*stamp, 1, False), (*stamp, 0, False), (*stamp, 0, False)]
    sums = calls(world, run, "sum(input_tokens) over (), sum(output_tokens) over (), sum(cost_micros) over ()")[0]
    used = run["usage"]
    assert sums == (used["input_tokens"], used["output_tokens"], used["input_tokens"] + used["output_tokens"])
    assert used["cost"] == float(sums[2]) / 1_000_000


async def test_a_stamp_stays_when_the_smith_gets_another_customer(world: World, project: Tenant) -> None:
    before, after = await project.customer(), await project.customer()
    smith = await project.smith(customer_id=before)
    first = await project.run(smith["id"])
    ok(await project.api.patch(f"/v1/smiths/{smith['id']}", json={"customer_id": after}))
    second = await project.run(smith["id"])
    assert calls(world, first, "customer_id") == [(before,)]
    assert calls(world, second, "customer_id") == [(after,)]


async def test_reasoning_is_told_apart(world: World, project: Tenant) -> None:
    smith = await project.smith(model="test/slow")
    run = await project.run(smith["id"], "[[think one two three]] [[pause 0ms]] hello")
    assert calls(world, run, "reasoning_tokens, output_tokens") == [(3, 4)]


async def test_what_was_streamed_of_a_cancelled_call_counts(world: World, project: Tenant) -> None:
    smith = await project.smith(model="test/slow")
    path = f"/v1/smiths/{smith['id']}/runs"
    said = {"input": [{"role": "user", "content": "[[words 400]] [[pause 20ms]] word"}], "background": True}
    run = ok(await project.api.post(path, json=said))
    heard = "select 1 from frames where run_id = %s and event = 'message.delta'"
    await until(lambda: asyncio.to_thread(world.ask, heard, run["id"]))
    ok(await project.api.post(f"{path}/{run['id']}/submit", json={"kind": "cancel"}))

    async def ended() -> Any:
        return (now := ok(await project.api.get(f"{path}/{run['id']}")))["status"] == "cancelled" and now

    used = (await until(ended))["usage"]
    ((into, out, micros, estimated),) = calls(world, run, "input_tokens, output_tokens, cost_micros, estimated")
    assert (used["input_tokens"], used["output_tokens"]) == (into, out)
    assert 0 < out < 400
    assert (into > 0, micros, estimated) == (True, into + out, True)


async def test_an_answer_that_broke_off_counts_as_often_as_it_was_begun(world: World, project: Tenant) -> None:
    smith = await project.smith(model="test/fail")
    run = await project.run(smith["id"], "[[fail broken]] [[after 3 words]] one two three four")
    assert run["status"] == "failed"
    kept = calls(world, run, "estimated, output_tokens > 0, runs")
    assert kept == [(True, True, 1), (True, True, 0)]
    assert run["usage"]["output_tokens"] == sum(out for (out,) in calls(world, run, "output_tokens"))


async def test_what_was_said_when_a_process_died_counts(world: World, project: Tenant) -> None:
    smith = await project.smith(model="test/slow")
    path = f"/v1/smiths/{smith['id']}/runs"
    said = {"input": [{"role": "user", "content": "[[words 60]] [[pause 20ms]] word"}], "background": True}
    run = ok(await project.api.post(path, json=said))
    heard = "select 1 from frames where run_id = %s and event = 'message.delta'"
    await until(lambda: asyncio.to_thread(world.ask, heard, run["id"]))
    lost = (
        "update runs set lease_owner = 'gone', attempt = attempt + 1, lease_until = now() - interval '1s' where id = %s"
    )
    assert world.do(lost, run["id"]) == 1

    async def ended() -> Any:
        return (now := ok(await project.api.get(f"{path}/{run['id']}")))["status"] == "completed" and now

    await until(ended, seconds=30)
    kept = calls(world, run, "estimated, output_tokens > 0, output_tokens = 60, runs")
    assert kept == [(True, True, False, 1), (False, True, True, 0)]


async def test_calls_made_beside_runs_are_the_smith_s(world: World, project: Tenant, tenant: Caller) -> None:
    smith = await project.smith(customer_id=await project.customer())
    run = await project.run(smith["id"])
    call = Call("test/echo", "local", 5, 6, 1, 2, 3, 7)
    for rest in ((1, run["id"], "api"), ()):
        async with transaction(tenant.tenancy) as session:
            await model_calls.stamp(session, Whose(project.id, smith["id"], smith["agent_id"], *rest), [call, call])
    query = (
        "select run_id, agent_version, app, customer_id, runs from model_calls where smith_id = %s and cost_micros = 7"
    )
    found = world.ask(query, smith["id"])
    acme = smith["customer_id"]
    assert found == [(run["id"], 1, "api", acme, 0)] * 2 + [(None, None, "background", acme, 0)] * 2


async def test_what_a_draft_was_tried_for_counts_and_stays(world: World, project: Tenant) -> None:
    """A scratch smith goes, with its runs; what they took does not."""
    smith = await project.smith()
    run = await project.run(smith["id"])
    world.do("delete from runs where id = %s", run["id"])
    assert calls(world, run, "runs") == [(1,)]
