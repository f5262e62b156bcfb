"""Spans that programs send: beside those of a run or in a trace of their own, once each, and nobody else's."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingram_app.domain import spans
from tests.world import Client, Tenant, World, error, ok

PATH = "/v1/traces:ingest"
OWN = "4bf92f3577b34da6a3ce929d0e0e4736"
ID = "00f067aa0ba902b7"


def span(trace_id: str = OWN, id: str = ID, **fields: Any) -> dict[str, Any]:
    begun = datetime.now(UTC) - timedelta(seconds=2)
    usual = {"kind": "retrieval", "name": "look up", "started_at": begun.isoformat(), "duration_ms": 1500}
    return {"id": id, "trace_id": trace_id} | usual | fields


async def send(api: Client, *spans: dict[str, Any]) -> int:
    answer = await api.post(PATH, json={"spans": spans})
    assert answer.status_code == 202, answer.text
    return int(answer.json()["accepted"])


async def trace(api: Client, trace_id: str) -> dict[str, Any]:
    return dict(ok(await api.get(f"/v1/traces/{trace_id}")))


def trace_of(run: dict[str, Any]) -> str:
    return str(run["id"]).replace("run_", "trc_")


async def test_spans_about_a_run_are_shown_beside_its_own(project: Tenant) -> None:
    run = await project.run((await project.smith())["id"])
    before = await trace(project.api, trace_of(run))
    told = [
        span(trace_of(run), attributes={"hits": 3, "gen_ai.data_source.id": "docs"}),
        span(trace_of(run), "b" * 16, parent_span_id=ID, kind="model_call", name="rerank", model="our/reranker",
             input_tokens=7, output_tokens=1, cost=0.0021),
    ]  # fmt: skip
    assert await send(project.api, *told) == 2
    after = await trace(project.api, trace_of(run))
    added = [one for one in after["spans"] if one["id"] in (ID, "b" * 16)]
    assert [one for one in after["spans"] if one not in added] == before["spans"]
    assert after["spans"][0]["kind"] == "run"
    first, second = sorted(added, key=lambda one: one["id"])
    assert (first["parent_span_id"], first["kind"], first["status"]) == (before["spans"][0]["id"], "retrieval", "ok")
    assert (first["duration_ms"], first["attributes"]["hits"], first["attributes"]["ingram.sent"]) == (1500, 3, True)
    assert (second["model"], second["input_tokens"], second["cost"]) == ("our/reranker", 7, 0.0021)
    [root] = after["span_tree"]
    [branch] = [child for child in root["children"] if child["id"] == ID]
    assert [child["id"] for child in branch["children"]] == ["b" * 16]
    assert {name: after[name] for name in ("input_tokens", "cost")} == {
        name: before[name] for name in ("input_tokens", "cost")
    }


async def test_a_trace_of_one_s_own_is_listed_among_the_runs(project: Tenant) -> None:
    smith = await project.smith()
    first, last = [await project.run(smith["id"])], []
    await send(
        project.api,
        span(smith_id=smith["id"], kind="run", name="nightly", attributes={}),
        span(OWN, "c" * 16, smith_id=smith["id"], parent_span_id=ID, kind="model_call", model="m", input_tokens=5),
    )
    last.append(await project.run(smith["id"]))
    about = {"smith_id": smith["id"]}
    listed = ok(await project.api.get("/v1/traces", params=about))["data"]
    assert [one["id"] for one in listed] == [trace_of(last[0]), OWN, trace_of(first[0])]
    own = listed[1]
    assert (own["run_id"], own["smith_id"], own["status"], own["model"]) == (None, smith["id"], "completed", "m")
    assert (own["input_tokens"], own["started_at"] < own["ended_at"]) == (5, True)
    shown = await trace(project.api, OWN)
    assert [one["name"] for one in shown["span_tree"]] == ["nightly"]
    seen, cursor = [], None
    while True:
        place = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = ok(await project.api.get("/v1/traces", params=about | place))
        seen += [one["id"] for one in page["data"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [one["id"] for one in listed]


async def test_traces_are_found_by_smith_run_status_and_time(project: Tenant) -> None:
    smith = await project.smith(model="test/fail")
    await send(project.api, span("1" * 32, smith_id=smith["id"], status="error"))
    middle = datetime.now(UTC).isoformat()
    failed = await project.run(smith["id"], "[[fail not_found]]")
    await send(project.api, span("2" * 32, smith_id=smith["id"], status="running", duration_ms=None))

    async def found(**which: str) -> list[str]:
        answer = ok(await project.api.get("/v1/traces", params={"smith_id": smith["id"]} | which))
        return [one["id"] for one in answer["data"]]

    assert await found() == ["2" * 32, trace_of(failed), "1" * 32]
    assert await found(status="failed") == [trace_of(failed), "1" * 32]
    assert await found(status="running") == ["2" * 32]
    assert await found(since=middle) == ["2" * 32, trace_of(failed)]
    assert await found(run_id=failed["id"]) == [trace_of(failed)]
    await send(project.api, span("2" * 32, status="cancelled"))
    assert await found(status="cancelled") == ["2" * 32]


async def test_a_span_that_is_sent_again_takes_its_own_place(project: Tenant) -> None:
    open = span("3" * 32, status="running", duration_ms=None)
    for told in ([open], [open], [open, span("3" * 32, name="done")]):
        assert await send(project.api, *told) == 1
    shown = await trace(project.api, "3" * 32)
    assert [(one["name"], one["status"]) for one in shown["spans"]] == [("done", "ok")]
    assert shown["status"] == "completed"


async def test_racing_programs_send_the_same_spans_once(project: Tenant) -> None:
    traces = ["5" * 32, "4" * 32]

    async def all_of_it(order: int) -> int:
        spans = [span(one, f"{n:016x}") for one in traces[::order] for n in range(20)]
        return await send(project.api, *spans[::order])

    assert await asyncio.gather(*(all_of_it(order) for order in (1, -1) * 4)) == [40] * 8
    for one in traces:
        assert len((await trace(project.api, one))["spans"]) == 20


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"id": "short"}, "schema_error"),
        ({"id": "A" * 16}, "schema_error"),
        ({"trace_id": "trace-1"}, "schema_error"),
        ({"kind": "guess"}, "schema_error"),
        ({"name": "x" * 201}, "schema_error"),
        ({"input_tokens": -1}, "schema_error"),
        ({"cost": 1e300}, "schema_error"),
        ({"started_at": "0001-01-01T00:00:00Z"}, "schema_error"),
        ({"colour": "red"}, "schema_error"),
        ({"started_at": "2199-01-01T00:00:00Z"}, "invalid_span"),
        ({"duration_ms": None, "ended_at": "2001-01-01T00:00:00Z"}, "invalid_span"),
        ({"duration_ms": 10**9}, "invalid_span"),
        ({"status": "running"}, "invalid_span"),
        ({"duration_ms": None}, "invalid_span"),
        ({"parent_span_id": ID}, "invalid_span"),
        ({"attributes": {"x": "y" * 17_000}}, "invalid_span"),
    ],
)
async def test_a_span_that_makes_no_sense_is_refused_with_all_of_its_request(
    project: Tenant, wrong: dict[str, Any], code: str
) -> None:
    good = span("6" * 32, "d" * 16)
    error(await project.api.post(PATH, json={"spans": [good, span("6" * 32) | wrong]}), 422, code)
    error(await project.api.get(f"/v1/traces/{'6' * 32}"), 404, "not_found")


async def test_there_are_bounds_on_how_many(project: Tenant) -> None:
    for some in ([], [span("7" * 32, f"{n:016x}") for n in range(501)]):
        error(await project.api.post(PATH, json={"spans": some}), 422, "schema_error")
    for first in range(0, 2000, 500):
        await send(project.api, *(span("7" * 32, f"{n:016x}") for n in range(first, first + 500)))
    error(await project.api.post(PATH, json={"spans": [span("7" * 32, "e" * 16)]}), 409, "trace_full")
    assert await send(project.api, span("7" * 32, f"{1999:016x}")) == 1


async def test_a_project_that_sends_too_fast_is_told_to_wait_and_no_other_is(
    project: Tenant, other: Tenant, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spans, "MOST_A_MINUTE", 60)
    world.do("delete from span_paces")
    some = [{"spans": [span(f"{n:032x}", f"{m:016x}") for m in range(20)]} for n in range(6)]
    answers = await asyncio.gather(*(project.api.post(PATH, json=spans) for spans in some))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 3
    late = next(answer for answer in answers if answer.status_code == 429)
    assert error(late, 429, "rate_limit_exceeded")["type"] == "rate_limit_error"
    assert late.headers["retry-after"] == "1"
    error(await (await project.person()).api.post(PATH, json=some[0]), 429, "rate_limit_exceeded")
    assert await send(other.api, span("e" * 32)) == 1
    world.do("update span_paces set spent_until = spent_until - interval '2 s'")  # so much later
    assert await send(project.api, span("e" * 32)) == 1


async def test_a_chain_or_a_ring_of_spans_is_a_tree_all_the_same(project: Tenant) -> None:
    chain = [span("8" * 32, f"{n:016x}", parent_span_id=f"{n - 1:016x}") for n in range(1, 400)]
    ring = [span("8" * 32, one * 16, parent_span_id=two * 16) for one, two in ("ab", "bc", "ca")]
    await send(project.api, *ring, *chain)
    shown = await trace(project.api, "8" * 32)

    def count(branches: list[dict[str, Any]]) -> int:
        return sum(1 + count(one["children"]) for one in branches)

    assert count(shown["span_tree"]) == len(shown["spans"]) == 402


@pytest.mark.parametrize(
    "attributes", ['{"x": "a\\u0000b \\ud800"}', '{"a":' * 900 + "1" + "}" * 900, '{"n": 1e400}', '{"\\u0000": NaN}']
)
async def test_what_is_hostile_is_kept_as_far_as_it_can_be_or_refused(project: Tenant, attributes: str) -> None:
    told = json.dumps({"spans": [span("9" * 32, attributes="here")]}).replace('"here"', attributes)
    answer = await project.api.post(PATH, content=told, headers={"content-type": "application/json"})
    assert answer.status_code in (202, 400, 422), answer.text
    if answer.status_code == 202:
        await trace(project.api, "9" * 32)


async def test_nobody_tells_or_sees_anything_of_others(project: Tenant, other: Tenant, world: World) -> None:
    person, sibling = await project.person(), await project.person()
    run = await project.run(person.id)
    stranger = await other.smith()
    own = "a" * 31 + "1"
    for api, told, noun in (
        (other.api, span(trace_of(run)), "run"),
        (sibling.api, span(trace_of(run)), "run"),
        (project.api, span(own, smith_id=stranger["id"]), "smith"),
        (project.api, span(trace_of(run), smith_id=sibling.id), "run"),
    ):
        answer = await api.post(PATH, json={"spans": [told]})
        error(answer, 404, "not_found")
        assert noun in answer.json()["error"]["message"]
    assert await send(person.api, span(own), span(trace_of(run))) == 2
    error(await sibling.api.post(PATH, json={"spans": [span(own, smith_id=person.id)]}), 403, "smith_mismatch")
    error(await sibling.api.post(PATH, json={"spans": [span(own)]}), 404, "not_found")
    assert await send(other.api, span(own, name="theirs")) == 1  # the same id is another trace there
    assert (await trace(person.api, own))["spans"][0]["name"] == "look up"
    assert (await trace(other.api, own))["spans"][0]["name"] == "theirs"
    error(await sibling.api.get(f"/v1/traces/{own}"), 404, "not_found")
    assert own not in [one["id"] for one in ok(await sibling.api.get("/v1/traces"))["data"]]
    assert own in [one["id"] for one in ok(await person.api.get("/v1/traces"))["data"]]
    reader = await project.person("traces:read")
    error(await reader.api.post(PATH, json={"spans": [span()]}), 403, "insufficient_scope")


async def test_spans_follow_their_person_into_the_export_a_claim_and_the_erasure(project: Tenant, world: World) -> None:
    known, stranger = await project.smith(external_id="u-sp"), await project.smith(external_id="anon:sp")
    run = await project.run(stranger["id"])
    own = "b" * 31 + "2"
    await send(project.api, span(own, smith_id=stranger["id"]), span(trace_of(run)))
    ok(await project.api.post(f"/v1/smiths/{stranger['id']}/claim", json={"external_id": "u-sp"}))
    assert (await trace(project.api, own))["smith_id"] == known["id"]
    assert await send(project.api, span(trace_of(run), "c" * 16)) == 1
    lines = (await project.api.get(f"/v1/smiths/{known['id']}/export")).text
    assert lines.count('"type":"span"') == 3
    receipt = ok(await project.api.post(f"/v1/smiths/{known['id']}/erase"))
    assert receipt["counts"]["spans"] == 3
    error(await project.api.get(f"/v1/traces/{own}"), 404, "not_found")
    assert world.ask("select from sent_spans where trace_id in (%s, %s)", own, trace_of(run)) == []
    error(await project.api.post(PATH, json={"spans": [span(trace_of(run))]}), 404, "not_found")
