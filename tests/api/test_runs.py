"""Runs: one turn of a smith, as whoever asks for it sees it."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.world import Client, Person, Tenant, World, error, ok, until

SHOWN = {
    "id", "smith_id", "agent_id", "agent_version", "thread_id", "status", "channel", "model", "input", "output",
    "stop_reason", "answered_by", "error", "warnings", "usage", "metadata", "actor", "created_at", "updated_at",
    "started_at", "finished_at",
}  # fmt: skip


def said(words: str, **more: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": words}], **more}


async def test_a_run_is_answered_when_it_has_ended(smith: Person, project: Tenant) -> None:
    body = said("hello there", metadata={"page": 7}, channel="web")
    run = ok(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=body))
    assert set(run) == SHOWN
    assert (run["status"], run["output"]["content"], run["stop_reason"]) == ("completed", "hello there", "stop")
    assert (run["metadata"], run["channel"], run["model"]) == ({"page": 7}, "web", "test/echo")
    assert (run["warnings"], run["error"]) == ([], None)
    assert run["usage"]["total_tokens"] == run["usage"]["input_tokens"] + run["usage"]["output_tokens"]
    assert run["usage"]["cost"] == 0
    assert (run["actor"]["kind"], run["actor"]["id"]) == ("smith", smith.id)
    assert run["created_at"] <= run["started_at"] <= run["finished_at"]
    assert run["thread_id"].startswith("thr_")
    assert ok(await smith.api.get(f"/v1/smiths/{smith.id}/runs/{run['id']}")) == run


async def test_what_is_said_may_come_in_parts(project: Tenant, smith: Person) -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    body = {"input": [{"role": "user", "content": parts}]}
    assert ok(await project.api.post(f"/v1/smiths/{smith.id}/runs", json=body))["output"]["content"] == "one\ntwo"


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "empty_input", "input"),
        ({"input": []}, "empty_input", "input"),
        ({"input": [{"role": "user", "content": "  \n"}]}, "empty_input", "input"),
        ({"input": [{"role": "user", "content": []}]}, "empty_input", "input"),
        ({"input": [{"role": "system", "content": "x"}]}, "schema_error", "input.0.role"),
        ({"input": "hello"}, "schema_error", "input"),
        (said("x", thread_id=""), "invalid_thread_id", "thread_id"),
        (said("x", thread_id="x" * 201), "invalid_thread_id", "thread_id"),
        (said("x", thread_id="a\nb"), "invalid_thread_id", "thread_id"),
        (said("x", on_busy="wait"), "schema_error", "on_busy"),
        (said("x", on_busy=None), "schema_error", "on_busy"),
        (said("x", channel="x" * 41), "schema_error", "channel"),
        (said("x", wish=1), "schema_error", "wish"),
        ({"input": [{"role": "user", "content": "x"}] * 1001}, "schema_error", "input"),
    ],
)
async def test_a_turn_that_makes_no_sense_makes_no_run(
    world: World, smith: Person, body: dict[str, Any], code: str, param: str
) -> None:
    before = world.ask("select count(*) from runs")
    error(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=body), 422, code, param)
    assert world.ask("select count(*) from runs") == before


async def test_a_background_run_is_taken_in_and_done_later(smith: Person) -> None:
    path = f"/v1/smiths/{smith.id}/runs"
    answer = await smith.api.post(path, json=said("later", background=True))
    assert answer.status_code == 202
    run = answer.json()
    assert (run["status"], run["output"], run["started_at"]) == ("queued", None, None)

    async def done() -> Any:
        now = ok(await smith.api.get(f"{path}/{run['id']}"))
        return now if now["status"] == "completed" else None

    assert (await until(done))["output"]["content"] == "later"


async def test_a_failed_run_says_why(project: Tenant) -> None:
    smith = await project.smith(model="test/fail")
    run = await project.run(smith["id"], "[[fail quota_exceeded]]")
    assert (run["status"], run["error"]["code"], run["output"]) == ("failed", "model_quota_exceeded", None)


async def test_a_run_keeps_the_config_it_began_with(project: Tenant, api: Client) -> None:
    agent = await project.agent(instructions="one")
    smith = await project.smith(agent_id=agent["id"])
    run = await project.run(smith["id"])
    ok(await api.patch(f"/v1/smiths/{smith['id']}", json={"model": "test/slow"}))
    shown = ok(await api.get(f"/v1/smiths/{smith['id']}/runs/{run['id']}"))
    assert (shown["model"], shown["agent_version"], shown["agent_id"]) == ("test/echo", 1, agent["id"])


async def test_a_new_turn_says_what_becomes_of_the_one_under_way(project: Tenant) -> None:
    smith = await project.smith(model="test/slow")
    path = f"/v1/smiths/{smith['id']}/runs"

    async def begin(words: str, **more: Any) -> Any:
        return await project.api.post(path, json=said(words, thread_id="t", background=True, **more))

    first = ok(await begin("[[pause 20s]] on and on"))
    told = error(await begin("no", on_busy="reject"), 409, "thread_busy")
    assert first["id"] in told["message"]
    second = ok(await begin("[[pause 20s]] on and on", on_busy="interrupt"))
    third = await project.run(smith["id"], "[[pause 0ms]] now", thread_id="t", on_busy="rollback")
    assert third["output"]["content"] == "now"
    statuses = [ok(await project.api.get(f"{path}/{run['id']}"))["status"] for run in (first, second)]
    assert statuses == ["cancelled", "cancelled"]
    assert third["usage"]["input_tokens"] > 9  # it heard of the first, which was interrupted


async def test_a_thread_keeps_its_history(world: World, project: Tenant) -> None:
    smith = await project.smith()
    tokens = [(await project.run(smith["id"], "one two", thread_id="t"))["usage"]["input_tokens"] for _ in range(3)]
    assert tokens == [2, 6, 10]
    assert (await project.run(smith["id"], "one two", thread_id="u"))["usage"]["input_tokens"] == 2
    assert (await project.run(smith["id"], "one two"))["usage"]["input_tokens"] == 2
    assert world.ask("select run_count, title from threads where smith_id = %s and id = 't'", smith["id"]) == [
        (3, "one two")
    ]


async def test_a_failed_turn_leaves_nothing_in_the_history(project: Tenant, api: Client) -> None:
    smith = await project.smith(model="test/fail")
    await project.run(smith["id"], "one two", thread_id="t")
    ok(await api.patch(f"/v1/smiths/{smith['id']}", json={"model": "test/echo"}))
    assert (await project.run(smith["id"], "one two", thread_id="t"))["usage"]["input_tokens"] == 2


async def test_the_same_thread_of_two_smiths_is_two_threads(project: Tenant) -> None:
    one, two = await project.smith(), await project.smith()
    await project.run(one["id"], "one two", thread_id="same")
    assert (await project.run(two["id"], "one two", thread_id="same"))["usage"]["input_tokens"] == 2


async def test_racing_turns_of_one_thread_go_one_after_the_other(project: Tenant) -> None:
    smith = await project.smith()
    turns = [project.run(smith["id"], "one two", thread_id="race") for _ in range(6)]
    runs = sorted(await asyncio.gather(*turns), key=lambda run: str(run["started_at"]))
    assert [run["usage"]["input_tokens"] for run in runs] == [2, 6, 10, 14, 18, 22]
    for earlier, later in pairwise(runs):
        assert earlier["finished_at"] <= later["finished_at"]


async def test_runs_are_found_by_what_they_are(api: Client, project: Tenant) -> None:
    agent = await project.agent()
    smith = await project.smith(agent_id=agent["id"], external_id="anon:finder")
    failing = await project.smith(agent_id=agent["id"], model="test/fail", external_id="user:finder")
    good, bad = await project.run(smith["id"], thread_id="found"), await project.run(failing["id"])

    async def found(**filters: Any) -> list[str]:
        page = ok(await api.get("/v1/runs", params={"agent_id": agent["id"], **filters}))
        return [run["id"] for run in page["data"]]

    assert await found() == [bad["id"], good["id"]]
    assert await found(status="failed") == [bad["id"]]
    assert await found(smith_id=smith["id"]) == [good["id"]]
    assert await found(thread_id="found") == [good["id"]]
    assert await found(external_id_prefix="anon:") == [good["id"]]
    assert await found(since=bad["created_at"]) == [bad["id"]]
    assert await found(since=(datetime.now(UTC) + timedelta(days=1)).isoformat()) == []
    assert await found(until=bad["created_at"]) == [good["id"]]
    assert await found(since=good["created_at"], until=bad["created_at"]) == [good["id"]]
    assert await found(since=bad["created_at"], until=good["created_at"]) == []
    own = ok(await api.get(f"/v1/smiths/{smith['id']}/runs", params={"status": "completed"}))
    assert [run["id"] for run in own["data"]] == [good["id"]]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"status": "sleeping"}, "invalid_status"),
        ({"status": ""}, "invalid_status"),
        ({"since": "yesterday"}, "schema_error"),
        ({"since": "2026-99-99T00:00:00Z"}, "schema_error"),
        ({"until": "tomorrow"}, "schema_error"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(api: Client, params: dict[str, str], code: str) -> None:
    error(await api.get("/v1/runs", params=params), 422, code)


@pytest.mark.parametrize("bound", ["since", "until"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00"])
async def test_a_moment_at_the_end_of_time_crashes_nothing(api: Client, bound: str, moment: str) -> None:
    assert (await api.get("/v1/runs", params={bound: moment})).status_code in (200, 400, 422)


async def test_a_smith_sees_only_its_own_runs(project: Tenant, smith: Person) -> None:
    sibling = await project.smith()
    await project.run(sibling["id"])
    await project.run(smith.id)
    runs = ok(await smith.api.get("/v1/runs", params={"limit": 200}))["data"]
    assert {run["smith_id"] for run in runs} == {smith.id}
    error(await smith.api.get("/v1/runs", params={"smith_id": sibling["id"]}), 403, "smith_mismatch")


async def test_a_run_is_cancelled_while_it_works(slow: Person) -> None:
    path = f"/v1/smiths/{slow.id}/runs"
    asking = asyncio.create_task(slow.api.post(path, json=said("[[pause 30s]] wait")))

    async def begun() -> Any:
        return ok(await slow.api.get(path, params={"status": "running"}))["data"]

    (run,) = await until(begun)
    answer = await slow.api.post(f"{path}/{run['id']}/submit", json={"kind": "cancel", "reason": "enough"})
    assert ok(answer) == {"id": run["id"], "status": "cancelled"}
    assert ok(await asking)["status"] == "cancelled"
    again = await slow.api.post(f"{path}/{run['id']}/submit", json={"kind": "cancel"})
    assert ok(again) == {"id": run["id"], "status": "cancelled"}


async def test_a_run_is_cancelled_while_it_waits(slow: Person) -> None:
    path = f"/v1/smiths/{slow.id}/runs"
    first, second = [
        ok(await slow.api.post(path, json=said("[[pause 30s]] wait", thread_id="t", background=True))) for _ in "12"
    ]
    assert ok(await slow.api.post(f"{path}/{second['id']}/submit", json={"kind": "cancel"}))["status"] == "cancelled"
    assert ok(await slow.api.post(f"{path}/{first['id']}/submit", json={"kind": "cancel"}))["status"] == "cancelled"
    shown = ok(await slow.api.get(f"{path}/{second['id']}"))
    assert (shown["status"], shown["started_at"]) == ("cancelled", None)


async def test_racing_cancels_all_see_it_cancelled(slow: Person) -> None:
    path = f"/v1/smiths/{slow.id}/runs"
    run = ok(await slow.api.post(path, json=said("[[pause 30s]] wait", background=True)))
    cancel = f"{path}/{run['id']}/submit"
    for answer in await asyncio.gather(*[slow.api.post(cancel, json={"kind": "cancel"}) for _ in range(5)]):
        assert ok(answer)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "cancel"}, 409, "run_not_paused"),
        ({"kind": "tool_result", "tool_call_id": "c", "result": 1}, 409, "run_not_paused"),
        ({"kind": "approval_decision", "approval_id": "a", "decision": "approve"}, 409, "run_not_paused"),
        ({"kind": "dance"}, 422, "invalid_kind"),
        ({}, 422, "schema_error"),
        ({"kind": "cancel", "decision": "maybe"}, 422, "schema_error"),
    ],
)
async def test_a_run_that_waits_for_nothing_takes_no_answer(
    project: Tenant, smith: Person, body: dict[str, Any], status: int, code: str
) -> None:
    run = await project.run(smith.id)
    error(await smith.api.post(f"/v1/smiths/{smith.id}/runs/{run['id']}/submit", json=body), status, code)


@pytest.mark.parametrize("place", ["x", "-1", "1.5", "²", "9" * 40])
async def test_the_place_in_a_stream_is_a_number(project: Tenant, smith: Person, place: str) -> None:
    run = await project.run(smith.id)
    path = f"/v1/smiths/{smith.id}/runs/{run['id']}/events"
    headers = {"Last-Event-ID": place.encode("latin-1")}
    error(await smith.api.get(path, headers=headers), 422, "invalid_last_event_id", "Last-Event-ID")
