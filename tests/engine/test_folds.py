"""Folds: what a run has said takes less room a while after it ended, and is told as before."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from ingram_app.core.database import NOBODY, execute, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import folds, frames
from ingram_app.domain.frames import MessageDelta, ReasoningDelta, Shown
from ingram_app.domain.runs import Run
from ingram_app.engine import folding
from tests.engine.conftest import World


@pytest.fixture
async def at_once(database: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Runs are ripe as soon as they have ended; those of earlier tests are folded already."""
    monkeypatch.setenv("IC_FRAMES_FOLD_AFTER_SECONDS", "0")
    settings.cache_clear()
    await folding.fold_some()
    yield
    monkeypatch.undo()
    settings.cache_clear()


async def spoken(world: World, said: str = "one \U0001f600 three — four five") -> tuple[Run, list[Shown]]:
    """Run a turn of which each word is a frame of its own, thoughts before it; return it with its frames."""
    run = await world.start(await world.smith())
    await world.sql("delete from frames where run_id = :id and seq > 1", id=run.id)
    words = [MessageDelta(word) for word in said.split(" ")]
    told = [ReasoningDelta("hm "), ReasoningDelta("well "), *words]
    told += [frames.MessageRestarted("so"), *words, frames.MessageCompleted("".join(said.split(" ")))]
    async with world.transaction() as session:
        await frames.write(session, run.project_id, run.id, *told, frames.RunCompleted("stop", {}, []))
    frames.forget(run.id)
    ended = "update runs set status = 'completed', lease_until = null, finished_at = clock_timestamp() where id = :id"
    await world.sql(ended, id=run.id)
    return run, await world.frames(run)


def joined(heard: list[Shown]) -> list[tuple[str, str]]:
    """Return what was heard, words that follow words as one."""
    told: list[tuple[str, str]] = []
    for frame in heard:
        data = json.loads(frame.data)
        if "delta" in data and told and told[-1][0] == frame.event:
            told[-1] = (frame.event, told[-1][1] + data["delta"])
        else:
            told.append((frame.event, data.get("delta", frame.data)))
    return told


async def test_words_that_follow_each_other_become_one_frame(world: World, seats: object, at_once: None) -> None:
    run, before = await spoken(world)
    assert await folding.fold_some() == 1
    after = await world.frames(run)
    assert [frame.event for frame in after] == [
        "run.started", "reasoning.delta", "message.delta", "message.restarted", "message.delta", "message.completed",
        "run.completed",
    ]  # fmt: skip
    assert [frame.seq for frame in after] == [1, 3, 9, 10, 16, 17, 18]
    assert joined(after) == joined(before)


async def test_whoever_comes_back_to_the_middle_hears_the_rest_and_no_more(
    world: World, seats: object, at_once: None
) -> None:
    run, before = await spoken(world)
    await folding.fold_some()
    for place in range(len(before)):
        rest = await world.frames(run, after=place)
        assert joined(rest) == joined(before[place:]), place
        assert [frame.seq for frame in rest] == sorted({frame.seq for frame in rest})
        assert rest[0].seq > place


async def test_folding_again_changes_nothing(world: World, seats: object, at_once: None) -> None:
    run, _ = await spoken(world)
    await folding.fold_some()
    before = await world.frames(run)
    assert await folding.fold_some() == 0
    async with world.transaction() as session:
        assert await folds.fold(session, world.caller, [run.id]) == 0
    assert await world.frames(run) == before


async def test_many_at_it_fold_each_run_once(world: World, other: World, seats: object, at_once: None) -> None:
    runs = [await spoken(one) for one in (world, other) * 3]
    folded = await asyncio.gather(*(folding.fold_some() for _ in range(4)))
    assert sum(folded) == 6
    for run, before in runs:
        mine = world if run.project_id == world.caller.project_id else other
        assert joined(await mine.frames(run)) == joined(before)


async def test_a_run_that_has_just_ended_or_still_works_is_left_as_it_is(world: World, seats: object) -> None:
    run, before = await spoken(world)
    working = await world.start(await world.smith())
    assert await folding.fold_some() == 0
    assert await world.frames(run) == before
    assert (await world.row(working)).status == "running"


async def test_a_fold_that_was_broken_off_is_done_by_the_next(world: World, seats: object, at_once: None) -> None:
    run, before = await spoken(world)
    async with world.transaction() as session:
        await folds.fold(session, world.caller, [run.id])  # and then the process dies
    assert await folding.fold_some() == 1
    assert joined(await world.frames(run)) == joined(before)


async def test_folding_goes_on_where_it_has_come_to(world: World, seats: object, at_once: None) -> None:
    await spoken(world)
    await folding.fold_some()
    async with transaction(NOBODY) as session:
        since = await folds.come_to(session)
    assert since is not None
    assert (datetime.now(UTC) - since[0]).total_seconds() < 10


async def test_it_takes_less_room(world: World, seats: object, at_once: None) -> None:
    async def room(run: Run) -> int:
        async with world.transaction() as session:
            taken = "select sum(pg_column_size(frames.*)) from frames where run_id = :id"
            return int((await execute(session, text(taken), {"id": run.id})).scalar())

    run, _ = await spoken(world, " ".join(["word"] * 200))
    before = await room(run)
    await folding.fold_some()
    assert await room(run) < before / 10
