"""The walls: for every route there is, whoever may not pass gets the right refusal, and changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from ingram_app.core.ids import new_id
from tests.api import routes
from tests.api.routes import Route
from tests.forgery import forgeries
from tests.world import Client, Person, Tenant, World, error, ok

KINDS = {
    "project": "proj",
    "agent": "agt",
    "smith": "smt",
    "run": "run",
    "trace": "trc",
    "thread": "thr",
    "token": "tok",
    "connection": "con",
    "approval": "apr",
    "memory": "mem",
    "webhook": "whk",
    "delivery": "whd",
}
TENANT = pytest.mark.parametrize("route", routes.of_tenants(), ids=str)
GUARDED = pytest.mark.parametrize("route", routes.guarded(), ids=str)
ORGANIZATION = pytest.mark.parametrize("route", routes.of_organizations(), ids=str)


@dataclass
class Estate:
    """Something of every kind that a project can have."""

    ids: dict[str, str]
    person: Person


@pytest.fixture(scope="module")
async def estate(project: Tenant) -> Estate:
    tools = {"enabled_hosted_tools": ["calculator"], "approval_policy": [{"match": "add", "approver": "smith"}]}
    agent = await project.agent(model="test/tools", **tools)
    person = await project.person(agent_id=agent["id"], external_id="user-1")
    run = await project.run(person.id)
    await project.run(person.id, '[[call add {"a": 1, "b": 2}]]')
    [approval] = ok(await project.api.get("/v1/approvals"))["data"]
    token = ok(await project.api.post("/v1/tenant/tokens", json={"scope": "admin"}))
    for path in ("/v1/tenant/model_keys/openai", f"/v1/smiths/{person.id}/model_keys/openai"):
        ok(await project.api.put(path, json={"api_key": "sk-of-this-project"}))
    server = {"url": "https://127.0.0.1:1/mcp", "auth": {"kind": "bearer", "secret": "sk-of-this-project"}}
    ok(await project.api.put("/v1/tenant/mcp/desk", json=server))
    service = {
        "client_id": "us",
        "client_secret": "sk-of-this-project",
        "authorize_url": "https://127.0.0.1:1/authorize",
        "token_uri": "https://127.0.0.1:1/token",
    }
    ok(await project.api.put("/v1/tenant/providers/openai", json=service))
    held = {"provider": "openai", "credential": {"kind": "oauth_tokens", "access_token": "sk-of-this-project"}}
    connection = ok(await project.api.post(f"/v1/smiths/{person.id}/connections", json=held))
    ok(await project.api.post(f"/v1/smiths/{person.id}/connections/authorize", json={"provider": "openai"}))
    names = {"agent_id": agent["id"], "run_id": run["id"], "smith_id": person.id, "token_id": token["id"]}
    fact = ok(await project.api.post(f"/v1/smiths/{person.id}/memories", json={"content": "Likes tea."}))
    names |= {"connection_id": connection["id"], "thread_id": run["thread_id"], "memory_id": fact["id"]}
    names |= {"approval_id": approval["id"], "trace_id": run["id"].replace("run_", "trc_")}
    names["webhook_id"] = (await project.webhook())["id"]
    names["delivery_id"] = project.delivery(names["webhook_id"])
    return Estate({"project_id": project.id} | routes.NAMES | names, person)


@pytest.fixture(scope="module")
async def visitor(world: World, estate: Estate) -> Person:
    """Another smith of the same project."""
    return await world.project.person(external_id="visitor")


@pytest.fixture(scope="module")
async def stranger(world: World, estate: Estate) -> Client:
    """The key of another organization."""
    _, key = await world.organization("Strangers Inc.")
    return world.client(key)


@pytest.fixture(scope="module")
async def revoked(world: World, estate: Estate) -> list[Client]:
    """Clients whose tokens, one of each kind, were good once."""
    project = world.project
    admin = ok(await project.api.post("/v1/tenant/tokens", json={"scope": "admin"}))
    mine = await project.smith_token(estate.person.id)
    for token in (admin, mine):
        ok(await project.api.delete(f"/v1/tenant/tokens/{token['id']}"))
    return [world.client(admin["token"]), world.client(mine["token"])]


@pytest.fixture(scope="module")
async def forged(world: World, estate: Estate) -> list[Client]:
    ((public_key,),) = world.ask("select public_key from keyrings where owner_id = %s", world.project.id)
    ending = ok(await world.project.api.post("/v1/tenant/tokens", json={"scope": "admin", "ttl_seconds": 3600}))
    made = forgeries(ending["token"], public_key, world.other.token)
    clients = []
    for how, token in made.items():
        clients.append(world.client(token))
        clients[-1].headers["X-How"] = how
    return clients


@pytest.fixture(autouse=True)
def nothing_changes(
    world: World, estate_untouched: dict[str, Any], visitor: Person, stranger: Client, revoked: list[Client]
) -> Iterator[None]:
    yield
    assert holdings(world) == estate_untouched


@pytest.fixture(scope="module")
def estate_untouched(
    world: World, visitor: Person, stranger: Client, revoked: list[Client], forged: list[Client]
) -> dict[str, Any]:
    return holdings(world)


def holdings(world: World) -> dict[str, Any]:
    """Return a digest of each table of what the project has, as the owner of the database sees it."""
    query = "select table_name from information_schema.columns where column_name = 'project_id' and table_schema = %s"
    tables = [table for (table,) in world.ask(query, "public")]
    assert len(tables) > 8
    row = "(to_jsonb(t) - 'last_used_at')::text"
    digests = " union all ".join(
        f"select '{table}', count(*), md5(string_agg({row}, ' ' order by {row}))"
        f" from {table} t where project_id = '{world.project.id}'"
        for table in tables
    )
    projects = f" union all select 'projects', 1, md5(p::text) from projects p where id = '{world.project.id}'"
    return {table: (count, digest) for table, count, digest in world.ask(digests + projects)}


async def knock(client: Client, route: Route, ids: dict[str, str], **more: Any) -> httpx.Response:
    path = route.path.format(**ids)
    return await client.request(route.method, path, json=more.pop("body", route.body), **more)


def inexistent(route: Route, ids: dict[str, str]) -> dict[str, str]:
    return ids | {name: new_id(KINDS[name.removesuffix("_id")]) for name in route.ids}


def without_ids(answer: httpx.Response, *worlds: dict[str, str]) -> str:
    """Return an answer's body with the ids that were asked for blotted out."""
    body = answer.text
    for ids in worlds:
        for name, value in ids.items():
            if name.endswith("_id"):
                body = body.replace(value, "…")
    return body


