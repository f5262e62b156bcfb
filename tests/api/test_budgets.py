"""Budgets by API: what can be set, for whom and by whom, and how one stands."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingram_app.domain.budgets import Period
from tests.world import Client, Person, Tenant, World, error, ok

BUDGETS = "/v1/budgets"
TENANT = {"scope": "tenant", "limit": 25}


@pytest.fixture(autouse=True)
async def none_stay(api: Client) -> AsyncIterator[None]:
    yield
    for budget in ok(await api.get(BUDGETS))["data"]:
        await api.delete(f"{BUDGETS}/{budget['id']}")


async def made(api: Client, **fields: Any) -> dict[str, Any]:
    return dict(ok(await api.post(BUDGETS, json=TENANT | fields)))


async def test_a_budget_says_what_it_is(api: Client) -> None:
    answer = await api.post(BUDGETS, json=TENANT)
    assert answer.status_code == 201
    budget = ok(answer)
    assert budget.pop("id").startswith("bgt_")
    assert budget.pop("created_at") <= budget.pop("updated_at")
    terms = {"limit": 25.0, "action": "warn", "period": "monthly", "thresholds": [80, 100]}
    assert budget == {"scope": "tenant", "scope_id": None, **terms}


async def test_its_status_says_how_it_stands(api: Client) -> None:
    budget = await made(api, limit=0.5, period="weekly", action="block")
    status = ok(await api.get(f"{BUDGETS}/{budget['id']}/status"))
    year, week, _ = datetime.now(UTC).isocalendar()
    begins = datetime.fromisocalendar(year, week, 1).replace(tzinfo=UTC)
    assert status == budget | {
        "period_start": begins.isoformat().replace("+00:00", "Z"),
        "period_end": (begins + timedelta(days=7)).isoformat().replace("+00:00", "Z"),
        "period_key": f"{year}-W{week:02}",
        "spent": 0.0,
        "reserved": 0.0,
        "pct": 0.0,
        "over": False,
    }


@pytest.mark.parametrize(
    ("period", "moment", "start", "key"),
    [
        ("daily", "2026-12-31T23:59:59Z", "2026-12-31", "2026-12-31"),
        ("weekly", "2027-01-03T12:00:00Z", "2026-12-28", "2026-W53"),
        ("weekly", "2027-01-04T00:00:00Z", "2027-01-04", "2027-W01"),
        ("monthly", "2024-02-29T00:30:00+02:00", "2024-02-01", "2024-02"),
        ("monthly", "2026-12-01T00:30:00+02:00", "2026-11-01", "2026-11"),
    ],
)
def test_periods_are_in_utc(period: str, moment: str, start: str, key: str) -> None:
    kind = Period(period)
    begins = kind.start(datetime.fromisoformat(moment))
    assert (begins.date().isoformat(), kind.key(begins)) == (start, key)
    assert kind.start(kind.end(begins) - timedelta(microseconds=1)) == begins


async def test_a_budget_is_changed_and_removed(api: Client, world: World) -> None:
    path = f"{BUDGETS}/{(await made(api))['id']}"
    changed = ok(await api.patch(path, json={"limit": 7.25, "action": "degrade", "thresholds": [100, 50, 50]}))
    assert (changed["limit"], changed["action"], changed["thresholds"]) == (7.25, "degrade", [50, 100])
    assert ok(await api.patch(path, json={"period": "daily"}))["period"] == "daily"
    assert ok(await api.get(path))["limit"] == 7.25
    error(await api.patch(path, json={}), 422, "nothing_to_update")
    error(await api.patch(path, json={"scope": "agent"}), 422, "schema_error")
    assert (await api.delete(path)).status_code == 204
    error(await api.delete(path), 404, "not_found")
    error(await api.get(f"{path}/status"), 404, "not_found")
    actions = "select action from audit where resource_id = %s order by created_at, id"
    assert [row[0] for row in world.ask(actions, path.rpartition("/")[2])] == [
        "budget.created", "budget.changed", "budget.changed", "budget.removed"
    ]  # fmt: skip


async def test_of_each_scope_there_is_one(api: Client, smith: Person, project: Tenant) -> None:
    budget = await made(api)
    told = error(await api.post(BUDGETS, json=TENANT), 409, "budget_exists")
    assert budget["id"] in told["message"]
    error(await api.post(BUDGETS, json=TENANT | {"scope_id": project.id}), 409, "budget_exists")
    for_smith = {"scope": "smith", "scope_id": smith.id}
    answers = await asyncio.gather(*(api.post(BUDGETS, json=TENANT | for_smith) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    await made(api, scope="customer", scope_id=await project.customer())
    another = await project.customer()
    assert (await made(api, scope="customer", scope_id=another))["scope_id"] == another


async def test_what_it_is_of_must_be_there(api: Client, other: Tenant) -> None:
    theirs = (await other.smith())["id"]
    for scope in ("agent", "smith", "customer"):
        error(await api.post(BUDGETS, json=TENANT | {"scope": scope}), 422, "scope_id_required", "scope_id")
    error(await api.post(BUDGETS, json=TENANT | {"scope": "smith", "scope_id": theirs}), 404, "not_found")
    error(await api.post(BUDGETS, json=TENANT | {"scope": "agent", "scope_id": theirs}), 404, "not_found")
    whose = {"scope": "customer", "scope_id": await other.customer()}
    error(await api.post(BUDGETS, json=TENANT | whose), 404, "not_found")
    error(await api.post(BUDGETS, json=TENANT | {"scope_id": other.id}), 422, "invalid_budget", "scope_id")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0), ("limit", -1), ("limit", "25"), ("limit", True), ("limit", None), ("limit", 1e-7),
        ("limit", 1e12),
        ("thresholds", list(range(1, 101))), ("thresholds", [0]), ("thresholds", [80.5]), ("thresholds", ["80"]),
        ("thresholds", [1001]), ("thresholds", None), ("action", "explode"), ("period", "yearly"),
        ("scope", "universe"),
        ("scope_id", ""), ("scope_id", "x" * 201), ("spent", 1),
    ],
)  # fmt: skip
async def test_nonsense_is_refused_at_its_field(api: Client, field: str, value: Any) -> None:
    answer = await api.post(BUDGETS, json=TENANT | {field: value})
    assert error(answer, 422, "schema_error")["param"].startswith(field)


@pytest.mark.parametrize("limit", ["NaN", "Infinity", "1e400", "-1e400"])
async def test_a_limit_that_is_no_number_is_refused(api: Client, limit: str) -> None:
    told = await api.post(BUDGETS, content=f'{{"scope": "tenant", "limit": {limit}}}')
    assert told.status_code == 422
    path = f"{BUDGETS}/{(await made(api))['id']}"
    assert (await api.patch(path, content=f'{{"limit": {limit}}}')).status_code == 422
    assert ok(await api.get(path))["limit"] == 25


async def test_another_project_s_budget_is_not_found(api: Client, other_api: Client) -> None:
    path = f"{BUDGETS}/{(await made(other_api))['id']}"
    for answer in (await api.get(path), await api.patch(path, json={"limit": 1}), await api.delete(path)):
        error(answer, 404, "not_found")
    assert ok(await other_api.get(path))["limit"] == 25
    assert ok(await api.get(BUDGETS))["data"] == []
    await other_api.delete(path)


async def test_a_smith_s_token_neither_sees_nor_sets_one(smith_api: Client, api: Client) -> None:
    path = f"{BUDGETS}/{(await made(api))['id']}"
    for answer in (
        await smith_api.get(path),
        await smith_api.get(f"{path}/status"),
        await smith_api.post(BUDGETS, json=TENANT),
        await smith_api.delete(path),
    ):
        error(answer, 403, "tenant_token_required")


async def test_one_that_is_used_up_refuses_a_run_before_it_is_there(api: Client, smith: Person, world: World) -> None:
    path = f"{BUDGETS}/{(await made(api, limit=1, action='block'))['id']}"
    assert world.do("update budgets set spent_micros = 1000000 where id = %s", path.rpartition("/")[2]) == 1
    status = ok(await api.get(f"{path}/status"))
    assert (status["spent"], status["pct"], status["over"]) == (1.0, 100.0, True)
    runs = ok(await api.get(f"/v1/smiths/{smith.id}/runs"))["data"]
    asked = {"input": [{"role": "user", "content": "hello"}]}
    for fields in ({}, {"stream": True}, {"background": True}):
        told = error(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=asked | fields), 402, "budget_exceeded")
        assert "1.0" not in told["message"]
    assert ok(await api.get(f"/v1/smiths/{smith.id}/runs"))["data"] == runs
    ok(await api.patch(path, json={"limit": 2}))
    assert ok(await smith.api.post(f"/v1/smiths/{smith.id}/runs", json=asked))["status"] == "completed"
