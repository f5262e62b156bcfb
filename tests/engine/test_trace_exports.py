"""Trace exports: every run that ends is told to its project's collector, whoever is slow, fails or dies on the way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingram_app.core.database import dispatching
from ingram_app.core.settings import settings
from ingram_app.domain import events, trace_exports, traces
from ingram_app.domain.runs import Run
from ingram_app.domain.semantics import trace_id_of
from ingram_app.domain.trace_exports import Batch, Outcome, TraceExport
from ingram_app.engine import exporter
from ingram_app.gateways import otlp
from tests.engine.conftest import World, engine, until
from tests.fakes.collector import Collector, collecting

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")
CALL = '[[call add {"a": 2, "b": 3}]] and a secret'
TOOLS: dict[str, Any] = {"model": "test/tools", "enabled_hosted_tools": ["calculator"]}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as made:
        yield made


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for two seconds here."""
    monkeypatch.setattr(exporter, "SECONDS", 0.05)


async def export_to(world: World, endpoint: str, **how: Any) -> TraceExport:
    async with world.transaction() as session:
        return await trace_exports.put(session, world.caller, endpoint, **how)


async def row(world: World) -> TraceExport:
    async with world.transaction() as session:
        return await trace_exports.find(session, world.caller)


async def take(world: World) -> Batch | None:
    async with world.transaction() as session:
        return await trace_exports.take(session, world.caller.project_id)


async def settle(world: World, batch: Batch, outcome: Outcome) -> None:
    async with world.transaction() as session:
        await trace_exports.settle(session, batch, outcome)


async def hurry(world: World) -> None:
    await world.sql("update trace_exports set busy_until = now() where busy_until < now() + interval '20 minutes'")


async def ended(world: World, number: int = 1) -> list[Run]:
    smith = await world.smith()
    return [await world.says(smith, "hello") for _ in range(number)]


async def test_a_run_that_ends_is_told_as_the_trace_that_the_api_shows(
    world: World, collector: Collector, working: None
) -> None:
    await export_to(world, collector.address, headers={"Authorization": "Bearer sk-1"})
    run = await world.says(await world.smith(**TOOLS), CALL)
    await until(lambda: len(collector.spans) == 4)
    async with world.transaction() as session:
        shown = (await traces.find(session, world.caller, run.id)).spans
    assert [heard.id for heard in collector.spans] == [span.id for span in shown]
    whole, first, call, _ = collector.spans
    assert {heard.span.trace_id.hex() for heard in collector.spans} == {trace_id_of(run.id)}
    assert [heard.span.parent_span_id.hex() for heard in collector.spans[:3]] == ["", whole.id, first.id]
    assert [(heard.span.name, heard.span.kind) for heard in collector.spans[:3]] == [
        ("invoke_agent", 1), ("chat test/tools", 3), ("execute_tool add", 1)
    ]  # fmt: skip
    assert whole.span.start_time_unix_nano == int(shown[0].started_at.timestamp() * 1_000_000) * 1000
    assert whole.span.end_time_unix_nano >= call.span.end_time_unix_nano >= call.span.start_time_unix_nano
    assert (first.attributes["gen_ai.operation.name"], first.attributes["gen_ai.request.model"]) == (
        "chat", "test/tools"
    )  # fmt: skip
    assert first.attributes["gen_ai.usage.input_tokens"] == shown[1].input_tokens
    assert whole.resource == {"service.name": "ingram-cloud", "ingram.project.id": world.caller.project_id}
    [request] = collector.requests
    assert (request.path, request.headers["authorization"]) == ("/v1/traces", "Bearer sk-1")
    assert request.headers["content-type"] == "application/x-protobuf"
    await until(lambda: _exported(world, 1))
    kept = await row(world)
    assert (kept.state.value, kept.last_error, kept.header_names) == ("active", None, ["authorization"])


async def _exported(world: World, runs: int) -> bool:
    return (await row(world)).exported_runs == runs


async def test_what_was_said_goes_along_only_if_the_project_wants_it(
    world: World, collector: Collector, working: None
) -> None:
    await export_to(world, collector.address)
    smith = await world.smith(**TOOLS, approval_policy=[{"match": "add"}])

    async def turn() -> Run:
        run = await world.says(smith, CALL)
        [approval] = [one for one in await world.asked(run) if one.resolved_at is None]
        await world.decide(approval, reason="my private reason")
        return await world.ended(run)

    quiet = await turn()
    await until(lambda: collector.of_run(quiet.id))
    said = ("secret", "my private reason", '"a"', "ann@example.com")
    assert not [word for word in said if word in str(collector.requests[0].body)]
    await export_to(world, collector.address, include_content=True)
    loud = await turn()
    await until(lambda: collector.of_run(loud.id))
    assert not [word for word in said if word not in str(collector.of_run(loud.id))]
    whole = collector.of_run(loud.id)[0].attributes
    assert '"role":"user"' in whole["gen_ai.input.messages"]
    assert '"role":"assistant"' in whole["gen_ai.output.messages"]


