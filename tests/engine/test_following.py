"""Following a run: every watcher hears every frame once, wherever and whenever it comes in."""

import asyncio
import json

import pytest

from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import frames, leases
from ingram_app.domain.frames import MessageCompleted, MessageDelta, RunCompleted, Shown
from ingram_app.domain.runs import Run
from tests.engine.conftest import World, engine, until

WORDS = "[[words 40]] [[pause 5ms]] and every watcher hears all of it"


def seqs(heard: list[Shown]) -> list[int]:
    return [frame.seq for frame in heard]


async def test_whoever_comes_early_late_or_after_the_end_hears_the_same(world: World, working: None) -> None:
    run = await world.start(await world.smith("test/slow"), WORDS)
    early = asyncio.ensure_future(world.frames(run))
    await until(lambda: _said(run, 5))
    late = await world.frames(run)
    after_the_end = await world.frames(run)
    assert await early == late == after_the_end
    assert seqs(late) == list(range(1, len(late) + 1))


async def _said(run: Run, count: int) -> bool:
    async with transaction(leases.of(run).tenancy) as session:
        return await frames.latest(session, run.id) >= count


async def test_a_watcher_goes_on_after_any_frame_it_names(world: World, working: None) -> None:
    run = await world.start(await world.smith("test/slow"), WORDS)
    await until(lambda: _said(run, 4))
    places = range(5)
    live = await asyncio.gather(*(world.frames(run, after) for after in places))
    whole = await world.frames(run)
    for after, heard in zip(places, live, strict=True):
        assert heard == whole[after:]
    for after in range(len(whole) + 1):
        assert await world.frames(run, after) == whole[after:]


async def test_beyond_the_end_there_is_nothing(world: World, working: None) -> None:
    run = await world.start(await world.smith())
    last = len(await world.frames(run))
    for after in (last, last + 1, last + 1000):
        assert await world.frames(run, after) == []


async def test_a_watcher_that_is_ahead_of_a_run_hears_what_comes(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    ahead = asyncio.ensure_future(world.frames(run, 1000))
    await until(lambda: frames.topic(run.id) in signals._listeners)
    await _say(run, 2, MessageDelta("hello"), RunCompleted("stop", {}, []))
    assert seqs(await ahead) == [2, 3]


async def test_a_queued_run_is_followed_from_its_birth(world: World, seats: object) -> None:
    run = await world.start(await world.smith(), background=True)
    watching = asyncio.ensure_future(world.frames(run))
    async with engine():
        assert (await watching)[0].event == "run.started"


async def test_frames_of_another_process_are_read_from_the_table(world: World, working: None) -> None:
    """Another process hands over nothing in memory, it only wakes."""
    run = await _of_another_process(world)
    watching = asyncio.ensure_future(world.frames(run))
    await until(lambda: frames.topic(run.id) in signals._listeners)
    for seq in range(2, 30):
        await _insert(run, seq, MessageDelta(f"{seq} "))
        signals.publish(frames.topic(run.id))
    await _insert(run, 30, RunCompleted("stop", {}, []))
    signals.publish(frames.topic(run.id))
    assert seqs(await watching) == list(range(1, 31))


async def test_a_lost_signal_is_made_up_for(world: World, seats: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "CHECKED_EVERY_SECONDS", 0.05)
    run = await _of_another_process(world)
    watching = asyncio.ensure_future(world.frames(run))
    await until(lambda: frames.topic(run.id) in signals._listeners)
    await _insert(run, 2, RunCompleted("stop", {}, []))
    assert seqs(await watching) == [1, 2]


async def test_a_quiet_run_gives_a_sign_of_life(world: World, seats: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "CHECKED_EVERY_SECONDS", 0.05)
    run = await world.start(await world.smith())
    following = frames.follow(run.project_id, run.id)
    assert [await anext(following) and "frame" for _ in range(3)] == ["frame", None, None]
    await following.aclose()


async def test_a_batch_that_a_watcher_missed_is_read_before_the_next(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    watching = asyncio.ensure_future(world.frames(run))
    await until(lambda: frames.topic(run.id) in signals._listeners)
    await _insert(run, 2, MessageDelta("unheard "))
    await _say(run, 3, MessageDelta("heard"), RunCompleted("stop", {}, []))
    assert seqs(await watching) == [1, 2, 3, 4]


async def test_a_story_of_thousands_of_frames_is_told_in_one_go(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    many = [MessageDelta(str(number)) for number in range(2500)]
    await _say(run, 2, *many, RunCompleted("stop", {}, []))
    frames.forget(run.id)
    async with asyncio.timeout(3):
        assert seqs(await world.frames(run)) == list(range(1, 2503))


async def test_what_is_not_kept_is_not_seen(world: World, seats: object) -> None:
    run = await world.start(await world.smith())
    following = frames.follow(run.project_id, run.id)
    await anext(following)
    heard = asyncio.ensure_future(anext(following))
    with pytest.raises(ConnectionError):
        await _say_and_fail(run)
    done, _ = await asyncio.wait({heard}, timeout=0.05)
    assert not done
    await _say(run, 2, MessageCompleted("kept"))
    frame = await heard
    assert frame is not None
    assert json.loads(frame.data)["content"] == "kept"
    await following.aclose()


async def _say_and_fail(run: Run) -> None:
    async with transaction(leases.of(run).tenancy) as session:
        await leases.say(session, leases.of(run), [frames.shown(run.id, 2, MessageDelta("never"))])
        raise ConnectionError


async def _say(run: Run, seq: int, *spoken: frames.AnyFrame) -> None:
    batch = [frames.shown(run.id, number, frame) for number, frame in enumerate(spoken, seq)]
    async with transaction(leases.of(run).tenancy) as session:
        await leases.say(session, leases.of(run), batch)


async def _insert(run: Run, seq: int, frame: frames.AnyFrame) -> None:
    """Keep a frame as another process would: nobody here is told."""
    shown = frames.shown(run.id, seq, frame)
    async with transaction(leases.of(run).tenancy) as session:
        data = json.loads(shown.data)
        session.add(frames.Frame(run_id=run.id, seq=seq, project_id=run.project_id, event=shown.event, data=data))


async def _of_another_process(world: World) -> Run:
    run = await world.start(await world.smith(), background=True)
    await world.sql(
        "update runs set status = 'running', lease_owner = 'elsewhere', attempt = 1,"
        " lease_until = now() + interval '1 hour' where id = :id",
        id=run.id,
    )
    await _insert(run, 1, frames.RunStarted(run.smith_id, run.thread_id))
    return run
