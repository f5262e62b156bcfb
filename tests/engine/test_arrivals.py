"""Arrivals: what a new turn does to those before it on its thread, whoever carries them, however many come at once."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest

from ingram_app.domain import summaries
from ingram_app.domain.arrivals import QUEUE_LENGTH, ConcurrencyLimitExceeded, OnBusy, ThreadBusy
from ingram_app.domain.runs import Run
from ingram_app.domain.transcripts import INTERRUPTED
from tests.engine.conftest import World, engine
from tests.engine.test_carrier import LONG, speaking

QUICK = "[[pause 0ms]]"


async def history(world: World, smith_id: str) -> list[tuple[str, str]]:
    """Return what the thread `t` remembers: each part's kind and words."""
    async with world.transaction() as session:
        past = await summaries.past(session, world.caller.project_id, smith_id, "t")
    kept = [message for _, text in past.turns for message in json.loads(text)]
    return [(part["part_kind"], str(part.get("content"))) for message in kept for part in message["parts"]]


async def interrupting(world: World, smith_id: str, said: str, on_busy: OnBusy = OnBusy.interrupt) -> Run:
    return await world.start(smith_id, said, thread_id="t", on_busy=on_busy)


async def test_a_turn_that_rejects_a_busy_thread_leaves_no_trace(world: World, working: None) -> None:
    smith_id = await world.smith("test/slow")
    first = await interrupting(world, smith_id, LONG, OnBusy.reject)
    with pytest.raises(ThreadBusy, match=first.id):
        await interrupting(world, smith_id, "not now", OnBusy.reject)
    await world.cancel(first)
    await world.ended(first)
    assert (await world.ended(await interrupting(world, smith_id, f"{QUICK} now", OnBusy.reject))).turn == 2


async def test_an_interrupted_turn_is_remembered_as_far_as_it_came(world: World, working: None) -> None:
    smith_id = await world.smith("test/slow")
    first = await interrupting(world, smith_id, LONG)
    await speaking(world, first)
    second = await world.ended(await interrupting(world, smith_id, f"{QUICK} and now"))
    row = await world.row(first)
    assert (row.status, row.output) == ("cancelled", None)
    assert second.id in str(row.cancel_reason)
    asked, begun, mark, *rest = await history(world, smith_id)
    assert (asked, mark) == (("user-prompt", LONG), ("user-prompt", INTERRUPTED))
    assert begun[0] == "text"
    assert begun[1].startswith("on and ")
    assert rest == [("user-prompt", f"{QUICK} and now"), ("text", "and now")]
    assert second.usage["input_tokens"] > 8  # it heard of the first


async def test_a_turn_rolled_back_is_forgotten(world: World, working: None) -> None:
    smith_id = await world.smith("test/slow")
    first = await interrupting(world, smith_id, LONG)
    await speaking(world, first)
    second = await world.ended(await interrupting(world, smith_id, f"{QUICK} and now", OnBusy.rollback))
    assert (await world.row(first)).status == "cancelled"
    assert await history(world, smith_id) == [("user-prompt", f"{QUICK} and now"), ("text", "and now")]
    assert second.status == "completed"


async def test_one_that_interrupts_comes_before_those_that_queue_and_they_keep_their_order(
    world: World, working: None
) -> None:
    smith_id = await world.smith("test/slow")
    first = await interrupting(world, smith_id, LONG)
    queued = [await world.start(smith_id, f"{QUICK} {number}", thread_id="t") for number in range(3)]
    await speaking(world, first)
    pressing = await interrupting(world, smith_id, f"{QUICK} at once")
    rows = [await world.ended(run) for run in (first, pressing, *queued)]
    assert [row.turn for row in rows] == [1, 2, 3, 4, 5]
    for earlier, later in pairwise(rows):
        assert earlier.finished_at <= later.started_at
    answers = [words for kind, words in await history(world, smith_id) if kind == "text"]
    assert answers[1:] == ["at once", "0", "1", "2"]


@pytest.mark.parametrize("status", ["paused_for_tool", "paused_for_approval"])
@pytest.mark.parametrize("on_busy", [OnBusy.interrupt, OnBusy.rollback])
async def test_a_paused_run_makes_way_at_once_and_no_call_is_left_without_an_answer(
    world: World, seats: object, status: str, on_busy: OnBusy
) -> None:
    smith_id = await world.smith("test/tools")
    paused = await world.start(smith_id, "call it", thread_id="t")
    calls = [{"part_kind": "tool-call", "tool_name": f"tool_{n}", "args": "{}", "tool_call_id": f"c{n}"} for n in "12"]
    partly = [{"part_kind": "tool-return", "tool_name": "tool_1", "tool_call_id": "c1", "content": "done"}]
    messages = [
        {"kind": "request", "parts": [{"part_kind": "user-prompt", "content": "call it"}]},
        {"kind": "response", "parts": calls},
        {"kind": "request", "parts": partly},
    ]
    await keep(world, paused, messages, status)
    async with engine():
        after = await world.ended(await interrupting(world, smith_id, "never mind", on_busy))
    assert (after.status, (await world.row(paused)).status) == ("completed", "cancelled")
    kept = await history(world, smith_id)
    mine = [("user-prompt", "never mind"), ("text", "never mind")]
    if on_busy is OnBusy.rollback:
        assert kept == mine
    else:
        told = [("tool-return", "done"), ("tool-return", INTERRUPTED), ("user-prompt", INTERRUPTED)]
        assert kept == [("user-prompt", "call it"), ("tool-call", "None"), ("tool-call", "None"), *told, *mine]