async def test_a_run_that_failed_is_an_error_that_says_of_which_kind(
    world: World, collector: Collector, working: None
) -> None:
    await export_to(world, collector.address)
    await world.says(await world.smith("test/fail"), "[[fail not_found]]")
    await until(lambda: collector.spans)
    whole, call = collector.spans
    assert [(heard.span.status.code, heard.span.status.message) for heard in (whole, call)] == [
        (2, "model_not_found")
    ] * 2


async def test_only_runs_that_end_from_then_on_are_told_and_only_of_the_own_project(
    world: World, other: World, collector: Collector, working: None
) -> None:
    await ended(world)
    await export_to(world, collector.address)
    await ended(other)
    [run] = await ended(world)
    await until(lambda: _exported(world, 1))
    assert {heard.attributes["ingram.run.id"] for heard in collector.spans} == {run.id}


async def test_where_nobody_exports_the_exporter_finds_nothing(world: World, working: None) -> None:
    await ended(world)
    async with dispatching() as session:
        assert world.caller.project_id not in [which for (which,) in await trace_exports.due(session, 1000)]


async def test_racing_engines_tell_each_run_once(world: World, collector: Collector) -> None:
    async with engine():
        await export_to(world, f"{collector.address}/v1/traces", active=False)
        await export_to(world, f"{collector.address}/v1/traces")
        runs = await asyncio.gather(*(ended(world, 5) for _ in range(5)))
        loops = [asyncio.create_task(exporter.export_forever()) for _ in range(3)]
        await until(lambda: _exported(world, 25))
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
    told = [heard.attributes["ingram.run.id"] for heard in collector.spans if not heard.span.parent_span_id]
    assert sorted(told) == sorted(run.id for some in runs for run in some)


async def test_what_a_dead_process_was_sending_is_sent_again_with_the_same_ids(
    world: World, collector: Collector
) -> None:
    async with engine():
        await export_to(world, "http://127.0.0.1:1/")
        await ended(world, 2)
    await hurry(world)
    batch = await take(world)
    assert batch is not None
    async with world.transaction() as session:
        spans = await trace_exports.read(session, batch)
    await otlp.send(collector.address, {}, {}, spans)  # and there it died
    assert await take(world) is None
    await world.sql("update trace_exports set busy_until = now()")
    again = await take(world)
    assert again is not None
    assert again.run_ids == batch.run_ids
    async with world.transaction() as session:
        await trace_exports.settle(session, batch, Outcome(200))  # too late: another has it
        assert (await trace_exports.find(session, world.caller)).exported_runs == 0
        await otlp.send(collector.address, {}, {}, await trace_exports.read(session, again))
    first, second = ([heard.id for heard in spans] for spans in collector.batches)
    assert first == second
    await settle(world, again, Outcome(200))
    assert await take(world) is None
    assert await _exported(world, 2)


async def test_a_shutdown_leaves_the_batch_to_the_next_engine(world: World, collector: Collector) -> None:
    collector.hangs = True
    await export_to(world, collector.address)
    async with engine():
        await ended(world)
        await until(lambda: collector.hanging)
    collector.hangs = False
    async with engine():
        await until(lambda: _exported(world, 1))


async def test_failures_are_tried_again_later_and_later_and_one_by_one(world: World, working: None) -> None:
    await export_to(world, "http://127.0.0.1:1/", active=False)
    await export_to(world, "http://127.0.0.1:1/", active=True)
    await world.sql("update trace_exports set busy_until = now() + interval '1 day'")  # not by the engine
    runs = await ended(world, 3)
    await world.sql("update trace_exports set busy_until = now()")
    waits = []
    for outcome in (Outcome(error="It could not be reached."), Outcome(503), Outcome(401)):
        batch = await _next(world)
        assert batch.run_ids[0] == runs[0].id
        await settle(world, batch, outcome)
        kept = await row(world)
        waits.append((kept.busy_until - kept.failing_since).total_seconds() if kept.failing_since else 0)
    assert waits[0] < waits[1] < waits[2]
    assert (kept.failures, kept.last_status, kept.last_error) == (3, 401, "It answered 401.")
    batch = await _next(world)
    assert batch.run_ids == [runs[0].id]
    await settle(world, batch, Outcome(200))
    batch = await _next(world)
    assert batch.run_ids == [runs[1].id, runs[2].id]
    await settle(world, batch, Outcome(200))
    assert (await row(world)).failing_since is None


async def _next(world: World) -> Batch:
    await hurry(world)
    batch = await take(world)
    assert batch is not None
    return batch


