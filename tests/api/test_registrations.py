"""Registrations: we become a client of a server's authorization server by ourselves, and nobody mixes us up."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ingram_app.core.settings import settings
from ingram_app.domain import credentials
from ingram_app.gateways import mcp
from tests.fakes.registering_server import Office, running_registering_server
from tests.world import Client, Person, Tenant, World, error, ok

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")
AUTH = {"kind": "oauth", "client_mode": "platform"}
PROVIDER = "/v1/tenant/providers/mcp-desk"


@pytest.fixture
async def office(api: Client) -> AsyncIterator[Office]:
    async with running_registering_server() as made:
        yield made
        await mcp.close()
    for one in ("/v1/tenant/mcp/desk", PROVIDER):
        await api.delete(one)


@pytest.fixture
async def person(project: Tenant) -> Person:
    return await project.person()


async def put(api: Client, office: Office, **auth: Any) -> Any:
    return await api.put("/v1/tenant/mcp/desk", json={"url": office.url, "auth": AUTH | auth})


async def link(person: Person, provider: str = "mcp-desk") -> str:
    asked = {"provider": provider}
    return str(ok(await person.api.post(f"/v1/smiths/{person.id}/connections/authorize", json=asked))["authorize_url"])


def on_our_side(location: str) -> str:
    assert location.startswith(settings().address + "/v1/oauth/callback")
    return location.removeprefix(settings().address)


async def test_we_register_and_show_as_whom_but_not_the_secret(world: World, api: Client, office: Office) -> None:
    answer = await put(api, office)
    server = ok(answer)
    assert server["auth"] == {"kind": "oauth", "provider": "mcp-desk", "client_mode": "platform"}
    assert (server["status"], server["tools"]) == ("active", [])  # it tells its tools to those who are connected
    shown = ok(await api.get(PROVIDER))
    [client] = office.clients.values()
    assert shown["client_id"] == client.client_id
    assert shown["scopes_allowed"] == ["orders"]
    told = {"mcp_server": "desk", "issuer": office.address, "resource": office.url, "secret_expires_at": None}
    assert shown["registration"] == told
    assert re.fullmatch(re.escape(f"{settings().address}/v1/oauth/callback/") + r"prv_\w+", shown["redirect_uri"])
    assert [str(uri) for uri in client.redirect_uris or []] == [shown["redirect_uri"]]
    assert client.client_name == "Ingram Cloud"
    secret = str(client.client_secret)
    for table in ("oauth_providers", "mcp_servers", "audit", "events"):
        assert secret not in str(world.ask(f"select t::text from {table} t"))
    assert secret not in answer.text + (await api.get(PROVIDER)).text


async def test_a_smith_s_person_consents_and_its_tools_are_called_with_a_token_for_this_server(
    project: Tenant, api: Client, office: Office, person: Person, nobody: Client
) -> None:
    ok(await put(api, office))
    url = await link(person)
    asked = parse_qs(urlsplit(url).query)
    assert (asked["resource"], asked["code_challenge_method"], asked["scope"]) == ([office.url], ["S256"], ["orders"])
    assert ok(await nobody.get(on_our_side(await office.consent(url))))["connection"] == "ok"
    token = await credentials.token(project.id, person.id, "mcp-desk")
    assert office.tokens[str(token)].resource == office.url
    smith = await project.agent(model="test/tools")
    ok(await api.patch(f"/v1/smiths/{person.id}", json={"agent_id": smith["id"]}))
    run = await project.run(person.id, '[[call look_up {"order": "4711"}]]')
    assert "4711: on its way" in run["output"]["content"], run["warnings"]


async def test_a_token_is_refreshed_for_the_same_server_and_taken_back(
    project: Tenant, api: Client, office: Office, person: Person, nobody: Client
) -> None:
    ok(await put(api, office))
    office.expires_in = 30
    ok(await nobody.get(on_our_side(await office.consent(await link(person)))))
    first = set(office.tokens)
    office.expires_in = 3600
    fresh = str(await credentials.token(project.id, person.id, "mcp-desk"))
    assert fresh not in first
    assert office.tokens[fresh].resource == office.url
    [connection] = ok(await person.api.get(f"/v1/smiths/{person.id}/connections"))["data"]
    ok(await person.api.delete(f"/v1/smiths/{person.id}/connections/{connection['id']}"))
    assert fresh in office.revoked


async def test_we_register_once_and_anew_when_the_server_is_another(api: Client, office: Office) -> None:
    ok(await put(api, office))
    first = ok(await api.get(PROVIDER))
    ok(await api.put(PROVIDER, json={**_kept(first), "scopes_allowed": ["orders", "more"]}))
    ok(await put(api, office))
    again = ok(await api.get(PROVIDER))
    assert (len(office.clients), again["client_id"]) == (1, first["client_id"])
    assert (again["scopes_allowed"], again["registration"]) == (["orders", "more"], first["registration"])
    ok(await api.delete(PROVIDER))
    ok(await put(api, office))
    assert len(office.clients) == 2
    ok(await api.put("/v1/tenant/mcp/desk", json={"url": office.url}))
    error(await api.get(PROVIDER), 404, "not_found")  # nobody needs it any more


def _kept(shown: dict[str, Any]) -> dict[str, Any]:
    given = ("client_id", "authorize_url", "token_uri", "revoke_uri", "auth_method", "scopes_allowed")
    return {name: shown[name] for name in given}


async def test_who_moves_a_registered_provider_has_to_bring_a_client_of_their_own(api: Client, office: Office) -> None:
    ok(await put(api, office))
    kept = _kept(ok(await api.get(PROVIDER)))
    for moved in ("token_uri", "authorize_url", "revoke_uri"):
        elsewhere = kept | {moved: "https://evil.example/"}
        error(await api.put(PROVIDER, json=elsewhere), 422, "client_secret_required", "client_secret")
    ok(await api.put(PROVIDER, json=kept | {"client_secret": "of-mine"}))
    assert ok(await api.get(PROVIDER))["registration"] is None
    error(await put(api, office), 422, "provider_taken", "auth.provider")


async def test_two_that_register_at_once_leave_one_whole_client(
    project: Tenant, api: Client, office: Office, person: Person, nobody: Client
) -> None:
    for answer in await asyncio.gather(*(put(api, office) for _ in range(4))):
        ok(answer)
    assert ok(await nobody.get(on_our_side(await office.consent(await link(person)))))["connection"] == "ok"


async def refused(api: Client, office: Office, status: int, code: str, words: str) -> None:
    answer = await put(api, office)
    assert words in error(answer, status, code, "auth.client_mode")["message"]
    error(await api.get("/v1/tenant/mcp/desk"), 404, "not_found")
    error(await api.get(PROVIDER), 404, "not_found")
    assert office.clients == {}


async def test_a_server_that_registers_nobody_is_told_of(api: Client, office: Office) -> None:
    await office.says(office.about_the_office, registration_endpoint=...)
    await refused(api, office, 422, "registration_not_offered", "registers nobody by itself")
    office.told[office.about_the_office] = None
    await refused(api, office, 422, "registration_not_offered", "does not say where accounts are connected")


async def test_a_server_that_says_nothing_of_itself_may_have_its_office_beside_it(api: Client, office: Office) -> None:
    office.told[office.about_the_server] = None
    assert ok(await put(api, office))["auth"]["provider"] == "mcp-desk"


@pytest.mark.parametrize(
    ("what", "said", "words"),
    [
        ("server", {"resource": "https://bank.example/mcp"}, "it is another server"),
        ("server", {"resource": "{address}/mcp-of-another"}, "it is another server"),
        ("server", {"authorization_servers": ["ftp://x.example"]}, "makes no sense"),
        ("server", {"authorization_servers": ["https://a:b@x.example"]}, "can not be asked"),
        ("office", {"issuer": "https://accounts.bank.example"}, "says that it is another"),
        ("office", {"issuer": "{address}/"}, "says that it is another"),
        ("office", {"token_endpoint": "https://a:b@x.example/token"}, "can not be used as token_endpoint"),
        ("office", {"authorization_endpoint": "https://x.example/#y"}, "can not be used as authorization_endpoint"),
    ],
)
async def test_what_can_not_be_true_is_not_believed(
    api: Client, office: Office, what: str, said: dict[str, Any], words: str
) -> None:
    path = office.about_the_server if what == "server" else office.about_the_office
    otherwise = {
        name: one.format(address=office.address) if isinstance(one, str) else one for name, one in said.items()
    }
    await office.says(path, **otherwise)
    if words == "makes no sense":  # what can not be read is as good as not said
        office.told["/.well-known/oauth-protected-resource"] = None
        ok(await put(api, office))
        return
    await refused(api, office, 502, "registration_failed", words)


async def test_a_server_without_pkce_is_refused(api: Client, office: Office) -> None:
    await office.says(office.about_the_office, code_challenge_methods_supported=["plain"])
    await refused(api, office, 422, "registration_not_offered", "PKCE")


async def test_a_client_that_can_not_prove_itself_is_none(api: Client, office: Office) -> None:
    for made, words in (
        ({"client_id": "x", "token_endpoint_auth_method": "private_key_jwt"}, "registration was refused"),
        ({"client_id": "x"}, "something else than a client"),
        ({"client_id": "x\r\ny", "client_secret": "s"}, "something else than a client"),
        ({}, "registration was refused"),
    ):
        office.told["/register"] = made
        await refused(api, office, 502, "registration_failed", words)


@pytest.fixture
def guarded() -> Iterator[None]:
    """Private addresses are out of reach, as they are unless somebody lifts that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "false")
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.mark.usefixtures("guarded")
async def test_addresses_inside_are_not_asked(api: Client, office: Office) -> None:
    asked = {"url": office.url.replace("http:", "https:"), "auth": AUTH}
    answer = await api.put("/v1/tenant/mcp/desk", json=asked)
    assert "not at a public address" in error(answer, 502, "registration_failed")["message"]
    assert office.asked == []


