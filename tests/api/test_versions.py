"""Versions: frozen drafts under numbers without a gap, how they differ, and the way back into the draft."""

import asyncio
import base64
from typing import Any

import pytest

from tests.world import Client, Tenant, World, error, ok


async def test_the_first_publish_goes_live_and_later_ones_wait(api: Client) -> None:
    agent = ok(await api.post("/v1/agents", json={"name": "Grows", "instructions": "one"}))
    path = f"/v1/agents/{agent['id']}"
    first = ok(await api.post(f"{path}/versions", json={"note": "the first"}))
    assert set(first) == {"version", "snapshot", "created_by", "note", "created_at"}
    assert (first["version"], first["note"], first["snapshot"]["instructions"]) == (1, "the first", "one")
    assert first["created_by"]["kind"] == "tenant"
    ok(await api.patch(path, json={"instructions": "two"}))
    assert ok(await api.get(path))["active_version"] == 1
    second = ok(await api.post(f"{path}/versions"))
    assert (second["version"], second["snapshot"]["instructions"]) == (2, "two")
    assert ok(await api.get(path))["active_version"] == 1
    assert [v["version"] for v in ok(await api.get(f"{path}/versions"))["data"]] == [2, 1]
    assert ok(await api.get(f"{path}/versions/1")) == first


async def test_twelve_racing_publishes_get_numbers_without_a_gap(api: Client, project: Tenant) -> None:
    agent = await project.agent(publish=False)
    answers = await asyncio.gather(*[api.post(f"/v1/agents/{agent['id']}/versions") for _ in range(12)])
    assert sorted(ok(answer)["version"] for answer in answers) == list(range(1, 13))
    assert ok(await api.get(f"/v1/agents/{agent['id']}"))["active_version"] == 1


async def test_a_publish_is_told_and_written_down(world: World, api: Client, project: Tenant) -> None:
    agent = await project.agent(publish=False)
    ok(await api.post(f"/v1/agents/{agent['id']}/versions", json={"note": "new"}))
    told = {"agent_id": agent["id"], "version": 1, "note": "new"}
    about = "where project_id = %s and data ->> 'agent_id' = %s"
    assert world.ask(f"select type, data from events {about}", project.id, agent["id"]) == [("agent.published", told)]
    noted = "select details from audit where resource_id = %s and action = 'agent.published'"
    assert world.ask(noted, agent["id"]) == [({"version": 1},)]


async def versions_of(api: Client, agent_id: str, **params: Any) -> dict[str, Any]:
    return dict(ok(await api.get(f"/v1/agents/{agent_id}/versions", params=params)))


async def test_versions_come_in_pages(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    for _ in range(4):
        ok(await api.post(f"/v1/agents/{agent['id']}/versions"))
    seen: list[int] = []
    found = await versions_of(api, agent["id"], limit=2)
    while True:
        assert set(found) == {"data", "next_cursor", "has_more"}
        seen += [one["version"] for one in found["data"]]
        if not found["has_more"]:
            break
        found = await versions_of(api, agent["id"], limit=2, cursor=found["next_cursor"])
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("place", ["x agt_1", "1", " ", f"{2**31} agt_1", f"{10**30} agt_1", "-1 agt_1", "1.5 agt_1"])
async def test_a_cursor_of_one_s_own_making_is_refused(api: Client, project: Tenant, place: str) -> None:
    agent = await project.agent()
    cursor = base64.urlsafe_b64encode(place.encode()).decode()
    answer = await api.get(f"/v1/agents/{agent['id']}/versions", params={"cursor": cursor})
    error(answer, 400, "invalid_cursor", "cursor")


async def test_a_difference_is_told_field_by_field(api: Client, project: Tenant) -> None:
    agent = await project.agent(instructions="Be kind.\nBe brief.", enabled_hosted_tools=["search"])
    path = f"/v1/agents/{agent['id']}"
    ok(await api.patch(path, json={"instructions": "Be kind.\nBe exact.", "model": "test/slow"}))
    ok(await api.post(f"{path}/versions"))
    told = ok(await api.get(f"{path}/versions/1/diff/2"))
    assert (told["before"], told["after"]) == ("1", "2")
    assert {change["field"]: (change["before"], change["after"]) for change in told["changes"]} == {
        "instructions": ("Be kind.\nBe brief.", "Be kind.\nBe exact."),
        "model": ("test/echo", "test/slow"),
    }
    assert told["instructions"].splitlines()[-3:] == [" Be kind.", "-Be brief.", "+Be exact."]
    back = ok(await api.get(f"{path}/versions/2/diff/1"))
    assert {change["field"]: change["after"] for change in back["changes"]}["model"] == "test/echo"
    same = ok(await api.get(f"{path}/versions/2/diff/draft"))
    assert (same["changes"], same["instructions"]) == ([], "")
    ok(await api.patch(path, json={"auto_memory": False}))
    (change,) = ok(await api.get(f"{path}/versions/2/diff/draft"))["changes"]
    assert change == {"field": "auto_memory", "before": None, "after": False}


@pytest.mark.parametrize("word", ["0", "7", "-1", "x", "1.0", "²", str(2**31), "9" * 300, "Draft"])
async def test_what_is_no_version_can_not_be_compared(api: Client, project: Tenant, word: str) -> None:
    agent = await project.agent()
    for pair in (f"1/diff/{word}", f"{word}/diff/draft"):
        error(await api.get(f"/v1/agents/{agent['id']}/versions/{pair}"), 404, "not_found")


async def test_a_version_is_restored_into_the_draft_and_what_is_live_stays(
    world: World, api: Client, project: Tenant
) -> None:
    agent = await project.agent(instructions="one")
    path = f"/v1/agents/{agent['id']}"
    ok(await api.patch(path, json={"instructions": "two", "model": "test/slow"}))
    back = ok(await api.post(f"{path}/versions/1/restore"))
    assert (back["draft"], back["active_version"]) == (agent["draft"], 1)
    assert ok(await api.post(f"{path}/versions/1/restore")) == back
    noted = "select details from audit where resource_id = %s and action = 'agent.version_restored'"
    assert world.ask(noted, agent["id"]) == [({"version": 1},)]
    error(await api.post(f"{path}/versions/2/restore"), 404, "not_found")


async def test_versions_of_another_s_agent_are_not_there(api: Client, other: Tenant) -> None:
    foreign = await other.agent()
    for method, path in (("GET", "1"), ("GET", "1/diff/1"), ("POST", "1/restore")):
        error(await api.request(method, f"/v1/agents/{foreign['id']}/versions/{path}"), 404, "not_found")
