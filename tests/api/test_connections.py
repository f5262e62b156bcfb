"""Connections: consent at a real OAuth server, refresh, and what nobody gets by force or trick."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ingram_app.core.clock import now
from ingram_app.core.settings import settings
from ingram_app.domain import credentials
from ingram_app.domain.credentials import ConnectionBroken
from tests.fakes.http import Reply, Request, serving
from tests.fakes.oauth_server import Service, running_oauth_server
from tests.world import Client, Person, Tenant, World, error, ok, until

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")
PROVIDERS = "/v1/tenant/providers"


@pytest.fixture(scope="module")
def running_service() -> Iterator[Service]:
    with running_oauth_server() as made:
        yield made


@pytest.fixture
async def service(running_service: Service, api: Client) -> Service:
    """A service that the project is registered at."""
    running_service.refreshes, running_service.revoked, running_service.clients = [], [], []
    running_service.expires_in, running_service.failing, running_service.slow = 3600, None, None
    ok(await api.put(f"{PROVIDERS}/acme", json=running_service.registration()))
    return running_service


@pytest.fixture
async def person(project: Tenant) -> Person:
    return await project.person()


async def link(api: Client, smith_id: str, **asked: Any) -> str:
    path = f"/v1/smiths/{smith_id}/connections/authorize"
    answer = ok(await api.post(path, json={"provider": "acme", **asked}))
    assert answer["provider"] == asked.get("provider", "acme")
    return str(answer["authorize_url"])


def on_our_side(location: str) -> str:
    """Return the path and query of a way back."""
    assert location.startswith(settings().address + "/v1/oauth/callback?")
    return location.removeprefix(settings().address)


async def connect(service: Service, person: Person, nobody: Client) -> dict[str, Any]:
    """Connect a smith as its person does; return the connection."""
    back = on_our_side(await service.consent(await link(person.api, person.id), "ann@example.com"))
    assert ok(await nobody.get(back))["connection"] == "ok"
    [connection] = ok(await person.api.get(f"/v1/smiths/{person.id}/connections"))["data"]
    return dict(connection)


async def token(project: Tenant, person: Person) -> str | None:
    return await credentials.token(project.id, person.id, "acme")


def events(world: World, person: Person) -> list[str]:
    query = "select type from events where smith_id = %s and type like 'connection.%%' order by position"
    return [type for (type,) in world.ask(query, person.id)]


async def test_a_provider_is_kept_without_showing_its_secret(world: World, api: Client, service: Service) -> None:
    answer = await api.get(f"{PROVIDERS}/acme")
    shown = ok(answer)
    assert shown["redirect_uri"] == f"{settings().address}/v1/oauth/callback"
    assert "s3cret" not in answer.text + (await api.get(PROVIDERS)).text
    assert "s3cret" not in str(world.ask("select p::text from oauth_providers p"))
    kept = {name: value for name, value in service.registration().items() if name != "client_secret"}
    assert ok(await api.put(f"{PROVIDERS}/acme", json=kept))["client_id"] == "us"
    elsewhere = f"{service.address}/elsewhere"
    for moved in ({"token_uri": elsewhere}, {"revoke_uri": elsewhere}, {"client_id": "them"}):
        error(await api.put(f"{PROVIDERS}/acme", json=kept | moved), 422, "client_secret_required", "client_secret")


async def test_a_known_service_needs_only_an_id_and_a_secret(api: Client) -> None:
    for provider in ("google", "github", "slack", "notion", "microsoft"):
        made = ok(await api.put(f"{PROVIDERS}/{provider}", json={"client_id": "us", "client_secret": "s"}))
        assert made["token_uri"].startswith("https://")
        ok(await api.delete(f"{PROVIDERS}/{provider}"))
        error(await api.get(f"{PROVIDERS}/{provider}"), 404, "not_found")


async def test_what_a_service_needs_for_a_token_that_lasts_is_asked_for_besides(api: Client, person: Person) -> None:
    given = {"client_id": "us", "client_secret": "s", "scopes_allowed": ["Mail.Read"]}
    ok(await api.put(f"{PROVIDERS}/microsoft", json=given))
    asked = parse_qs(urlsplit(await link(person.api, person.id, provider="microsoft")).query)
    assert asked["scope"] == ["Mail.Read offline_access"]
    ok(await api.delete(f"{PROVIDERS}/microsoft"))


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"authorize_url": None}, "provider_url_required", "authorize_url"),
        ({"token_uri": "ftp://x.example"}, "invalid_provider_url", "token_uri"),
        ({"token_uri": "https://a:b@x.example"}, "invalid_provider_url", "token_uri"),
        ({"authorize_url": "javascript:alert(1)"}, "invalid_provider_url", "authorize_url"),
        ({"refresh_webhook": "x"}, "invalid_provider_url", "refresh_webhook"),
        ({"return_origins": ["https://app.example/path"]}, "invalid_origin", "return_origins"),
        ({"return_origins": ["https://*.example"]}, "invalid_origin", "return_origins"),
        ({"scopes_allowed": ["a b"]}, "schema_error", ...),
        ({"client_id": ""}, "schema_error", "client_id"),
    ],
)
async def test_a_provider_that_makes_no_sense_is_told_where(
    api: Client, service: Service, fields: dict[str, Any], code: str, param: Any
) -> None:
    error(await api.put(f"{PROVIDERS}/other", json=service.registration() | fields), 422, code, param)


async def test_a_person_consents_and_the_smith_has_a_token(
    world: World, project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    connection = await connect(service, person, nobody)
    assert (connection["provider"], connection["status"]) == ("acme", "active")
    assert connection["scopes"] == ["openid", "email"]
    assert set(connection) == {"id", "provider", "scopes", "status", "expires_at", "metadata", "created_at"}
    assert await service.whose(str(await token(project, person))) == "ann@example.com"
    assert events(world, person) == ["connection.created"]
    ((actor,),) = world.ask("select actor from events where smith_id = %s and type = 'connection.created'", person.id)
    assert actor["id"] == person.id


async def test_tokens_are_shown_to_nobody(
    world: World, project: Tenant, service: Service, person: Person, api: Client, nobody: Client
) -> None:
    connection = await connect(service, person, nobody)
    secrets = [str(await token(project, person)), *service._live]
    path = f"/v1/smiths/{person.id}/connections"
    answers = [await client.get(f"{path}{end}") for client in (api, person.api) for end in ("", f"/{connection['id']}")]
    answers += [await api.get("/v1/events"), await api.post(f"{path}/{connection['id']}/refresh")]
    secrets += [str(await token(project, person)), *service._live]
    held = "".join(answer.text for answer in answers)
    for table in ("connections", "events", "audit", "authorizations"):
        held += str(world.ask(f"select t::text from {table} t"))
    assert not [secret for secret in secrets if secret in held]


async def test_a_link_carries_pkce_and_nothing_secret(service: Service, person: Person) -> None:
    asked = parse_qs(urlsplit(await link(person.api, person.id)).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["scope"] == ["openid email"]
    assert len(asked["state"][0]) > 60
    assert set(asked) == {
        "response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
    }  # fmt: skip


async def test_a_state_is_good_once(service: Service, person: Person, nobody: Client) -> None:
    back = on_our_side(await service.consent(await link(person.api, person.id)))
    answers = await asyncio.gather(*(nobody.get(back) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 11
    error(await nobody.get(back), 400, "invalid_state", "state")


@pytest.mark.parametrize("state", ["", "x", "proj_1.x", "{project}.x", "{project}.", "'; drop table runs; --", "é"])
async def test_a_state_that_nobody_was_given_is_refused(
    project: Tenant, service: Service, nobody: Client, state: str
) -> None:
    params = {"state": state.format(project=project.id), "code": "x"}
    error(await nobody.get("/v1/oauth/callback", params=params), 400, "invalid_state", "state")


async def test_a_state_of_another_project_is_refused(
    other: Tenant, project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    state = parse_qs(urlsplit(await link(person.api, person.id)).query)["state"][0]
    moved = state.replace(project.id, other.id)
    error(await nobody.get("/v1/oauth/callback", params={"state": moved, "code": "x"}), 400, "invalid_state")


async def test_a_state_is_good_for_ten_minutes(world: World, service: Service, person: Person, nobody: Client) -> None:
    back = on_our_side(await service.consent(await link(person.api, person.id)))
    world.do("update authorizations set expires_at = now() where smith_id = %s", person.id)
    error(await nobody.get(back), 400, "invalid_state")


async def test_a_state_dies_with_the_token_that_asked_for_it(
    world: World, project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    minted = await project.smith_token(person.id, "connections:write")
    back = on_our_side(await service.consent(await link(world.client(minted["token"]), person.id)))
    ok(await project.api.delete(f"/v1/tenant/tokens/{minted['id']}"))
    error(await nobody.get(back), 400, "invalid_state")
    assert ok(await person.api.get(f"/v1/smiths/{person.id}/connections"))["data"] == []


async def test_a_state_is_of_no_use_for_another_smith(
    project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    """Whoever swaps states gets the account of the consent into the smith that the state was asked for, no other."""
    victim = await project.person()
    mine = await link(person.api, person.id)
    theirs = parse_qs(urlsplit(await link(victim.api, victim.id)).query)["state"][0]
    location = await service.consent(mine)
    code = parse_qs(urlsplit(location).query)["code"][0]
    answer = await nobody.get("/v1/oauth/callback", params={"state": theirs, "code": code})
    error(answer, 502, "consent_failed")  # the code was not made for the verifier of that state
    for one in (person, victim):
        assert ok(await one.api.get(f"/v1/smiths/{one.id}/connections"))["data"] == []


async def test_a_provider_that_was_swapped_meanwhile_gets_no_code(
    api: Client, service: Service, person: Person, nobody: Client
) -> None:
    seen: list[Request] = []

    async def thief(request: Request, reply: Reply) -> None:
        seen.append(request)
        reply.json({})

    back = on_our_side(await service.consent(await link(person.api, person.id)))
    async with serving(thief) as address:
        ok(await api.put(f"{PROVIDERS}/acme", json=service.registration(token_uri=f"{address}/token")))
        error(await nobody.get(back), 400, "invalid_state")
    assert seen == []


@pytest.mark.parametrize("code", ["", "x" * 10_000, "x&grant_type=refresh_token", "x\r\nA: b", "é", "x\0"])
async def test_a_code_that_is_none_brings_nothing(service: Service, person: Person, nobody: Client, code: str) -> None:
    state = parse_qs(urlsplit(await link(person.api, person.id)).query)["state"][0]
    answer = await nobody.get("/v1/oauth/callback", params={"state": state, "code": code})
    error(answer, 502, "consent_failed")
    assert ok(await person.api.get(f"/v1/smiths/{person.id}/connections"))["data"] == []


async def test_a_smith_that_was_erased_during_a_consent_leaves_no_token_behind(
    api: Client, service: Service, person: Person, nobody: Client
) -> None:
    back = on_our_side(await service.consent(await link(person.api, person.id)))
    service.slow = threading.Event()
    coming = asyncio.create_task(nobody.get(back))

    async def begun() -> bool:
        return bool(service.clients)

    await until(begun)
    ok(await api.post(f"/v1/smiths/{person.id}/erase"))
    service.slow.set()
    error(await coming, 400, "invalid_state", "state")
    assert len(service.revoked) == 2


async def test_who_says_no_is_not_connected(service: Service, person: Person, nobody: Client) -> None:
    back = on_our_side(await service.deny(await link(person.api, person.id)))
    state = parse_qs(urlsplit(await link(person.api, person.id)).query)["state"][0]
    answer = await nobody.get(f"{back}&state={state}" if "state=" not in back else back)
    told = error(answer, 502, "consent_failed")
    assert "access_denied" in told["message"]


async def test_a_person_is_sent_back_to_where_they_came_from(
    api: Client, service: Service, person: Person, nobody: Client
) -> None:
    url = await link(api, person.id, return_url="https://app.example/settings?tab=1")
    answer = await nobody.get(on_our_side(await service.consent(url)))
    assert answer.status_code == 302
    assert answer.headers["location"] == "https://app.example/settings?tab=1&connection=ok&provider=acme"
    state = parse_qs(urlsplit(await link(api, person.id, return_url="https://app.example/x")).query)["state"][0]
    params = {"state": state, "error": "access_denied\r\nSet-Cookie: a=b"}
    answer = await nobody.get("/v1/oauth/callback", params=params)
    assert answer.headers["location"] == "https://app.example/x?connection=error&provider=acme&error=refused"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "url",
    ["http://app.example/", "javascript:alert(1)", "//evil.example", "https://a@evil.example/", "https://evil.example#x",
     "data:text/html,x", "https://evil.example\\@app.example", "https://evil.example/ x", "https://", "/settings",
     "https://evil.example/\r\nA: b", "https://ev\u0131l.example/", "http://localhost.evil.example/"],
)  # fmt: skip
async def test_an_address_that_leads_astray_is_refused(api: Client, service: Service, person: Person, url: str) -> None:
    path = f"/v1/smiths/{person.id}/connections/authorize"
    answer = await api.post(path, json={"provider": "acme", "return_url": url})
    error(answer, 422, "invalid_return_url", "return_url")


async def test_a_smith_s_own_token_sends_people_only_to_origins_of_the_project(
    api: Client, service: Service, person: Person
) -> None:
    path = f"/v1/smiths/{person.id}/connections/authorize"
    asked = {"provider": "acme", "return_url": "https://app.example/done"}
    error(await person.api.post(path, json=asked), 422, "invalid_return_url")
    ok(await api.put(f"{PROVIDERS}/acme", json=service.registration(return_origins=["https://app.example"])))
    ok(await person.api.post(path, json=asked))
    for astray in ("https://app.example.evil.example/", "https://evil.example/?https://app.example"):
        error(await person.api.post(path, json=asked | {"return_url": astray}), 422, "invalid_return_url")


async def test_people_see_a_page(service: Service, person: Person, nobody: Client) -> None:
    back = on_our_side(await service.consent(await link(person.api, person.id)))
    html = {"Accept": "text/html,*/*"}
    answer = await nobody.get(back, headers=html)
    assert (answer.status_code, "<h1" in answer.text, "Connected" in answer.text) == (200, True, True)
    again = await nobody.get(back, headers=html)
    assert (again.status_code, "does not hold any more" in again.text) == (400, True)


async def test_a_token_is_refreshed_before_it_ends_by_one_of_many(
    world: World, project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    service.expires_in = 30
    await connect(service, person, nobody)
    service.expires_in, service.slow = 3600, threading.Event()
    asking = [asyncio.create_task(token(project, person)) for _ in range(12)]

    async def begun() -> bool:
        return bool(service.refreshes)

    await until(begun)
    service.slow.set()
    tokens = set(await asyncio.gather(*asking))
    assert len(service.refreshes) == 1
    assert len(tokens) == 1
    assert await service.whose(str(tokens.pop())) == "ann@example.com"
    assert events(world, person) == ["connection.created", "connection.refreshed"]
    await token(project, person)
    assert len(service.refreshes) == 1


async def test_a_refresh_whose_process_died_is_made_by_another(
    world: World, project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    service.expires_in = 30
    await connect(service, person, nobody)
    world.do("update connections set refreshing_until = now() + interval '0.3 seconds' where smith_id = %s", person.id)
    assert await token(project, person)
    assert len(service.refreshes) == 1


async def test_a_refresh_token_that_is_refused_breaks_the_connection_until_the_person_connects_again(
    world: World, project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    service.expires_in = 30
    connection = await connect(service, person, nobody)
    service._live.clear()
    with pytest.raises(ConnectionBroken, match="invalid_grant"):
        await token(project, person)
    path = f"/v1/smiths/{person.id}/connections/{connection['id']}"
    assert ok(await person.api.get(path))["status"] == "error"
    assert await token(project, person) is None
    error(await person.api.post(f"{path}/refresh"), 409, "refresh_failed")
    again = await connect(service, person, nobody)
    assert (again["id"], again["status"]) == (connection["id"], "active")
    assert events(world, person) == ["connection.created", "connection.broken", "connection.recovered"]


async def test_a_service_that_is_down_for_a_moment_costs_nothing(
    world: World, project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    service.expires_in = 60
    connection = await connect(service, person, nobody)
    service.failing = 503
    assert await service.whose(str(await token(project, person))) == "ann@example.com"  # it holds for a minute yet
    path = f"/v1/smiths/{person.id}/connections/{connection['id']}"
    error(await person.api.post(f"{path}/refresh"), 409, "refresh_failed")
    assert ok(await person.api.get(path))["status"] == "active"
    service.failing = None
    assert ok(await person.api.post(f"{path}/refresh"))["status"] == "active"
    assert "connection.broken" not in events(world, person)


async def test_a_connection_that_is_deleted_is_taken_back_at_its_service(
    world: World, project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    connection = await connect(service, person, nobody)
    held = str(await token(project, person))
    path = f"/v1/smiths/{person.id}/connections/{connection['id']}"
    ok(await person.api.delete(path))
    assert held in service.revoked
    assert len(service.revoked) == 2
    error(await person.api.get(path), 404, "not_found")
    error(await person.api.delete(path), 404, "not_found")
    assert await token(project, person) is None
    assert events(world, person)[-1] == "connection.deleted"
    ((details,),) = world.ask("select details from audit where action = 'connection.deleted' and resource_id = %s",
                              connection["id"])  # fmt: skip
    assert details["taken_back"] is True


async def test_a_connection_that_is_deleted_during_its_refresh_leaves_no_token_behind(
    project: Tenant, service: Service, person: Person, nobody: Client
) -> None:
    service.expires_in = 30
    connection = await connect(service, person, nobody)
    service.slow = threading.Event()
    asking = asyncio.create_task(token(project, person))

    async def begun() -> bool:
        return bool(service.refreshes)

    await until(begun)
    ok(await person.api.delete(f"/v1/smiths/{person.id}/connections/{connection['id']}"))
    service.slow.set()
    with pytest.raises(ConnectionBroken, match="changed meanwhile"):
        await asking
    assert len(service.revoked) == 4


async def bring(client: Client, smith_id: str, **credential: Any) -> Any:
    held = {"kind": "oauth_tokens", "access_token": "brought", **credential}
    body = {"provider": "acme", "scopes": ["a"], "credential": held, "metadata": {"account": "ann"}}
    return await client.post(f"/v1/smiths/{smith_id}/connections", json=body)


async def test_tokens_can_be_brought(project: Tenant, service: Service, person: Person) -> None:
    ends = (now() + timedelta(hours=1)).isoformat()
    answer = await bring(person.api, person.id, expires_at=ends, token_uri=service.registration()["token_uri"])
    assert (answer.status_code, "brought" in answer.text) == (201, False)
    made = ok(answer)
    assert (made["status"], made["scopes"], made["metadata"]) == ("active", ["a"], {"account": "ann"})
    assert await token(project, person) == "brought"
    path = f"/v1/smiths/{person.id}/connections/{made['id']}"
    assert ok(await person.api.patch(path, json={"metadata": {"x": 1}}))["metadata"] == {"x": 1}
    error(await person.api.patch(path, json={"scopes": ["all"]}), 422, "schema_error")


async def test_what_is_kept_while_the_one_before_is_removed_stands(
    world: World, api: Client, service: Service, person: Person
) -> None:
    old = ok(await bring(person.api, person.id))
    with world.doing("delete from connections where id = %s", old["id"]):
        bringing = asyncio.create_task(bring(person.api, person.id))
        await world.wait_for_us(1)
    assert ok(await bringing)["id"] != old["id"]
    with world.doing("delete from oauth_providers where provider = 'acme'"):
        putting = asyncio.create_task(api.put(f"{PROVIDERS}/acme", json=service.registration()))
        await world.wait_for_us(1)
    assert ok(await putting)["provider"] == "acme"


async def test_a_brought_token_that_ends_is_expired(project: Tenant, service: Service, person: Person) -> None:
    made = ok(await bring(person.api, person.id, expires_at=(now() - timedelta(seconds=1)).isoformat()))
    assert made["status"] == "expired"
    assert await token(project, person) is None


async def test_an_end_that_could_not_be_read_again_is_refused_and_one_without_a_zone_is_in_utc(
    service: Service, person: Person
) -> None:
    answer = await bring(person.api, person.id, expires_at="9999-12-31T23:59:59-14:00")
    error(answer, 422, "schema_error", "credential.expires_at")
    made = ok(await bring(person.api, person.id, expires_at="2199-01-01T00:00:00"))
    assert (made["status"], made["expires_at"]) == ("active", "2199-01-01T00:00:00Z")


@pytest.mark.parametrize("token_uri", ["https://evil.example/token", "http://127.0.0.1:1/"])
async def test_our_secret_goes_to_no_address_that_somebody_brings(
    service: Service, person: Person, token_uri: str
) -> None:
    answer = await bring(person.api, person.id, refresh_token="r", token_uri=token_uri)
    error(answer, 422, "invalid_token_uri", "credential.token_uri")


async def test_a_token_that_could_smuggle_a_header_is_refused(service: Service, person: Person) -> None:
    for odd in ("x\r\nA: b", "é", "x" * 20_000, ""):
        answer = await bring(person.api, person.id, access_token=odd)
        error(answer, 422, "invalid_credential", "credential.access_token")


async def test_a_customer_that_keeps_refresh_tokens_is_asked_for_fresh_ones(
    project: Tenant, api: Client, service: Service, person: Person
) -> None:
    asked: list[Request] = []

    async def webhook(request: Request, reply: Reply) -> None:
        asked.append(request)
        reply.json({"access_token": "from the webhook".replace(" ", "-"), "expires_in": 3600})

    async with serving(webhook) as address:
        ok(await api.put(f"{PROVIDERS}/acme", json=service.registration(refresh_webhook=f"{address}/fresh")))
        ok(await bring(person.api, person.id, expires_at=(now() + timedelta(seconds=30)).isoformat()))
        assert await token(project, person) == "from-the-webhook"
    [request] = asked
    assert (request.json()["smith_id"], request.json()["provider"]) == (person.id, "acme")
    assert "x-ic-signature" in request.headers
    assert service.refreshes == []


async def test_a_sibling_s_connections_are_not_there(service: Service, project: Tenant, nobody: Client) -> None:
    ann, bob = await project.person(), await project.person()
    connection = await connect(service, ann, nobody)
    path = f"/v1/smiths/{ann.id}/connections"
    for answer in (await bob.api.get(path), await bob.api.post(f"{path}/authorize", json={"provider": "acme"})):
        error(answer, 403, "smith_mismatch")
    error(await bob.api.get(f"/v1/smiths/{bob.id}/connections/{connection['id']}"), 404, "not_found")
    error(await bob.api.delete(f"/v1/smiths/{bob.id}/connections/{connection['id']}"), 404, "not_found")


async def test_an_unknown_provider_is_not_found(person: Person) -> None:
    path = f"/v1/smiths/{person.id}/connections/authorize"
    error(await person.api.post(path, json={"provider": "nothing"}), 404, "not_found")
