"""Slots: no project has more runs at work than it may, and those that wait are taken in turn from every project."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from ingram_app.core.database import dispatching, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import leases, runs, slots
from ingram_app.domain.access import Actor
from ingram_app.domain.runs import Run
from ingram_app.domain.slots import QueueFull
from ingram_app.domain.turns import Turn
from tests.engine.conftest import World, engine

SECOND = "[[pause 1s]] done"
MANY = (
    "insert into runs select (jsonb_populate_record(r, jsonb_build_object('id', 'run_' || n, 'thread_id', n))).*"
    " from runs r, generate_series(1, 999) n where r.id = :id"
)


async def next_up(*worlds: World) -> list[tuple[str, str]]:
    """Return who is next of these projects; others of this file may have left runs behind."""
    mine = {world.caller.project_id for world in worlds}
    async with dispatching() as session:
        return [run for run in await slots.next_up(session, 1000) if run[0] in mine]


async def begin(world: World, number: int, said: str = "hello", model: str = "test/slow") -> list[Run]:
    smith_id = await world.smith(model)
    return [await world.start(smith_id, said, background=True) for _ in range(number)]


async def most_at_once(world: World) -> int:
    """Return how many runs of the project ever worked at the same time."""
    rows = (await world.sql("select started_at, finished_at from runs where started_at is not null")).all()
    moments: list[tuple[datetime, int]] = sorted(
        moment for began, ended in rows for moment in ((began, 1), (ended, -1))
    )
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


async def test_those_that_wait_are_taken_in_turn_from_every_project(world: World, other: World, seats: object) -> None:
    many, few = await begin(world, 6), await begin(other, 2)
    mine, theirs = [(world.caller.project_id, run.id) for run in many], [(other.caller.project_id, r.id) for r in few]
    assert await next_up(world, other) == [mine[0], theirs[0], mine[1], theirs[1], *mine[2:]]
    for run in many[:3]:
        assert await world.claim(run)
    assert (await next_up(world, other))[:3] == [*theirs, mine[3]]  # first whoever has least at work


async def test_a_turn_that_waits_for_another_of_its_thread_is_not_next(world: World, seats: object) -> None:
    smith_id = await world.smith()
    first, second = [await world.start(smith_id, thread_id="t", background=True) for _ in range(2)]
    assert [run_id for _, run_id in await next_up(world)] == [first.id]
    await world.cancel(first)
    assert [run_id for _, run_id in await next_up(world)] == [second.id]


async def test_a_project_with_a_thousand_waiting_runs_delays_nobody_else_s(world: World, other: World) -> None:
    [first] = await begin(world, 1, SECOND)
    await world.sql(MANY, id=first.id)
    single = await other.smith()
    async with engine():
        waited = []
        for background in (True, True, False):
            began = time.monotonic()
            assert (await other.says(single, "hello", background=background)).status == "completed"
            waited.append(time.monotonic() - began)
        left = (await world.sql("select count(*) from runs where status = 'queued'")).scalar()
    assert left > 500
    assert max(waited) < 5, waited  # in order of arrival it would have been twenty
    await world.sql("delete from runs")


async def test_no_project_takes_all_the_seats_of_a_process(
    world: World, other: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IC_QUEUED_RUNS_PER_PROCESS", "8")
    settings.cache_clear()
    await begin(world, 20, "[[pause 60s]] for long")
    async with engine():
        assert (await other.says(await other.smith(), "hello", background=True)).status == "completed"
        at_work = (await world.sql("select count(*) from runs where status = 'running'")).scalar()
    assert at_work == 6
    await world.sql("delete from runs")
    settings.cache_clear()


async def test_a_project_s_runs_beyond_its_limit_wait_however_they_come(world: World, working: None) -> None:
    await world.prefer(limits={"max_concurrent_runs": 2})
    smith_id = await world.smith("test/slow")
    said = "[[pause 100ms]] some words"
    started = await asyncio.gather(*(world.start(smith_id, said, background=n % 3 == 0) for n in range(12)))
    assert Counter(run.status for run in started)["running"] <= 2
    rows = [await world.ended(run) for run in started]
    assert {row.status for row in rows} == {"completed"}
    assert await most_at_once(world) == 2


async def test_the_limit_holds_whoever_starts_and_whoever_claims(world: World, seats: object) -> None:
    await world.prefer(limits={"max_concurrent_runs": 3})
    one, two = [await world.smith() for _ in range(2)]

    async def start(smith_id: str) -> Run:
        own = replace(world.caller, actor=Actor("smith", smith_id), smith_id=smith_id)
        async with transaction(own.tenancy) as session:
            return await runs.start(session, own, smith_id, Turn([{"role": "user", "content": "hello"}]))

    begun = await asyncio.gather(*(start(smith_id) for smith_id in [one, two] * 6))
    assert Counter(run.status for run in begun) == {"running": 3, "queued": 9}
    claims = await asyncio.gather(*(world.claim(run) for run in begun if run.status == "queued"))
    assert not any(claims)
    assert await next_up(world) == []


async def test_a_run_that_comes_now_does_not_pass_those_that_wait(world: World, seats: object) -> None:
    await world.prefer(limits={"max_concurrent_runs": 2})
    [waiting] = await begin(world, 1)
    come = await world.start(await world.smith())
    assert come.status == "queued"
    assert [run_id for _, run_id in await next_up(world)] == [waiting.id, come.id]


async def test_slots_of_a_process_that_died_are_free_again(world: World, seats: object) -> None:
    await world.prefer(limits={"max_concurrent_runs": 2})
    dead = [await world.start(await world.smith()) for _ in range(2)]
    waiting = await world.start(await world.smith())
    assert await world.claim(waiting) is None
    for run in dead:
        await world.lose(run)
    assert await world.claim(waiting)
    assert [await world.claim(run) is not None for run in dead] == [True, False]
    async with dispatching() as session:
        assert (world.caller.project_id, dead[1].id) in await leases.abandoned(session)


async def test_no_more_runs_wait_than_may_whoever_starts_them(world: World, seats: object) -> None:
    await begin(world, 1)  # with the platform's limit there is room on trust: that does not hold for another limit
    await world.prefer(limits={"max_queued_runs": 5})
    smiths = [await world.smith() for _ in range(12)]
    started = await asyncio.gather(
        *(world.start(smith_id, background=True) for smith_id in smiths), return_exceptions=True
    )
    refused = [one for one in started if isinstance(one, QueueFull)]
    assert (len(refused), len(started) - len(refused)) == (8, 4)
    assert (refused[0].status, refused[0].code) == (429, "concurrency_limit_exceeded")
    assert (await world.sql("select count(*) from runs where status = 'queued'")).scalar() == 5
    one = next(run for run in started if isinstance(run, Run))
    own = replace(world.caller, smith_id=one.smith_id)
    with pytest.raises(QueueFull):  # a smith's own token sees one run, and all count
        async with transaction(own.tenancy) as session:
            await runs.start(session, own, one.smith_id, Turn([{"role": "user", "content": "x"}], background=True))
    await world.cancel(one)
    await world.start(smiths[0], background=True)


async def test_a_limit_that_is_raised_lets_more_in_at_once(world: World, working: None) -> None:
    await world.prefer(limits={"max_concurrent_runs": 1})
    long, short = [*await begin(world, 1, "[[pause 60s]] long"), *await begin(world, 1)]
    async with asyncio.timeout(10):
        await asyncio.gather(_until_running(world, long))
        await world.prefer(limits={"max_concurrent_runs": None})
        assert (await world.ended(short)).status == "completed"
    await world.cancel(long)
    await world.ended(long)


async def _until_running(world: World, run: Run) -> Any:
    while (await world.row(run)).status != "running":  # noqa: ASYNC110 - looks from outside
        await asyncio.sleep(0.005)
