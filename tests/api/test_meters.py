"""Meters: what a project counts, exactly, once, and for whom."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ingram_app.core.clock import now
from ingram_app.core.database import Tenancy, transaction
from ingram_app.domain import meters
from ingram_app.domain.access import platform
from tests.world import Client, Tenant, World, error, ok

EVENTS = "/v1/usage/events"


async def count(api: Client, **fields: Any) -> dict[str, Any]:
    return dict(ok(await api.post(EVENTS, json={"meter": "pages", "quantity": 1} | fields)))


async def summed(project: Tenant, **how: Any) -> dict[tuple[str | None, str], tuple[Decimal, int]]:
    async with transaction(Tenancy(project_id=project.id)) as session:
        since, until = now() - timedelta(days=1), now() + timedelta(seconds=1)
        found = await meters.sums(session, platform(project.id), since, until, **how)
    return {(one.group, one.meter): (one.quantity, one.event_count) for one in found}


async def test_what_is_counted_is_stamped_with_the_customer_of_that_moment(api: Client, project: Tenant) -> None:
    before, after = await project.customer(), await project.customer()
    smith = await project.smith(customer_id=before)
    first = await count(api, smith_id=smith["id"], quantity=2.5, metadata={"job": 7})
    assert set(first) == {
        *("id", "smith_id", "customer_id", "meter", "quantity", "idempotency_key", "metadata", "created_at")
    }
    assert (first["customer_id"], first["quantity"], first["metadata"]) == (before, 2.5, {"job": 7})
    ok(await api.patch(f"/v1/smiths/{smith['id']}", json={"customer_id": after}))
    second = await count(api, smith_id=smith["id"], quantity=4)
    ok(await api.delete(f"/v1/customers/{after}"))
    third, nobodys = await count(api, smith_id=smith["id"]), await count(api)
    assert [one["customer_id"] for one in (second, third, nobodys)] == [after, None, None]
    assert ok(await api.get(EVENTS, params={"smith_id": smith["id"]}))["data"] == [third, second, first]
    assert ok(await api.get(EVENTS, params={"customer_id": before}))["data"] == [first]
    sums = await summed(project, group_by="customer")
    assert sums[before, "pages"] == (Decimal("2.5"), 1)
    assert sums[after, "pages"] == (4, 1)
    assert sums[f"principal:{smith['id']}", "pages"] == (1, 1)
    assert sums[None, "pages"] == (1, 1)
    assert sum(quantity for quantity, _ in sums.values()) == (await summed(project))[None, "pages"][0]
    assert (await summed(project, group_by="smith"))[smith["id"], "pages"] == (Decimal("7.5"), 3)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("0", 0),
        ("0.000001", 0.000001),
        ("999999999999999", 999999999999999),
        ("123456789.123456", 123456789.123456),
        ('"0.1"', 0.1),
        ("1e3", 1000),
        ("-0.0", 0),
        ("2.50", 2.5),
    ],
)
async def test_a_quantity_comes_back_as_it_was(api: Client, given: str, kept: float) -> None:
    body = f'{{"meter": "pages", "quantity": {given}}}'
    made = await api.post(EVENTS, content=body, headers={"content-type": "application/json"})
    assert ok(made)["quantity"] == kept
    assert "-" not in str(ok(made)["quantity"]).replace("e-", "")


@pytest.mark.parametrize(
    "given",
    [
        *("NaN", "Infinity", "-Infinity", "1e400", '"1e400"', '"NaN"', '"sNaN"', "-1", '"-0.000001"', "1e15"),
        *("1" * 40, f'"{"1" * 40}"', f'"1.{"0" * 40}1"', "0.0000001", '"1e-999999999"', '"1e999999999"'),
        *("1234567890.123456", "true", "null", '""', '"ten"', "[]", "{}"),
    ],
)
async def test_a_quantity_that_is_none_is_refused(world: World, api: Client, given: str) -> None:
    before = world.ask("select count(*) from meter_events")
    body = f'{{"meter": "pages", "quantity": {given}}}'
    answer = await api.post(EVENTS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["param"] == "quantity"
    assert world.ask("select count(*) from meter_events") == before


@pytest.mark.parametrize("meter", ["", " pages", "pages\n", "a" * 101, "päges", "-x", None])
async def test_a_meter_has_a_plain_name(api: Client, meter: str | None) -> None:
    answer = await api.post(EVENTS, json={"meter": meter, "quantity": 1})
    error(answer, 422, "schema_error", "meter")


async def test_a_tenth_ten_times_is_one(project: Tenant, api: Client) -> None:
    smith = await project.smith()
    for _ in range(10):
        await count(api, smith_id=smith["id"], quantity=0.1, meter="tenths")
    assert (await summed(project, smith_id=smith["id"]))[None, "tenths"] == (1, 10)


async def test_one_key_counts_once_however_many_race(world: World, api: Client, project: Tenant) -> None:
    smith = await project.smith(customer_id=await project.customer())
    body = {"meter": "pages", "quantity": 3, "smith_id": smith["id"], "idempotency_key": "job-7"}
    answers = await asyncio.gather(*(api.post(EVENTS, json=body) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert world.ask("select count(*) from meter_events where idempotency_key = 'job-7'") == [(1,)]
    ok(await api.patch(f"/v1/smiths/{smith['id']}", json={"customer_id": ""}))
    assert (await count(api, **body)) == answers[0].json()


async def test_one_key_with_another_body_is_a_conflict(api: Client, other_api: Client) -> None:
    body = {"idempotency_key": "once", "metadata": {"a": 1}}
    made = await count(api, **body)
    for change in ({"quantity": 2}, {"meter": "other"}, {"metadata": {}}):
        told = {"meter": "pages", "quantity": 1} | body | change
        error(await api.post(EVENTS, json=told), 409, "usage_event_exists", "idempotency_key")
    racing = [api.post(EVENTS, json={"meter": "m", "quantity": n, "idempotency_key": "race"}) for n in range(6)]
    statuses = [answer.status_code for answer in await asyncio.gather(*racing)]
    assert sorted(statuses) == [201] + [409] * 5
    assert (await count(other_api, **body))["id"] != made["id"]


async def test_a_smith_s_token_counts_for_its_smith_alone(api: Client, project: Tenant) -> None:
    person = await project.person("usage:write", "usage:read", external_id="counting")
    sibling = await project.smith()
    hers = await count(api, smith_id=sibling["id"], idempotency_key="hers")
    mine = await count(person.api)
    assert mine["smith_id"] == person.id
    error(
        await person.api.post(EVENTS, json={"meter": "m", "quantity": 1, "smith_id": sibling["id"]}),
        403,
        "smith_mismatch",
    )
    key = {"meter": "pages", "quantity": 1, "idempotency_key": "hers"}
    own = ok(await person.api.post(EVENTS, json=key))
    assert own["id"] != hers["id"]  # nobody takes another's key away
    assert ok(await person.api.post(EVENTS, json=key)) == own
    assert ok(await api.post(EVENTS, json=key | {"smith_id": sibling["id"], "quantity": hers["quantity"]})) == hers
    assert ok(await person.api.get(EVENTS))["data"] == [own, mine]
    error(await person.api.get(EVENTS, params={"smith_id": sibling["id"]}), 403, "smith_mismatch")
    assert hers["id"] not in str(ok(await person.api.get(EVENTS, params={"meter": "pages"})))
    silent = await project.person("runs:write")
    error(await silent.api.post(EVENTS, json={"meter": "m", "quantity": 1}), 403, "insufficient_scope")


async def test_nobody_counts_for_a_smith_that_is_not_there(api: Client, project: Tenant) -> None:
    gone = await project.smith()
    ok(await api.delete(f"/v1/smiths/{gone['id']}"))
    for smith_id in (gone["id"], "smt_nobody"):
        error(await api.post(EVENTS, json={"meter": "m", "quantity": 1, "smith_id": smith_id}), 404, "not_found")
