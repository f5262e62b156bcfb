"""The console's world: a database of the file's own, and people at desks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from ingram_app.core import database
from tests.console.browser import browsing, visiting
from tests.console.desk import Desk, sit
from tests.console.served import Console, come_in
from tests.serving import Serving


@pytest.fixture(scope="module")
async def tables(fresh_database: str) -> AsyncIterator[None]:
    """The process's connections go to the file's own database."""
    database.pool.cache_clear()
    yield
    await database.pool().dispose()
    database.pool.cache_clear()


@pytest.fixture
async def desk(tables: None) -> Desk:
    """An owner in a project."""
    return await sit()


@pytest.fixture
async def stranger(tables: None) -> Desk:
    """An owner of another organization."""
    return await sit()


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with browsing() as opened:
        yield opened


@pytest.fixture(scope="session")
async def console(folder: Path, chromium: Browser) -> AsyncIterator[Console]:
    """Served, and entered for the first time: the owner comes by the link and makes a project."""
    serving = Serving(folder / "walk", IC_ALLOW_PRIVATE_ADDRESSES="true")
    await asyncio.to_thread(serving.start)
    made = Console(serving)
    try:
        async with visiting(chromium, serving.url) as visitor:
            made.project_id = await come_in(visitor, serving)
        yield made
    finally:
        await asyncio.to_thread(serving.stop)
