"""History: one that outgrows what a model takes is summarised, once, and no tool call loses its result."""

import json
from typing import Any

import httpx
import pytest
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart

from ingram_app.core import process
from ingram_app.domain import model_calls, smiths, summaries
from ingram_app.domain.model_calls import Call, Whose
from ingram_app.domain.runs import Run
from ingram_app.domain.summaries import Summary
from ingram_app.engine import prompt, wording
from ingram_app.gateways import windows
from tests.engine.conftest import World, engine

FACT = "My parcel is called Rosebud. "
FILLER = "and more of it " * 20
"""Some hundred tokens."""


async def heard(server: str) -> list[dict[str, Any]]:
    """Return the messages of the last request."""
    async with httpx.AsyncClient() as client:
        return list((await client.get(f"{server}/_seen")).json()["last"]["body"]["messages"])


async def asked(server: str) -> int:
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"{server}/_seen")).json()["requests"])


async def kept(world: World, smith_id: str) -> list[Summary]:
    async with world.transaction() as session:
        rows = await world.sql("select reaches from summaries where smith_id = :smith_id", smith_id=smith_id)
        keys = [(smith_id, "t", reaches) for (reaches,) in rows.all()]
        return [row for key in sorted(keys) if (row := await session.get(Summary, key))]


async def talk(world: World, smith_id: str, turns: int, first: str = FACT) -> list[Run]:
    return [await world.says(smith_id, f"{first if not n else ''}{n} {FILLER}", thread_id="t") for n in range(turns)]


def codes(run: Run) -> list[str]:
    return [warning["code"] for warning in run.warnings]


@pytest.mark.usefixtures("working")
async def test_older_turns_are_summarised_when_they_no_longer_fit_and_newer_ones_sent_as_they_were(
    world: World, server: str
) -> None:
    await world.prefer(limits={"max_history_tokens": 1000})
    smith_id = await world.smith("gpt-5.4-mini")
    runs = await talk(world, smith_id, 10)
    [first, *_] = made = await kept(world, smith_id)
    assert 1 <= len(made) < 6
    told = next(run for run in runs if "history_summarised" in codes(run))
    assert told.id == first.run_id
    assert str(first.reaches) in told.warnings[0]["message"]
    summary, *rest = await heard(server)
    assert made[-1].text in summary["content"]
    assert summary["role"] == "user"
    numbers = [message["content"].split()[0] for message in rest if message["role"] == "user"]
    assert numbers == [str(n) for n in range(made[-1].reaches, 10)]
    assert [message["role"] for message in rest] == ["user", "assistant"] * (len(numbers) - 1) + ["user"]


@pytest.mark.usefixtures("working")
async def test_a_summary_is_charged_to_the_run_it_was_made_for(world: World, server: str) -> None:
    await world.prefer(limits={"max_history_tokens": 600})
    smith_id = await world.smith("gpt-5.4-mini")
    runs = await talk(world, smith_id, 8)
    by_id = {run.id: run for run in runs}
    for summary in await kept(world, smith_id):
        run = by_id[summary.run_id]
        assert (summary.input_tokens, summary.output_tokens, summary.cost_micros) > (0, 0, 0)
        assert run.input_tokens > summary.input_tokens
        assert run.output_tokens == 20 + summary.output_tokens
        assert run.cost_micros > summary.cost_micros


@pytest.mark.usefixtures("working")
async def test_a_summary_builds_on_the_last_and_no_turn_is_summarised_twice(world: World) -> None:
    await world.prefer(limits={"max_history_tokens": 1000})
    smith_id = await world.smith()  # an echo: its summary is what it was told
    await talk(world, smith_id, 12)
    first, second, *_ = await kept(world, smith_id)
    assert "(none)" in first.text
    assert FACT.strip() in first.text
    assert first.text[:200] in second.text
    assert first.reaches < second.reaches


