"""Paging: every row once, newest first, whatever happens meanwhile."""

import base64
from typing import Any

import pytest

from tests.world import Client, Person, Tenant, World, error, ok


@pytest.fixture(scope="module")
async def agent_id(project: Tenant) -> str:
    return str((await project.agent())["id"])


@pytest.fixture(scope="module")
async def seven(project: Tenant, agent_id: str) -> list[str]:
    """Seven smiths of one agent, newest first."""
    return [(await project.smith(agent_id=agent_id, locale="s7"))["id"] for _ in range(7)][::-1]


async def page(api: Client, agent_id: str, **params: Any) -> dict[str, Any]:
    found = ok(await api.get("/v1/smiths", params={"agent_id": agent_id, **params}))
    assert set(found) == {"data", "next_cursor", "has_more"}
    assert found["has_more"] == (found["next_cursor"] is not None)
    return dict(found)


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 200])
async def test_all_rows_come_once_newest_first(api: Client, seven: list[str], agent_id: str, limit: int) -> None:
    seen: list[str] = []
    found = await page(api, agent_id, limit=limit)
    while True:
        assert len(found["data"]) <= limit
        seen += [one["id"] for one in found["data"]]
        if not found["has_more"]:
            break
        found = await page(api, agent_id, limit=limit, cursor=found["next_cursor"])
    assert seen == seven


async def test_fifty_is_usual(api: Client, world: World, project: Tenant) -> None:
    many = await project.customer()
    for _ in range(51):
        await project.smith(customer_id=many)
    found = ok(await api.get("/v1/smiths", params={"customer_id": many}))
    assert (len(found["data"]), found["has_more"]) == (50, True)


async def test_rows_made_and_gone_meanwhile_neither_repeat_nor_hide_others(api: Client, project: Tenant) -> None:
    moving = await project.customer()
    made = [(await project.smith(customer_id=moving))["id"] for _ in range(6)][::-1]
    first = ok(await api.get("/v1/smiths", params={"customer_id": moving, "limit": 3}))
    await project.smith(customer_id=moving)
    ok(await api.delete(f"/v1/smiths/{made[2]}"))
    ok(await api.delete(f"/v1/smiths/{made[4]}"))
    cursor = first["next_cursor"]
    rest = ok(await api.get("/v1/smiths", params={"customer_id": moving, "limit": 3, "cursor": cursor}))
    assert [one["id"] for one in first["data"]] == made[:3]
    assert [one["id"] for one in rest["data"]] == [made[3], made[5]]


async def test_rows_of_one_moment_are_told_apart(api: Client, world: World, seven: list[str], agent_id: str) -> None:
    world.do("update smiths set created_at = '2026-01-01' where locale = 's7'")
    seen, cursor = [], None
    for _ in range(4):
        found = await page(api, agent_id, limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [one["id"] for one in found["data"]]
        cursor = found["next_cursor"]
    assert seen == seven


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", "", "1e2", "²", "9" * 5000, " 5", "+5"])
async def test_a_limit_is_from_1_to_200(api: Client, limit: str) -> None:
    for path in ("/v1/smiths", "/v1/agents", "/v1/runs", "/v1/tenant/tokens"):
        error(await api.get(path, params={"limit": limit}), 400, "invalid_limit", "limit")


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "forged",
    [
        "x", "", "🐟", "=", "AAAA", "%00", "' or 1=1 --", "a" * 10_000,
        cursor(""), cursor(" "), cursor("2026-01-01"), cursor("not-a-time smt_1"), cursor("2026-13-45T00:00:00 smt_1"),
        cursor("2026-01-01T00:00:00+00:00 smt_\x00"), cursor("2026-01-01T00:00:00+00:00"),
        cursor("99999-01-01T00:00:00+00:00 smt_1"), base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)  # fmt: skip
async def test_a_cursor_of_one_s_own_making_is_refused(api: Client, forged: str) -> None:
    error(await api.get("/v1/smiths", params={"cursor": forged}), 400, "invalid_cursor", "cursor")


async def test_every_list_of_pages_takes_a_cursor(
    api: Client, project: Tenant, smith: Person, organization_api: Client
) -> None:
    for _ in range(2):
        await project.agent()
        await project.run(smith.id)
        ok(await api.post("/v1/tenant/tokens", json={"scope": "admin"}))
    lists = [(api, path) for path in ("/v1/agents", "/v1/runs", f"/v1/smiths/{smith.id}/runs", "/v1/tenant/tokens")]
    for client, path in [*lists, (organization_api, "/v1/organization/projects")]:
        first = ok(await client.get(path, params={"limit": 1}))
        second = ok(await client.get(path, params={"limit": 1, "cursor": first["next_cursor"]}))
        assert first["data"][0]["id"] > second["data"][0]["id"], path
