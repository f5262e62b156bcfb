"""Smiths: one private clone for each person and agent."""

import asyncio
from typing import Any

import pytest

from tests.world import Client, Tenant, World, error, ok


async def test_a_smith_is_shown_as_the_contract_says(api: Client, project: Tenant) -> None:
    made = await project.smith(external_id="u1", display_name="Ann", locale="de-AT", timezone="Europe/Vienna")
    assert {
        "id", "external_id", "display_name", "locale", "timezone", "customer_id", "metadata", "model", "instructions",
        "rendered_instructions", "enabled_hosted_tools", "vector_store_ids", "mcp_servers", "skills", "auto_memory",
        "memory_consolidation", "config_source", "agent_id", "agent_version", "pin", "override_keys", "inherited",
        "created_at",
    } <= set(made)  # fmt: skip
    assert (made["model"], made["auto_memory"], made["memory_consolidation"]) == ("default", True, False)
    assert (made["config_source"], made["override_keys"], made["agent_version"], made["pin"]) == ("agent", [], 1, None)
    assert made["metadata"] == {}
    assert ok(await api.get(f"/v1/smiths/{made['id']}")) == made


async def test_a_pair_that_lives_is_answered_unchanged(api: Client) -> None:
    first = await api.post("/v1/smiths", json={"external_id": "pair", "display_name": "First"})
    again = await api.post("/v1/smiths", json={"external_id": "pair", "display_name": "Second", "model": "gpt-x"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


async def test_the_same_person_has_a_smith_for_each_agent(project: Tenant) -> None:
    agent = await project.agent()
    one, two = await project.smith(external_id="both"), await project.smith(external_id="both", agent_id=agent["id"])
    assert one["id"] != two["id"]


async def test_without_an_external_id_every_smith_is_new(project: Tenant) -> None:
    assert (await project.smith())["id"] != (await project.smith())["id"]


async def test_twelve_racing_creates_make_one_smith(world: World, api: Client) -> None:
    answers = await asyncio.gather(*[api.post("/v1/smiths", json={"external_id": "race"}) for _ in range(12)])
    assert len({ok(answer)["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert world.ask("select count(*) from smiths where external_id = 'race'") == [(1,)]


async def test_creates_that_race_with_a_delete_always_find_a_smith(api: Client) -> None:
    for _ in range(4):
        smith = ok(await api.post("/v1/smiths", json={"external_id": "torn"}))
        answers = await asyncio.gather(
            api.delete(f"/v1/smiths/{smith['id']}"),
            *[api.post("/v1/smiths", json={"external_id": "torn"}) for _ in range(6)],
        )
        assert all(answer.is_success for answer in answers), [answer.text for answer in answers]


async def test_a_smith_inherits_what_it_does_not_override(api: Client, project: Tenant) -> None:
    agent = await project.agent(instructions="agent's", enabled_hosted_tools=["search"])
    smith = await project.smith(agent_id=agent["id"], instructions="mine", metadata={"plan": "pro"})
    assert (smith["instructions"], smith["enabled_hosted_tools"]) == ("mine", ["search"])
    assert (smith["config_source"], smith["override_keys"]) == ("override", ["instructions"])
    assert smith["inherited"]["instructions"] == "agent's"
    ok(await api.patch(f"/v1/agents/{agent['id']}", json={"instructions": "new", "enabled_hosted_tools": ["mail"]}))
    assert ok(await api.get(f"/v1/smiths/{smith['id']}"))["enabled_hosted_tools"] == ["search"]
    ok(await api.post(f"/v1/agents/{agent['id']}/versions"))
    ok(await api.post(f"/v1/agents/{agent['id']}/rollout", json={"version": 2}))
    shown = ok(await api.get(f"/v1/smiths/{smith['id']}"))
    assert (shown["instructions"], shown["enabled_hosted_tools"], shown["agent_version"]) == ("mine", ["mail"], 2)
    assert shown["inherited"]["instructions"] == "new"


async def test_null_takes_an_override_back(api: Client, project: Tenant) -> None:
    agent = await project.agent(instructions="agent's")
    smith = await project.smith(agent_id=agent["id"], instructions="mine", model="test/slow", auto_memory=False)
    assert smith["override_keys"] == ["auto_memory", "instructions", "model"]
    path = f"/v1/smiths/{smith['id']}"
    shown = ok(await api.patch(path, json={"instructions": None, "auto_memory": None}))
    assert (shown["instructions"], shown["auto_memory"], shown["override_keys"]) == ("agent's", True, ["model"])
    shown = ok(await api.patch(path, json={"model": None}))
    assert (shown["model"], shown["config_source"]) == ("test/echo", "agent")


async def test_an_empty_value_is_an_override_too(project: Tenant) -> None:
    agent = await project.agent(instructions="agent's", enabled_hosted_tools=["search"])
    smith = await project.smith(agent_id=agent["id"], instructions="", enabled_hosted_tools=[])
    assert (smith["instructions"], smith["enabled_hosted_tools"]) == ("", [])


async def test_the_profile_can_be_changed_and_the_external_id_not(api: Client, project: Tenant) -> None:
    customer = await project.customer()
    smith = await project.smith(external_id="fixed", customer_id=customer, metadata={"a": 1}, locale="de")
    path = f"/v1/smiths/{smith['id']}"
    error(await api.patch(path, json={"external_id": "other"}), 422, "schema_error", "external_id")
    shown = ok(await api.patch(path, json={"display_name": "Ann", "metadata": {"b": 2}}))
    assert (shown["display_name"], shown["metadata"], shown["locale"]) == ("Ann", {"b": 2}, "de")
    assert ok(await api.patch(path, json={"customer_id": ""}))["customer_id"] is None
    assert ok(await api.patch(path, json={"metadata": None, "locale": None}))["metadata"] == {}
    error(await api.patch(path, json={}), 422, "nothing_to_update")


async def test_racing_patches_of_different_fields_both_last(api: Client, project: Tenant) -> None:
    smith = await project.smith()
    changes: list[dict[str, Any]] = [
        {"instructions": "x"}, {"model": "test/slow"}, {"auto_memory": False}, {"cheaper_model": "y"},
    ]  # fmt: skip
    path = f"/v1/smiths/{smith['id']}"
    for answer in await asyncio.gather(*[api.patch(path, json=change) for change in changes]):
        ok(answer)
    assert set(ok(await api.get(path))["override_keys"]) == {field for change in changes for field in change}


async def test_a_deleted_smith_frees_its_external_id(api: Client, project: Tenant) -> None:
    smith = await project.smith(external_id="freed")
    assert (await api.delete(f"/v1/smiths/{smith['id']}")).status_code == 204
    error(await api.get(f"/v1/smiths/{smith['id']}"), 404, "not_found")
    error(await api.patch(f"/v1/smiths/{smith['id']}", json={"locale": "de"}), 404, "not_found")
    error(await api.delete(f"/v1/smiths/{smith['id']}"), 404, "not_found")
    again = await api.post("/v1/smiths", json={"external_id": "freed"})
    assert again.status_code == 201
    assert again.json()["id"] != smith["id"]


async def test_a_pin_holds_a_smith_where_it_is(api: Client, project: Tenant) -> None:
    agent = await project.agent(instructions="one")
    path = f"/v1/agents/{agent['id']}"
    ok(await api.patch(path, json={"instructions": "two"}))
    ok(await api.post(f"{path}/versions"))
    smith = await project.smith(agent_id=agent["id"], pin=1)
    ok(await api.post(f"{path}/rollout", json={"version": 2}))
    assert ok(await api.get(f"/v1/smiths/{smith['id']}"))["instructions"] == "one"
    freed = ok(await api.patch(f"/v1/smiths/{smith['id']}", json={"pin": None}))
    assert (freed["instructions"], freed["pin"]) == ("two", None)
    error(await api.patch(f"/v1/smiths/{smith['id']}", json={"pin": 9}), 422, "invalid_pin", "pin")


async def test_a_smith_can_change_its_agent_and_loses_the_pin(api: Client, project: Tenant) -> None:
    one, two = await project.agent(), await project.agent(instructions="two")
    smith = await project.smith(agent_id=one["id"], pin=1, external_id="mover")
    moved = ok(await api.patch(f"/v1/smiths/{smith['id']}", json={"agent_id": two["id"]}))
    assert (moved["agent_id"], moved["instructions"], moved["pin"]) == (two["id"], "two", None)


@pytest.mark.parametrize("change", [{}, {"pin": 1}, {"model": "test/slow"}])
async def test_a_smith_can_not_move_to_where_the_person_has_one(
    api: Client, project: Tenant, change: dict[str, Any]
) -> None:
    one, two = await project.agent(), await project.agent()
    smith = await project.smith(agent_id=one["id"], external_id="twin")
    await project.smith(agent_id=two["id"], external_id="twin")
    answer = await api.patch(f"/v1/smiths/{smith['id']}", json={"agent_id": two["id"]} | change)
    error(answer, 409, "smith_exists", "agent_id")


async def test_a_smith_of_an_agent_never_published_waits_for_it(api: Client, project: Tenant) -> None:
    agent = await project.agent(publish=False)
    smith = await project.smith(agent_id=agent["id"])
    assert (smith["agent_version"], smith["inherited"]) == (None, None)
    said = {"input": [{"role": "user", "content": "hello"}]}
    error(await api.post(f"/v1/smiths/{smith['id']}/runs", json=said), 422, "agent_unpublished")
    ok(await api.post(f"/v1/agents/{agent['id']}/versions"))
    assert (await project.run(smith["id"]))["status"] == "completed"


async def test_smiths_are_found_by_what_they_are(api: Client, project: Tenant) -> None:
    agent, customer = await project.agent(), await project.customer()
    made = {
        name: (await project.smith(external_id=name, agent_id=agent["id"], customer_id=customer))["id"]
        for name in ("anon:1", "anon:2", "anon%", "anonymous", "an_n:3")
    }

    async def found(**filters: str) -> set[str]:
        page = ok(await api.get("/v1/smiths", params={"agent_id": agent["id"], **filters}))
        return {name for name, id in made.items() if id in {one["id"] for one in page["data"]}}

    assert await found() == set(made)
    assert await found(external_id="anon:1") == {"anon:1"}
    assert await found(external_id_prefix="anon:") == {"anon:1", "anon:2"}
    assert await found(external_id_prefix="anon%") == {"anon%"}
    assert await found(external_id_prefix="an_n") == {"an_n:3"}
    assert await found(customer_id=customer) == set(made)
    assert await found(external_id="anon:1", customer_id="c-xx") == set()
    assert ok(await api.get("/v1/smiths", params={"agent_id": "agt_none"}))["data"] == []


async def test_ten_thousand_letters_are_no_name(api: Client) -> None:
    for field, most in (("external_id", 200), ("display_name", 200), ("locale", 35), ("timezone", 64)):
        ok(await api.post("/v1/smiths", json={field: "x" * most}))
        error(await api.post("/v1/smiths", json={field: "x" * (most + 1)}), 422, "schema_error", field)
