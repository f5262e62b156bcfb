"""Agents: a draft, versions that never change, and which of them is live."""

import asyncio
from typing import Any

import pytest

from tests.world import Client, Tenant, World, error, ok

DRAFT = {
    "instructions": "Be kind.",
    "model": "test/echo",
    "enabled_hosted_tools": ["search"],
    "vector_store_ids": ["vs_1"],
    "mcp_servers": ["files"],
    "skills": [{"skill_id": "skl_1", "version": 2}, {"skill_id": "skl_2", "version": None}],
    "auto_memory": False,
    "memory_consolidation": True,
    "variables": [{"name": "city", "default": "Rome", "description": "where", "required": False}],
    "ui_resources": [],
    "client_tools": [{"name": "open_page", "description": "Opens a page.", "parameters": {"type": "object"}}],
    "approval_policy": [
        {"match": "send_*", "require": "approval", "approver": "smith", "expires_in_seconds": 60, "four_eyes": False}
    ],
    "fallback_models": ["test/slow"],
    "cheaper_model": "test/echo",
    "model_settings": {"temperature": 0.5, "max_tokens": 100, "reasoning_effort": "low"},
}


EVERYTHING = "select (select count(*) from agents), (select count(*) from audit), (select count(*) from events)"


async def test_a_project_has_a_default_agent_from_the_start(world: World) -> None:
    fresh = await world.tenant("Fresh")
    (default,) = ok(await fresh.api.get("/v1/agents"))["data"]
    assert (default["slug"], default["is_default"], default["active_version"]) == (None, True, 1)
    error(await fresh.api.delete(f"/v1/agents/{default['id']}"), 409, "default_agent")
    assert (await fresh.smith())["agent_id"] == default["id"]


async def test_an_agent_is_shown_as_the_contract_says(api: Client) -> None:
    made = ok(await api.post("/v1/agents", json={"name": "Whole", **DRAFT}))
    assert set(made) == {
        "id", "slug", "name", "is_default", "draft", "active_version", "rollout_version", "rollout_percent",
        "previous_version", "guard", "halted", "smith_count", "last_activity_at", "created_at", "updated_at",
    }  # fmt: skip
    assert made["draft"] == DRAFT
    assert (made["active_version"], made["rollout_version"], made["rollout_percent"]) == (None, None, 0)
    assert (made["previous_version"], made["guard"], made["halted"]) == (None, None, None)
    assert (made["smith_count"], made["last_activity_at"], made["is_default"]) == (0, None, False)
    assert ok(await api.get(f"/v1/agents/{made['id']}")) == made


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Support", "support"),
        ("  Sales & Marketing!  ", "sales-marketing"),
        ("日本語", "agent"),
        ("x" * 100, "x" * 63),
        ("y" * 62 + "--z", "y" * 62),
        ("---", "agent-2"),
        ("Support", "support-2"),
        ("x" * 100, "x" * 61 + "-2"),
    ],
)
async def test_a_slug_is_made_from_the_name(api: Client, name: str, slug: str) -> None:
    assert ok(await api.post("/v1/agents", json={"name": name}))["slug"] == slug


@pytest.mark.parametrize("slug", ["", "A", "-a", "a-", "a b", "ä", "a_b", "a" * 64, "a\n"])
async def test_a_slug_has_a_grammar(api: Client, slug: str) -> None:
    error(await api.post("/v1/agents", json={"name": "x", "slug": slug}), 422, "invalid_slug", "slug")


async def test_a_slug_is_unique_among_the_live(api: Client, other_api: Client) -> None:
    made = ok(await api.post("/v1/agents", json={"name": "x", "slug": "only"}))
    error(await api.post("/v1/agents", json={"name": "y", "slug": "only"}), 409, "agent_exists", "slug")
    ok(await other_api.post("/v1/agents", json={"name": "y", "slug": "only"}))
    ok(await api.delete(f"/v1/agents/{made['id']}"))
    ok(await api.post("/v1/agents", json={"name": "y", "slug": "only"}))


async def test_racing_creates_of_one_name_get_slugs_of_their_own(api: Client) -> None:
    answers = await asyncio.gather(*[api.post("/v1/agents", json={"name": "Racer"}) for _ in range(8)])
    assert len({ok(answer)["slug"] for answer in answers}) == 8


async def test_racing_creates_of_one_slug_make_one_agent(api: Client) -> None:
    body = {"name": "Racer", "slug": "the-one"}
    answers = await asyncio.gather(*[api.post("/v1/agents", json=body) for _ in range(12)])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11


