"""Recollections: turns are written down once, when somebody asks for them, as what was asked and what was answered."""

import asyncio

from ingram_app.core.database import transaction
from ingram_app.domain import recollections
from ingram_app.domain.access import Caller
from tests.world import Tenant, World


async def catch_up(tenant: Caller, smith_id: str) -> int:
    async with transaction(tenant.tenancy) as session:
        return await recollections.catch_up(session, tenant.project_id, smith_id)


async def test_a_turn_is_written_down_once(world: World, project: Tenant, tenant: Caller) -> None:
    smith = await project.smith()
    run = await project.run(smith["id"], "Where is my parcel?", thread_id="parcel")
    assert [await catch_up(tenant, smith["id"]) for _ in range(2)] == [1, 0]
    kept = world.ask("select run_id, thread_id, content from recollections where smith_id = %s", smith["id"])
    assert kept == [(run["id"], "parcel", "User: Where is my parcel?\nAssistant: Where is my parcel?")]


async def test_who_asks_at_once_writes_it_down_once(world: World, project: Tenant, tenant: Caller) -> None:
    smith = await project.smith()
    for number in range(3):
        await project.run(smith["id"], f"turn {number}")
    await asyncio.gather(*(catch_up(tenant, smith["id"]) for _ in range(12)))
    assert world.ask("select count(*) from recollections where smith_id = %s", smith["id"]) == [(3,)]


async def test_a_turn_that_failed_is_none(world: World, project: Tenant, tenant: Caller) -> None:
    smith = await project.smith(model="test/fail")
    await project.run(smith["id"])
    assert await catch_up(tenant, smith["id"]) == 0


async def test_a_long_turn_is_cut(world: World, project: Tenant, tenant: Caller) -> None:
    smith = await project.smith()
    await project.run(smith["id"], "word " * 10_000)
    await catch_up(tenant, smith["id"])
    [(length,)] = world.ask("select length(content) from recollections where smith_id = %s", smith["id"])
    assert length < recollections.CONTENT_LENGTH + 40
