"""Erasures, while the smith is at work: nothing that is still on its way comes back."""

import asyncio

import pytest

from ingram_app.domain import claims, endings, erasures, frames, leases
from ingram_app.domain.leases import LeaseLost
from ingram_app.domain.runs import Run
from ingram_app.domain.transcripts import Transcript
from ingram_app.engine.carrier import carry
from tests.engine.conftest import World, engine, until

LONG = "[[words 2000]] [[pause 10ms]] on and on"
TABLES = {"runs": "id", "frames": "run_id", "transcripts": "run_id", "threads": "smith_id"}


async def speaking(run: Run) -> None:
    """Return once the run has said some words."""
    async with asyncio.timeout(10):
        async for frame in frames.follow(run.project_id, run.id):
            if frame and frame.event == "message.delta":
                return


async def erase(world: World, smith_id: str) -> dict[str, int]:
    async with world.transaction() as session:
        return (await erasures.erase(session, world.caller, smith_id)).counts


async def nothing_left(world: World, run: Run) -> bool:
    for table, column in TABLES.items():
        named = run.smith_id if column == "smith_id" else run.id
        if (await world.sql(f"select count(*) from {table} where {column} = :id", id=named)).scalar():
            return False
    return True


async def test_a_carrier_in_the_middle_of_an_answer_lets_go_and_its_watchers_too(world: World, seats: object) -> None:
    run = await world.start(await world.smith("test/slow"), LONG)
    carrying = asyncio.ensure_future(carry(run))
    await speaking(run)
    watching = asyncio.ensure_future(world.frames(run))
    counts = await erase(world, run.smith_id)
    assert (counts["runs"], counts["threads"], counts["frames"] > 1) == (1, 1, True)
    async with asyncio.timeout(5):
        await carrying
        last = (await watching)[-1]
    assert last.event == "message.delta"
    assert await nothing_left(world, run)


async def test_every_write_of_a_carrier_that_comes_too_late_is_refused(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    lease = leases.of(run)
    await erase(world, run.smith_id)
    said = [frames.shown(run.id, 2, frames.MessageDelta("from beyond"))]
    messages = [{"kind": "request", "parts": []}]
    left = Transcript(
        run_id=run.id, project_id=run.project_id, smith_id=run.smith_id, thread_id=run.thread_id, messages=messages
    )
    ending = endings.Ending(run.status.completed, {"output": {"content": "from beyond"}}, left)
    for write in (
        lambda session: leases.say(session, lease, said),
        lambda session: leases.renew(session, lease),
        lambda session: leases.checkpoint(session, lease, left, said, []),
        lambda session: endings.finish(session, lease, ending, said, []),
    ):
        with pytest.raises(LeaseLost):
            async with world.transaction() as session:
                await write(session)
    assert await world.claim(run) is None
    assert await nothing_left(world, run)


async def test_a_run_whose_carrier_died_is_taken_up_by_nobody_once_it_is_erased(world: World, seats: object) -> None:
    run = await world.start(await world.smith("test/slow"), LONG)
    waiting = await world.start(run.smith_id, thread_id=run.thread_id)
    carrying = asyncio.ensure_future(carry(run))
    await speaking(run)
    carrying.cancel()  # the process is gone; its lease is about to end
    await asyncio.wait({carrying})
    await erase(world, run.smith_id)
    async with engine():
        other = await world.says(await world.smith(), "the engine is at work")
    assert other.status == "completed"
    assert await nothing_left(world, run)
    assert await nothing_left(world, waiting)


async def test_erasing_while_runs_end_is_no_deadlock(world: World, working: None) -> None:
    smiths = [await world.smith() for _ in range(6)]
    started = [await world.start(smith_id, thread_id=str(n)) for smith_id in smiths for n in range(4)]
    await asyncio.gather(*[erase(world, smith_id) for smith_id in smiths])
    for run in started:
        await until(lambda run=run: nothing_left(world, run))


async def test_a_run_that_is_taken_up_again_says_what_it_was_rendered_with(world: World, seats: object) -> None:
    smith_id = await world.smith("test/slow", instructions="It is {{ now }} for {{ external_id }}.")
    run = await world.start(smith_id, "[[pause 0ms]] hello")
    rendered = run.rendered_instructions
    assert rendered is not None
    await world.sql("update smiths set external_id = 'somebody else' where id = :id", id=smith_id)
    await world.lose(run)
    async with engine():
        row = await world.ended(run)
    assert (row.status, row.rendered_instructions) == ("completed", rendered)
    assert row.usage["input_tokens"] == len(rendered.split()) + len(["[[pause", "0ms]]", "hello"])


async def test_a_checkpoint_after_a_claim_is_kept_where_the_run_now_belongs(world: World, seats: object) -> None:
    user, anonymous = await world.smith(external_id="user-1"), await world.smith(external_id="anon:1")
    run = await world.start(anonymous, thread_id="t")
    lease = leases.of(run)
    async with world.transaction() as session:
        await claims.claim(session, world.caller, anonymous, "user-1")
    left = Transcript(run_id=run.id, project_id=run.project_id, smith_id=anonymous, thread_id="t", messages=[])
    async with world.transaction() as session:
        await leases.checkpoint(session, lease, left, [], [])
    kept = await world.sql("select smith_id, thread_id from transcripts where run_id = :id", id=run.id)
    assert kept.all() == [(user, "t")]
