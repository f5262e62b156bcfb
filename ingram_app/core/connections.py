"""Connections: those of the process to its database, one for each transaction that is under way.

SQLAlchemy makes them, and closes them. Between two transactions they stay here: to give one back to its pool and take
it out again costs as much as a short transaction does.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ingram_app.core.journeys import Driver

MOST = 24
WAIT_SECONDS = 30.0


class Connections:
    """At most `MOST` at once. All that are at hand belong to one event loop."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._at_hand: list[AsyncConnection] = []
        self._doubtful: list[AsyncConnection] = []
        self._places = asyncio.Semaphore(MOST)
        event.listen(engine.sync_engine, "handle_error", self._hear_of)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[AsyncConnection]:
        """Give one that nobody else has meanwhile, in no transaction. Raises `PoolTimeout` when none gets free."""
        if self._places.locked():
            await self._wait()
        else:
            await self._places.acquire()
        try:
            await self._close_doubtful()
            connection = self._at_hand.pop() if self._at_hand else await self.engine.connect()
            try:
                yield connection
            finally:
                await self._take_back(connection)
        finally:
            self._places.release()

    async def dispose(self) -> None:
        """Close all that are in no use."""
        self.distrust()
        await self._close_doubtful()
        await self.engine.dispose()

    def distrust(self) -> None:
        """Use none any more that is at hand: one was lost, and they are as old."""
        self._doubtful += self._at_hand
        self._at_hand = []

    def _hear_of(self, failure: ExceptionContext) -> None:
        if failure.is_disconnect:
            self.distrust()

    async def _close_doubtful(self) -> None:
        while self._doubtful:
            await _close(self._doubtful.pop())

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            raise PoolTimeout(f"all {MOST} connections were in use for {WAIT_SECONDS:g} seconds") from None

    async def _take_back(self, connection: AsyncConnection) -> None:
        """Keep it for the next, rolled back if it was left in the middle of something; else close it."""
        whole = False
        try:
            whole = not connection.invalidated and await _is_whole(driver_of(connection))
        finally:
            if whole:
                self._at_hand.append(connection)
            else:
                await _close(connection)


async def _close(connection: AsyncConnection) -> None:
    if not connection.invalidated:
        await connection.invalidate()
    await connection.close()


async def _is_whole(held: Driver) -> bool:
    """Tell whether a connection can be used again, after what was open on it has been rolled back."""
    if held.closed:
        return False
    if held.pgconn.transaction_status != TransactionStatus.IDLE:
        try:
            await held.rollback()
        except psycopg.Error:
            return False
    return held.pgconn.transaction_status == TransactionStatus.IDLE


def driver_of(connection: AsyncConnection) -> Driver:
    """Return the connection as the driver knows it."""
    assert connection.sync_connection is not None
    held: Driver = connection.sync_connection.connection.driver_connection  # type: ignore[assignment]
    return held
