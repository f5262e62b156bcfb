"""MCP servers: registered, asked for their tools, and told for whom they work."""

import asyncio
import hashlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from ingram_app.core.clock import now
from ingram_app.core.database import transaction
from ingram_app.core.settings import settings
from ingram_app.domain import mcp_servers, smiths
from ingram_app.domain.access import TENANT, Actor, Caller
from ingram_app.domain.signatures import Person as Named
from ingram_app.gateways import mcp
from tests.fakes.mcp_server import Desk, running_mcp_server
from tests.world import Client, Person, Tenant, World, error, ok

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")
SERVERS = "/v1/tenant/mcp"


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_mcp_server() as made:
        yield made
        await mcp.close()


async def put(api: Client, desk: Desk, **fields: Any) -> dict[str, Any]:
    return dict(ok(await api.put(f"{SERVERS}/desk", json={"url": desk.url, **fields})))


def tools(server: dict[str, Any], fact: str) -> dict[str, bool]:
    return {tool["name"]: tool[fact] for tool in server["tools"]}


async def test_a_server_that_is_set_while_it_is_removed_is_there(world: World, api: Client) -> None:
    asked = {"url": "https://127.0.0.1:1/mcp"}
    ok(await api.put("/v1/tenant/mcp/gone", json=asked))
    with world.doing("delete from mcp_servers where name = 'gone'"):
        putting = asyncio.create_task(api.put("/v1/tenant/mcp/gone", json=asked))
        await world.wait_for_us(1)
    assert ok(await putting)["name"] == "gone"
    ok(await api.delete("/v1/tenant/mcp/gone"))


async def test_a_server_is_asked_for_its_tools_when_it_is_registered(api: Client, desk: Desk) -> None:
    server = await put(api, desk)
    assert (server["status"], server["discovery_error"], server["tools_discovered"]) == ("active", None, 6)
    assert server["auth"] == {"kind": "none", "provider": None, "client_mode": "tenant"}
    assert (server["origin"], server["catalog_slug"], server["tool_allowlist"]) == ("custom", None, None)
    assert all(tools(server, "enabled").values())
    gated = {name for name, gated in tools(server, "requires_approval").items() if gated}
    assert gated == {"refund"}  # its server calls it destructive
    assert ok(await api.get(f"{SERVERS}/desk")) == server
    assert ok(await api.get(SERVERS))["data"] == [server]


async def test_once_there_is_an_allowlist_no_other_tool_is_there(api: Client, desk: Desk) -> None:
    server = await put(api, desk, tool_allowlist=["look_up"])
    assert {name for name, enabled in tools(server, "enabled").items() if enabled} == {"look_up"}
    assert not any(tools(await put(api, desk, tool_allowlist=[]), "enabled").values())
    assert all(tools(await put(api, desk), "enabled").values())


async def test_a_rule_gates_the_tools_whose_names_it_matches(api: Client, desk: Desk) -> None:
    rules = [{"match": "*look*", "approver": "smith", "expires_in_seconds": 60}, {"match": "shout"}]
    server = await put(api, desk, approval_policy=rules)
    gated = {name for name, gated in tools(server, "requires_approval").items() if gated}
    assert gated == {"look_up", "shout", "refund"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "mcp_target_required", "url"),
        ({"url": "https://x.example", "catalog": "deepwiki"}, "mcp_target_required", "url"),
        ({"url": "ftp://x.example"}, "invalid_mcp_server_url", "url"),
        ({"url": "https://user:word@x.example/"}, "invalid_mcp_server_url", "url"),
        ({"url": "javascript:alert(1)"}, "invalid_mcp_server_url", "url"),
        ({"url": "https://x.example/\nX-A: b"}, "invalid_mcp_server_url", "url"),
        ({"url": "https://x.example", "auth": {"kind": "bearer"}}, "mcp_secret_required", "auth.secret"),
        ({"url": "https://x.example", "auth": {"kind": "oauth"}}, "mcp_provider_required", "auth.provider"),
        ({"url": "https://x.example", "auth": {"kind": "basic"}}, "schema_error", "auth.kind"),
        (
            {"url": "https://x.example", "approval_policy": [{"match": "*", "when": {"cents": {"gt": 5}}}]},
            "unsupported_policy_rule",
            "approval_policy",
        ),
        ({"url": "https://x.example", "approval_policy": [{"require": "approval"}]}, "schema_error", ...),
    ],
)
async def test_what_makes_no_sense_is_told_where(api: Client, body: dict[str, Any], code: str, param: Any) -> None:
    error(await api.put(f"{SERVERS}/wrong", json=body), 422, code, param)
    error(await api.get(f"{SERVERS}/wrong"), 404, "not_found")