@GUARDED
async def test_nobody_gets_in_without_a_token(estate: Estate, nobody: Client, route: Route) -> None:
    told = error(await knock(nobody, route, estate.ids), 401, "unauthenticated", None)
    assert told["type"] == "authentication_error"


@GUARDED
async def test_who_is_asking_is_asked_before_anything_is_read(estate: Estate, nobody: Client, route: Route) -> None:
    ids = inexistent(route, estate.ids)
    error(await knock(nobody, route, ids, params={"limit": "x", "status": "x"}, body=[1]), 401, "unauthenticated")


@GUARDED
async def test_a_revoked_token_opens_nothing(estate: Estate, revoked: list[Client], route: Route) -> None:
    for client in revoked:
        told = error(await knock(client, route, estate.ids), 401, "unauthenticated")
        assert "revoked" in told["message"]


@GUARDED
async def test_a_forged_token_opens_nothing(estate: Estate, forged: list[Client], route: Route) -> None:
    for client in forged[:3]:
        error(await knock(client, route, estate.ids), 401, "unauthenticated")


async def test_no_way_to_forge_one_works(forged: list[Client]) -> None:
    assert len(forged) > 20
    for client in forged:
        error(await client.get("/v1/agents"), 401, "unauthenticated")
        error(await client.get("/v1/organization/projects"), 401, "unauthenticated")


@TENANT
async def test_an_organization_key_is_for_the_organization_alone(
    estate: Estate, organization_api: Client, route: Route
) -> None:
    error(await knock(organization_api, route, estate.ids), 403, "tenant_token_required")


@ORGANIZATION
async def test_tokens_of_a_project_do_not_reach_above_it(
    estate: Estate, api: Client, other_api: Client, route: Route
) -> None:
    for client in (api, other_api, estate.person.api):
        error(await knock(client, route, estate.ids), 403, "organization_required")


@pytest.mark.parametrize("route", [route for route in routes.of_tenants() if route.ids], ids=str)
async def test_what_is_another_project_s_does_not_exist(estate: Estate, other: Tenant, route: Route) -> None:
    nowhere = inexistent(route, estate.ids)
    foreign, unknown = await knock(other.api, route, estate.ids), await knock(other.api, route, nowhere)
    error(foreign, 404, "not_found")
    assert without_ids(foreign, estate.ids) == without_ids(unknown, nowhere)
    assert set(foreign.headers) == set(unknown.headers)


