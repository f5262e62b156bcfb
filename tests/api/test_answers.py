"""Answers: what is submitted to a run that waits, and how the run goes on before the eyes of whoever asked."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.world import Client, Person, Tenant, error, ok

ASK = '[[call ask {"question": "Where?"}]]'
CLIENT_TOOL = {
    "name": "ask",
    "parameters": {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
}


@pytest.fixture(scope="module")
async def person(project: Tenant) -> Person:
    rules = [{"match": "multiply"}]
    design = {"model": "test/tools", "enabled_hosted_tools": ["calculator"], "approval_policy": rules}
    agent = await project.agent(**design, client_tools=[CLIENT_TOOL])
    return await project.person(agent_id=agent["id"])


def path(run: dict[str, Any]) -> str:
    return f"/v1/smiths/{run['smith_id']}/runs/{run['id']}"


async def submit(api: Client, run: dict[str, Any], **body: Any) -> Any:
    return await api.post(f"{path(run)}/submit", json=body)


async def test_a_run_that_waits_is_answered_with_what_it_waits_for(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ASK)
    assert (run["status"], run["finished_at"], run["stop_reason"]) == ("paused_for_tool", None, None)
    assert run["output"] == {"tool_calls": [{"tool": "ask", "tool_call_id": "call_1", "args": {"question": "Where?"}}]}
    assert run["usage"]["total_tokens"] > 0
    done = ok(await submit(project.api, run, kind="tool_result", tool_call_id="call_1", result={"city": "Rome"}))
    assert (done["status"], done["id"]) == ("completed", run["id"])
    assert '{"city":"Rome"}' in done["output"]["content"]


async def test_a_client_tool_does_what_the_guide_says(project: Tenant) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "api.md").read_text().split("## Client tools")[1].split("\n## ")[0]
    design, paused, answer, done = map(json.loads, re.findall(r"```json\n(.*?)```", guide, re.DOTALL))
    call = re.search(r"`(\[\[call .*?\]\])`", guide)
    assert call
    agent = await project.agent(model="test/tools", **design)
    run = await project.run((await project.person(agent_id=agent["id"])).id, call[1])
    assert run | paused == run
    ended = ok(await submit(project.api, run, **answer))
    assert ended | done == ended


async def test_an_approved_client_tool_is_handed_out_once_nothing_else_is_open(project: Tenant) -> None:
    rules = [{"match": "send"}, {"match": "multiply"}]
    tools = [CLIENT_TOOL, {"name": "send"}]
    agent = await project.agent(
        model="test/tools", enabled_hosted_tools=["calculator"], approval_policy=rules, client_tools=tools
    )
    person = await project.person(agent_id=agent["id"])
    run = await project.run(person.id, ASK.replace("]]", ' and send and multiply {"a": 6, "b": 7}]]'))
    assert (run["status"], [call["tool"] for call in run["output"]["tool_calls"]]) == ("paused_for_approval", ["ask"])
    for approval in ok(await project.api.get("/v1/approvals", params={"smith_id": person.id}))["data"]:
        decision = {"kind": "approval_decision", "approval_id": approval["id"], "decision": "approve"}
        run = ok(await submit(project.api, run, **decision))
    assert (run["status"], [call["tool"] for call in run["output"]["tool_calls"]]) == ("paused_for_tool", ["ask"])
    run = ok(await submit(project.api, run, kind="tool_result", tool_call_id="call_1", result="Rome"))
    assert (run["status"], [call["tool"] for call in run["output"]["tool_calls"]]) == ("paused_for_tool", ["send"])
    run = ok(await submit(project.api, run, kind="tool_result", tool_call_id="call_2", result="sent"))
    assert (run["status"], "\n42\n" in run["output"]["content"]) == ("completed", True)


@pytest.mark.parametrize("result", [None, False, 0, "", [], {}, "text", 1.5, ["x", {"y": None}]])
async def test_a_result_is_any_value(project: Tenant, person: Person, result: Any) -> None:
    run = await project.run(person.id, ASK)
    done = ok(await submit(project.api, run, kind="tool_result", tool_call_id="call_1", result=result))
    assert done["status"] == "completed"


async def test_a_result_that_is_too_large_is_refused_and_may_be_sent_smaller(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ASK)
    answer = {"kind": "tool_result", "tool_call_id": "call_1"}
    error(await submit(project.api, run, **answer, result="x" * 70_000), 413, "payload_too_large", "result")
    assert ok(await submit(project.api, run, **answer, result="x" * 60_000))["status"] == "completed"


async def test_the_continuation_can_be_streamed(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ASK)
    answer = await submit(project.api, run, kind="tool_result", tool_call_id="call_1", result=1, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    names = [lines[0].removeprefix("event: ") for lines in frames]
    assert (names[0], names[-1]) == ("run.resumed", "run.completed")
    numbers = [int(lines[1].removeprefix("id: ")) for lines in frames]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    whole = await project.api.get(f"{path(run)}/events")
    assert whole.text.endswith(answer.text)


async def test_a_stream_ends_where_the_run_pauses(project: Tenant, person: Person) -> None:
    body = {"input": [{"content": '[[call multiply {"a": 6, "b": 7}]]'}], "stream": True}
    answer = await project.api.post(f"/v1/smiths/{person.id}/runs", json=body)
    last = answer.text.strip().split("\n\n")[-1].split("\n")
    assert last[0] == "event: run.paused"
    assert json.loads(last[2].removeprefix("data: "))["reason"] == "approval"


async def test_an_answer_to_one_of_two_leaves_the_run_waiting_for_the_other(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ASK.replace("]]", ' and multiply {"a": 6, "b": 7}]]'))
    assert run["status"] == "paused_for_approval"
    after = ok(await submit(project.api, run, kind="tool_result", tool_call_id="call_1", result="Rome"))
    assert (after["status"], after["output"]) == ("paused_for_approval", None)
    pending = ok(await project.api.get("/v1/approvals", params={"smith_id": person.id, "status": "pending"}))["data"]
    [approval] = [one for one in pending if one["run_id"] == run["id"]]
    decision = {"kind": "approval_decision", "approval_id": approval["id"]}
    done = ok(await submit(project.api, run, **decision, decision="approve", actor={"email": "boss@example.com"}))
    assert (done["status"], "\n42\n" in done["output"]["content"]) == ("completed", True)
    shown = ok(await project.api.get(f"/v1/approvals/{approval['id']}"))
    assert (shown["status"], shown["actor"]["kind"]) == ("approved", "tenant")
    assert shown["actor"]["email"] == "boss@example.com"
    told = error(await submit(project.api, run, **decision, decision="reject"), 409, "approval_resolved")
    assert "approved already, by boss@example.com" in told["message"]


async def test_an_answer_sent_again_with_its_key_is_answered_again_and_done_once(
    project: Tenant, person: Person
) -> None:
    run = await project.run(person.id, ASK)
    body = {"kind": "tool_result", "tool_call_id": "call_1", "result": 1}
    headers = {"Idempotency-Key": run["id"]}
    first, second = [await project.api.post(f"{path(run)}/submit", json=body, headers=headers) for _ in "12"]
    assert ok(first) == ok(second)
    assert second.headers["idempotency-replayed"] == "true"


async def test_racing_results_are_taken_once(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ASK)
    racing = [submit(project.api, run, kind="tool_result", tool_call_id="call_1", result=n) for n in range(12)]
    codes = sorted(answer.status_code for answer in await asyncio.gather(*racing))
    assert codes == [200] + [409] * 11


async def test_a_run_that_waits_is_cancelled_at_once(project: Tenant, person: Person) -> None:
    run = await project.run(person.id, ASK)
    assert ok(await submit(project.api, run, kind="cancel")) == {"id": run["id"], "status": "cancelled"}
    after = {"kind": "tool_result", "tool_call_id": "call_1", "result": 1}
    error(await submit(project.api, run, **after), 409, "run_not_paused")
    assert ok(await project.api.get(path(run)))["output"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "tool_result", "tool_call_id": "call_9", "result": 1}, 404, "not_found"),
        ({"kind": "tool_result", "result": 1}, 422, "tool_call_required"),
        ({"kind": "approval_decision", "approval_id": "apr_1", "decision": "approve"}, 404, "not_found"),
        ({"kind": "approval_decision", "approval_id": "apr_1"}, 422, "decision_required"),
        ({"kind": "approval_decision", "decision": "approve"}, 422, "decision_required"),
        ({"kind": "approval_decision", "approval_id": "apr_1", "decision": "maybe"}, 422, "schema_error"),
        ({"kind": "tool_result", "tool_call_id": "call_1", "result": "\ud800"}, 400, "invalid_input"),
        ({"kind": "tool_result", "tool_call_id": "call_1", "result": {"a\0": 1}}, 400, "invalid_input"),
        ({"kind": "tool_result", "tool_call_id": "call_1", "result": float("nan")}, 400, "invalid_input"),
    ],
)
async def test_an_answer_to_nothing_that_was_asked_changes_nothing(
    project: Tenant, person: Person, body: dict[str, Any], status: int, code: str
) -> None:
    run = await project.run(person.id, ASK)
    answer = await project.api.post(
        f"{path(run)}/submit", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    error(answer, status, code)
    assert ok(await project.api.get(path(run))) == run
