"""Connections: a process has so many, and gives none out that is in the middle of something."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ingram_app.core import connections
from ingram_app.core.database import Tenancy, execute, pool, transaction
from tests.world import Tenant


async def test_more_transactions_than_connections_take_turns(project: Tenant) -> None:
    at_once = most = 0

    async def work() -> None:
        nonlocal at_once, most
        async with transaction(Tenancy(project_id=project.id)) as session:
            at_once += 1
            most = max(most, at_once)
            await execute(session, text("select 1"))
            at_once -= 1

    await asyncio.gather(*(work() for _ in range(4 * connections.MOST)))
    assert 1 < most <= connections.MOST


async def test_who_finds_none_free_for_long_is_told(project: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WAIT_SECONDS", 0.05)
    async with asyncio.TaskGroup() as holding:
        let_go = asyncio.Event()
        taken = [asyncio.Event() for _ in range(connections.MOST)]
        for place in taken:
            holding.create_task(_hold(place, let_go))
        await asyncio.gather(*(place.wait() for place in taken))
        with pytest.raises(PoolTimeout, match="in use"):
            async with pool().one():
                pass
        let_go.set()
    async with pool().one():
        pass


async def _hold(taken: asyncio.Event, let_go: asyncio.Event) -> None:
    async with pool().one():
        taken.set()
        await let_go.wait()


async def test_one_that_was_left_in_a_transaction_comes_back_without_it(project: Tenant) -> None:
    async def leave() -> None:
        async with transaction(Tenancy(project_id=project.id)) as session:
            await execute(session, text("select set_config('app.project_id', 'left behind', false)"))
            raise LookupError

    with pytest.raises(LookupError):
        await leave()
    for _ in range(connections.MOST):
        async with pool().one() as connection:
            found = await connections.driver_of(connection).execute("select current_setting('app.project_id', true)")
            assert await found.fetchone() in ((None,), ("",))
