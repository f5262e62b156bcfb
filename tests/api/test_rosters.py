"""Rosters: many smiths attached to an agent at once, all or none, and an agent made from what one of them runs."""

import asyncio
from typing import Any

import pytest

from ingram_app.core.ids import new_id
from tests.world import Client, Tenant, World, error, ok


async def attach(api: Client, agent_id: str, **which: Any) -> dict[str, Any]:
    return dict(ok(await api.post(f"/v1/agents/{agent_id}/attach", json=which)))


@pytest.fixture
async def fresh(world: World) -> Tenant:
    """A project with nobody in it."""
    return await world.tenant(new_id("x"))


async def test_smiths_are_attached_with_what_they_override(world: World, api: Client, project: Tenant) -> None:
    agent, before = await project.agent(instructions="new"), await project.agent()
    plain = await project.smith(agent_id=before["id"], pin=1)
    own = await project.smith(instructions="mine", auto_memory=False)
    told = await attach(api, agent["id"], smith_ids=[plain["id"], own["id"], own["id"]])
    assert sorted(told["attached"], key=lambda one: str(one["smith_id"])) == [
        {"smith_id": plain["id"], "override_keys": []},
        {"smith_id": own["id"], "override_keys": ["auto_memory", "instructions"]},
    ]
    assert told["count"] == 2
    shown = ok(await api.get(f"/v1/smiths/{plain['id']}"))
    assert (shown["agent_id"], shown["pin"], shown["instructions"]) == (agent["id"], None, "new")
    assert ok(await api.get(f"/v1/smiths/{own['id']}"))["instructions"] == "mine"
    written = world.ask("select updated_at from smiths where agent_id = %s", agent["id"])
    assert await attach(api, agent["id"], smith_ids=[plain["id"], own["id"]]) == told
    assert world.ask("select updated_at from smiths where agent_id = %s", agent["id"]) == written
    noted = "select details from audit where action = 'agent.attached' and resource_id = %s"
    assert world.ask(noted, agent["id"]) == [({"smiths": 2, "all": False},)]


async def test_all_are_attached_and_some_of_them_listed(world: World, fresh: Tenant) -> None:
    agent = await fresh.agent()
    await fresh.smith(external_id="first")
    gone = await fresh.smith()
    ok(await fresh.api.delete(f"/v1/smiths/{gone['id']}"))
    columns = "project_id, agent_id, metadata, overrides, created_at, updated_at"
    world.do(
        f"insert into smiths (id, {columns}) select 'smt_' || md5(id || n), {columns}"
        " from smiths, generate_series(1, 300) n where external_id = 'first' and project_id = %s",
        fresh.id,
    )
    told = await attach(fresh.api, agent["id"], all=True)
    assert (told["count"], len(told["attached"])) == (301, 200)
    assert ok(await fresh.api.get(f"/v1/agents/{agent['id']}"))["smith_count"] == 301
    assert world.ask("select agent_id = %s from smiths where id = %s", agent["id"], gone["id"]) == [(False,)]


async def test_twelve_racing_attaches_come_to_one_end(world: World, fresh: Tenant) -> None:
    one, other = await fresh.agent(), await fresh.agent()
    smiths = [(await fresh.smith(external_id=f"user-{number}"))["id"] for number in range(6)]
    told = await asyncio.gather(
        *[
            attach(
                fresh.api, (one, other)[number % 2]["id"], **({"all": True} if number % 3 else {"smith_ids": smiths})
            )
            for number in range(12)
        ]
    )
    assert {roster["count"] for roster in told} == {6}
    ((agents,),) = world.ask("select array_agg(distinct agent_id) from smiths where project_id = %s", fresh.id)
    assert agents in ([one["id"]], [other["id"]])


async def test_if_one_smith_is_not_there_none_is_attached(api: Client, project: Tenant, other: Tenant) -> None:
    agent, mine, foreign = await project.agent(), await project.smith(), await other.smith()
    for missing in (foreign["id"], new_id("smt")):
        asked = {"smith_ids": [mine["id"], missing]}
        told = error(await api.post(f"/v1/agents/{agent['id']}/attach", json=asked), 404, "not_found")
        assert missing in told["message"]
    assert ok(await api.get(f"/v1/smiths/{mine['id']}"))["agent_id"] != agent["id"]


@pytest.mark.parametrize("both_move", [False, True])
async def test_if_a_person_would_have_two_smiths_none_is_attached(fresh: Tenant, both_move: bool) -> None:
    agent, elsewhere = await fresh.agent(), await fresh.agent()
    there = await fresh.smith(agent_id=elsewhere["id"] if both_move else agent["id"], external_id="ada")
    mine, bystander = await fresh.smith(external_id="ada"), await fresh.smith(external_id="bob")
    named = {"smith_ids": [mine["id"], bystander["id"], there["id"]]}
    for which in (named, {"all": True}):
        told = error(await fresh.api.post(f"/v1/agents/{agent['id']}/attach", json=which), 409, "smith_exists")
        assert "ada" in told["message"]
        for smith in (mine, bystander):
            assert ok(await fresh.api.get(f"/v1/smiths/{smith['id']}"))["agent_id"] == smith["agent_id"]


@pytest.mark.parametrize("which", [{}, {"smith_ids": []}, {"all": True, "smith_ids": ["smt_1"]}])
async def test_a_call_says_which_smiths(api: Client, project: Tenant, which: dict[str, Any]) -> None:
    agent = await project.agent()
    error(await api.post(f"/v1/agents/{agent['id']}/attach", json=which), 422, "invalid_attachment", "smith_ids")


async def test_no_more_than_a_thousand_are_named_at_once(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    asked = {"smith_ids": [f"smt_{number}" for number in range(1001)]}
    error(await api.post(f"/v1/agents/{agent['id']}/attach", json=asked), 422, "schema_error", "smith_ids")


async def test_nothing_is_attached_to_another_s_agent(api: Client, project: Tenant, other: Tenant) -> None:
    foreign, mine = await other.agent(), await project.smith()
    asked = {"smith_ids": [mine["id"]]}
    error(await api.post(f"/v1/agents/{foreign['id']}/attach", json=asked), 404, "not_found")


async def test_an_agent_is_made_from_what_a_smith_runs_with(api: Client, project: Tenant) -> None:
    agent = await project.agent(instructions="agent's", variables=[{"name": "city"}])
    smith = await project.smith(agent_id=agent["id"], model="test/slow", auto_memory=False)
    made = ok(await api.post("/v1/agents/import", json={"from_smith": smith["id"], "name": "Like Ada's"}))
    assert (made["name"], made["slug"], made["active_version"]) == ("Like Ada's", "like-ada-s", None)
    assert made["draft"] == agent["draft"] | {
        "model": "test/slow", "auto_memory": False, "memory_consolidation": False,
    }  # fmt: skip
    ok(await api.post(f"/v1/agents/{made['id']}/versions"))
    copy = await project.smith(agent_id=made["id"])
    fields = ("model", "instructions", "auto_memory", "memory_consolidation", "skills")
    assert [copy[field] for field in fields] == [smith[field] for field in fields]


async def test_no_agent_is_made_from_a_smith_that_is_not_there(api: Client, other: Tenant) -> None:
    for smith_id in ((await other.smith())["id"], new_id("smt")):
        asked = {"from_smith": smith_id, "name": "Mine"}
        error(await api.post("/v1/agents/import", json=asked), 404, "not_found")