async def keep(world: World, run: Run, messages: list[dict[str, Any]], status: str) -> None:
    """Have a run look as if it had paused after these messages."""
    row = "insert into transcripts (run_id, project_id, smith_id, thread_id, turn, messages, complete)"
    values = (
        "select id, project_id, smith_id, thread_id, turn, cast(:messages as jsonb), false from runs where id = :id"
    )
    await world.sql(f"{row} {values}", id=run.id, messages=json.dumps(messages))
    await world.sql(
        "update runs set status = :status, lease_owner = null, lease_until = null where id = :id",
        id=run.id,
        status=status,
    )


async def test_of_many_that_interrupt_at_once_the_last_answers_and_all_are_remembered_in_order(
    world: World, working: None
) -> None:
    smith_id = await world.smith("test/slow")
    said = [f"[[pause 20ms]] [[words 40]] turn{number}" for number in range(12)]
    runs = await asyncio.gather(*(interrupting(world, smith_id, words) for words in said))
    rows = sorted([await world.ended(run) for run in runs], key=lambda row: row.turn)
    assert [row.turn for row in rows] == list(range(1, 13))
    assert [row.status for row in rows] == ["cancelled"] * 11 + ["completed"]
    told = [words for kind, words in await history(world, smith_id) if kind == "user-prompt"]
    assert [words for words in told if words != INTERRUPTED] == [row.input[0]["content"] for row in rows]
    assert told.count(INTERRUPTED) == 11


async def test_of_many_of_every_kind_at_once_none_is_lost_and_one_works_at_a_time(world: World, working: None) -> None:
    smith_id = await world.smith("test/slow")
    kinds = [OnBusy.queue, OnBusy.interrupt, OnBusy.rollback] * 4
    starts = (interrupting(world, smith_id, f"[[pause 2ms]] {n} more", kind) for n, kind in enumerate(kinds))
    rows = sorted([await world.ended(run) for run in await asyncio.gather(*starts)], key=lambda row: row.turn)
    assert [row.turn for row in rows] == list(range(1, 13))
    assert {row.status for row in rows} <= {"completed", "cancelled"}
    begun = [row for row in rows if row.started_at]
    for earlier, later in pairwise(begun):
        assert earlier.finished_at <= later.started_at
    remembered = [words for kind, words in await history(world, smith_id) if kind == "user-prompt"]
    kept = [row.input[0]["content"] for row in rows if row.status == "completed" or row.interrupted]
    assert [words for words in remembered if words != INTERRUPTED] == kept


async def test_one_interrupts_a_run_that_no_process_has_taken_up_yet(world: World, seats: object) -> None:
    smith_id = await world.smith()
    waiting = await world.start(smith_id, "first words", thread_id="t", background=True)
    behind = await world.start(smith_id, "behind", thread_id="t")
    pressing = await interrupting(world, smith_id, "second words")
    async with engine(), asyncio.timeout(3):  # sooner than a forgotten run is found
        rows = [await world.ended(run) for run in (waiting, pressing, behind)]
    assert [row.status for row in rows] == ["cancelled", "completed", "completed"]
    told = [words for kind, words in await history(world, smith_id) if kind == "user-prompt"]
    assert told == ["first words", INTERRUPTED, "second words", "behind"]


async def test_a_run_whose_carrier_died_is_interrupted_by_whoever_takes_it_up(world: World, seats: object) -> None:
    smith_id = await world.smith()
    lost = await world.start(smith_id, "first words", thread_id="t")
    await world.lose(lost)
    pressing = await interrupting(world, smith_id, "second words")
    async with engine():
        assert (await world.ended(pressing)).status == "completed"
    assert (await world.row(lost)).status == "cancelled"
    told = [words for kind, words in await history(world, smith_id) if kind == "user-prompt"]
    assert told == ["first words", INTERRUPTED, "second words"]


@pytest.mark.parametrize("on_busy", [OnBusy.queue, OnBusy.interrupt, OnBusy.rollback])
async def test_a_line_is_no_longer_for_those_that_press(world: World, seats: object, on_busy: OnBusy) -> None:
    smith_id = await world.smith()
    for _ in range(QUEUE_LENGTH + 1):
        await world.start(smith_id, thread_id="t")
    with pytest.raises(ConcurrencyLimitExceeded):
        await interrupting(world, smith_id, "one more", on_busy)


async def test_other_threads_of_the_smith_are_left_alone(world: World, working: None) -> None:
    smith_id = await world.smith("test/slow")
    beside = await world.start(smith_id, LONG, thread_id="beside")
    await speaking(world, beside)
    await world.ended(await interrupting(world, smith_id, f"{QUICK} here"))
    assert (await world.row(beside)).status == "running"
    await world.cancel(beside)
    await world.ended(beside)