async def test_one_run_that_a_collector_never_takes_does_not_hold_up_the_others(
    world: World, collector: Collector, working: None
) -> None:
    await export_to(world, "http://127.0.0.1:1/")
    runs = await ended(world, 4)
    collector.unwanted = runs[1].id
    await world.sql("update trace_exports set endpoint = :to, busy_until = now()", to=f"{collector.address}/v1/traces")
    await until(lambda: _exported(world, 3))
    kept = await row(world)
    assert (kept.dropped_runs, kept.state.value, kept.last_error) == (1, "active", None)
    assert not collector.of_run(runs[1].id)


async def test_a_run_that_can_not_be_told_does_not_hold_up_the_others(
    world: World, collector: Collector, working: None
) -> None:
    await export_to(world, "http://127.0.0.1:1/")
    runs = await ended(world, 3)
    broken = '[{"kind": "response", "metadata": {"began_at": 3}}]'
    await world.sql("update transcripts set messages = cast(:it as jsonb) where run_id = :id", it=broken, id=runs[1].id)
    await world.sql("update trace_exports set endpoint = :to, busy_until = now()", to=f"{collector.address}/v1/traces")
    await until(lambda: _exported(world, 2))
    assert (await row(world)).dropped_runs == 1
    assert [bool(collector.of_run(run.id)) for run in runs] == [True, False, True]


async def test_what_a_collector_says_against_parts_of_a_batch_is_shown(
    world: World, collector: Collector, working: None
) -> None:
    collector.rejects = 2
    await export_to(world, collector.address)
    await ended(world)
    await until(lambda: _exported(world, 1))
    assert (await row(world)).last_error == "It rejected 2 spans: too old"


async def test_nobody_waits_for_another_s_collector(
    world: World, other: World, collector: Collector, working: None
) -> None:
    async with collecting() as slow:
        slow.hangs = True
        await export_to(other, slow.address)
        await export_to(world, collector.address)
        await ended(other)
        await until(lambda: slow.hanging)
        await ended(world)
        await until(lambda: _exported(world, 1), 3)
        assert slow.hanging == 1


async def test_a_redirect_is_not_followed_and_who_does_not_answer_has_failed(
    world: World, collector: Collector, working: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "SECONDS", 0.1)
    await export_to(world, collector.address)
    collector.redirects_to = f"{collector.address}/elsewhere"
    await ended(world)
    await until(lambda: _failed(world, "It redirects, which is not followed."))
    assert [request.path for request in collector.requests] == ["/v1/traces"]
    collector.redirects_to, collector.hangs = "", True
    await hurry(world)
    await until(lambda: _failed(world, "It did not answer within 0.1 seconds."))


async def _failed(world: World, why: str) -> bool:
    return (await row(world)).last_error == why


async def test_a_name_that_leads_inside_is_refused_when_it_is_sent(
    world: World, collector: Collector, working: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    await export_to(world, collector.address)
    monkeypatch.delenv("IC_ALLOW_PRIVATE_ADDRESSES")
    settings.cache_clear()
    try:
        await ended(world)
        await until(lambda: _is_failing(world))
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert "not at a public address" in ((await row(world)).last_error or "")
    assert not collector.requests


async def _is_failing(world: World) -> bool:
    return (await row(world)).failing_since is not None


async def test_three_days_of_nothing_but_failures_switch_it_off_and_it_begins_anew_when_switched_on(
    world: World, collector: Collector, working: None
) -> None:
    await export_to(world, "http://127.0.0.1:1/", headers={"x-key": "1"})
    await world.sql("update trace_exports set failing_since = now() - interval '73 hours'")
    await ended(world)
    await until(lambda: _is(world, "switched_off"))
    async with world.transaction() as session:
        [event] = (await events.browse(session, world.caller, type="trace_export")).data
    assert (event.type, event.data["endpoint"]) == ("trace_export.disabled", "http://127.0.0.1:1/v1/traces")
    await ended(world)
    again = await export_to(world, collector.address)
    assert (again.header_names, again.disabled_reason) == ([], None)
    [run] = await ended(world)
    await until(lambda: _exported(world, 1))
    assert {heard.attributes["ingram.run.id"] for heard in collector.spans} == {run.id}


async def _is(world: World, state: str) -> bool:
    return (await row(world)).state.value == state


async def test_a_run_that_is_gone_by_then_is_passed_over(world: World, collector: Collector) -> None:
    async with engine():
        await export_to(world, "http://127.0.0.1:1/")
        gone, left = await ended(world, 2)
    await world.sql("delete from runs where id = :id", id=gone.id)
    await world.sql("update trace_exports set endpoint = :to, busy_until = now()", to=collector.address)
    async with engine():
        await until(lambda: collector.of_run(left.id))
    assert len(collector.spans) == 2
