"""The scribe: every frame once, in order, whatever happens to a batch."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from ingram_app.core.database import execute, transaction
from ingram_app.domain import frames, leases
from ingram_app.domain.frames import MessageCompleted, MessageDelta, ReasoningDelta, Shown
from ingram_app.domain.leases import LeaseLost
from ingram_app.domain.runs import Run
from ingram_app.engine.scribe import Scribe
from tests.engine.conftest import World, until

pytestmark = pytest.mark.usefixtures("seats")


class Desk:
    """A run that is held here, and its scribe at work."""

    def __init__(self, world: World, run: Run) -> None:
        self.run, self.world = run, world
        self.lease = leases.of(run)
        self.scribe = Scribe(self.lease, latest=1)
        self.writing = asyncio.ensure_future(self.scribe.write_on())

    async def written(self) -> list[Shown]:
        async with transaction(self.lease.tenancy) as session:
            return await frames.browse(session, self.run.project_id, self.run.id, after=1)

    async def has_written(self, count: int) -> list[Shown]:
        await until(lambda: self._count(count))
        return await self.written()

    async def _count(self, count: int) -> bool:
        return len(await self.written()) == count


@pytest.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    desk = Desk(world, await world.start(await world.smith()))
    yield desk
    desk.writing.cancel()
    await asyncio.wait({desk.writing})


@pytest.mark.parametrize("watched", [True, False])
async def test_the_first_words_are_written_at_once_only_if_someone_watches(desk: Desk, watched: bool) -> None:
    following = frames.follow(desk.run.project_id, desk.run.id)
    if watched:
        await anext(following)
    assert frames.is_watched(desk.run.id) == watched
    desk.scribe.say(MessageDelta("first"))
    for _ in range(3):
        await asyncio.sleep(0)
    async with desk.scribe.batch() as left:
        assert len(left) == (0 if watched else 1)
    await following.aclose()
    assert not frames.is_watched(desk.run.id)


async def test_frames_are_written_in_order_and_numbered_without_gaps(desk: Desk) -> None:
    for number in range(50):
        desk.scribe.say(MessageDelta(f"{number} "), MessageCompleted(str(number)))
        await asyncio.sleep(0)
    written = await desk.has_written(100)
    assert [frame.seq for frame in written] == list(range(2, 102))
    told = [json.loads(frame.data)["content"] for frame in written if frame.event == "message.completed"]
    assert told == [str(number) for number in range(50)]


async def test_words_that_follow_words_are_one_frame_and_thoughts_another(desk: Desk) -> None:
    desk.scribe.say(MessageDelta("a"), MessageDelta("b"), ReasoningDelta("c"), ReasoningDelta("d"), MessageDelta("e"))
    deltas = [json.loads(frame.data)["delta"] for frame in await desk.has_written(3)]
    assert deltas == ["ab", "cd", "e"]


async def test_a_batch_that_fails_is_not_taken_for_written(desk: Desk) -> None:
    await desk.scribe.stop(desk.writing)
    desk.scribe.say(MessageDelta("one "))
    with pytest.raises(ConnectionError):
        await _fail_to_write(desk.scribe)
    async with desk.scribe.batch() as batch:
        assert [(frame.seq, json.loads(frame.data)["delta"]) for frame in batch] == [(2, "one "), (3, "two")]


async def _fail_to_write(scribe: Scribe) -> None:
    async with scribe.batch(MessageCompleted("never")):
        scribe.say(MessageDelta("two"))
        raise ConnectionError


async def test_a_lost_lease_ends_the_writing(desk: Desk) -> None:
    await desk.world.lose(desk.run)
    desk.scribe.say(MessageDelta("too late"))
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(desk.writing, 5)
    assert await desk.written() == []


async def test_a_stop_waits_for_the_batch_that_is_being_written(desk: Desk) -> None:
    async with transaction(desk.lease.tenancy) as session:
        await execute(session, sa.text("select from runs where id = :id for update"), {"id": desk.run.id})
        desk.scribe.say(MessageDelta("all of it"))
        await until(lambda: desk.scribe._writing.locked())
        stopping = asyncio.ensure_future(desk.scribe.stop(desk.writing))
        done, _ = await asyncio.wait({stopping}, timeout=0.05)
        assert not done
    await asyncio.wait_for(stopping, 5)
    assert len(await desk.written()) == 1
