"""Bygones: what ended long ago goes whole, what somebody still needs stays, and so does what it cost."""

import asyncio
from base64 import b64encode
from typing import Any

import pytest
import sqlalchemy as sa

from ingram_app.core.errors import NotFound
from ingram_app.domain import bygones, runs, trace_exports, usage
from ingram_app.domain.periods import asked_for
from ingram_app.domain.runs import Run
from ingram_app.domain.turns import Turn
from ingram_app.engine import sweeping
from tests.engine.conftest import World, until


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bygones, "AT_ONCE", 2)


async def age_run(world: World, run: Run, days: int) -> None:
    moments = ("created_at", "finished_at")
    aged = ", ".join(f"{name} = {name} - make_interval(days => :days)" for name in moments)
    await world.sql(f"update runs set {aged} where id = :id", days=days, id=run.id)
    thread = "update threads set last_activity_at = last_activity_at - make_interval(days => :days) where id = :id"
    await world.sql(thread, days=days, id=run.thread_id)
    await world.sql("update attachments set created_at = created_at - make_interval(days => :days)", days=days)
    await world.sql("update memory_ops set due_at = null")


async def learnt(world: World) -> bool:
    done = "select count(*) from memory_ops where kind = 'learn' and state = 'done'"
    return bool((await world.sql(done)).scalar())


async def left(world: World, table: str, run: Run) -> int:
    return int((await world.sql(f"select count(*) from {table} where run_id = :id", id=run.id)).scalar())


async def used(world: World) -> usage.Group:
    async with world.transaction() as session:
        return usage.total(await usage.browse(session, world.caller, asked_for(), "model"))


NOTE = {"type": "file", "media_type": "text/plain", "data": b64encode(b"a note").decode()}
OTHER_NOTE = NOTE | {"data": b64encode(b"another note").decode()}


async def test_runs_that_ended_go_with_all_that_hangs_on_them_but_for_what_they_cost(
    world: World, other: World, working: None
) -> None:
    await world.prefer(retention={"runs_days": 30})
    smith_id = await world.smith()

    def said(*parts: dict[str, str]) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "text", "text": "hello"}, *parts]}]

    old = await world.ended(await world.start_with(smith_id, said(NOTE, OTHER_NOTE), "t"))
    young = await world.ended(await world.start_with(smith_id, said(NOTE), "t"))
    theirs = await other.says(await other.smith(), "hello")
    spent = await used(world)
    for one, run in ((world, old), (other, theirs)):
        await age_run(one, run, 31)
    await asyncio.gather(*(sweeping.sweep_old() for _ in range(3)))
    with pytest.raises(NotFound):
        await world.row(old)
    assert [await left(world, table, old) for table in ("frames", "transcripts", "tool_calls")] == [0, 0, 0]
    assert [await left(world, table, young) > 0 for table in ("frames", "transcripts")] == [True, True]
    assert (await world.sql("select count(*) from attachments")).scalar() == 1
    assert (await other.row(theirs)).status == "completed"
    assert await used(world) == spent
    assert (await world.says(smith_id, "hello again", thread_id="t")).turn == 3
    told = await world.sql("select sum((details->>'runs')::int) from audit where action = 'project.swept'")
    assert told.scalar() == 1


async def test_silent_threads_go_and_those_with_a_run_that_is_not_over_stay(world: World, working: None) -> None:
    await world.prefer(retention={"threads_days": 30, "runs_days": 30})
    smith_id = await world.smith()
    paused = await world.says(smith_id, "[[tool calculator]]", thread_id="waits")
    await world.sql("update runs set status = 'paused_for_tool', finished_at = null where id = :id", id=paused.id)
    await world.prefer(retention={"runs_days": None})
    silent = [await world.says(smith_id, "hello", thread_id=f"silent {n}") for n in range(3)]
    await world.says(smith_id, "hello", thread_id="talks")
    for run in [paused, *silent]:
        await age_run(world, run, 31)
    spent = await used(world)
    await asyncio.gather(*(sweeping.sweep_old() for _ in range(3)))
    assert (await world.sql("select id from threads order by id")).scalars().all() == ["talks", "waits"]
    assert [((row := await world.row(run)).input, row.output) for run in silent] == [([], None)] * 3
    assert await used(world) == spent


async def test_a_thread_whose_turn_begins_while_it_is_swept_stays(world: World, working: None) -> None:
    await world.prefer(retention={"threads_days": 30, "runs_days": 30})
    run = await world.says(await world.smith(), "hello", thread_id="t")
    await age_run(world, run, 31)
    async with world.transaction() as session:
        turn = Turn([{"role": "user", "content": "still there?"}], thread_id="t")
        again = await runs.start(session, world.caller, run.smith_id, turn)
        await sweeping.sweep_old()
    assert (await world.ended(again)).status == "completed"
    assert (await world.row(run)).output is not None


async def test_a_run_that_is_still_to_be_exported_or_learnt_from_stays(world: World, working: None) -> None:
    await world.prefer(retention={"threads_days": 30, "runs_days": 30})
    async with world.transaction() as session:
        await trace_exports.put(session, world.caller, "https://collector.example.com/")
        await session.execute(sa.text("update trace_exports set busy_until = now() + interval '1 day'"))
    run = await world.says(await world.smith(), "[[remember Likes tea.]]")
    await until(lambda: learnt(world))
    await age_run(world, run, 31)
    await world.sql("update events set created_at = created_at - interval '31 days'")
    await sweeping.sweep_old()
    assert (await world.row(run)).output is not None
    async with world.transaction() as session:
        await trace_exports.remove(session, world.caller)
    await world.sql("update memory_ops set due_at = now() + interval '1 day'")
    held = (await world.sql("select count(*) from memory_ops where run_id = :id", id=run.id)).scalar()
    await sweeping.sweep_old()
    assert (held > 0, (await world.row(run)).output is not None) == (True, True)
    await world.sql("update memory_ops set due_at = null")
    await sweeping.sweep_old()
    with pytest.raises(NotFound):
        await world.row(run)