async def test_a_name_is_plain(api: Client) -> None:
    for name in ("Desk", "-desk", "d" * 64, "de sk", "désk"):
        error(await api.put(f"{SERVERS}/{name}", json={"url": "https://x.example"}), 422, "invalid_mcp_server_name")
    error(await api.put(f"{SERVERS}/x", json={"catalog": "nothing"}), 404, "not_found")


async def test_without_private_addresses_plain_http_is_refused(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "false")
    settings.cache_clear()
    error(await api.put(f"{SERVERS}/plain", json={"url": "http://x.example"}), 422, "invalid_mcp_server_url")
    inside = ok(await api.put(f"{SERVERS}/inside", json={"url": "https://127.0.0.1:1/mcp"}))
    assert "not at a public address" in inside["discovery_error"]
    monkeypatch.undo()
    settings.cache_clear()
    ok(await api.delete(f"{SERVERS}/inside"))


async def test_a_server_that_is_down_is_registered_and_degraded(api: Client, desk: Desk) -> None:
    desk.status = 500
    server = await put(api, desk)
    assert (server["status"], server["discovery_error"], server["tools"]) == ("degraded", "it answered 500", [])
    told = error(await api.post(f"{SERVERS}/desk/refresh"), 502, "discovery_failed")
    assert "it answered 500" in told["message"]
    desk.status = 200
    server = ok(await api.post(f"{SERVERS}/desk/refresh"))
    assert (server["status"], server["tools_discovered"]) == ("active", 6)
    desk.status = 500
    error(await api.post(f"{SERVERS}/desk/refresh"), 502, "discovery_failed")
    assert ok(await api.get(f"{SERVERS}/desk"))["tools_discovered"] == 6  # those it told when it was last heard


async def test_a_secret_is_shown_to_its_server_and_to_nobody_else(world: World, api: Client, desk: Desk) -> None:
    desk.bearer = "s3cret-of-the-desk"
    auth = {"kind": "bearer", "secret": desk.bearer}
    answer = await api.put(f"{SERVERS}/desk", json={"url": desk.url, "auth": auth})
    assert ok(answer)["status"] == "active"
    shown = [answer, await api.get(f"{SERVERS}/desk"), await api.get(SERVERS)]
    assert all("s3cret" not in one.text for one in shown)
    assert "s3cret" not in str(world.ask("select m::text from mcp_servers m"))
    assert "s3cret" not in str(world.ask("select details::text from audit"))
    assert (await put(api, desk, auth={"kind": "bearer"}))["status"] == "active"  # kept
    elsewhere = {"url": f"{desk.address}/elsewhere", "auth": {"kind": "bearer"}}
    error(await api.put(f"{SERVERS}/desk", json=elsewhere), 422, "mcp_secret_required")
    assert (await put(api, desk))["discovery_error"] == "it answered 401"


async def test_a_server_for_connected_smiths_is_no_worse_for_telling_us_nothing(api: Client, desk: Desk) -> None:
    desk.bearer = "a smith's token"
    server = await put(api, desk, auth={"kind": "oauth", "provider": "github"})
    assert (server["status"], server["tools_refreshed_at"], server["tools"]) == ("active", None, [])


async def test_what_is_removed_is_gone(api: Client, desk: Desk) -> None:
    await put(api, desk)
    ok(await api.delete(f"{SERVERS}/desk"))
    for answer in (await api.get(f"{SERVERS}/desk"), await api.delete(f"{SERVERS}/desk")):
        error(answer, 404, "not_found")
    error(await api.post(f"{SERVERS}/desk/refresh"), 404, "not_found")


async def test_projects_do_not_share_servers(api: Client, other_api: Client, desk: Desk) -> None:
    mine = await put(api, desk)
    error(await other_api.get(f"{SERVERS}/desk"), 404, "not_found")
    theirs = await put(other_api, desk, tool_allowlist=[])
    assert theirs["id"] != mine["id"]
    assert ok(await api.get(f"{SERVERS}/desk"))["tool_allowlist"] is None


async def test_each_deed_is_written_down(world: World, api: Client, desk: Desk) -> None:
    await api.delete(f"{SERVERS}/desk")
    server = await put(api, desk)
    ok(await api.delete(f"{SERVERS}/desk"))
    deeds = world.ask("select action from audit where resource_id = %s order by created_at", server["id"])
    assert deeds == [("mcp_server.set",), ("mcp_server.removed",)]