async def test_a_patch_edits_draft_and_name_and_leaves_the_rest(api: Client) -> None:
    made = ok(await api.post("/v1/agents", json={"name": "Before", **DRAFT}))
    changed = ok(await api.patch(f"/v1/agents/{made['id']}", json={"name": "After", "instructions": None}))
    assert (changed["name"], changed["slug"]) == ("After", made["slug"])
    assert changed["draft"] == DRAFT | {"instructions": None}
    assert changed["updated_at"] > made["updated_at"]
    error(await api.patch(f"/v1/agents/{made['id']}", json={"slug": "new"}), 422, "schema_error", "slug")
    error(await api.patch(f"/v1/agents/{made['id']}", json={}), 422, "nothing_to_update")


async def test_an_agent_that_smiths_run_can_not_be_deleted(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    smiths = [await project.smith(agent_id=agent["id"]) for _ in range(2)]
    told = error(await api.delete(f"/v1/agents/{agent['id']}"), 409, "agent_in_use")
    assert told["message"].startswith("2 live smiths")
    for smith in smiths:
        ok(await api.delete(f"/v1/smiths/{smith['id']}"))
    assert (await api.delete(f"/v1/agents/{agent['id']}")).status_code == 204
    error(await api.get(f"/v1/agents/{agent['id']}"), 404, "not_found")
    error(await api.post("/v1/smiths", json={"agent_id": agent["id"]}), 404, "not_found")


async def test_no_smith_is_left_without_its_agent_by_a_race(api: Client, project: Tenant) -> None:
    for _ in range(5):
        agent = await project.agent()
        deleted, made = await asyncio.gather(
            api.delete(f"/v1/agents/{agent['id']}"), api.post("/v1/smiths", json={"agent_id": agent["id"]})
        )
        assert {deleted.status_code, made.status_code} in ({204, 404}, {409, 201}), (deleted.text, made.text)


async def test_how_an_agent_is_used_is_counted(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    smith = await project.smith(agent_id=agent["id"])
    run = await project.run(smith["id"])
    shown = ok(await api.get(f"/v1/agents/{agent['id']}"))
    assert (shown["smith_count"], shown["last_activity_at"]) == (1, run["created_at"])


@pytest.mark.parametrize(
    "change",
    [
        {"instructions": "x" * 100_001},
        {"model": ""},
        {"model_settings": {"temperature": 3}},
        {"model_settings": {"reasoning_effort": "huge"}},
        {"variables": [{"name": "not a name"}]},
        {"variables": [{"name": "city"}, {"name": "city"}]},
        {"client_tools": [{"name": "open"}, {"name": "open"}]},
        {"approval_policy": [{"match": ""}]},
        {"approval_policy": [{"match": "x", "expires_in_seconds": 0}]},
        {"client_tools": [{"name": ""}]},
        {"client_tools": [{"name": "x", "parameters": {"type": "string"}}]},
        {"client_tools": [{"name": "x", "parameters": {"type": "object", "properties": {"y": {"type": "nothing"}}}}]},
        {"client_tools": [{"name": "x", "parameters": {"type": "object", "$ref": "http://localhost/schema"}}]},
        {"skills": ["skl_1"]},
        {"name": ""},
        {"name": "x" * 121},
    ],
)
async def test_a_design_that_makes_no_sense_is_refused_and_leaves_nothing(
    world: World, api: Client, change: dict[str, Any]
) -> None:
    before = world.ask(EVERYTHING)
    error(await api.post("/v1/agents", json={"name": "x"} | change), 422, "schema_error")
    assert world.ask(EVERYTHING) == before


async def test_instructions_of_five_megabytes_are_refused_and_leave_nothing(world: World, api: Client) -> None:
    before = world.ask(EVERYTHING)
    error(await api.post("/v1/agents", json={"name": "x", "instructions": "x" * 5_000_000}), 413, "payload_too_large")
    assert world.ask(EVERYTHING) == before


async def test_what_is_done_to_an_agent_is_written_down(world: World, api: Client) -> None:
    agent = ok(await api.post("/v1/agents", json={"name": "Noted"}))
    ok(await api.patch(f"/v1/agents/{agent['id']}", json={"model": "test/echo"}))
    ok(await api.delete(f"/v1/agents/{agent['id']}"))
    noted = "select action, actor ->> 'kind', details from audit where resource_id = %s order by id"
    assert world.ask(noted, agent["id"]) == [
        ("agent.created", "tenant", {"name": "Noted", "slug": "noted"}),
        ("agent.changed", "tenant", {"fields": ["model"]}),
        ("agent.archived", "tenant", {}),
    ]
