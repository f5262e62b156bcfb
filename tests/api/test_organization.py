"""Organizations: their projects, and the keys of both."""

import asyncio

import pytest

from tests.api.routes import RUN
from tests.world import Client, World, error, ok, until

PATH = "/v1/organization/projects"


async def test_a_project_is_made_or_adopted_by_its_exact_name(world: World, organization_api: Client) -> None:
    body = {"name": "Shop", "metadata": {"stage": "live"}}
    made = await organization_api.post(PATH, json=body)
    assert made.status_code == 201
    project = ok(made)
    assert set(project) == {"id", "organization", "name", "metadata", "created_at", "archived_at"}
    assert (project["organization"], project["metadata"], project["archived_at"]) == (
        world.organization_id,
        {"stage": "live"},
        None,
    )
    assert ok(await organization_api.post(PATH, json={"name": "Shop", "metadata": {"other": 1}})) == project
    assert ok(await organization_api.post(PATH, json={"name": "shop"}))["id"] != project["id"]
    assert ok(await organization_api.get(f"{PATH}/{project['id']}")) == project


async def test_racing_creates_of_one_name_make_one_project(world: World, organization_api: Client) -> None:
    answers = await asyncio.gather(*[organization_api.post(PATH, json={"name": "Race"}) for _ in range(8)])
    assert len({ok(answer)["id"] for answer in answers}) == 1
    assert world.ask("select count(*) from projects where name = 'Race'") == [(1,)]


async def test_two_organizations_may_use_one_name(world: World, organization_api: Client) -> None:
    _, key = await world.organization("Others")
    mine = ok(await organization_api.post(PATH, json={"name": "Same"}))
    assert ok(await world.client(key).post(PATH, json={"name": "Same"}))["id"] != mine["id"]


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\nb", "a\x00b", "\u200b"])
async def test_a_name_has_from_1_to_80_letters(organization_api: Client, name: str) -> None:
    error(await organization_api.post(PATH, json={"name": name}), 422, "invalid_name", "name")


async def test_projects_are_found_by_name(organization_api: Client) -> None:
    made = ok(await organization_api.post(PATH, json={"name": "Findable"}))
    assert ok(await organization_api.get(PATH, params={"name": "Findable"}))["data"] == [made]
    assert ok(await organization_api.get(PATH, params={"name": "findable"}))["data"] == []
    assert made["id"] in [one["id"] for one in ok(await organization_api.get(PATH))["data"]]


async def test_a_token_of_a_project_is_minted_and_revoked_from_above(world: World, organization_api: Client) -> None:
    project = ok(await organization_api.post(PATH, json={"name": "Tokens"}))
    path = f"{PATH}/{project['id']}/tokens"
    minted = ok(await organization_api.post(path, json={"name": "ci", "ttl_seconds": 600}))
    assert (minted["sub"], minted["scopes"]) == (project["id"], ["tenant:*"])
    client = world.client(minted["token"])
    ok(await client.get("/v1/agents"))
    assert (await organization_api.delete(f"{path}/{minted['id']}")).status_code == 204

    async def out() -> bool:
        return (await client.get("/v1/agents")).status_code == 401

    await until(out, 1)
    error(await organization_api.post(path, json={"ttl_seconds": 0}), 422, "invalid_request", "ttl_seconds")


async def test_a_token_is_revoked_only_under_its_own_project(world: World, organization_api: Client) -> None:
    one = ok(await organization_api.post(PATH, json={"name": "One's"}))
    token = ok(await organization_api.post(f"{PATH}/{one['id']}/tokens"))
    wrong = f"{PATH}/{world.other.id}/tokens/{token['id']}"
    error(await organization_api.delete(wrong), 404, "not_found")
    error(await organization_api.delete(f"/v1/organization/keys/{token['id']}"), 404, "not_found")


async def test_an_organization_key_can_be_revoked(world: World) -> None:
    _, key = await world.organization("Short-lived")
    client = world.client(key)
    ok(await client.get(PATH))
    ((token_id,),) = world.ask("select id from tokens order by created_at desc limit 1")
    ok(await client.delete(f"/v1/organization/keys/{token_id}"))

    async def out() -> bool:
        return (await client.get(PATH)).status_code == 401

    await until(out, 1)


async def test_a_deleted_project_dies_at_once_with_all_its_tokens_and_runs(
    world: World, organization_api: Client
) -> None:
    tenant = await world.tenant("Doomed")
    person = await tenant.person(model="test/slow")
    path = f"/v1/smiths/{person.id}/runs"
    said = {"input": [{"role": "user", "content": "[[pause 30s]] wait"}], "thread_id": "t", "background": True}
    working, waiting = ok(await tenant.api.post(path, json=said)), ok(await tenant.api.post(path, json=said))

    async def works() -> bool:
        return bool(ok(await tenant.api.get(f"{path}/{working['id']}"))["status"] == "running")

    await until(works)
    assert (await organization_api.delete(f"{PATH}/{tenant.id}")).status_code == 204
    error(await organization_api.get(f"{PATH}/{tenant.id}"), 404, "not_found")
    error(await organization_api.delete(f"{PATH}/{tenant.id}"), 404, "not_found")
    error(await organization_api.post(f"{PATH}/{tenant.id}/tokens"), 404, "not_found")
    assert tenant.id not in (await organization_api.get(PATH)).text

    async def stopped() -> bool:
        query = "select count(*) from runs where id in (%s, %s) and status = 'cancelled'"
        return world.ask(query, working["id"], waiting["id"]) == [(2,)]

    await until(stopped, 2)

    async def out() -> bool:
        answers = [await client.post(path, json=RUN) for client in (tenant.api, person.api)]
        return [answer.status_code for answer in answers] == [401, 401]

    await until(out, 1)
    assert ok(await organization_api.post(PATH, json={"name": "Doomed"}))["id"] != tenant.id


async def test_nothing_starts_in_a_project_that_was_just_deleted(world: World, organization_api: Client) -> None:
    tenant = await world.tenant("Just deleted")
    person = await tenant.person()
    assert (await organization_api.delete(f"{PATH}/{tenant.id}")).status_code == 204
    answer = await person.api.post(f"/v1/smiths/{person.id}/runs", json=RUN)
    assert answer.status_code in (401, 404)
    assert world.ask("select count(*) from runs where project_id = %s", tenant.id) == [(0,)]
