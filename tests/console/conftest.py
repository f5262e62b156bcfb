"""The console's world: a database of the file's own, and people at desks."""

from collections.abc import AsyncIterator

import pytest

from ingram_app.core import database
from tests.console.desk import Desk, sit


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
