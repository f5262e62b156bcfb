"""The worker: a run is taken up however it came to wait, once, in order, and none keeps the others from theirs."""

import asyncio
from itertools import pairwise
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from ingram_app.core import process
from ingram_app.core.database import dispatching, driver_url
from ingram_app.domain import leases
from ingram_app.domain.arrivals import QUEUE_LENGTH, ConcurrencyLimitExceeded
from ingram_app.domain.runs import Run
from tests.engine.conftest import World, engine


async def test_a_run_is_carried_where_it_was_born_and_never_waits(world: World, working: None) -> None:
    run = await world.start(await world.smith())
    assert (run.status, run.lease_owner) == ("running", process.NAME)
    assert (await world.ended(run)).status == "completed"


async def test_background_runs_wait_and_are_taken_up(world: World, working: None) -> None:
    runs = [await world.start(await world.smith(), background=True) for _ in range(5)]
    assert {run.status for run in runs} == {"queued"}
    assert [(await world.ended(run)).status for run in runs] == ["completed"] * 5


async def test_without_a_free_seat_a_run_waits_for_the_queue(world: World, seats: process.Seats) -> None:
    seats.open = 0
    run = await world.start(await world.smith())
    assert run.status == "queued"
    async with engine(interactive=False):
        assert (await world.ended(run)).status == "completed"


async def test_a_run_whose_carrier_went_silent_is_taken_up(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    await world.lose(run)
    async with engine(interactive=False):
        row = await world.ended(run)
    assert (row.status, row.attempt) == ("completed", 2)


async def test_a_run_that_nobody_was_told_of_is_found(world: World, seats: object) -> None:
    run = await world.start(await world.smith(), background=True)
    async with engine(interactive=False):  # begins long after the signal was sent
        assert (await world.ended(run)).status == "completed"


async def test_a_run_that_was_handed_over_before_its_turn_steps_back(world: World, seats: object) -> None:
    smith_id = await world.smith()
    first, second = [await world.start(smith_id, thread_id="t", background=True) for _ in range(2)]
    await world.sql("update runs set ready_at = now() - interval '1 hour' where id = :id", id=second.id)
    assert await world.claim(second) is None
    assert (await world.row(second)).ready_at is None
    async with engine():
        rows = [await world.ended(run) for run in (first, second)]
    assert [row.status for row in rows] == ["completed"] * 2
    assert rows[0].finished_at <= rows[1].started_at


async def test_turns_of_a_thread_that_race_each_other_work_one_after_another(world: World, working: None) -> None:
    smith_id = await world.smith("test/slow")
    said = [f"[[pause 1ms]] turn {number}" for number in range(12)]
    runs = await asyncio.gather(*(world.start(smith_id, words, thread_id="race") for words in said))
    rows = [await world.ended(run) for run in runs]
    assert {row.status for row in rows} == {"completed"}
    in_order = sorted(rows, key=lambda row: (row.created_at, row.id))
    for earlier, later in pairwise(in_order):
        assert earlier.finished_at <= later.started_at
    heard = [row.usage["input_tokens"] for row in in_order]
    assert heard == sorted(set(heard))  # each turn knows of all before it


async def test_a_run_that_comes_in_while_the_one_before_it_ends_is_not_forgotten(world: World, working: None) -> None:
    smith_id = await world.smith()
    async with asyncio.timeout(4):  # sooner than a forgotten run is found
        for _ in range(15):
            first = await world.start(smith_id, thread_id="close")
            second = await world.start(smith_id, thread_id="close")
            assert [(await world.ended(run)).status for run in (first, second)] == ["completed"] * 2


async def test_too_many_on_one_thread_are_refused(world: World, seats: object) -> None:
    smith_id = await world.smith()
    for _ in range(QUEUE_LENGTH + 1):
        await world.start(smith_id, thread_id="full")
    with pytest.raises(ConcurrencyLimitExceeded):
        await world.start(smith_id, thread_id="full")


async def test_a_run_is_claimed_once_however_many_try(world: World, seats: object) -> None:
    run = await world.start(await world.smith(), background=True)
    claims = await asyncio.gather(*(world.claim(run) for _ in range(8)))
    assert [claim.id for claim in claims if claim] == [run.id]


async def test_a_run_that_is_carried_or_not_next_can_not_be_claimed(world: World, seats: object) -> None:
    smith_id = await world.smith()
    carried, waiting = [await world.start(smith_id, thread_id="t") for _ in range(2)]
    assert await world.claim(carried) is None
    assert await world.claim(waiting) is None


async def test_a_lost_run_never_stops_the_next(world: World, seats: object) -> None:
    lost: Run = await world.start(await world.smith(), background=True)
    await world.sql("""update runs set config = '"no config"' where id = :id""", id=lost.id)
    sound = await world.start(await world.smith(), background=True)
    async with engine():
        assert (await world.ended(sound)).status == "completed"
        assert (await world.ended(lost)).error["code"] == "internal_error"
        assert (await world.says(await world.smith(), "and on")).status == "completed"
    assert process.SEATS.taken == 0


async def test_an_answer_that_can_not_be_kept_fails_the_run_and_is_not_asked_for_again(
    world: World, working: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = "alter table transcripts add constraint never check (run_id <> :id)"
    run = await world.start(await world.smith("test/slow"), "[[words 20]] [[pause 20ms]] not to be kept")
    await _as_owner(world, kept.replace(":id", f"'{run.id}'"))
    row = await world.ended(run)
    await _as_owner(world, "alter table transcripts drop constraint never")
    assert (row.status, row.error["code"], row.attempt) == ("failed", "internal_error", 1)
    assert [frame.event for frame in await world.frames(run)][-1] == "run.failed"


async def _as_owner(world: World, statement: str) -> None:
    async with await psycopg.AsyncConnection.connect(driver_url(), autocommit=True) as owner:
        await owner.execute(statement.encode())


async def test_who_hands_out_runs_sees_no_word_of_them(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    await world.lose(run)
    async with dispatching() as session:
        assert (run.project_id, run.id) in await leases.abandoned(session)
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        await _read_as_dispatcher("select input from runs")


async def _read_as_dispatcher(query: str) -> Any:
    async with dispatching() as session:
        return await session.execute(sa.text(query))
