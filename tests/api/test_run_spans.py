"""Run spans: what a run did, step by step."""

from typing import Any

import pytest

from tests.world import Person, Tenant, ok

ADD = '[[call add {"a": 2, "b": 3}]]'


@pytest.fixture(scope="module")
async def person(project: Tenant) -> Person:
    design = {"model": "test/tools", "enabled_hosted_tools": ["calculator"]}
    agent = await project.agent(**design, approval_policy=[{"match": "multiply"}])
    return await project.person(agent_id=agent["id"])


async def trace(project: Tenant, run: dict[str, Any]) -> dict[str, Any]:
    return dict(ok(await project.api.get(f"/v1/runs/{run['id']}/trace")))


async def test_a_run_is_a_trace_of_model_calls_and_tool_calls(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ADD)
    told = await trace(project, run)
    assert told["id"] == run["id"].replace("run_", "trc_")
    assert [(span["kind"], span["name"], span["status"]) for span in told["spans"]] == [
        ("run", "invoke_agent", "ok"),
        ("model_call", "chat test/tools", "ok"),
        ("tool_call", "execute_tool add", "ok"),
        ("model_call", "chat test/tools", "ok"),
    ]
    [root] = told["span_tree"]
    assert [child["kind"] for child in root["children"]] == ["model_call", "model_call"]
    [call] = root["children"][0]["children"]
    assert call["attributes"]["gen_ai.tool.call.arguments"] == '{"a": 2, "b": 3}'
    assert "5" in call["attributes"]["gen_ai.tool.call.result"]


async def test_spans_lie_within_their_run_and_add_up_to_what_it_used(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ADD)
    whole, *parts = (await trace(project, run))["spans"]
    assert all(whole["started_at"] <= part["started_at"] <= part["ended_at"] <= whole["ended_at"] for part in parts)
    models = [part for part in parts if part["kind"] == "model_call"]
    assert sum(part["input_tokens"] for part in models) == whole["input_tokens"] == run["usage"]["input_tokens"]
    assert all(part["duration_ms"] >= 0 for part in parts)


async def test_a_span_has_the_same_id_whenever_it_is_asked_for(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ADD)
    once, again = await trace(project, run), await trace(project, run)
    assert once == again
    ids = [span["id"] for span in once["spans"]]
    assert len(set(ids)) == len(ids)
    assert all(len(id) == 16 and int(id, 16) for id in ids)


async def test_a_wait_for_a_person_is_a_span_until_somebody_decides(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, '[[call multiply {"a": 2, "b": 3}]]')
    waiting = (await trace(project, run))["spans"][-1]
    assert (waiting["kind"], waiting["status"], waiting["ended_at"]) == ("runtime_event", "running", None)
    [approval] = ok(await project.api.get("/v1/approvals", params={"smith_id": person.id, "status": "pending"}))["data"]
    decided = {"kind": "approval_decision", "approval_id": approval["id"], "decision": "approve"}
    ok(await project.api.post(f"/v1/smiths/{person.id}/runs/{run['id']}/submit", json=decided))
    [waited] = [span for span in (await trace(project, run))["spans"] if span["kind"] == "runtime_event"]
    assert (waited["status"], waited["attributes"]["ingram.approval.status"]) == ("ok", "approved")


async def test_a_call_that_was_refused_is_over_when_it_begins(project: Tenant, person: Person) -> None:
    spans = (await trace(project, await project.run(person.id, "[[call divine]]")))["spans"]
    [call] = [span for span in spans if span["kind"] == "tool_call"]
    assert call["attributes"]["ingram.tool.refused"]
    assert (call["status"], call["started_at"], call["duration_ms"]) == ("error", call["ended_at"], 0)


async def test_a_model_call_that_failed_is_a_span_that_says_why(project: Tenant) -> None:
    smith = await project.smith(model="test/fail")
    run = await project.run(smith["id"], "[[fail not_found]]")
    whole, failed = (await trace(project, run))["spans"]
    assert (whole["status"], failed["status"]) == ("error", "error")
    assert failed["attributes"]["error.type"] == "model_not_found"
