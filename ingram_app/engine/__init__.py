"""The engine: carries runs, started by a hand-over or by time, never by a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Carry runs for as long as the block lasts."""
    yield
