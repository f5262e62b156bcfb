"""The carrier: cancel, time, lease and shutdown, at every moment."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from ingram_app.core.database import transaction
from ingram_app.core.settings import settings
from ingram_app.domain import endings, frames, leases, run_spans
from ingram_app.domain.leases import LeaseLost
from ingram_app.domain.runs import Run, RunNotPaused
from ingram_app.engine.carrier import CARRIERS_LOST, carry
from tests.engine.conftest import World, engine, until
from tests.fakes.knobs import Knobs
from tests.fakes.model_server import ModelServer

LONG = "[[words 2000]] [[pause 5ms]] on and on"


async def speaking(world: World, run: Run) -> None:
    """Return once the run has said some words."""
    async with asyncio.timeout(10):
        async for frame in frames.follow(run.project_id, run.id):
            if frame and frame.event == "message.delta":
                return


async def test_a_run_is_cancelled_in_the_middle_of_its_answer(world: World, working: None) -> None:
    run = await world.start(await world.smith("test/slow"), LONG)
    await speaking(world, run)
    asked = await world.cancel(run, "no longer wanted")
    assert asked.status == "running"
    last = (await world.frames(run))[-1]
    assert (last.event, json.loads(last.data)["reason"]) == ("run.cancelled", "no longer wanted")
    row = await world.row(run)
    assert (row.status, row.output, row.lease_owner) == ("cancelled", None, None)
    async with world.transaction() as session:
        _, call = await run_spans.of_run(session, row)
    assert (call.kind, call.status, call.model) == ("model_call", "cancelled", "test/slow")
    assert (call.input_tokens, call.output_tokens) == (row.input_tokens, row.output_tokens)
    assert row.started_at <= call.started_at < call.ended_at <= row.finished_at


async def test_a_cancelled_run_stays_cancelled_and_a_finished_one_finished(world: World, working: None) -> None:
    run = await world.start(await world.smith("test/slow"), LONG)
    await world.cancel(run)
    before = await world.frames(run)
    assert (await world.cancel(run)).status == "cancelled"
    assert await world.frames(run) == before
    finished = await world.says(await world.smith(), "hello")
    with pytest.raises(RunNotPaused):
        await world.cancel(finished)


async def test_a_run_that_waits_is_cancelled_at_once_and_the_next_moves_up(world: World, seats: object) -> None:
    smith_id = await world.smith()
    first, second = [await world.start(smith_id, thread_id="t", background=True) for _ in range(2)]
    assert (await world.cancel(first, "changed my mind")).status == "cancelled"
    assert [frame.event for frame in await world.frames(first)] == ["run.cancelled"]
    async with engine(), asyncio.timeout(3):  # sooner than a forgotten run is found
        assert (await world.ended(second)).status == "completed"


async def test_a_cancelled_turn_is_no_part_of_the_history_and_its_thread_goes_on(world: World, working: None) -> None:
    smith_id = await world.smith("test/slow")
    first = await world.start(smith_id, LONG, thread_id="t")
    second = await world.start(smith_id, "[[pause 0ms]] two words", thread_id="t")
    await speaking(world, first)
    await world.cancel(first)
    row = await world.ended(second)
    assert (row.status, row.output["content"]) == ("completed", "two words")
    assert row.usage["input_tokens"] < 10


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch, database: None) -> AsyncIterator[tuple[str, list[str]]]:
    """A model server's address, and what it says of its answers: whether they were heard out."""
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    story: list[str] = []

    class Telling(ModelServer):
        async def handle(self, request: object, reply: object) -> None:
            story.append("asked")
            try:
                await super().handle(request, reply)  # type: ignore[arg-type]
            except asyncio.CancelledError:
                story.append("dropped")
                raise
            story.append("heard out")

    server = Telling(Knobs())
    listening = await asyncio.get_running_loop().create_server(server.connect, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", story
    listening.close()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.parametrize("said", ["tokens=5000 delay_ms=5", "first_ms=60000"])
async def test_a_cancel_stops_the_call_of_the_provider(
    world: World, provider: tuple[str, list[str]], working: None, said: str
) -> None:
    address, story = provider
    await world.key("fake", address)
    run = await world.start(await world.smith("fake/any"), said)
    await until(lambda: story == ["asked"])
    await world.cancel(run)
    assert (await world.ended(run)).status == "cancelled"
    await until(lambda: story == ["asked", "dropped"])


async def test_a_provider_that_stops_in_the_middle_fails_the_run(
    world: World, provider: tuple[str, list[str]], working: None
) -> None:
    await world.key("fake", provider[0])
    row = await world.says(await world.smith("fake/any"), "tokens=20 cut=5")
    assert (row.status, row.error["code"]) == ("failed", "model_stream_broken")


async def test_a_run_that_takes_too_long_fails_and_says_so(world: World, working: None) -> None:
    await world.prefer(limits={"max_seconds": 1})
    run = await world.start(await world.smith("test/slow"), LONG)
    last = json.loads((await world.frames(run))[-1].data)
    assert last["error"]["code"] == "time_limit_exceeded"
    assert "1 second" in last["error"]["message"]
    assert (await world.row(run)).status == "failed"


async def test_a_carrier_that_has_lost_its_lease_lets_go_and_writes_nothing(world: World, seats: object) -> None:
    run = await world.start(await world.smith("test/slow"), LONG)
    carrying = asyncio.ensure_future(carry(run))
    await speaking(world, run)
    await world.lose(run)
    async with asyncio.timeout(5):
        await carrying
    row = await world.row(run)
    assert (row.status, row.lease_owner, row.attempt) == ("running", "gone", 1)
    told = await world.sql("select event from frames where run_id = :id order by seq desc limit 1", id=run.id)
    assert told.scalar() == "message.delta"


async def test_an_outdated_attempt_can_not_write(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    lease = leases.of(run)
    await world.lose(run)
    claimed = await world.claim(run)
    assert claimed is not None
    assert claimed.attempt == 2
    shown = [frames.shown(run.id, 2, frames.MessageDelta("from before"))]
    ending = endings.Ending(run.status.completed, {})
    for write in (
        lambda session: leases.say(session, lease, shown),
        lambda session: leases.renew(session, lease),
        lambda session: endings.finish(session, lease, ending, shown, []),
    ):
        with pytest.raises(LeaseLost):
            async with transaction(lease.tenancy) as session:
                await write(session)
    assert (await world.row(run)).status == "running"
    assert (await world.sql("select count(*) from events where type = 'run.completed'")).scalar() == 0


async def test_a_shutdown_lets_go_and_the_run_completes_elsewhere(world: World) -> None:
    said = "[[words 60]] [[pause 10ms]] said once"
    async with engine():
        run = await world.start(await world.smith("test/slow"), said)
        await speaking(world, run)
    left = await world.row(run)
    assert left.status == "running"
    async with engine(interactive=False):
        row = await world.ended(run)
    assert (row.status, row.attempt, row.warnings) == ("completed", 2, [])
    story = await world.frames(run)
    assert [frame.seq for frame in story] == list(range(1, len(story) + 1))
    words = "".join(json.loads(frame.data)["delta"] for frame in story if frame.event == "message.delta")
    assert words == row.output["content"]


async def test_a_run_that_takes_each_process_down_with_it_is_given_up(world: World, seats: object) -> None:
    smith_id = await world.smith()
    run = await world.start(smith_id, thread_id="t")
    after = await world.start(smith_id, thread_id="t", background=True)
    frames.forget(run.id)
    for _ in range(CARRIERS_LOST - 1):
        await world.lose(run)
        await world.claim(run)
    await world.lose(run)
    async with engine():
        row = await world.ended(run)
        assert (row.status, row.error["code"], row.attempt) == ("failed", "run_abandoned", CARRIERS_LOST + 1)
        assert "5 processes" in row.error["message"]
        assert (await world.ended(after)).status == "completed"


async def test_a_run_outlives_any_number_of_orderly_stops(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    frames.forget(run.id)
    for _ in range(CARRIERS_LOST + 1):
        async with transaction(leases.of(run).tenancy) as session:
            await leases.release(session, leases.of(run))
        run = await world.claim(run) or run
    assert (run.attempt, run.carriers_lost) == (CARRIERS_LOST + 2, 0)


async def test_a_model_that_answers_differently_the_second_time_is_said_anew(world: World, seats: object) -> None:
    run = await world.start(await world.smith("test/slow"), "[[pause 0ms]] the second answer")
    async with transaction(leases.of(run).tenancy) as session:
        await leases.say(session, leases.of(run), [frames.shown(run.id, 2, frames.MessageDelta("the first"))])
    frames.forget(run.id)
    await world.lose(run)
    async with engine():
        events = [frame.event for frame in await world.frames(run)]
    assert events[:3] == ["run.started", "message.delta", "message.restarted"]
    row = await world.row(run)
    assert [warning["code"] for warning in row.warnings] == ["model_call_repeated"]