async def test_the_catalog_tells_where_well_known_servers_are(api: Client) -> None:
    entries = ok(await api.get("/v1/catalog"))["data"]
    assert [entry["name"].lower() for entry in entries] == sorted(entry["name"].lower() for entry in entries)
    for entry in entries:
        assert re.fullmatch(r"https://[\w.-]+(/\S*)?", entry["url"])
        assert ok(await api.get(f"/v1/catalog/{entry['slug']}")) == entry
    error(await api.get("/v1/catalog/nothing"), 404, "not_found")


async def called_for(project: Tenant, person: Person, desk: Desk) -> dict[str, str]:
    """Make a call for a smith, and return the request that the server saw."""
    caller = Caller(Actor("tenant", project.id), frozenset({TENANT}), project_id=project.id)
    async with transaction(caller.tenancy) as session:
        smith = (await smiths.find(session, caller, person.id)).smith
        server = await mcp_servers.find(session, caller, "desk")
        peer = await mcp_servers.reach(session, server, Named(smith.id, smith.external_id))
    await mcp.call(peer, "look_up", {"order": "1"})
    return desk.requests[-1]


async def test_a_server_can_tell_for_whom_it_works(
    project: Tenant, api: Client, nobody: Client, desk: Desk, smith: Person
) -> None:
    await put(api, desk)
    seen = await called_for(project, smith, desk)
    assert seen["x-ic-smith-external-id"] == "user-1"
    keys = KeySet.import_key_set(ok(await nobody.get(f"/v1/projects/{project.id}/jwks.json")))
    token = jwt.decode(seen["x-ic-signature"], keys, algorithms=["RS256"])
    assert token.header["typ"] == "ic-call+jwt"
    claims = token.claims
    assert (claims["sub"], claims["smith_id"], claims["aud"]) == ("user-1", smith.id, desk.url)
    assert claims["body_sha256"] == hashlib.sha256(seen["body"].encode()).hexdigest()
    assert 0 < claims["exp"] - now().timestamp() <= 300


async def test_an_external_id_can_bring_no_header_of_its_own(project: Tenant, api: Client, desk: Desk) -> None:
    await put(api, desk)
    person = await project.person(external_id="jörg\r\nX-Admin: yes % ")
    seen = await called_for(project, person, desk)
    assert seen["x-ic-smith-external-id"] == "j%C3%B6rg%0D%0AX-Admin: yes %25"
    assert "x-admin" not in seen


async def test_a_signature_is_no_token_of_ours(
    world: World, project: Tenant, api: Client, desk: Desk, smith: Person
) -> None:
    await put(api, desk)
    signature = (await called_for(project, smith, desk))["x-ic-signature"]
    for handle in ("tha_live_", "thp_live_", "tho_live_"):
        error(await world.client(handle + signature).get("/v1/agents"), 401, "unauthenticated")


async def test_keys_of_a_project_that_is_not_there_are_not_found(nobody: Client, world: World) -> None:
    for project_id in ("proj_1111111111111111111111", world.organization_id, "x", "'"):
        error(await nobody.get(f"/v1/projects/{project_id}/jwks.json"), 404, "not_found")


async def test_the_snippet_in_the_guide_verifies_a_call_and_refuses_others(
    project: Tenant, api: Client, nobody: Client, desk: Desk, smith: Person, tmp_path: Path
) -> None:
    await put(api, desk)
    seen = await called_for(project, smith, desk)
    guide = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    snippet = re.search(r"```python\n(# verify\.py.*?)```", guide, re.DOTALL)
    assert snippet
    keys = ok(await nobody.get(f"/v1/projects/{project.id}/jwks.json"))
    (tmp_path / "verify.py").write_text(snippet[1])
    program = (
        "import verify\nfor body, me in [(BODY, ME), (BODY + b' ', ME), (BODY, 'https://other.example/mcp')]:\n"
        "    try: print(verify.smith_of(TOKEN, body, KEYS, me))\n    except Exception as no: print('refused')\n"
    )
    facts = f"TOKEN, BODY, KEYS, ME = {seen['x-ic-signature']!r}, {seen['body'].encode()!r}, {keys!r}, {desk.url!r}\n"
    command = [sys.executable, "-c", facts + program]
    done = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["user-1", "refused", "refused"]
