"""Leases: one carrier at a time, and none that outlives its turn."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from ingram_app.core import process
from ingram_app.core.database import dispatching, execute, transaction
from ingram_app.domain import leases, runs
from ingram_app.domain.access import Caller
from ingram_app.domain.leases import LeaseLost
from ingram_app.domain.runs import Run
from ingram_app.domain.turns import Turn
from tests.world import Tenant, World


@pytest.fixture
async def waiting(world: World, project: Tenant, tenant: Caller) -> AsyncIterator[Run]:
    """A queued run that no engine comes for."""
    smith = await project.smith()
    said = [{"role": "user", "content": "hello"}]
    async with transaction(tenant.tenancy) as session:
        run = await runs.start(session, tenant, smith["id"], Turn(input=said, background=True))
        await execute(session, sa.text("update runs set ready_at = null where id = :id"), {"id": run.id})
    yield run
    world.do("update runs set status = 'cancelled', lease_until = null where id = %s", run.id)


async def claim(tenant: Caller, run: Run) -> Run | None:
    async with transaction(tenant.tenancy) as session:
        return await leases.claim(session, run.id)


async def test_of_many_that_come_for_a_run_one_gets_it(tenant: Caller, waiting: Run) -> None:
    claimed = await asyncio.gather(*[claim(tenant, waiting) for _ in range(8)])
    (run,) = [one for one in claimed if one]
    assert (run.status, run.attempt, run.lease_owner) == ("running", 1, process.NAME)


async def test_a_lease_that_has_ended_is_taken_over_and_its_holder_is_shut_out(
    world: World, tenant: Caller, waiting: Run
) -> None:
    first = await claim(tenant, waiting)
    assert first is not None
    held = leases.of(first)
    assert await claim(tenant, waiting) is None
    world.do("update runs set lease_until = now() - interval '1 second' where id = %s", waiting.id)
    async with dispatching() as session:
        assert (tenant.project_id, waiting.id) in await leases.abandoned(session)
    second = await claim(tenant, waiting)
    assert second is not None
    assert second.attempt == 2
    with pytest.raises(LeaseLost):
        async with transaction(tenant.tenancy) as session:
            await leases.renew(session, held)
    async with transaction(tenant.tenancy) as session:
        await leases.release(session, held)
    assert await claim(tenant, waiting) is None
    async with transaction(tenant.tenancy) as session:
        await leases.renew(session, leases.of(second))


async def test_another_process_s_lease_can_not_be_used(tenant: Caller, waiting: Run, world: World) -> None:
    run = await claim(tenant, waiting)
    assert run is not None
    world.do("update runs set lease_owner = 'another' where id = %s", run.id)
    with pytest.raises(LeaseLost):
        async with transaction(tenant.tenancy) as session:
            await leases.renew(session, leases.of(run))
