"""Usage: sums and calls behind them are one, whatever is added up, erased or written meanwhile."""

import asyncio
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest

from ingram_app.core.database import execute, transaction
from ingram_app.domain import access, usage
from ingram_app.domain.access import Caller
from ingram_app.domain.periods import Period
from ingram_app.domain.usage import MEASURES, REST, By, Group
from tests.world import Tenant, World, error, ok

YEAR = Period(date(2025, 1, 1), date(2026, 1, 1))
MEASURED = ", ".join(f"sum({name})" for name in MEASURES)
_INSERT = (
    "insert into model_calls (project_id, at, smith_id, run_id, agent_id, model, customer_id, app, source, runs,"
    " input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_micros, estimated)"
    " values (%(project)s, %(at)s, %(smith)s, null, %(agent)s, %(model)s, %(customer)s, %(app)s, 'byok', 1,"
    " %(n)s, %(n)s, 1, 2, 3, %(n)s, false)"
)


def made_up(dice: random.Random, project_id: str, smiths: list[str]) -> dict[str, Any]:
    at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.randrange(365 * 86_400))
    return {
        "project": project_id, "at": at, "smith": dice.choice(smiths), "agent": dice.choice("ab"),
        "model": dice.choice(["test/echo", "=cmd()"]), "customer": dice.choice([None, "cus_1"]),
        "app": dice.choice(["api", "web"]), "n": dice.randrange(1000),
    }  # fmt: skip


async def keep(tenant: Caller, rows: list[dict[str, Any]]) -> None:
    async with transaction(tenant.tenancy) as session:
        for row in rows:
            await execute(session, _INSERT, row)
        await asyncio.sleep(random.uniform(0, 0.02))  # so that transactions end in another order than they began


async def fold(tenant: Caller) -> bool:
    async with transaction(tenant.tenancy) as session:
        return await usage.fold(session, access.platform(tenant.project_id), tenant.project_id)


async def browse(tenant: Caller, by: By, period: Period = YEAR, **how: Any) -> list[Group]:
    async with transaction(tenant.tenancy) as session:
        return await usage.browse(session, tenant, period, by, **how)


def truth(world: World, tenant: Caller, where: str = "true") -> tuple[int, ...]:
    query = f"select {MEASURED} from model_calls where project_id = %s and at < '2026-01-01' and {where}"
    return tuple(int(value or 0) for value in world.ask(query, tenant.project_id)[0])


@pytest.fixture(scope="module")
async def smiths(project: Tenant) -> list[str]:
    return [(await project.smith(display_name=f"Smith {number}"))["id"] for number in range(6)]


async def test_groups_sum_up_to_the_totals_while_calls_come_and_are_added_up(
    world: World, tenant: Caller, smiths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "AT_ONCE", 7)
    dice = random.Random(7)

    async def write() -> None:
        for _ in range(12):
            await keep(tenant, [made_up(dice, tenant.project_id, smiths) for _ in range(dice.randrange(1, 6))])

    async def add_up() -> None:
        while not over.is_set():
            await fold(tenant)
            await asyncio.sleep(0.002)

    async def look() -> None:
        seen = 0
        while not over.is_set():
            summed = usage.total(await browse(tenant, dice.choice(get_args(By))))
            assert summed.runs >= seen
            seen = summed.runs

    over = asyncio.Event()
    others = [asyncio.ensure_future(deed) for deed in (add_up(), add_up(), look())]
    await asyncio.gather(*(write() for _ in range(5)))
    over.set()
    await asyncio.gather(*others)
    for _ in range(2):
        for by in get_args(By):
            assert usage.total(await browse(tenant, by)).measures == truth(world, tenant), by
        while await fold(tenant):
            pass
    assert world.ask("select count(*) > 20 from usage_sums where project_id = %s", tenant.project_id) == [(True,)]


async def test_any_period_and_filter_is_exact(world: World, tenant: Caller, smiths: list[str]) -> None:
    dice = random.Random(11)
    while await fold(tenant):
        pass
    await keep(tenant, [made_up(dice, tenant.project_id, smiths) for _ in range(20)])
    for _ in range(25):
        first = date(2025, 1, 1) + timedelta(days=dice.randrange(300))
        period = Period(first, first + timedelta(days=dice.randrange(1, 65)))
        smith, customer = dice.choice([None, smiths[0]]), dice.choice([None, "cus_1"])
        where = f"at >= '{period.first}' and at < '{period.until}'"
        where += f" and smith_id = '{smith}'" if smith else ""
        where += f" and customer_id = '{customer}'" if customer else ""
        by = dice.choice(get_args(By))
        found = await browse(tenant, by, period, smith_id=smith, customer_id=customer)
        assert usage.total(found).measures == truth(world, tenant, where), (by, where)


async def test_what_is_beyond_the_most_groups_is_one(tenant: Caller) -> None:
    every, few = await browse(tenant, "smith"), await browse(tenant, "smith", most=2)
    assert few[:2] == every[:2]
    assert [group.key for group in few[2:]] == [REST]
    assert usage.total(few).measures == usage.total(every).measures


async def test_smiths_without_a_customer_are_their_own(tenant: Caller, smiths: list[str]) -> None:
    found = {group.key for group in await browse(tenant, "customer")}
    assert found == {"cus_1", *(f"principal:{smith}" for smith in smiths)}


async def test_an_erasure_moves_sums_without_loss_and_takes_the_name(
    world: World, project: Tenant, tenant: Caller, smiths: list[str]
) -> None:
    await keep(tenant, [made_up(random.Random(3), tenant.project_id, smiths[-2:]) for _ in range(8)])
    before = {by: usage.total(await browse(tenant, by)).measures for by in get_args(By)}
    for smith in smiths[-2:]:
        ok(await project.api.post(f"/v1/smiths/{smith}/erase"))
    for _ in range(2):
        assert {by: usage.total(await browse(tenant, by)).measures for by in get_args(By)} == before
        assert {group.key for group in await browse(tenant, "smith")} == {"", *smiths[:-2]}
        while await fold(tenant):
            pass
    held = "select count(*) from {} where smith_id = any(%s)"
    for table in ("model_calls", "usage_sums"):
        assert world.ask(held.format(table), smiths[-2:]) == [(0,)]


async def test_nobody_sees_another_s_usage(project: Tenant, other: Tenant, tenant: Caller, smiths: list[str]) -> None:
    path = "/v1/usage?from=2025-01-01&to=2025-12-31"
    empty = ok(await other.api.get(path))
    assert (empty["groups"], empty["totals"]["tokens"]) == ([], 0)
    token = (await project.smith_token(smiths[0], "usage:read"))["token"]
    mine = project.world.client(token)
    own = ok(await mine.get(path))
    assert [group["key"] for group in own["groups"]] == [smiths[0]]
    async with transaction(tenant.tenancy) as session:
        every = await usage.browse(session, tenant, YEAR, "smith", smith_id=smiths[0])
    assert own["totals"]["tokens"] == usage.total(every).tokens
    assert ok(await mine.get(path.replace("/usage", "/tenant/usage")))["totals"] == own["totals"]
    error(await mine.get(f"{path}&smith_id={smiths[1]}"), 403, "smith_mismatch")
    blind = project.world.client((await project.smith_token(smiths[0], "runs:read"))["token"])
    error(await blind.get(path), 403, "insufficient_scope")
