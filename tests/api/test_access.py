"""Permissions: a token does what it was given, and nothing else."""

import pytest

from ingram_app.domain.access import PERMISSIONS
from tests.api.routes import BODIES, NAMES, RUN
from tests.world import Client, Tenant, World, error, ok

NEEDED = {
    "POST /v1/smiths/{smith_id}/runs": "runs:write",
    "GET /v1/smiths/{smith_id}/runs": "runs:read",
    "GET /v1/smiths/{smith_id}/runs/{run_id}": "runs:read",
    "GET /v1/smiths/{smith_id}/runs/{run_id}/events": "runs:read",
    "POST /v1/smiths/{smith_id}/runs/{run_id}/submit": "runs:write",
    "GET /v1/runs": "runs:read",
    "POST /v1/smiths/{smith_id}/runs/{run_id}/replay": "runs:write",
    "GET /v1/approvals": "approvals:read",
    "GET /v1/traces": "traces:read",
    "GET /v1/runs/{run_id}/trace": "traces:read",
    "GET /v1/usage/events": "usage:read",
    "GET /v1/tenant/models": "model_keys:read",
    "GET /v1/smiths/{smith_id}/model_keys": "model_keys:read",
    "PUT /v1/smiths/{smith_id}/model_keys/{provider}": "model_keys:write",
    "DELETE /v1/smiths/{smith_id}/model_keys/{provider}": "model_keys:write",
    "GET /v1/smiths/{smith_id}/connections": "connections:read",
    "GET /v1/smiths/{smith_id}/connections/{connection_id}": "connections:read",
    "PATCH /v1/smiths/{smith_id}/connections/{connection_id}": "connections:write",
    "POST /v1/smiths/{smith_id}/connections/{connection_id}/refresh": "connections:write",
    "POST /v1/smiths/{smith_id}/connections/authorize": "connections:write",
}
"""What a smith's token needs for each route that it may use at all."""
PUT_PROVIDER = "PUT /v1/tenant/providers/{provider}"


@pytest.fixture(scope="module")
async def ids(project: Tenant) -> dict[str, str]:
    smith = await project.smith(external_id="user-1")
    run = await project.run(smith["id"])
    ok(await project.api.put("/v1/tenant/providers/{provider}".format(**NAMES), json=BODIES[PUT_PROVIDER]))
    held = BODIES["POST /v1/smiths/{smith_id}/connections"]
    connection = ok(await project.api.post(f"/v1/smiths/{smith['id']}/connections", json=held))
    return NAMES | {"smith_id": smith["id"], "run_id": run["id"], "connection_id": connection["id"]}


async def knock(client: Client, route: str, ids: dict[str, str]) -> int:
    method, _, path = route.partition(" ")
    answer = await client.request(method, path.format(**ids), json=BODIES.get(route))
    if answer.status_code == 403:
        error(answer, 403, "insufficient_scope")
    return answer.status_code


@pytest.mark.parametrize("route", NEEDED)
async def test_a_route_opens_to_its_permission_alone(
    world: World, project: Tenant, ids: dict[str, str], route: str
) -> None:
    ok(await project.api.put(f"/v1/smiths/{ids['smith_id']}/model_keys/openai", json={"api_key": "sk-1"}))
    alone = await project.smith_token(ids["smith_id"], NEEDED[route])
    assert await knock(world.client(alone["token"]), route, ids) in (200, 204, 409)
    all_others = await project.smith_token(ids["smith_id"], *(PERMISSIONS - {NEEDED[route]}))
    assert await knock(world.client(all_others["token"]), route, ids) == 403


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
async def test_a_permission_opens_nothing_but_its_own(
    world: World, project: Tenant, ids: dict[str, str], permission: str
) -> None:
    client = world.client((await project.smith_token(ids["smith_id"], permission))["token"])
    for route, needed in NEEDED.items():
        if needed != permission:
            assert await knock(client, route, ids) == 403, route


async def test_who_may_only_start_runs_is_answered_and_may_stop_them(
    world: World, project: Tenant, ids: dict[str, str]
) -> None:
    client = world.client((await project.smith_token(ids["smith_id"], "runs:write"))["token"])
    path = f"/v1/smiths/{ids['smith_id']}/runs"
    assert ok(await client.post(path, json=RUN))["status"] == "completed"
    assert "run.completed" in (await client.post(path, json=RUN | {"stream": True})).text
    ok(await project.api.patch(f"/v1/smiths/{ids['smith_id']}", json={"model": "test/slow"}))
    said = {"input": [{"role": "user", "content": "[[pause 30s]] wait"}], "background": True}
    run = ok(await client.post(path, json=said))
    stopped = await client.post(f"{path}/{run['id']}/submit", json={"kind": "cancel"})
    assert ok(stopped) == {"id": run["id"], "status": "cancelled"}
    error(await client.get(f"{path}/{run['id']}"), 403, "insufficient_scope")


async def test_a_refusal_names_what_is_missing(world: World, project: Tenant, ids: dict[str, str]) -> None:
    client = world.client((await project.smith_token(ids["smith_id"], "runs:read"))["token"])
    answer = await client.post(f"/v1/smiths/{ids['smith_id']}/runs", json=RUN)
    told = error(answer, 403, "insufficient_scope", None)
    assert "`runs:write`" in told["message"]
    assert told["type"] == "permission_error"
