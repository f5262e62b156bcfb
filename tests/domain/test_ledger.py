"""The ledger: whatever figure of usage is asked for, the calls shown add up to it, to nobody else's eyes."""

import random
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from ingram_app.core.database import transaction
from ingram_app.core.errors import IngramError
from ingram_app.domain import ledger, usage
from ingram_app.domain.access import Caller, SmithMismatch
from ingram_app.domain.ledger import Which
from ingram_app.domain.model_calls import ModelCall
from ingram_app.domain.paging import InvalidCursor, Place, cursor
from ingram_app.domain.periods import Period
from tests.domain.test_usage import YEAR, fold, keep, made_up
from tests.world import Tenant, ok


@pytest.fixture(scope="module")
async def smiths(project: Tenant, tenant: Caller) -> list[str]:
    """Four smiths that have used something, one of which is erased; half of it is added up."""
    made = [(await project.smith(display_name=f"Smith {number}"))["id"] for number in range(4)]
    dice = random.Random(5)
    for _ in range(2):
        await keep(tenant, [made_up(dice, tenant.project_id, made) for _ in range(30)])
        while await fold(tenant):
            pass
    await keep(tenant, [made_up(dice, tenant.project_id, made) for _ in range(30)])
    ok(await project.api.post(f"/v1/smiths/{made[3]}/erase"))
    return made


async def every(caller: Caller, which: Which) -> list[ModelCall]:
    found, place = [], Place(limit=7)
    while True:
        async with transaction(caller.tenancy) as session:
            page = await ledger.browse(session, caller, which, place)
        found += page.data
        if page.next_cursor is None:
            return found
        place = Place(limit=7, cursor=page.next_cursor)


async def total(caller: Caller, which: Which) -> tuple[int, ...]:
    async with transaction(caller.tenancy) as session:
        return (await ledger.total(session, caller, which)).measures


def added(calls: list[ModelCall]) -> tuple[int, ...]:
    return tuple(sum(getattr(call, name) for call in calls) for name in usage.MEASURES)


@pytest.mark.parametrize("by", ["smith", "agent", "model", "app"])
@pytest.mark.parametrize("period", [YEAR, Period(date(2025, 2, 3), date(2025, 8, 20))])
async def test_each_group_of_usage_is_what_its_calls_add_up_to(
    tenant: Caller, smiths: list[str], by: Any, period: Period
) -> None:
    async with transaction(tenant.tenancy) as session:
        groups = await usage.browse(session, tenant, period, by)
    assert groups
    for group in groups:
        which = Which(period, {by: group.key})
        calls = await every(tenant, which)
        assert len({call.id for call in calls}) == len(calls)
        assert group.measures == added(calls) == await total(tenant, which), group.key
        assert len(await every(tenant, Which(period, {by: group.key}, firsts=True))) == group.runs
    rest = Which(period, but={by: [groups[0].key]})
    assert usage.total(groups[1:]).measures == added(await every(tenant, rest)) == await total(tenant, rest)


@pytest.mark.parametrize("customer", ["cus_1", ""])
async def test_filters_hold_together_and_nobody_is_a_customer_too(
    tenant: Caller, smiths: list[str], customer: str
) -> None:
    for only in ({"customer": customer}, {"customer": customer, "smith": smiths[0], "model": "=cmd()"}):
        which = Which(None, only)  # type: ignore[arg-type]
        calls = await every(tenant, which)
        assert {call.customer_id or "" for call in calls} == {customer}
        assert added(calls) == await total(tenant, which)


async def test_a_smiths_token_sees_its_own_alone(
    tenant: Caller, smiths: list[str], of_smith: Callable[..., Caller]
) -> None:
    own = of_smith(smiths[0], "usage:read")
    assert {call.smith_id for call in await every(own, Which())} == {smiths[0]}
    assert await total(own, Which()) == await total(tenant, Which(None, {"smith": smiths[0]}))
    with pytest.raises(SmithMismatch):
        await every(own, Which(None, {"smith": smiths[1]}))
    with pytest.raises(IngramError):
        await total(of_smith(smiths[0], "runs:read"), Which())


async def test_another_project_has_none_of_it(world: Any, tenant: Caller, smiths: list[str]) -> None:
    other = Caller(tenant.actor, tenant.scopes, project_id=world.other.id)
    assert await every(other, Which(None, {"smith": smiths[0]})) == []
    assert set(await total(other, Which(YEAR))) == {0}


@pytest.mark.parametrize("place", ["x", cursor(1, "x"), cursor(1, str(2**70)), cursor(2**70, "1")])
async def test_a_cursor_of_somebodys_own_is_refused(tenant: Caller, place: str) -> None:
    async with transaction(tenant.tenancy) as session:
        with pytest.raises(InvalidCursor):
            await ledger.browse(session, tenant, Which(), Place(cursor=place))
