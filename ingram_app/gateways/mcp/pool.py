"""The open sessions of an event loop, kept for the next call of the same principal to the same server.

A server that fails three times in a row is left alone for half a minute: no run waits for what is known to be down.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from weakref import WeakKeyDictionary

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
        self.failures: dict[str, int] = defaultdict(int)
        self.paused_until: dict[str, float] = {}

    def take(self, peer: Peer) -> Session:
        for session in reversed(self.idle):
            if session.peer == peer and session.is_alive:
                self.idle.remove(session)
                return session
        return Session(peer)

    async def give_back(self, session: Session) -> None:
        self.failures.pop(session.peer.server, None)
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
        if failed.unheard or (failed.status is not None and failed.status < 500):
            return
        self.failures[server] += 1
        if self.failures[server] >= FAILURES:
            self.failures.pop(server)
            self.paused_until[server] = monotonic() + PAUSE_SECONDS


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()


@asynccontextmanager
async def borrowed(peer: Peer) -> AsyncIterator[Session]:
    """Give an open session that nobody else uses meanwhile. Raises `McpFailed`; then it is not used again."""
    pool = _pools.setdefault(asyncio.get_running_loop(), _Pool())
    if pool.paused_until.get(peer.server, 0) > monotonic():
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
