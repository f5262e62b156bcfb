"""Asking: providers that are busy, down, slow or break off, and what a run makes of them."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator

import pytest
from pydantic_ai.usage import RequestUsage

from ingram_app.core.settings import settings
from ingram_app.domain import run_spans
from ingram_app.domain.run_spans import Span
from ingram_app.domain.runs import Run
from ingram_app.domain.spans import SpanKind
from ingram_app.engine import candidates
from ingram_app.gateways import prices
from tests.engine.client import joined
from tests.engine.conftest import World, until
from tests.fakes.knobs import Knobs
from tests.fakes.model_server import ModelServer

pytestmark = pytest.mark.usefixtures("working")
DOG = "the quick brown fox "


@pytest.fixture
async def house(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    """A model server that the project knows as `house` and, with another key, as `spare`."""
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    prices.cost_micros("gpt-6-luna", RequestUsage(input_tokens=1))  # the list is read now, not while a lease runs
    server = ModelServer(Knobs(tokens=4))
    listening = await asyncio.get_running_loop().create_server(server.connect, "127.0.0.1", 0)
    for name in ("house", "spare"):
        await world.key(name, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1")
    yield server
    listening.close()
    monkeypatch.undo()
    settings.cache_clear()


async def smith_of(world: World, model: str = "house/fake", *fallbacks: str) -> str:
    return await world.smith(model, fallback_models=list(fallbacks))


def warned(run: Run) -> list[str]:
    return [warning["code"] for warning in run.warnings]


async def spans(world: World, run: Run) -> list[Span]:
    async with world.transaction() as session:
        return await run_spans.of_run(session, run)


@pytest.mark.parametrize("trouble", ["fail=429", "fail=503", "fail=500", "cut=0"])
async def test_a_provider_that_fails_before_the_first_token_is_asked_again(
    world: World, house: ModelServer, trouble: str
) -> None:
    row = await world.says(await smith_of(world), f"{trouble} times=2")
    assert (row.status, row.output["content"], house.requests) == ("completed", DOG, 3)
    assert sorted(warned(row)) == ["model_call_retried", "price_unknown"]
    assert "3 times" in str(row.warnings)


@pytest.mark.parametrize("wait", ["1", "date"])
async def test_a_provider_is_given_the_time_it_asks_for(world: World, house: ModelServer, wait: str) -> None:
    began = time.monotonic()
    row = await world.says(await smith_of(world), f"fail=429 wait={wait} times=1")
    took = time.monotonic() - began
    assert (row.status, house.requests) == ("completed", 2)
    assert took > 1 if wait == "1" else took < 2
    if wait == "1":
        _, failed, waited, answer = await spans(world, row)
        assert [str(span.kind) for span in (failed, waited, answer)] == ["model_call", "runtime_event", "model_call"]
        assert (failed.status, failed.attributes["error.type"]) == ("error", "model_rate_limited")
        assert waited.attributes["error.message"] == failed.attributes["error.message"]
        assert (failed.ended_at, waited.ended_at) == (waited.started_at, answer.started_at)
        assert waited.duration_ms is not None
        assert waited.duration_ms >= 990
        assert answer.attributes["ingram.tries"] == 2


async def test_a_provider_that_asks_for_very_long_is_not_waited_for(world: World, house: ModelServer) -> None:
    row = await world.says(await smith_of(world), "fail=429 wait=3600")
    assert (row.status, row.error["code"], house.requests) == ("failed", "model_rate_limited", 1)


async def test_no_wait_is_longer_than_the_run_may_last(world: World, house: ModelServer) -> None:
    await world.prefer(limits={"max_seconds": 2})
    row = await world.says(await smith_of(world), "fail=503 wait=20")
    assert (row.status, row.error["code"], house.requests) == ("failed", "model_unavailable", 1)


async def test_a_provider_that_stays_down_is_asked_four_times_and_then_fails_the_run(
    world: World, house: ModelServer
) -> None:
    row = await world.says(await smith_of(world), "fail=503")
    assert (row.status, row.error["code"], house.requests) == ("failed", "model_unavailable", candidates.TRIES)
    assert warned(row) == ["model_call_retried"]


@pytest.mark.parametrize("trouble", ["fail=401", "fail=403", "fail=402", "fail=404", "fail=400", "empty=1"])
async def test_a_refusal_is_told_and_neither_repeated_nor_covered_up(
    world: World, house: ModelServer, trouble: str
) -> None:
    row = await world.says(await smith_of(world, "house/fake", "test/echo"), trouble)
    assert (row.status, row.output, house.requests) == ("failed", None, 1)
    assert row.warnings == [] or warned(row) == ["price_unknown"]


async def test_a_run_is_cancelled_while_it_waits_for_a_provider(world: World, house: ModelServer) -> None:
    run = await world.start(await smith_of(world), "fail=503 wait=29")
    await until(lambda: house.requests == 1)
    await world.cancel(run)
    assert (await world.ended(run)).status == "cancelled"
    assert house.requests == 1


@pytest.mark.parametrize("trouble", ["fail=503", "fail=429 wait=10", "cut=0", "first_ms=60000"])
async def test_the_next_model_answers_for_one_that_is_down(world: World, house: ModelServer, trouble: str) -> None:
    await world.prefer(limits={"max_seconds_to_first_token": 1})
    row = await world.says(await smith_of(world, "house/fake", "test/echo"), trouble)
    assert (row.status, row.output["content"]) == ("completed", trouble)
    assert (row.model, row.answered_by) == ("house/fake", "test/echo")
    assert "model_fallback" in warned(row)
    assert row.usage["cost"] == 0  # at the price of the model that answered, which is known


async def test_models_are_tried_in_order_and_one_without_a_key_is_passed_over(world: World, house: ModelServer) -> None:
    smith_id = await smith_of(world, "house/fake", "nowhere/any", "gpt-6-luna", "spare/fake", "test/echo")
    row = await world.says(smith_id, "fail=503")
    assert (row.answered_by, house.requests) == ("test/echo", 2 * candidates.TRIES)
    assert warned(row) == [
        "model_call_retried", "fallback_model_unreachable", "fallback_model_unreachable", "model_fallback",
        "model_call_retried", "model_fallback",
    ]  # fmt: skip


async def test_when_no_model_answers_the_last_failure_is_the_run_s(world: World, house: ModelServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    await world.key("gone", f"http://127.0.0.1:{port}/v1")
    row = await world.says(await smith_of(world, "house/fake", "gone/any"), "fail=429 wait=60")
    assert (row.status, row.error["code"], row.answered_by) == ("failed", "model_unavailable", None)


async def test_a_model_that_took_over_keeps_the_run_to_its_end(world: World, house: ModelServer) -> None:
    row = await world.says(await smith_of(world, "house/fake", "test/tools"), "fail=503 [[call a]] [[call b]] done")
    assert (row.status, house.requests) == ("completed", candidates.TRIES)
    assert warned(row).count("model_fallback") == 1
    calls = [span for span in await spans(world, row) if span.kind is SpanKind.model_call]
    assert [span.model for span in calls] == ["house/fake"] * candidates.TRIES + ["test/tools"] * 3


async def test_a_stream_that_breaks_is_begun_again_and_no_word_is_said_twice(world: World, house: ModelServer) -> None:
    run = await world.start(await smith_of(world), "break=3 times=1")
    told = [(frame.event, json.loads(frame.data)) for frame in await world.frames(run)]
    row = await world.row(run)
    assert (row.status, joined(told), house.requests) == ("completed", DOG, 2)
    assert "message.restarted" not in [event for event, _ in told]
    _, broken, answer = await spans(world, row)
    assert (broken.attributes["error.type"], answer.status) == ("model_stream_broken", "ok")


async def test_words_that_come_out_differently_after_a_break_are_said_anew(world: World, house: ModelServer) -> None:
    smith_id = await smith_of(world, "house/fake", "test/echo")
    house.then = [Knobs(tokens=4, cut=2), *[Knobs(fail=503)] * candidates.TRIES]
    told = [(frame.event, json.loads(frame.data)) for frame in await world.frames(await world.start(smith_id, "hi"))]
    events = [event for event, _ in told]
    assert events.count("message.restarted") == 1
    assert joined(told) == "hi"


async def test_a_stream_that_breaks_twice_fails_the_run(world: World, house: ModelServer) -> None:
    row = await world.says(await smith_of(world, "house/fake", "test/echo"), "cut=3")
    assert (row.status, row.error["code"], house.requests) == ("failed", "model_stream_broken", 2)


async def test_a_model_that_does_nothing_but_fail_is_not_hammered(world: World, house: ModelServer) -> None:
    smith_id = await smith_of(world)
    for number in range(20):
        assert (await world.says(smith_id, f"fail=503 {number}")).error["code"] == "model_unavailable"
    assert house.requests == candidates.TRIES + 19
    row = await world.says(await smith_of(world, "house/fake", "test/echo"), "hello")
    assert (row.answered_by, house.requests) == ("test/echo", candidates.TRIES + 19)
    assert (await world.says(smith_id, "hello")).status == "completed"
    assert (await world.says(smith_id, "fail=503 times=1")).status == "completed"
