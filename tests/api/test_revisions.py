"""Revisions: what a smith's own config has been, and how it comes back. And the words its instructions become."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ingram_app.core.database import Tenancy, execute, transaction
from tests.world import Client, Tenant, World, error, ok


async def revisions(api: Client, smith_id: str) -> list[dict[str, Any]]:
    return list(ok(await api.get(f"/v1/smiths/{smith_id}/revisions"))["data"])


async def test_every_change_of_the_config_is_a_revision_and_a_profile_is_none(api: Client, project: Tenant) -> None:
    smith = await project.smith(instructions="one", display_name="Ann")
    path = f"/v1/smiths/{smith['id']}"
    for change in ({"instructions": "two"}, {"display_name": "Bea", "metadata": {"a": 1}}, {"pin": 1}, {"pin": 1}):
        ok(await api.patch(path, json=change))
    found = await revisions(api, smith["id"])
    assert [one["version"] for one in found] == [3, 2, 1]
    assert found[0]["snapshot"] == {"agent_id": smith["agent_id"], "pin": 1, "overrides": {"instructions": "two"}}
    assert found[2]["snapshot"]["overrides"] == {"instructions": "one"}
    assert found[0]["created_by"]["kind"] == "tenant"


async def test_a_restored_revision_is_the_newest(api: Client, project: Tenant) -> None:
    agent = await project.agent(instructions="agent's")
    smith = await project.smith(instructions="one", metadata={"plan": "pro"})
    path = f"/v1/smiths/{smith['id']}"
    ok(await api.patch(path, json={"agent_id": agent["id"], "instructions": None, "auto_memory": False, "pin": 1}))
    ok(await api.patch(path, json={"metadata": {"plan": "basic"}}))
    back = ok(await api.post(f"{path}/revisions/1/restore", json={"note": "as it was"}))
    assert (back["agent_id"], back["pin"], back["override_keys"]) == (smith["agent_id"], None, ["instructions"])
    assert (back["instructions"], back["metadata"]) == ("one", {"plan": "basic"})
    found = await revisions(api, smith["id"])
    assert [(one["version"], one["note"]) for one in found] == [(3, "as it was"), (2, None), (1, None)]
    assert found[0]["snapshot"] == found[2]["snapshot"]


async def test_smiths_that_are_attached_to_another_agent_have_a_revision_each(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    smiths = [await project.smith(pin=1), await project.smith(agent_id=agent["id"]), await project.smith()]
    named = {"smith_ids": [smith["id"] for smith in smiths[:2]]}
    ok(await api.post(f"/v1/agents/{agent['id']}/attach", json=named))
    found = [await revisions(api, smith["id"]) for smith in smiths]
    assert [len(one) for one in found] == [2, 1, 1]
    assert found[0][0]["snapshot"] == {"agent_id": agent["id"], "pin": None, "overrides": {}}
    back = ok(await api.post(f"/v1/smiths/{smiths[0]['id']}/revisions/1/restore"))
    assert (back["agent_id"], back["pin"]) == (smiths[0]["agent_id"], 1)


async def test_to_restore_what_is_so_already_adds_nothing(api: Client, project: Tenant) -> None:
    smith = await project.smith(instructions="one")
    ok(await api.post(f"/v1/smiths/{smith['id']}/revisions/1/restore"))
    assert len(await revisions(api, smith["id"])) == 1


async def test_what_can_not_come_back_leaves_everything_as_it_was(api: Client, project: Tenant) -> None:
    gone, agent = await project.agent(), await project.agent()
    smith = await project.smith(agent_id=gone["id"], external_id="back")
    path = f"/v1/smiths/{smith['id']}"
    ok(await api.patch(path, json={"agent_id": agent["id"]}))
    twin = await project.smith(agent_id=gone["id"], external_id="back")
    error(await api.post(f"{path}/revisions/1/restore"), 409, "smith_exists")
    ok(await api.delete(f"/v1/smiths/{twin['id']}"))
    ok(await api.delete(f"/v1/agents/{gone['id']}"))
    for version in ("1", "9", "0", "-1", str(2**40)):
        error(await api.post(f"{path}/revisions/{version}/restore"), 404, "not_found")
    error(await api.post(f"{path}/revisions/x/restore"), 422, "schema_error")
    assert len(await revisions(api, smith["id"])) == 2


async def test_a_revision_can_not_be_changed(project: Tenant) -> None:
    smith = await project.smith()
    change = text("update smith_revisions set note = 'x' where smith_id = :id")
    with pytest.raises(DBAPIError, match="can not be changed"):
        async with transaction(Tenancy(project_id=project.id)) as session:
            await execute(session, change, {"id": smith["id"]})


async def test_every_deed_is_written_down_with_who_did_it(world: World, api: Client, project: Tenant) -> None:
    smith = await project.smith(external_id="noted-4711")
    path = f"/v1/smiths/{smith['id']}"
    ok(await api.patch(path, json={"model": "test/echo"}))
    ok(await api.post(f"{path}/revisions/1/restore"))
    token = await project.smith_token(smith["id"], "runs:read")
    for _ in range(2):
        ok(await api.delete(f"/v1/tenant/tokens/{token['id']}"))
    ok(await api.delete(path))
    noted = "select action, actor->>'kind', details::text from audit where resource_id in (%s, %s) order by id"
    rows = world.ask(noted, smith["id"], token["id"])
    assert [row[0] for row in rows] == [
        "smith.created", "smith.changed", "smith.restored", "token.minted", "token.revoked", "smith.archived",
    ]  # fmt: skip
    assert {row[1] for row in rows} == {"tenant"}
    assert "noted-4711" not in str(rows)  # the log outlives the person, and names nobody
    told = "select type from events where smith_id = %s order by position"
    assert world.ask(told, smith["id"]) == [("smith.created",), ("smith.archived",)]


async def test_config_source_says_whose_the_config_is(api: Client, project: Tenant) -> None:
    smith = await project.smith()
    assert smith["config_source"] == "agent"
    path = f"/v1/smiths/{smith['id']}"
    assert ok(await api.patch(path, json={"instructions": "mine"}))["config_source"] == "override"
    everything = {field: smith[field] for field in smith["inherited"]} | {"mcp_servers": [], "instructions": "mine"}
    everything |= {"cheaper_model": "test/echo"}
    assert ok(await api.patch(path, json=everything))["config_source"] == "custom"
    agent = await project.agent(publish=False)
    assert (await project.smith(agent_id=agent["id"]))["config_source"] == "agent"
    assert (await project.smith(agent_id=agent["id"], model="test/echo"))["config_source"] == "custom"


async def test_instructions_are_shown_and_sent_with_their_variables_filled_in(
    world: World, api: Client, project: Tenant
) -> None:
    variables = [{"name": "plan", "required": True}, {"name": "tone", "default": "kind"}]
    agent = await project.agent(
        instructions="Be {{ tone }} to {{ display_name }} ({{external_id}}, {{ plan }}). {{ unknown }}",
        variables=variables,
    )
    smith = await project.smith(agent_id=agent["id"], external_id="u-1", display_name="Ann", metadata={"plan": "gold"})
    rendered = "Be kind to Ann (u-1, gold). {{ unknown }}"
    assert smith["rendered_instructions"] == rendered
    assert smith["instructions"] != rendered
    run = await project.run(smith["id"], "hello")
    assert run["warnings"] == []
    assert run["usage"]["input_tokens"] == len(rendered.split()) + 1
    kept = "select rendered_instructions from runs where id = %s"
    assert world.ask(kept, run["id"]) == [(rendered,)]
    path = f"/v1/smiths/{smith['id']}"
    assert ok(await api.patch(path, json={"metadata": None}))["rendered_instructions"].count("()") == 0
    run = await project.run(smith["id"], "hello")
    assert [warning["code"] for warning in run["warnings"]] == ["variable_missing"]
    own = ok(await api.patch(path, json={"variables": [{"name": "plan", "default": "mine"}]}))
    assert "(u-1, mine)" in own["rendered_instructions"]
    assert own["override_keys"] == ["variables"]


async def test_a_run_without_variables_keeps_no_second_copy(world: World, project: Tenant) -> None:
    run = await project.run((await project.smith(instructions="Be brief."))["id"])
    assert world.ask("select rendered_instructions from runs where id = %s", run["id"]) == [(None,)]


async def test_a_variable_that_names_itself_is_refused(api: Client) -> None:
    own = {"variables": [{"name": "x", "default": "{{ x }}"}]}
    error(await api.post("/v1/smiths", json=own), 422, "schema_error")
    error(await api.post("/v1/agents", json={"name": "Loop"} | own), 422, "schema_error")
