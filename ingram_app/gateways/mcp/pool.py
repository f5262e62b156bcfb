"""The open sessions of an event loop, kept for the next call of the same principal to the same server.

A server that fails three times in a row is left alone for half a minute: no run waits for what is known to be down.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from weakref import WeakKeyDictionary

from ingram_app.core.circuits import Circuits
from ingram_app.gateways.mcp.peer import McpFailed, Peer
from ingram_app.gateways.mcp.session import Session

IDLE_SECONDS = 300
MOST_IDLE = 256
FAILURES = 3
PAUSE_SECONDS = 30


class _Pool:
    def __init__(self) -> None:
        self.idle: list[Session] = []
        """The one used longest ago comes first."""
        self.circuits: Circuits[str, McpFailed] = Circuits(failures=FAILURES, seconds=PAUSE_SECONDS)

    def take(self, peer: Peer) -> Session:
        for session in reversed(self.idle):
            if session.peer == peer and session.is_alive:
                self.idle.remove(session)
                return session
        return Session(peer)

    async def give_back(self, session: Session) -> None:
        self.circuits.answered(session.peer.server)
        session.is_new, session.used_at = False, monotonic()
        self.idle.append(session)
        await self.sweep()

    async def sweep(self) -> None:
        """Close what nobody has used for long, or what is too many."""
        fresh = [one for one in self.idle if one.is_alive and monotonic() - one.used_at < IDLE_SECONDS][-MOST_IDLE:]
        over = [one for one in self.idle if one not in fresh]
        self.idle = fresh
        await asyncio.gather(*(one.close() for one in over))

    def count(self, server: str, failed: McpFailed) -> None:
        """Count a failure of the server itself; that it refuses one principal is none."""
        if not failed.unheard and (failed.status is None or failed.status >= 500):
            self.circuits.failed(server, failed)


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()


@asynccontextmanager
async def borrowed(peer: Peer) -> AsyncIterator[Session]:
    """Give an open session that nobody else uses meanwhile. Raises `McpFailed`; then it is not used again."""
    pool = _pools.setdefault(asyncio.get_running_loop(), _Pool())
    if pool.circuits.last_failure(peer.server):
        raise McpFailed(f"it has failed {FAILURES} times in a row, and is left alone for a while")
    session = pool.take(peer)
    try:
        if session.is_new:
            await session.open()
        yield session
    except BaseException as end:
        await session.close()
        if isinstance(end, McpFailed):
            pool.count(peer.server, end)
        raise
    await pool.give_back(session)


async def close() -> None:
    """Close the sessions of the running event loop, at the end of the process."""
    if (pool := _pools.pop(asyncio.get_running_loop(), None)) is not None:
        await asyncio.gather(*(session.close() for session in pool.idle))
