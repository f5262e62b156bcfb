"""Tokens: minted once, shown once, for no more than they say, until they end."""

import asyncio
import sys
import time
from typing import Any

import pytest
from joserfc import jwt

from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import keyrings, tokens
from ingram_app.domain.access import PERMISSIONS
from tests.forgery import put_together, taken_apart
from tests.world import Client, Person, Tenant, World, error, ok

PATH = "/v1/tenant/tokens"


async def mint(api: Client, **asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = ok(await api.post(PATH, json=asked))
    return found


async def test_an_admin_token_lives_as_long_as_one_likes(api: Client, project: Tenant) -> None:
    made = await mint(api, scope="admin", name="for ever")
    assert set(made) == {"id", "token", "scope", "sub", "scopes", "expires_at"}
    assert made["token"].startswith("tha_live_")
    assert (made["scope"], made["sub"], made["scopes"]) == ("admin", project.id, ["tenant:*"])
    assert made["expires_at"] is None
    assert (await mint(api, scope="admin", ttl_seconds=315_360_000))["expires_at"] is not None


async def test_a_smith_token_is_for_one_smith_and_a_day(api: Client, project: Tenant, smith: Person) -> None:
    made = await mint(api, smith_id=smith.id, permissions=["runs:write", "runs:read", "runs:read"])
    assert made["token"].startswith("thp_live_")
    assert (made["scope"], made["sub"]) == ("smith", f"{project.id}:{smith.id}")
    assert made["scopes"] == ["runs:read", "runs:write"]
    _, head, claims, _ = taken_apart(made["token"])
    assert head == {"typ": "JWT", "alg": "RS256", "kid": head["kid"]}
    assert claims["exp"] - claims["iat"] == 24 * 3600
    assert {"iss", "sub", "jti", "scopes", "iat", "exp"} == set(claims)
    assert (claims["jti"], claims["scopes"]) == (made["id"], made["scopes"])


async def test_an_organization_key_is_an_rs256_token_too(world: World) -> None:
    handle, head, claims, _ = taken_apart(world.organization_key)
    assert (handle, head["alg"]) == ("tho_live_", "RS256")
    assert (claims["sub"], claims["scopes"]) == (world.organization_id, ["organization:*"])
    assert "exp" not in claims


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"permissions": None}, "permissions_required", "permissions"),
        ({"permissions": []}, "permissions_required", "permissions"),
        ({"permissions": ["runs:fly"]}, "invalid_permissions", "permissions"),
        ({"permissions": ["tenant:*"]}, "invalid_permissions", "permissions"),
        ({"permissions": ["organization:*"]}, "invalid_permissions", "permissions"),
        ({"permissions": ["smiths:write"]}, "invalid_permissions", "permissions"),
        ({"permissions": ["runs:*"]}, "invalid_permissions", "permissions"),
        ({"smith_id": None}, "smith_required", "smith_id"),
        ({"scope": "admin"}, "smith_required", "smith_id"),
        ({"scope": "organization"}, "invalid_scope", "scope"),
        ({"scope": ""}, "invalid_scope", "scope"),
        ({"ttl_seconds": 86_401}, "invalid_request", "ttl_seconds"),
        ({"ttl_seconds": 0}, "invalid_request", "ttl_seconds"),
        ({"ttl_seconds": -5}, "invalid_request", "ttl_seconds"),
        ({"ttl_seconds": 10**300}, "invalid_request", "ttl_seconds"),
        ({"ttl_seconds": "a day"}, "schema_error", "ttl_seconds"),
        ({"sub": "somebody"}, "schema_error", "sub"),
    ],
)
async def test_a_token_that_makes_no_sense_is_not_minted(
    world: World, api: Client, smith: Person, change: dict[str, Any], code: str, param: str
) -> None:
    before = world.ask("select count(*) from tokens")
    asked = {"smith_id": smith.id, "permissions": ["runs:read"]} | change
    error(await api.post(PATH, json=asked), 422, code, param)
    assert world.ask("select count(*) from tokens") == before


async def test_an_admin_token_longer_than_ten_years_is_refused(api: Client) -> None:
    asked = {"scope": "admin", "ttl_seconds": 315_360_001}
    error(await api.post(PATH, json=asked), 422, "invalid_request", "ttl_seconds")


async def test_a_token_for_a_smith_that_is_not_there_is_not_minted(world: World, api: Client) -> None:
    before = world.ask("select count(*) from tokens")
    for smith_id in ("smt_1111111111111111111111", "", "x:y"):
        asked = {"smith_id": smith_id, "permissions": ["runs:read"]}
        assert (await api.post(PATH, json=asked)).status_code in (404, 422)
    assert world.ask("select count(*) from tokens") == before


async def test_a_list_of_tokens_never_shows_their_words(api: Client) -> None:
    made = await mint(api, scope="admin", name="mine")
    shown = ok(await api.get(PATH, params={"limit": 200}))
    (mine,) = [one for one in shown["data"] if one["id"] == made["id"]]
    assert set(mine) == {
        "id", "name", "sub", "scopes", "prefix", "created_at", "expires_at", "revoked_at", "last_used_at",
    }  # fmt: skip
    assert made["token"].startswith(mine["prefix"])
    assert len(mine["prefix"]) <= 20
    assert made["token"].rpartition(".")[2] not in str(shown)
    assert mine["last_used_at"] is None


async def test_when_a_token_was_last_used_is_shown(world: World, api: Client) -> None:
    made = await mint(api, scope="admin")
    ok(await world.client(made["token"]).get("/v1/agents"))
    shown = ok(await api.get(PATH, params={"limit": 200}))["data"]
    assert next(one for one in shown if one["id"] == made["id"])["last_used_at"] is not None