async def test_a_person_who_comes_from_another_office_or_through_another_door_is_not_taken_in(
    api: Client, office: Office, person: Person, nobody: Client
) -> None:
    """Mix-up: a code of one authorization server is brought back as that of another (RFC 9207, RFC 9700, 4.4)."""
    ok(await put(api, office))
    for twist in (
        lambda back: f"{back}&iss=https://evil.example",
        lambda back: re.sub(r"/callback/prv_\w+", "/callback", back),
        lambda back: re.sub(r"/callback/prv_\w+", "/callback/prv_1111111111111111111111", back),
    ):
        back = on_our_side(await office.consent(await link(person)))
        error(await nobody.get(twist(back)), 400, "invalid_state", "state")
    assert office.tokens == {}


async def test_an_office_that_says_who_it_is_has_to(
    api: Client, office: Office, person: Person, nobody: Client
) -> None:
    await office.says(office.about_the_office, authorization_response_iss_parameter_supported=True)
    ok(await put(api, office))
    silent = on_our_side(await office.consent(await link(person)))
    error(await nobody.get(silent), 400, "invalid_state")
    office.says_who_it_is = True
    assert ok(await nobody.get(on_our_side(await office.consent(await link(person)))))["connection"] == "ok"


async def test_a_door_of_its_own_is_for_none_of_the_others(
    api: Client, office: Office, person: Person, nobody: Client
) -> None:
    """The way back of a service that somebody registered us at by hand has no id of a provider in it."""
    ok(await put(api, office))
    kept = _kept(ok(await api.get(PROVIDER)))
    ok(await api.put("/v1/tenant/providers/acme", json=kept | {"client_secret": "x"}))
    state = parse_qs(urlsplit(await link(person, "acme")).query)["state"][0]
    answer = await nobody.get("/v1/oauth/callback/prv_1111111111111111111111", params={"state": state, "code": "x"})
    error(answer, 400, "invalid_state")
