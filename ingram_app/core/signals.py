"""Signals: a word, to whoever listens in any process, that something has changed.

A signal is sent when its transaction lands. It carries a topic (`run:run_…`); listeners in the same process may get
an item with it, those in others get `None` and read the tables. A signal can be lost: it wakes, it never informs.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.core import process
from ingram_app.core.database import afterwards, driver_url

log = logging.getLogger(__name__)

Item = object
_NOTIFY = text("select pg_notify('ingram', :payload)")
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


async def send(session: AsyncSession, *topics: str, item: Item = None) -> None:
    """Tell `topics` when the transaction lands; `item` goes to listeners of this process only."""
    await session.execute(_NOTIFY, {"payload": " ".join((process.NAME, *topics))})
    afterwards(session, lambda: publish(*topics, item=item))


def publish(*topics: str, item: Item = None) -> None:
    """Tell the listeners of this process."""
    for topic in topics:
        for heard in _listeners.get(topic, ()):
            heard.put_nowait(item)


async def relay_forever() -> None:
    """Pass on what other processes send, until cancelled; after a lost connection, wake everyone."""
    while True:
        try:
            await _relay()
        except psycopg.OperationalError as lost:
            log.warning("lost the connection that listens: %s", lost)
        publish(*list(_listeners))
        await asyncio.sleep(0.5)


async def _relay() -> None:
    async with await psycopg.AsyncConnection.connect(driver_url(), autocommit=True) as connection:
        await connection.execute("listen ingram")
        publish(*list(_listeners))
        async for notice in connection.notifies():
            sender, *topics = notice.payload.split(" ")
            if sender != process.NAME:
                publish(*topics)
