"""Signals: a word, to whoever listens in any process, that something has changed.

A signal is sent when its transaction has landed. It carries a topic (`run:run_…`); listeners in the same process may
get an item with it, those in others get `None` and read the tables. A signal can be lost: it wakes, it never informs.
Other processes are told for many transactions at once, and outside of them: a transaction that notifies makes all
others that do wait until it is on the disk. They are told for as long as there are any: each lets others hear of it.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import process
from ingram_app.core.database import afterwards, connected, driver_url

log = logging.getLogger(__name__)

Item = object
GATHERED_SECONDS = 0.02
BEAT_SECONDS = 2.0
"""As often a process lets the others hear of it."""
SILENT_SECONDS = 10.0
"""When nobody was heard of while one listened for so long, there is nobody to be told."""
PAYLOAD_BYTES = 7000
"""A little below what a notification holds."""
_unsent: dict[str, None] = {}
_sending: set[asyncio.Task[None]] = set()
LISTENER = "ingram listener"
"""How the connection is called in PostgreSQL on which a process hears of others."""
_alone = False
"""There are no other processes: one would have been heard of. Who does not listen never knows."""
_listeners: dict[str, set[asyncio.Queue[Item]]] = defaultdict(set)


@contextmanager
def listening(*topics: str) -> Iterator[asyncio.Queue[Item]]:
    """Hear of `topics` while the block lasts."""
    heard: asyncio.Queue[Item] = asyncio.Queue()
    for topic in topics:
        _listeners[topic].add(heard)
    try:
        yield heard
    finally:
        for topic in topics:
            _listeners[topic].discard(heard)
            if not _listeners[topic]:
                del _listeners[topic]


def send(session: AsyncSession, *topics: str) -> None:
    """Tell `topics` when the transaction has landed."""
    afterwards(session, lambda: tell(*topics))


def publish(*topics: str, item: Item = None) -> None:
    """Tell the listeners of this process."""
    for topic in topics:
        for heard in _listeners.get(topic, ()):
            heard.put_nowait(item)


def tell(*topics: str, item: Item = None) -> None:
    """Tell `topics` now: what they tell of has landed. `item` goes to listeners of this process only."""
    publish(*topics, item=item)
    if _alone:
        return
    _unsent.update(dict.fromkeys(topics))
    if not _sending:
        task = asyncio.get_running_loop().create_task(_send_unsent())
        _sending.add(task)
        task.add_done_callback(_sending.discard)


async def _send_unsent() -> None:
    """Tell other processes: the first topic at once, and those that come meanwhile together."""
    while _unsent:
        payload = _taken()
        try:
            async with connected() as connection:
                await connection.execute("select pg_notify('ingram', %s)", [payload])
        except (SQLAlchemyError, psycopg.Error) as failed:
            log.warning("could not tell other processes: %s", failed)
        await asyncio.sleep(GATHERED_SECONDS)


async def all_sent() -> None:
    """Return once other processes have been told of everything, or can not be."""
    await asyncio.gather(*_sending)


def _taken() -> str:
    """Take as many unsent topics as one notification holds, and return them with our name in front."""
    payload = process.NAME
    while _unsent and len(payload) < PAYLOAD_BYTES:
        topic = next(iter(_unsent))
        del _unsent[topic]
        payload += f" {topic}"
    return payload


async def relay_forever() -> None:
    """Pass on what other processes send, until cancelled; after a lost connection, wake everyone."""
    global _alone
    try:
        while True:
            try:
                await _relay()
            except psycopg.OperationalError as lost:
                log.warning("lost the connection that listens: %s", lost)
            _alone = False
            publish(*list(_listeners))
            await asyncio.sleep(0.5)
    finally:
        _alone = False


async def _relay() -> None:
    global _alone
    silent, last, wakes = 0.0, -math.inf, 0
    async with await psycopg.AsyncConnection.connect(
        driver_url(), autocommit=True, application_name=LISTENER
    ) as connection:
        await connection.execute("listen ingram")
        while True:
            if time.monotonic() - last > SILENT_SECONDS / 2:
                wakes = 2  # others may have told us nothing until they hear this beat, or for a moment longer
            last = time.monotonic()
            await connection.execute("select pg_notify('ingram', %s)", [process.NAME])
            if wakes:
                publish(*list(_listeners))
                wakes -= 1
            async for notice in connection.notifies(timeout=BEAT_SECONDS):
                sender, *topics = notice.payload.split(" ")
                if sender != process.NAME:
                    silent, _alone = 0.0, False
                    publish(*topics)
            silent += BEAT_SECONDS
            _alone = silent >= SILENT_SECONDS