async def test_a_revoked_token_ends_within_a_second(world: World, api: Client) -> None:
    made = await mint(api, scope="admin")
    client = world.client(made["token"])
    ok(await client.get("/v1/agents"))
    ok(await api.delete(f"{PATH}/{made['id']}"))
    begun = time.monotonic()
    while (await client.get("/v1/agents")).status_code == 200:
        assert time.monotonic() < begun + 1
        await asyncio.sleep(0.05)
    shown = ok(await api.get(PATH, params={"limit": 200}))["data"]
    assert next(one for one in shown if one["id"] == made["id"])["revoked_at"] is not None
    ok(await api.delete(f"{PATH}/{made['id']}"))


ASKING = """
import asyncio, sys
from ingram_app.core.errors import IngramError
from ingram_app.domain import tokens
async def main():
    words = sys.stdin.readline().strip()
    while True:
        try:
            print("in", (await tokens.authenticate(words)).actor.token_id, flush=True)
        except IngramError as refused:
            return print("out", refused.sentence, flush=True)
        await asyncio.sleep(0.02)
asyncio.run(main())
"""


async def test_a_revoked_token_ends_within_a_second_in_every_process(api: Client) -> None:
    made = await mint(api, scope="admin")
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", ASKING, stdin=pipe, stdout=pipe)
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.write(made["token"].encode() + b"\n")
    assert (await other.stdout.readline()).split() == [b"in", made["id"].encode()]
    ok(await api.delete(f"{PATH}/{made['id']}"))
    begun = time.monotonic()
    while (line := await other.stdout.readline()).startswith(b"in"):
        assert time.monotonic() < begun + 1.2
    assert b"revoked" in line
    await other.wait()


async def test_a_token_that_has_expired_is_refused(world: World, api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await mint(api, scope="admin", ttl_seconds=60)
    client = world.client(made["token"])
    ok(await client.get("/v1/agents"))
    world.do("update tokens set expires_at = now() - interval '1 second' where id = %s", made["id"])
    tokens._believed.clear()
    assert "expired" in error(await client.get("/v1/agents"), 401, "unauthenticated")["message"]


async def test_a_believed_token_is_refused_the_moment_it_expires(api: Client, world: World) -> None:
    made = await mint(api, scope="admin", ttl_seconds=1)
    client, begun = world.client(made["token"]), time.monotonic()
    while (await client.get("/v1/agents")).status_code == 200:
        assert time.monotonic() < begun + 1.2
        await asyncio.sleep(0.02)


async def test_claims_can_not_be_changed(world: World, project: Tenant, other: Tenant) -> None:
    handle, head, claims, signature = taken_apart(project.token)
    for change in ({"sub": other.id}, {"sub": world.organization_id}, {"scopes": ["runs:read"]}, {"iat": 0}):
        client = world.client(put_together(handle, head, claims | change, signature))
        error(await client.get("/v1/agents"), 401, "unauthenticated")


async def test_a_token_signed_by_another_project_s_real_key_reads_nothing_of_ours(
    world: World, project: Tenant, other: Tenant
) -> None:
    """The whole point: who holds the other project's signing key still can not speak for ours."""
    async with transaction(Tenancy(project_id=other.id)) as session:
        theirs = await keyrings.find(session, other.id)
    handle, head, claims, _ = taken_apart(project.token)
    for kid in (head["kid"], theirs.kid):
        forged = jwt.encode({"alg": "RS256", "kid": kid}, claims, theirs.signing_key(), algorithms=["RS256"])
        error(await world.client(handle + forged).get("/v1/agents"), 401, "unauthenticated")


async def test_a_token_signed_right_and_never_minted_is_refused(world: World, project: Tenant) -> None:
    async with transaction(Tenancy(project_id=project.id)) as session:
        ours = await keyrings.find(session, project.id)
    handle, head, claims, _ = taken_apart(project.token)
    for change in ({"jti": "tok_1111111111111111111111"}, {"scopes": ["tenant:*", "organization:*"]}, {"jti": None}):
        forged = jwt.encode(head, claims | change, ours.signing_key(), algorithms=["RS256"])
        error(await world.client(handle + forged).get("/v1/agents"), 401, "unauthenticated")


async def test_whether_a_project_is_there_can_not_be_learnt_from_a_forged_token(
    world: World, project: Tenant, other: Tenant
) -> None:
    handle, head, claims, signature = taken_apart(project.token)
    known = world.client(put_together(handle, head, claims | {"sub": other.id}, signature))
    unknown = world.client(put_together(handle, head, claims | {"sub": "proj_1111111111111111111111"}, signature))
    assert (await known.get("/v1/agents")).text == (await unknown.get("/v1/agents")).text


async def test_many_strangers_do_not_push_out_who_is_known(api: Client, world: World, project: Tenant) -> None:
    ok(await api.get("/v1/agents"))
    known = len(tokens._believed)
    for number in range(50):
        await world.client(f"{project.token}{number}").get("/v1/agents")
    assert len(tokens._believed) <= known


async def test_a_token_of_an_archived_smith_opens_nothing(project: Tenant) -> None:
    person = await project.person(external_id="leaving")
    ok(await project.api.delete(f"/v1/smiths/{person.id}"))
    told = error(await person.api.get("/v1/runs"), 401, "unauthenticated")
    assert "its smith has been deleted" in told["message"]


async def test_every_legal_permission_can_be_given(api: Client, smith: Person) -> None:
    made = await mint(api, smith_id=smith.id, permissions=sorted(PERMISSIONS))
    assert made["scopes"] == sorted(PERMISSIONS)
    assert len(PERMISSIONS) == 14 * 2 + 1
