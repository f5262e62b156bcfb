"""Signals: they come from other processes too, and a lost connection loses nobody for long."""

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg
import pytest

from ingram_app.core import signals
from ingram_app.core.database import NOBODY, driver_url, transaction
from tests.engine.conftest import until

pytestmark = pytest.mark.usefixtures("relaying")
LISTENERS = "select pid from pg_stat_activity where application_name = %s and datname = current_database()"


@pytest.fixture
async def owner(database: None) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(driver_url(), autocommit=True) as connection:
        yield connection


@pytest.fixture
async def relaying(
    owner: psycopg.AsyncConnection, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[None]:
    """The relay at work, and connected."""
    if beat := getattr(request, "param", None):
        monkeypatch.setattr(signals, "BEAT_SECONDS", beat)
        monkeypatch.setattr(signals, "SILENT_SECONDS", 5 * beat)
    with signals.listening("ready") as heard:
        relay = asyncio.ensure_future(signals.relay_forever())
        await asyncio.wait_for(heard.get(), 5)
    yield
    relay.cancel()
    await asyncio.wait({relay})


async def test_what_another_process_sends_is_heard(owner: psycopg.AsyncConnection) -> None:
    with signals.listening("news") as heard, signals.listening("more") as more:
        await owner.execute("select pg_notify('ingram', 'elsewhere news more nobody')")
        assert [await asyncio.wait_for(queue.get(), 5) for queue in (heard, more)] == [None, None]


async def test_what_we_send_is_heard_here_once_and_elsewhere_by_name() -> None:
    async with await psycopg.AsyncConnection.connect(driver_url(), autocommit=True) as other:
        await other.execute("listen ingram")
        with signals.listening("news") as heard:
            async with transaction(NOBODY) as session:
                signals.send(session, "news")
                assert heard.empty()
            assert heard.get_nowait() is None
            assert await told(other) == ["news"]
            assert heard.empty()


async def told(other: psycopg.AsyncConnection) -> list[str]:
    """Return the topics that come first; a process that only lets hear of it names none."""
    async for notice in other.notifies(timeout=5):
        if topics := notice.payload.split(" ")[1:]:
            return topics
    return []


def stand_still() -> None:
    """Keep every task of the process from its turn, for longer than others take it for gone."""
    time.sleep(1)


async def is_alone() -> bool:
    return signals._alone


@pytest.mark.parametrize("relaying", [0.05], indirect=True)
async def test_others_are_told_only_for_as_long_as_there_are_any(owner: psycopg.AsyncConnection) -> None:
    await until(is_alone)
    await owner.execute("listen ingram")
    with signals.listening("news", "hello") as heard:
        signals.tell("news", item="unheard elsewhere")
        assert heard.get_nowait() == "unheard elsewhere"
        await signals.all_sent()
        await owner.execute("select pg_notify('ingram', 'elsewhere hello')")
        assert await told(owner) == ["hello"]
        assert await asyncio.wait_for(heard.get(), 5) is None
        signals.tell("news")
        assert await told(owner) == ["news"]


@pytest.mark.parametrize("relaying", [0.1], indirect=True)
async def test_a_process_that_stood_still_tells_others_as_before_and_asks_what_it_missed(
    owner: psycopg.AsyncConnection,
) -> None:
    await owner.execute("listen ingram")
    await owner.execute("select pg_notify('ingram', 'elsewhere')")
    with signals.listening("news") as heard:
        assert await asyncio.wait_for(heard.get(), 5) is None  # it has only just begun to listen
        stand_still()
        signals.tell("news", item="the item")
        assert await told(owner) == ["news"]
        assert heard.get_nowait() == "the item"
        assert await asyncio.wait_for(heard.get(), 5) is None


@pytest.mark.parametrize("relaying", [0.05], indirect=True)
async def test_a_process_that_listens_no_more_tells_others_always(owner: psycopg.AsyncConnection) -> None:
    await until(is_alone)
    [pid] = await (await owner.execute(LISTENERS, [signals.LISTENER])).fetchone() or [0]
    with signals.listening("news") as heard:
        await owner.execute("select pg_terminate_backend(%s)", [pid])
        assert await asyncio.wait_for(heard.get(), 5) is None
        assert not await is_alone()


async def test_what_did_not_land_is_never_sent() -> None:
    with signals.listening("news") as heard:
        with pytest.raises(ConnectionError):
            await _send_and_fail()
        assert heard.empty()


async def _send_and_fail() -> None:
    async with transaction(NOBODY) as session:
        signals.send(session, "news")
        raise ConnectionError


async def test_many_topics_fit_into_as_many_notifications_as_they_need(owner: psycopg.AsyncConnection) -> None:
    topics = [f"run:{number:060}" for number in range(300)]
    await owner.execute("listen ingram")
    async with transaction(NOBODY) as session:
        signals.send(session, *topics)
    heard: list[str] = []
    async for notice in owner.notifies(timeout=5):
        heard += notice.payload.split(" ")[1:]
        if len(heard) == len(topics):
            break
    assert sorted(heard) == topics


async def test_after_a_lost_connection_everyone_is_woken_and_signals_come_again(owner: psycopg.AsyncConnection) -> None:
    with signals.listening("news") as heard:
        [pid] = await (await owner.execute(LISTENERS, [signals.LISTENER])).fetchone() or [0]
        await owner.execute("select pg_terminate_backend(%s)", [pid])
        assert await asyncio.wait_for(heard.get(), 5) is None  # it may have missed something
        assert await asyncio.wait_for(heard.get(), 5) is None  # the connection is back
        await owner.execute("select pg_notify('ingram', 'elsewhere news')")
        assert await asyncio.wait_for(heard.get(), 5) is None
        assert heard.empty()
