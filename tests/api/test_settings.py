"""Settings: what a project says, and what holds where it says nothing."""

import asyncio
from typing import Any

import pytest

from tests.world import Client, Tenant, World, error, ok

PATH = "/v1/tenant/settings"


@pytest.fixture
async def fresh(world: World, organization_api: Client) -> Client:
    """The tenant-admin of a project that has said nothing yet."""
    made = ok(await organization_api.post("/v1/organization/projects", json={"name": "Fresh"}))
    token = ok(await organization_api.post(f"/v1/organization/projects/{made['id']}/tokens"))
    client = world.client(token["token"])
    ok(await client.patch(PATH, json={"default_model": None, "embedding_model": None, "limits": None}))
    return client


async def test_unset_is_null_beside_what_holds(fresh: Client) -> None:
    shown = ok(await fresh.get(PATH))
    assert set(shown) == {"default_model", "embedding_model", "limits", "retention", "platform_defaults"}
    assert shown["default_model"] is None
    assert set(shown["limits"].values()) == {None}
    assert shown["platform_defaults"]["default_model"] == "local/smollm2-135m"
    limits = shown["platform_defaults"]["limits"]
    assert (limits["max_steps"], limits["max_seconds"], limits["max_input_bytes"]) == (25, 600, 1_048_576)
    kept = {"runs_days": None, "events_days": 90, "threads_days": None, "deliveries_days": 30, "traces_days": 30}
    assert shown["platform_defaults"]["retention"] == kept
    assert shown["retention"] == dict.fromkeys(kept)


async def test_one_setting_leaves_the_others(fresh: Client) -> None:
    ok(await fresh.patch(PATH, json={"limits": {"max_steps": 3, "max_seconds": 9}, "default_model": "test/echo"}))
    shown = ok(await fresh.patch(PATH, json={"limits": {"max_steps": 4}}))
    assert (shown["limits"]["max_steps"], shown["limits"]["max_seconds"]) == (4, 9)
    assert shown["default_model"] == "test/echo"


async def test_null_puts_back_what_the_platform_says(fresh: Client) -> None:
    ok(await fresh.patch(PATH, json={"limits": {"max_steps": 3, "max_seconds": 9}, "default_model": "test/echo"}))
    shown = ok(await fresh.patch(PATH, json={"limits": {"max_steps": None}, "default_model": None}))
    assert (shown["limits"]["max_steps"], shown["limits"]["max_seconds"], shown["default_model"]) == (None, 9, None)
    assert set(ok(await fresh.patch(PATH, json={"limits": None}))["limits"].values()) == {None}


async def test_racing_changes_all_last(fresh: Client) -> None:
    changes = [{"limits": {"max_steps": 7}}, {"limits": {"max_seconds": 8}}, {"retention": {"runs_days": 9}}]
    for answer in await asyncio.gather(*[fresh.patch(PATH, json=change) for change in changes]):
        ok(answer)
    shown = ok(await fresh.get(PATH))
    assert (shown["limits"]["max_steps"], shown["limits"]["max_seconds"]) == (7, 8)
    assert shown["retention"]["runs_days"] == 9


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"default_model": ""}, "default_model"),
        ({"default_model": "x" * 201}, "default_model"),
        ({"embedding_model": ""}, "embedding_model"),
        ({"limits": {"max_steps": 0}}, "limits.max_steps"),
        ({"limits": {"max_steps": 10**12}}, "limits.max_steps"),
        ({"limits": {"max_seconds": 86_401}}, "limits.max_seconds"),
        ({"limits": {"max_input_bytes": 1_048_577}}, "limits.max_input_bytes"),
        ({"limits": {"max_wishes": 3}}, "limits.max_wishes"),
        ({"retention": {"runs_days": 0}}, "retention.runs_days"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_refused(api: Client, change: dict[str, Any], param: str) -> None:
    before = ok(await api.get(PATH))
    error(await api.patch(PATH, json=change), 422, "schema_error", param)
    assert ok(await api.get(PATH)) == before


async def test_nothing_to_change_says_so(api: Client) -> None:
    error(await api.patch(PATH, json={}), 422, "nothing_to_update")


async def test_the_default_model_is_what_default_means(project: Tenant) -> None:
    smith = await project.smith()
    assert smith["model"] == "default"
    assert (await project.run(smith["id"]))["model"] == "test/echo"


async def test_an_input_larger_than_the_setting_is_refused(project: Tenant) -> None:
    smith = await project.smith()
    ok(await project.api.patch(PATH, json={"limits": {"max_input_bytes": 100}}))
    body = {"input": [{"role": "user", "content": "ü" * 100}]}
    error(await project.api.post(f"/v1/smiths/{smith['id']}/runs", json=body), 413, "payload_too_large", "input")
    ok(await project.api.patch(PATH, json={"limits": None}))


async def test_another_embedding_model_is_shown_with_how_far_it_has_come(fresh: Client) -> None:
    ok(await fresh.patch(PATH, json={"embedding_model": "openai/text-embedding-3-small"}))
    told = {"model": "openai/text-embedding-3-small", "texts": 0, "embedded": 0, "smiths_waiting": 0, "error": None}
    assert ok(await fresh.get(f"{PATH}/embeddings")) == told
