"""Endings: a run is closed once, whole, and at a price that does not grow with what its project has done before."""

import pytest

from ingram_app.core.database import execute, transaction
from ingram_app.domain import endings, frames, leases, model_calls, runs
from ingram_app.domain.access import Caller
from ingram_app.domain.endings import Ending
from ingram_app.domain.leases import Lease, LeaseLost
from ingram_app.domain.model_calls import Call
from ingram_app.domain.runs import RunStatus
from ingram_app.domain.turns import Turn
from tests.world import Tenant, World, ok

DONE = Ending(RunStatus.completed, {"output": {"content": "done"}, "warnings": []})


def a_call() -> Call:
    return Call("test/echo", "local", 10, 10, 0, 0, 0, 500)


def last(lease: Lease) -> list[frames.Shown]:
    return [frames.shown(lease.run_id, 2, frames.MessageDelta("done"))]


@pytest.fixture
async def lease(project: Tenant, tenant: Caller) -> Lease:
    """A run that this process carries."""
    smith = await project.smith()
    async with transaction(tenant.tenancy) as session:
        run = await runs.start(
            session, tenant, smith["id"], Turn(input=[{"role": "user", "content": "hello"}], background=True)
        )
    async with transaction(tenant.tenancy) as session:
        claimed = await leases.claim(session, run.id)
    assert claimed is not None
    return leases.of(claimed)


async def close_at_once(tenant: Caller, lease: Lease, calls: list[Call]) -> None:
    async with transaction(tenant.tenancy) as session:
        endings.finish_unbudgeted(session, lease, DONE, last(lease), calls)


async def test_it_closes_in_one_journey_and_its_calls_are_kept(world: World, tenant: Caller, lease: Lease) -> None:
    calls = [a_call(), a_call()]
    await close_at_once(tenant, lease, calls)
    assert calls == []
    assert world.ask("select status, output ->> 'content' from runs where id = %s", lease.run_id) == [
        ("completed", "done")
    ]
    assert world.ask("select runs, cost_micros from model_calls where run_id = %s order by id", lease.run_id) == [
        (1, 500),
        (0, 500),
    ]
    with pytest.raises(LeaseLost):
        await close_at_once(tenant, lease, [a_call()])
    assert world.ask("select count(*) from model_calls where run_id = %s", lease.run_id) == [(2,)]


async def test_with_a_budget_that_came_meanwhile_it_does_nothing_and_is_closed_the_longer_way(
    world: World, project: Tenant, tenant: Caller, lease: Lease
) -> None:
    budget = ok(
        await project.api.post("/v1/budgets", json={"scope": "smith", "scope_id": lease.smith_id, "limit": 1.0})
    )
    calls = [a_call()]
    with pytest.raises(LeaseLost):
        await close_at_once(tenant, lease, calls)
    assert len(calls) == 1
    assert world.ask("select status from runs where id = %s", lease.run_id) == [("running",)]
    async with transaction(tenant.tenancy) as session:
        await endings.finish(session, lease, DONE, last(lease), calls)
    assert world.ask("select spent_micros from budgets where id = %s", budget["id"]) == [(500,)]
    await project.api.delete(f"/v1/budgets/{budget['id']}")


async def test_the_next_of_its_thread_is_made_ready_and_only_once_it_is_over(
    world: World, project: Tenant, tenant: Caller, lease: Lease
) -> None:
    said = Turn(input=[{"role": "user", "content": "and then"}], thread_id=lease.thread_id, background=True)
    async with transaction(tenant.tenancy) as session:
        following = await runs.start(session, tenant, lease.smith_id, said)
    ready = "select ready_at is not null from runs where id = %s"
    world.do("update runs set attempt = 2 where id = %s", lease.run_id)
    with pytest.raises(LeaseLost):
        await close_at_once(tenant, lease, [])
    assert world.ask(ready, following.id) == [(False,)]
    world.do("update runs set attempt = 1 where id = %s", lease.run_id)
    await close_at_once(tenant, lease, [])
    assert world.ask(ready, following.id) == [(True,)]


async def test_what_a_project_has_spent_before_is_not_read_again(world: World, tenant: Caller, lease: Lease) -> None:
    columns = model_calls.COLUMNS
    world.do(
        f"insert into model_calls ({columns}) select %s, null, 'run_' || n, 'agent_1', 1, null, 'api', 1, now(), 'm',"
        " 'byok', 1, 1, 0, 0, 0, 1, false from generate_series(1, 3000) as n",
        tenant.project_id,
    )
    read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'model_calls'"
    async with transaction(tenant.tenancy) as session:
        await endings.finish(session, lease, DONE, last(lease), [a_call()])
        assert (await execute(session, read)).scalar() < 10
