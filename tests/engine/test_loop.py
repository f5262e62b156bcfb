"""The loop: what a run says and leaves, step by step, with models that do what they are told."""

import json
from collections.abc import AsyncIterator

import pytest

from ingram_app.core.settings import settings
from ingram_app.domain import transcripts
from tests.engine.client import joined
from tests.engine.conftest import World
from tests.fakes.model_server import running_model_server

pytestmark = pytest.mark.usefixtures("working")


@pytest.fixture
async def priced(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """A model whose price is known, spoken by the fake server."""
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    async with running_model_server() as address:
        await world.key("openai", f"{address}/v1")
        yield "gpt-5.4-mini"
    monkeypatch.undo()
    settings.cache_clear()


def told(frames: list) -> list[tuple[str, dict]]:
    """Return frames without what all of them carry."""
    bare = [(frame.event, json.loads(frame.data)) for frame in frames]
    return [(event, {k: v for k, v in data.items() if k not in ("v", "run_id")}) for event, data in bare]


async def test_a_run_says_what_its_model_says_and_keeps_it(world: World) -> None:
    run = await world.start(smith_id := await world.smith(), "one two three")
    frames = told(await world.frames(run))
    row = await world.row(run)
    assert frames[0] == ("run.started", {"smith_id": smith_id, "thread_id": run.thread_id})
    assert joined(frames) == "one two three"
    assert frames[-2] == ("message.completed", {"content": "one two three"})
    assert frames[-1] == ("run.completed", {"stop_reason": "stop", "usage": row.usage, "warnings": []})
    assert (row.status, row.output) == ("completed", {"content": "one two three", "content_type": "text"})
    assert row.usage == {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6, "cost": 0.0}
    assert (row.lease_owner, row.lease_until, row.attempt) == (None, None, 1)


async def test_thoughts_are_told_and_are_no_part_of_the_answer(world: World) -> None:
    run = await world.start(await world.smith("test/slow"), "[[think let me see]] [[pause 0ms]] yes")
    frames = told(await world.frames(run))
    thoughts = "".join(data["delta"] for event, data in frames if event == "reasoning.delta")
    assert (thoughts, joined(frames)) == ("let me see", "yes")


async def test_a_tool_that_does_not_exist_is_told_to_the_model_which_goes_on(world: World) -> None:
    run = await world.start(await world.smith("test/tools"), "[[call weather]] [[call mail]]")
    frames = told(await world.frames(run))
    events = [event for event, _ in frames]
    assert events.count("tool.executing") == events.count("tool.completed") == 2
    assert [data["is_error"] for event, data in frames if event == "tool.completed"] == [True, True]
    assert "There is no tool weather." in joined(frames)
    assert "There is no tool mail." in joined(frames)


async def test_too_many_steps_end_the_run(world: World) -> None:
    await world.prefer(limits={"max_steps": 2})
    row = await world.says(await world.smith("test/tools"), "[[call a]] [[call b]] [[call c]]")
    assert (row.status, row.error["code"]) == ("failed", "step_limit_exceeded")
    assert row.output is None


async def test_a_run_that_has_used_too_many_tokens_begins_no_other_call(world: World) -> None:
    await world.prefer(limits={"max_total_tokens": 12})
    asked = "[[call a]] [[call b]] [[call c]]"
    row = await world.says(await world.smith("test/tools"), asked)
    assert (row.status, row.error["code"]) == ("failed", "token_limit_exceeded")
    assert 12 < row.usage["total_tokens"] < 30
    row = await world.says(await world.smith(), " ".join(["word"] * 10))
    assert (row.status, row.usage["total_tokens"]) == ("completed", 20)  # the answer is there: it is kept


async def test_a_run_that_has_cost_too_much_begins_no_other_call(world: World, priced: str) -> None:
    await world.prefer(limits={"max_cost_micros": 3})
    row = await world.says(await world.smith(priced), "call=weather tokens=4")
    assert (row.status, row.error["code"]) == ("failed", "cost_limit_exceeded")
    assert row.cost_micros > 3
    assert "; 0.000003 are allowed" in row.error["message"]
    await world.prefer(limits={"max_cost_micros": 1_000_000})
    assert (await world.says(await world.smith(priced), "call=weather tokens=4")).status == "completed"


@pytest.mark.parametrize("model", ["test/echo", "test/tools"])
async def test_an_answer_that_is_too_long_ends_the_run(world: World, model: str) -> None:
    await world.prefer(limits={"max_output_tokens": 5})
    row = await world.says(await world.smith(model), "one two three four five six")
    assert (row.status, row.error["code"]) == ("failed", "output_limit_exceeded")


async def test_an_answer_without_end_is_stopped_when_it_is_too_long(world: World) -> None:
    await world.prefer(limits={"max_output_tokens": 5})
    row = await world.says(await world.smith("test/slow"), "[[words 100000]] [[pause 1ms]] on and on")
    assert (row.status, row.error["code"]) == ("failed", "output_limit_exceeded")


async def test_steps_count_together(world: World) -> None:
    row = await world.says(await world.smith("test/tools"), "[[call a]] done")
    assert row.usage["output_tokens"] > 1
    assert row.usage["input_tokens"] > 3


async def test_each_step_is_kept_before_the_next_begins(world: World) -> None:
    run = await world.start(await world.smith("test/tools"), "[[call a]] [[call b]] [[pause 0ms]] done")
    await world.frames(run)
    async with world.transaction() as session:
        kept = json.loads(await transcripts.of_run(session, run.project_id, run.id))
    assert [message["kind"] for message in kept] == ["request", "response"] * 3


async def test_a_thread_remembers_its_completed_turns_and_no_others(world: World) -> None:
    smith_id = await world.smith()
    first = await world.says(smith_id, "first", thread_id="t")
    await world.says(await world.smith(), "elsewhere", thread_id="t")
    await world.prefer(limits={"max_output_tokens": 1})
    await world.says(smith_id, "lost on the way", thread_id="t")
    await world.prefer(limits={"max_output_tokens": None})
    second = await world.says(smith_id, "second", thread_id="t")
    third = await world.says(smith_id, "third", thread_id="t")
    counted = [run.usage["input_tokens"] for run in (first, second, third)]
    assert counted == [1, 3, 5]  # each turn hears what was said and answered before


async def test_without_a_thread_every_turn_is_the_first(world: World) -> None:
    smith_id = await world.smith()
    runs = [await world.says(smith_id, "hello") for _ in range(2)]
    assert [run.usage["input_tokens"] for run in runs] == [1, 1]
    assert runs[0].thread_id != runs[1].thread_id


FAILURES = {
    "unavailable": "model_unavailable",
    "rate_limited": "model_rate_limited",
    "key_refused": "model_key_refused",
    "quota_exceeded": "model_quota_exceeded",
    "not_found": "model_not_found",
    "request_refused": "model_request_refused",
    "broken": "model_stream_broken",
    "empty": "model_answer_empty",
}


@pytest.mark.parametrize("kind", FAILURES)
async def test_a_model_that_fails_fails_the_run_and_says_why(world: World, kind: str) -> None:
    run = await world.start(await world.smith("test/fail"), f"[[fail {kind}]] some words")
    event, data = told(await world.frames(run))[-1]
    row = await world.row(run)
    assert (event, row.status, row.error, row.output) == ("run.failed", "failed", data["error"], None)
    assert row.error["code"] == FAILURES[kind]
    assert len(row.error["message"]) > 10


async def test_what_was_said_before_a_stream_broke_stays_said(world: World) -> None:
    run = await world.start(await world.smith("test/fail"), "one two three four [[after 3 words]]")
    frames = told(await world.frames(run))
    assert joined(frames) == "one two three "
    assert frames[-1][0] == "run.failed"


async def test_letters_that_postgresql_refuses_are_replaced(world: World) -> None:
    row = await world.says(await world.smith(), "a null \0 and half a \ud83d pair", thread_id="odd")
    assert row.output["content"] == "a null \ufffd and half a \ufffd pair"
    assert (await world.says(await world.smith(), "and on", thread_id="odd")).status == "completed"


async def test_a_key_that_was_taken_away_meanwhile_fails_the_run(world: World, seats: object) -> None:
    await world.key("elsewhere", "http://127.0.0.1:9/v1")
    smith_id = await world.smith("elsewhere/any")
    first = await world.start(smith_id, thread_id="t", background=True)
    await world.sql("delete from model_keys")
    row = await world.ended(first)
    assert (row.status, row.error["code"]) in [("failed", "model_key_missing"), ("failed", "model_unavailable")]