@pytest.mark.usefixtures("working")
async def test_when_no_summary_can_be_made_the_newest_turns_are_sent_and_the_run_says_so(
    world: World, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.prefer(limits={"max_history_tokens": 1000})
    smith_id = await world.smith("gpt-5.4-mini")
    await talk(world, smith_id, 3)
    monkeypatch.setattr("ingram_app.engine.asking.Asking.aside", _takes_too_long)
    last = (await talk(world, smith_id, 6, ""))[-1]
    assert (last.status, codes(last)) == ("completed", ["history_truncated"])
    assert await kept(world, smith_id) == []
    said = [message["content"] for message in await heard(server)]
    assert FACT not in " ".join(said)
    assert said[-1].startswith("5 ")
    assert said[-3].startswith("4 ")


async def _takes_too_long(*_: Any, **__: Any) -> None:
    raise TimeoutError


@pytest.mark.usefixtures("working")
async def test_a_model_that_fails_to_summarise_does_not_fail_the_run(world: World) -> None:
    await world.prefer(limits={"max_history_tokens": 300})
    smith_id = await world.smith()
    await talk(world, smith_id, 2, "[[fail request_refused]] ")
    await world.sql('update smiths set overrides = overrides || \'{"model": "test/fail"}\' where id = :id', id=smith_id)
    run = await world.says(smith_id, "[[fail empty]]", thread_id="t")
    assert codes(run) == ["history_truncated"]
    assert (run.status, run.error["code"]) == ("failed", "model_answer_empty")  # by its own words, not the summary's


@pytest.mark.usefixtures("working")
async def test_a_model_that_answers_with_calls_alone_has_summarised_nothing(world: World) -> None:
    await world.prefer(limits={"max_history_tokens": 300})
    smith_id = await world.smith()
    await talk(world, smith_id, 2, "[[call lamp]] ")
    await switch(world, smith_id, "test/tools")
    run = await world.says(smith_id, "and now", thread_id="t")
    assert (run.status, codes(run)) == ("completed", ["history_truncated"])
    assert await kept(world, smith_id) == []


async def test_a_summary_is_made_once_though_the_process_dies_right_after_it(
    world: World, seats: process.Seats
) -> None:
    await world.prefer(limits={"max_history_tokens": 1000})
    smith_id = await world.smith()
    async with engine():
        await talk(world, smith_id, 6)
    seats.open = 64
    already = len(await kept(world, smith_id))
    run = await world.start(smith_id, f"the next {FILLER}", thread_id="t")
    async with world.transaction() as session:
        await summaries.keep(
            session,
            Summary(
                smith_id=smith_id, thread_id="t", reaches=6, project_id=run.project_id, text="Rosebud", run_id=run.id,
                model="test/echo", input_tokens=1000, output_tokens=100, cost_micros=7,
            ),
        )  # fmt: skip
        call = Call("test/echo", "local", 1000, 100, 0, 0, 0, 7)
        whose = Whose(run.project_id, smith_id, run.agent_id, run.agent_version, run.id, run.channel)
        await model_calls.stamp(session, whose, [call])
    await world.lose(run)
    async with engine():
        row = await world.ended(run)
    assert len(await kept(world, smith_id)) == already + 1
    assert (row.status, codes(row)) == ("completed", [])
    assert row.input_tokens > 1000
    assert row.output_tokens > 100
    assert row.cost_micros == 7


@pytest.mark.usefixtures("working")
async def test_calls_stay_with_their_results_whatever_is_summarised(world: World, server: str) -> None:
    smith_id = await world.smith("gpt-5.4-mini")
    for run in await talk(world, smith_id, 8):
        await have_called(world, run)
    await world.prefer(limits={"max_history_tokens": 900})
    for number in range(4):
        await world.says(smith_id, f"{number} {FILLER}", thread_id="t")
        messages = await heard(server)
        calls = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
        results = [message["tool_call_id"] for message in messages if message["role"] == "tool"]
        assert calls == results
        assert number > 0 or len(calls) in (2, 4, 6)
    assert await kept(world, smith_id)


async def have_called(world: World, run: Run) -> None:
    """Have a turn look as if two tools had been used in it."""
    calls = [ToolCallPart("weather", {"city": "Rome"}, f"{run.id}-{n}") for n in range(2)]
    step = [
        ModelResponse(parts=calls),
        ModelRequest(parts=[ToolReturnPart("weather", FILLER, call.tool_call_id) for call in calls]),
    ]
    await world.sql(
        "update transcripts set messages = (messages->0) || cast(:step as jsonb) || (messages->1) where run_id = :id",
        step=json.dumps(prompt.write(step)),
        id=run.id,
    )


@pytest.mark.usefixtures("working")
async def test_more_turns_than_are_read_at_once_are_summarised_all(
    world: World, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    smith_id = await world.smith()
    await talk(world, smith_id, 10)
    assert await kept(world, smith_id) == []
    monkeypatch.setattr(summaries, "PAST_TURNS", 6)
    run = await world.says(smith_id, "the next", thread_id="t")
    assert codes(run) == ["history_summarised"]
    [summary] = await kept(world, smith_id)
    assert FACT.strip() in summary.text
    assert 5 <= summary.reaches < 10


@pytest.mark.usefixtures("working")
async def test_what_fits_costs_no_call(world: World, server: str) -> None:
    smith_id = await world.smith("gpt-5.4-mini")
    before = await asked(server)
    await talk(world, smith_id, 5)
    assert await asked(server) - before == 5
    assert len(await heard(server)) == 9


@pytest.mark.usefixtures("working")
async def test_the_embedded_model_summarises_nothing_and_says_what_it_left_out(world: World) -> None:
    smith_id = await world.smith()
    await talk(world, smith_id, 12)
    await switch(world, smith_id, "local/none")
    last = await world.says(smith_id, "hello", thread_id="t")
    assert codes(last) == ["history_truncated"]
    assert await kept(world, smith_id) == []


async def switch(world: World, smith_id: str, model: str) -> None:
    async with world.transaction() as session:
        await smiths.change(session, world.caller, smith_id, {"model": model})


def test_the_price_list_tells_what_models_take_and_the_unknown_ones_are_guessed_at() -> None:
    assert windows.context_tokens("claude-sonnet-4-6") >= 200_000
    assert windows.context_tokens("local/smollm2-135m") == 1000
    for unknown in ("endpoint/some-model", "nobody knows", "gpt-99"):
        assert windows.context_tokens(unknown) == 128_000


@pytest.mark.parametrize(("text", "least"), [("word " * 300, 300), ("漢字" * 300, 600), ("", 0), ("\ud800" * 30, 10)])
def test_tokens_are_rather_over_than_underestimated(text: str, least: int) -> None:
    assert windows.tokens_of(text) >= least


def test_a_history_is_written_out_as_it_would_be_read_out() -> None:
    said = wording.written([
        ModelRequest(parts=[UserPromptPart("hello")]),
        ModelResponse(parts=[TextPart("I look"), ToolCallPart("weather", {"city": "Rome"}, "c1")]),
        ModelRequest(parts=[ToolReturnPart("weather", "sunny " * 5000, "c1")]),
    ])  # fmt: skip
    lines = said.split("\n")
    assert lines[:3] == ["User: hello", "Assistant: I look", '(The assistant used weather: {"city":"Rome"})']
    assert len(lines[3]) < 5000


def test_texts_are_put_together_as_far_as_there_is_room() -> None:
    texts = ["a" * 300, "b" * 300, "c" * 3000, "d" * 30]
    assert [chunk.count("\n\n") for chunk in wording.chunks(texts, 220)] == [1, 0, 0]
    assert wording.chunks([], 100) == []


def test_messages_are_counted_with_calls_results_and_pictures() -> None:
    written = json.dumps({"x": "y" * 3000})
    call = ModelResponse(parts=[ToolCallPart("t", written, "c")])
    assert wording.tokens_of([call]) > 1000
    assert wording.tokens_of(prompt.read(json.dumps(prompt.write([call])))) == wording.tokens_of([call])
