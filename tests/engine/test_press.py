"""The press: what runs say at the same moment is kept together, and what one of them meets is its own."""

import asyncio
import json
from dataclasses import replace

import pytest
import sqlalchemy as sa

from ingram_app.core.database import execute, transaction
from ingram_app.domain import frames, leases
from ingram_app.domain.frames import MessageDelta
from ingram_app.domain.leases import Lease, LeaseLost
from ingram_app.engine import press
from tests.engine.conftest import World

pytestmark = pytest.mark.usefixtures("seats")
TRANSACTIONS = sa.text("select count(distinct xmin::text) from frames where run_id = any(:runs) and seq > 1")


async def held(world: World, count: int) -> list[Lease]:
    """Return the leases on so many runs that were born here, which nobody carries."""
    return [leases.of(await world.start(await world.smith())) for _ in range(count)]


async def say(lease: Lease, *words: str) -> None:
    await press.keep(lease, [frames.shown(lease.run_id, 2 + n, MessageDelta(word)) for n, word in enumerate(words)])


async def heard_of(lease: Lease) -> list[str]:
    async with transaction(lease.tenancy) as session:
        told = await frames.browse(session, lease.project_id, lease.run_id, after=1)
    return [json.loads(frame.data)["delta"] for frame in told]


async def test_what_runs_say_at_the_same_moment_is_kept_in_one_transaction(world: World) -> None:
    said = await held(world, 5)
    await asyncio.gather(*(say(lease, lease.run_id, "and more") for lease in said))
    assert [await heard_of(lease) for lease in said] == [[lease.run_id, "and more"] for lease in said]
    async with transaction(said[0].tenancy) as session:
        count = (await execute(session, TRANSACTIONS, {"runs": [lease.run_id for lease in said]})).scalar()
    assert count == 1


async def test_watchers_hear_of_their_own_run_alone(world: World) -> None:
    one, two = await held(world, 2)
    following = [frames.follow(lease.project_id, lease.run_id, after=1) for lease in (one, two)]
    hearing = [asyncio.ensure_future(anext(follower)) for follower in following]
    await asyncio.gather(say(one, "to the first"), say(two, "to the second"))
    async with asyncio.timeout(5):
        heard = [await each for each in hearing]
    assert [frame and json.loads(frame.data)["delta"] for frame in heard] == ["to the first", "to the second"]
    for follower in following:
        await follower.aclose()


async def test_who_has_lost_its_lease_hears_so_and_the_others_are_kept(world: World) -> None:
    one, lost, two = await held(world, 3)
    lost = replace(lost, attempt=7)
    said = await asyncio.gather(say(one, "a"), say(lost, "b"), say(two, "c"), return_exceptions=True)
    assert [type(outcome) for outcome in said] == [type(None), LeaseLost, type(None)]
    assert [await heard_of(lease) for lease in (one, lost, two)] == [["a"], [], ["c"]]


async def test_what_can_not_be_kept_fails_alone(world: World) -> None:
    one, twice, two = await held(world, 3)
    await say(twice, "already there")
    said = await asyncio.gather(say(one, "a"), say(twice, "again"), say(two, "c"), return_exceptions=True)
    assert [isinstance(outcome, sa.exc.IntegrityError) for outcome in said] == [False, True, False]
    assert [await heard_of(lease) for lease in (one, twice, two)] == [["a"], ["already there"], ["c"]]


async def test_what_was_kept_and_nobody_came_to_know_is_not_kept_twice(world: World) -> None:
    one, two = await held(world, 2)
    await say(one, "a", "b")  # and the answer was lost on the way, so it is said once more
    await asyncio.gather(say(one, "a", "b"), say(two, "c"))
    assert [await heard_of(lease) for lease in (one, two)] == [["a", "b"], ["c"]]


async def test_nobody_waits_for_a_run_that_is_in_use(world: World) -> None:
    one, used = await held(world, 2)
    async with transaction(used.tenancy) as using:
        await execute(using, sa.text("select from runs where id = :id for update"), {"id": used.run_id})
        waiting = asyncio.ensure_future(say(used, "later"))
        await asyncio.wait_for(say(one, "now"), 5)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)
    assert [await heard_of(lease) for lease in (one, used)] == [["now"], ["later"]]
