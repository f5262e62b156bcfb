"""Batches: of what several runs say each is kept by who carries it, and none is waited for."""

from typing import Any

import pytest
import sqlalchemy as sa

from ingram_app.core import process
from ingram_app.core.database import Tenancy, execute, transaction
from ingram_app.domain import batches, frames
from ingram_app.domain.access import Caller
from ingram_app.domain.frames import MessageDelta, Shown
from tests.world import Tenant

HOLD = sa.text("update runs set lease_owner = :owner where id = :run")


@pytest.fixture
async def run(project: Tenant) -> dict[str, Any]:
    return await project.run((await project.smith())["id"], "one two")


@pytest.fixture
async def another(project: Tenant) -> dict[str, Any]:
    return await project.run((await project.smith())["id"], "one two")


def said(run: dict[str, Any], *words: str) -> list[Shown]:
    return [frames.shown(run["id"], 100 + place, MessageDelta(word)) for place, word in enumerate(words)]


async def hold(tenancy: Tenancy, *held: dict[str, Any], owner: str = process.NAME) -> None:
    async with transaction(tenancy) as session:
        for run in held:
            await execute(session, HOLD, {"owner": owner, "run": run["id"]})


async def keep(tenancy: Tenancy, *told: tuple[dict[str, Any], int, list[Shown]]) -> set[tuple[str, int]]:
    async with transaction(tenancy) as session:
        kept = batches.append_together(session, [(run["id"], at, batch) for run, at, batch in told], process.NAME)
    return {(run_id, attempt) for run_id, attempt in kept.all()}


async def words_of(tenancy: Tenancy, run: dict[str, Any]) -> list[str]:
    async with transaction(tenancy) as session:
        return [frame.data for frame in await frames.browse(session, tenancy.project_id, run["id"], after=99)]


async def test_nobody_else_writes_into_a_run(tenant: Caller, run: dict[str, Any]) -> None:
    for owner in ("somebody", ""):
        async with transaction(tenant.tenancy) as session:
            kept = batches.append(session, run["id"], said(run, "forged"), owner=owner, attempt=1)
        assert kept.rowcount == 0


async def test_batches_of_several_runs_are_kept_with_one_statement(
    tenant: Caller, run: dict[str, Any], another: dict[str, Any]
) -> None:
    await hold(tenant.tenancy, run, another)
    one, two = said(run, "a", "b"), said(another, "c")
    assert await keep(tenant.tenancy, (run, 1, one), (another, 1, two)) == {(run["id"], 1), (another["id"], 1)}
    assert await words_of(tenant.tenancy, run) == [frame.data for frame in one]
    assert await words_of(tenant.tenancy, another) == [frame.data for frame in two]


@pytest.mark.parametrize(("owner", "attempt"), [("somebody", 1), (process.NAME, 2)])
async def test_one_that_is_lost_is_left_out_of_them(
    tenant: Caller, run: dict[str, Any], another: dict[str, Any], owner: str, attempt: int
) -> None:
    await hold(tenant.tenancy, run)
    await hold(tenant.tenancy, another, owner=owner)
    assert await keep(tenant.tenancy, (another, attempt, said(another, "lost")), (run, 1, said(run, "a"))) == {
        (run["id"], 1)
    }
    assert len(await words_of(tenant.tenancy, run)) == 1
    assert await words_of(tenant.tenancy, another) == []


async def test_of_two_who_carry_the_same_run_the_one_that_has_lost_it_is_left_out(
    tenant: Caller, run: dict[str, Any]
) -> None:
    await hold(tenant.tenancy, run)
    late = [frames.shown(run["id"], 200, MessageDelta("from before"))]
    assert await keep(tenant.tenancy, (run, 0, late), (run, 1, said(run, "a"))) == {(run["id"], 1)}
    assert len(await words_of(tenant.tenancy, run)) == 1


async def test_one_that_is_in_use_is_not_waited_for(
    tenant: Caller, run: dict[str, Any], another: dict[str, Any]
) -> None:
    await hold(tenant.tenancy, run, another)
    async with transaction(tenant.tenancy) as using:
        await execute(using, sa.text("select from runs where id = :id for update"), {"id": another["id"]})
        told = (another, 1, said(another, "later")), (run, 1, said(run, "a"))
        assert await keep(tenant.tenancy, *told) == {(run["id"], 1)}


async def test_another_project_keeps_nothing(tenant: Caller, other: Tenant, run: dict[str, Any]) -> None:
    await hold(tenant.tenancy, run)
    assert await keep(Tenancy(project_id=other.id), (run, 1, said(run, "forged"))) == set()
    assert await words_of(tenant.tenancy, run) == []