@pytest.mark.parametrize("route", [route for route in routes.of_tenants() if not route.ids], ids=str)
async def test_whoever_asks_without_ids_asks_in_their_own_project(estate: Estate, other: Tenant, route: Route) -> None:
    answer = await knock(other.api, route, estate.ids)
    assert answer.status_code in (200, 201, 202, 204, 404), answer.text
    for value in (*estate.ids.values(), "sk-of-this-project"):
        assert value in routes.NAMES.values() or value not in answer.text


@pytest.mark.parametrize("route", [route for route in routes.of_tenants() if "smith_id" in route.ids], ids=str)
async def test_a_smith_s_token_can_not_act_for_another_smith(estate: Estate, visitor: Person, route: Route) -> None:
    for ids in (estate.ids, estate.ids | {"smith_id": new_id("smt")}):
        answer = await knock(visitor.api, route, ids)
        told = error(answer, 403, answer.json()["error"]["code"])
        assert told["code"] in ("smith_mismatch", "tenant_token_required")
        assert told["type"] == "permission_error"


@pytest.mark.parametrize("route", [route for route in routes.of_tenants() if "run_id" in route.ids], ids=str)
async def test_a_run_of_another_smith_is_not_among_one_s_own(estate: Estate, visitor: Person, route: Route) -> None:
    mixed = estate.ids | {"smith_id": visitor.id}
    nowhere = mixed | {"run_id": new_id("run")}
    foreign, unknown = await knock(visitor.api, route, mixed), await knock(visitor.api, route, nowhere)
    error(foreign, 404, "not_found")
    assert without_ids(foreign, mixed) == without_ids(unknown, nowhere)


OPEN_TO_SMITHS = {
    *("GET /v1/runs", "GET /v1/tenant/models", "GET /v1/approvals", "GET /v1/approvals/{approval_id}"),
    *("GET /v1/traces", "GET /v1/traces/{trace_id}", "GET /v1/runs/{run_id}/trace"),
}


OF_PROJECTS = [route for route in routes.of_tenants() if "smith_id" not in route.ids]
TELLS = "POST /v1/traces:ingest"
"""Open to smiths too, and leaves something of their own."""


@pytest.mark.parametrize("route", [route for route in OF_PROJECTS if str(route) != TELLS], ids=str)
async def test_a_smith_s_token_runs_no_project(estate: Estate, visitor: Person, route: Route) -> None:
    answer = await knock(visitor.api, route, estate.ids)
    if str(route) not in OPEN_TO_SMITHS:
        error(answer, 403, "tenant_token_required")
        return
    if route.ids:
        error(answer, 404, "not_found")
        return
    assert answer.status_code == 200
    assert not [value for value in estate.ids.values() if value not in routes.NAMES.values() and value in answer.text]


@pytest.mark.parametrize("route", [route for route in routes.of_organizations() if route.ids], ids=str)
async def test_what_is_another_organization_s_does_not_exist(estate: Estate, stranger: Client, route: Route) -> None:
    nowhere = inexistent(route, estate.ids)
    foreign, unknown = await knock(stranger, route, estate.ids), await knock(stranger, route, nowhere)
    error(foreign, 404, "not_found")
    assert without_ids(foreign, estate.ids) == without_ids(unknown, nowhere)


async def test_another_organization_sees_none_of_our_projects(stranger: Client) -> None:
    assert ok(await stranger.get("/v1/organization/projects"))["data"] == []


async def test_a_foreign_id_inside_a_body_does_not_exist_either(estate: Estate, other: Tenant) -> None:
    agent, smith = estate.ids["agent_id"], estate.ids["smith_id"]
    mine = await other.smith()
    error(await other.api.post("/v1/smiths", json={"agent_id": agent}), 404, "not_found")
    error(await other.api.patch(f"/v1/smiths/{mine['id']}", json={"agent_id": agent}), 404, "not_found")
    body = {"smith_id": smith, "permissions": ["runs:read"]}
    error(await other.api.post("/v1/tenant/tokens", json=body), 404, "not_found")


@pytest.mark.parametrize("name", ["smith_id", "agent_id"])
async def test_a_foreign_id_in_a_filter_finds_nothing(estate: Estate, other: Tenant, name: str) -> None:
    assert ok(await other.api.get("/v1/runs", params={name: estate.ids[name]}))["data"] == []
    assert ok(await other.api.get("/v1/smiths", params={"external_id": "user-1"}))["data"] == []


async def test_a_cursor_of_another_project_shows_nothing_of_it(estate: Estate, other: Tenant, api: Client) -> None:
    cursor = ok(await api.get("/v1/smiths", params={"limit": 1}))["next_cursor"]
    shown = ok(await other.api.get("/v1/smiths", params={"cursor": cursor}))
    assert estate.ids["smith_id"] not in str(shown)
