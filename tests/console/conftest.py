"""The console's world: a database of the file's own, and people at desks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Browser

from ingram_app.core import database
from tests.console.browser import browsing, visiting
from tests.console.desk import Desk, sit
from tests.console.served import OWNER, Console, Window, come_in, seated
from tests.fakes.stripe_server import stripe
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
    async with stripe() as server:
        serving = Serving(folder / "walk", IC_ALLOW_PRIVATE_ADDRESSES="true", IC_STRIPE_URL=server.address)
        await asyncio.to_thread(serving.start)
        made = Console(serving, server)
        try:
            async with visiting(chromium, serving.url) as visitor:
                made.project_id = await come_in(visitor, serving)
            yield made
        finally:
            await asyncio.to_thread(serving.stop)


@pytest.fixture(scope="module")
def pages(console: Console) -> dict[str, str]:
    """A project of the file's own: its id, a key, and a session of its owner."""
    made = console.serving.bootstrap("Analytical Engines", f"Walk {uuid4().hex[:8]}", OWNER["email"])
    return made | {"cookie": console.sign_in()}


@pytest.fixture
async def window(console: Console, pages: dict[str, str], chromium: Browser) -> AsyncIterator[Window]:
    """A window on that project."""
    async with seated(console, pages, chromium) as made:
        yield made
