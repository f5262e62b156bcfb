"""Journeys: what is asked goes with what comes next, and nothing of it is lost or done by halves."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from ingram_app.core.database import Tenancy, afterwards, ask, execute, transaction
from ingram_app.domain.smiths import Smith
from tests.world import Tenant, World

_NAME = text("update smiths set display_name = :name where id = :id")
_NAMED = text("select display_name from smiths where id = :id")


@pytest.fixture(scope="module")
async def smith(project: Tenant) -> dict[str, Any]:
    return await project.smith(display_name="Ada")


async def named(project: Tenant, smith: dict[str, Any]) -> Any:
    async with transaction(Tenancy(project_id=project.id)) as session:
        return (await execute(session, _NAMED, {"id": smith["id"]})).scalar()


async def test_what_was_asked_goes_with_the_next_statement(project: Tenant, smith: dict[str, Any]) -> None:
    async with transaction(Tenancy(project_id=project.id)) as session:
        changed = ask(session, _NAME, {"id": smith["id"], "name": "Grace"})
        found = await execute(session, _NAMED, {"id": smith["id"]})
        assert (changed.rowcount, found.all()) == (1, [("Grace",)])


async def test_what_was_asked_last_goes_with_the_end(project: Tenant, smith: dict[str, Any]) -> None:
    told: list[int] = []
    async with transaction(Tenancy(project_id=project.id)) as session:
        changed = ask(session, _NAME, {"id": smith["id"], "name": "Hedy"})
        afterwards(session, lambda: told.append(changed.rowcount))
    assert told == [1]
    assert await named(project, smith) == "Hedy"


async def test_the_mapper_sees_what_was_asked_before_and_keeps_it(project: Tenant, smith: dict[str, Any]) -> None:
    async with transaction(Tenancy(project_id=project.id)) as session:
        ask(session, _NAME, {"id": smith["id"], "name": "Mary"})
        found = (await session.exec(select(Smith).where(Smith.id == smith["id"]))).one()
        assert found.display_name == "Mary"
        found.locale = "de"
        ask(session, text("update smiths set timezone = 'UTC' where id = :id"), {"id": smith["id"]})
    async with transaction(Tenancy(project_id=project.id)) as session:
        found = (await session.exec(select(Smith).where(Smith.id == smith["id"]))).one()
    assert (found.display_name, found.locale, found.timezone) == ("Mary", "de", "UTC")


async def test_one_that_fails_at_the_end_undoes_all_and_nothing_follows(project: Tenant, smith: dict[str, Any]) -> None:
    before, told = await named(project, smith), list[str]()

    async def fail() -> None:
        async with transaction(Tenancy(project_id=project.id)) as session:
            ask(session, _NAME, {"id": smith["id"], "name": "nobody"})
            ask(session, text("update smiths set agent_id = 'agent_of_nobody' where id = :id"), {"id": smith["id"]})
            afterwards(session, lambda: told.append("told"))

    with pytest.raises(IntegrityError, match="agent_of_nobody"):
        await fail()
    assert (await named(project, smith), told) == (before, [])


async def test_what_was_asked_of_a_block_that_fails_is_never_done(project: Tenant, smith: dict[str, Any]) -> None:
    before = await named(project, smith)

    async def fail() -> None:
        async with transaction(Tenancy(project_id=project.id)) as session:
            ask(session, _NAME, {"id": smith["id"], "name": "nobody"})
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await named(project, smith) == before


async def test_a_transaction_that_asks_nothing_goes_nowhere(world: World, project: Tenant) -> None:
    async with transaction(Tenancy(project_id=project.id)):
        ours = "state = 'idle in transaction' and datname = current_database()"
        assert world.ask(f"select count(*) from pg_stat_activity where {ours}") == [(0,)]


async def test_one_that_is_given_up_on_leaves_its_connection_whole(project: Tenant, smith: dict[str, Any]) -> None:
    """Its statement is new each time, so that it is stopped while it is being prepared, or just then was."""
    for number in range(20):
        asking = asyncio.ensure_future(_long(project, number))
        await asyncio.sleep(0.001 * number)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    await asyncio.gather(*(_short(project, number) for number in range(20) for _ in range(3)))


async def _long(project: Tenant, number: int) -> None:
    async with transaction(Tenancy(project_id=project.id)) as session:
        await execute(session, text(f"select {number}, pg_sleep(:seconds)"), {"seconds": 60.0})


async def _short(project: Tenant, number: int) -> None:
    async with transaction(Tenancy(project_id=project.id)) as session:
        found = await execute(session, text(f"select {number}, pg_sleep(:seconds)"), {"seconds": 0.0})
        assert found.one()[0] == number


async def test_much_goes_and_much_comes_back(project: Tenant) -> None:
    """More than what a socket holds, both ways at once."""
    big = "x" * 5_000_000
    async with transaction(Tenancy(project_id=project.id)) as session:
        asked = [ask(session, text("select cast(:big as text)"), {"big": big}) for _ in range(4)]
        await execute(session, text("select 1"))
        assert [len(rows.scalar()) for rows in asked] == [len(big)] * 4
