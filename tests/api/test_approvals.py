"""Approvals: what waits for a person, as its operators and its smith see it."""

from typing import Any

import pytest

from tests.world import Client, Person, Tenant, error, ok

SHOWN = {
    "id", "run_id", "smith_id", "tool_call_id", "tool", "args", "elicitation", "approver", "four_eyes", "status",
    "actor", "reason", "created_at", "resolved_at", "expires_at",
}  # fmt: skip
ADD = '[[call add {"a": 1, "b": 2}]]'
PERMISSIONS = ("runs:write", "runs:read", "approvals:read", "approvals:write")


@pytest.fixture(scope="module")
async def agent(project: Tenant) -> dict[str, Any]:
    rules = [{"match": "add"}, {"match": "subtract", "approver": "smith", "expires_in_seconds": 600}]
    design = {"model": "test/tools", "enabled_hosted_tools": ["calculator"], "approval_policy": rules}
    return await project.agent(**design)


@pytest.fixture
async def person(project: Tenant, agent: dict[str, Any]) -> Person:
    return await project.person(*PERMISSIONS, agent_id=agent["id"])


async def asked(project: Tenant, person: Person, said: str = ADD) -> dict[str, Any]:
    """Have a run pause, and return its approval."""
    run = await project.run(person.id, said)
    assert run["status"] == "paused_for_approval", run
    [approval] = ok(await project.api.get("/v1/approvals", params={"smith_id": person.id, "status": "pending"}))["data"]
    return dict(approval)


async def test_an_approval_shows_exactly_what_would_be_done(project: Tenant, person: Person) -> None:
    approval = await asked(project, person)
    assert set(approval) == SHOWN
    assert (approval["tool"], approval["args"], approval["status"]) == ("add", {"a": 1, "b": 2}, "pending")
    assert (approval["approver"], approval["four_eyes"], approval["expires_at"]) == ("operator", False, None)
    assert (approval["actor"], approval["reason"], approval["resolved_at"]) == (None, None, None)
    assert ok(await project.api.get(f"/v1/approvals/{approval['id']}")) == approval


async def test_a_smith_sees_its_own_approvals_and_no_others(project: Tenant, agent: dict[str, Any]) -> None:
    ann, bob = [await project.person(*PERMISSIONS, agent_id=agent["id"]) for _ in "12"]
    of_ann = await asked(project, ann)
    assert [one["id"] for one in ok(await ann.api.get("/v1/approvals"))["data"]] == [of_ann["id"]]
    assert ok(await bob.api.get("/v1/approvals"))["data"] == []
    error(await bob.api.get(f"/v1/approvals/{of_ann['id']}"), 404, "not_found")
    error(await bob.api.get("/v1/approvals", params={"smith_id": ann.id}), 403, "smith_mismatch")
    ok(await ann.api.get(f"/v1/approvals/{of_ann['id']}"))


async def test_another_project_s_approvals_do_not_exist(project: Tenant, other: Tenant, person: Person) -> None:
    approval = await asked(project, person)
    error(await other.api.get(f"/v1/approvals/{approval['id']}"), 404, "not_found")
    assert ok(await other.api.get("/v1/approvals"))["data"] == []
    decision = {"kind": "approval_decision", "approval_id": approval["id"], "decision": "approve"}
    path = f"/v1/smiths/{person.id}/runs/{approval['run_id']}/submit"
    error(await other.api.post(path, json=decision), 404, "not_found")
    assert ok(await other.api.get("/v1/approvals", params={"run_id": approval["run_id"]}))["data"] == []


async def test_they_are_listed_newest_first_a_page_at_a_time_by_what_became_of_them(
    project: Tenant, person: Person
) -> None:
    for word in ("approve", "reject"):
        approval = await asked(project, person)
        path = f"/v1/smiths/{person.id}/runs/{approval['run_id']}/submit"
        decision = {"kind": "approval_decision", "approval_id": approval["id"], "decision": word}
        ok(await project.api.post(path, json=decision))
    latest = await asked(project, person)
    mine = {"smith_id": person.id}
    first = ok(await project.api.get("/v1/approvals", params=mine | {"limit": 2}))
    second = ok(await project.api.get("/v1/approvals", params=mine | {"limit": 2, "cursor": first["next_cursor"]}))
    states = [one["status"] for one in first["data"] + second["data"]]
    assert (states, first["data"][0]["id"]) == (["pending", "rejected", "approved"], latest["id"])
    for word in ("pending", "rejected", "approved"):
        [found] = ok(await project.api.get("/v1/approvals", params=mine | {"status": word}))["data"]
        assert found["status"] == word
    of_run = ok(await project.api.get("/v1/approvals", params={"run_id": latest["run_id"]}))["data"]
    assert [one["id"] for one in of_run] == [latest["id"]]
    assert ok(await project.api.get("/v1/approvals", params={"run_id": ""}))["data"] == []
    error(await project.api.get("/v1/approvals", params={"status": "maybe"}), 422, "invalid_status", "status")


async def test_what_is_the_smith_s_to_decide_its_person_decides(project: Tenant, person: Person) -> None:
    approval = await asked(project, person, '[[call subtract {"a": 3, "b": 2}]]')
    assert (approval["approver"], approval["expires_at"] > approval["created_at"]) == ("smith", True)
    path = f"/v1/smiths/{person.id}/runs/{approval['run_id']}/submit"
    run = ok(
        await person.api.post(
            path, json={"kind": "approval_decision", "approval_id": approval["id"], "decision": "approve"}
        )
    )
    assert (run["status"], "\n1\n" in run["output"]["content"]) == ("completed", True)
    assert ok(await person.api.get(f"/v1/approvals/{approval['id']}"))["actor"]["id"] == person.id


async def test_a_smith_without_the_permission_sees_none(project: Tenant, agent: dict[str, Any]) -> None:
    person = await project.person("runs:read", "runs:write", agent_id=agent["id"])
    error(await person.api.get("/v1/approvals"), 403, "insufficient_scope")


async def test_whatever_its_agent_becomes_a_run_keeps_to_the_policy_it_began_with(project: Tenant, api: Client) -> None:
    made = await project.agent(
        model="test/tools", enabled_hosted_tools=["calculator"], approval_policy=[{"match": "add"}]
    )
    person = await project.person(agent_id=made["id"])
    approval = await asked(project, person, '[[call add {"a": 1, "b": 2}]] [[call add {"a": 3, "b": 4}]]')
    ok(await api.patch(f"/v1/agents/{made['id']}", json={"approval_policy": []}))
    version = ok(await api.post(f"/v1/agents/{made['id']}/versions"))["version"]
    ok(await api.post(f"/v1/agents/{made['id']}/rollout", json={"version": version}))
    path = f"/v1/smiths/{person.id}/runs/{approval['run_id']}/submit"
    body = {"kind": "approval_decision", "approval_id": approval["id"], "decision": "approve"}
    assert ok(await api.post(path, json=body))["status"] == "paused_for_approval"
    assert (await project.run(person.id, ADD))["status"] == "completed"
