"""Customers: whom a project bills, and which smiths are theirs."""

import asyncio
from typing import Any

import pytest

from tests.world import Client, Tenant, World, error, ok


async def test_a_customer_is_made_shown_changed_and_gone(api: Client, other_api: Client) -> None:
    given = {"name": " Hotel Post ", "external_ids": {"stripe_customer_id": "cus_9"}, "metadata": {"tier": 1}}
    made = ok(await api.post("/v1/customers", json=given))
    assert set(made) == {"id", "name", "external_ids", "metadata", "created_at", "updated_at"}
    assert made["id"].startswith("cus_")
    path = f"/v1/customers/{made['id']}"
    assert ok(await api.get(path)) == made | {"name": "Hotel Post", "smith_count": 0}
    assert ok(await api.get("/v1/customers"))["data"][0] == made
    changed = ok(await api.patch(path, json={"external_ids": {"crm": "7"}}))
    assert changed == made | {"external_ids": {"crm": "7"}, "updated_at": changed["updated_at"]}
    for client in (other_api, api):
        gone = 404 if client is other_api else 204
        assert (await client.delete(path)).status_code == gone
    for again in (api.get(path), api.delete(path), api.patch(path, json={"name": "New"})):
        error(await again, 404, "not_found")
    assert made["id"] not in str(ok(await api.get("/v1/customers")))


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "x", "external_ids": {"a": ""}}, "external_ids.a"),
        ({"name": "x", "external_ids": {"a": 1}}, "external_ids.a"),
        ({"name": "x", "external_ids": {str(n): "1" for n in range(21)}}, "external_ids"),
        ({"name": "x", "stripe": "cus_1"}, "stripe"),
    ],
)
async def test_what_is_no_customer_is_refused(api: Client, given: dict[str, Any], param: str) -> None:
    answer = await api.post("/v1/customers", json=given)
    assert answer.status_code == 422
    assert answer.json()["error"]["param"] == param


async def test_a_smith_is_assigned_to_a_customer_that_is_there(api: Client, project: Tenant) -> None:
    customer = await project.customer("Hotel")
    smith = await project.smith(customer_id=customer)
    path = f"/v1/smiths/{smith['id']}"
    told = error(await api.patch(path, json={"customer_id": "hotel"}), 404, "not_found", "customer_id")
    assert "customer hotel" in told["message"]
    error(await api.post("/v1/smiths", json={"customer_id": "hotel"}), 404, "not_found", "customer_id")
    assert ok(await api.get(f"/v1/customers/{customer}"))["smith_count"] == 1
    assert ok(await api.patch(path, json={"customer_id": ""}))["customer_id"] is None
    assert ok(await api.get(f"/v1/customers/{customer}"))["smith_count"] == 0


async def test_an_archived_customer_leaves_its_smiths_and_takes_no_more(api: Client, project: Tenant) -> None:
    customer, kept = await project.customer(), await project.customer()
    smiths = [await project.smith(customer_id=customer) for _ in range(3)]
    stays = await project.smith(customer_id=kept)
    ok(await api.delete(f"/v1/customers/{customer}"))
    assert [ok(await api.get(f"/v1/smiths/{one['id']}"))["customer_id"] for one in smiths] == [None] * 3
    assert ok(await api.get(f"/v1/smiths/{stays['id']}"))["customer_id"] == kept
    error(await api.post("/v1/smiths", json={"customer_id": customer}), 404, "not_found")


async def test_no_smith_is_left_with_a_customer_that_is_archived_meanwhile(
    world: World, api: Client, project: Tenant
) -> None:
    for _ in range(5):
        customer = await project.customer()
        smiths = [await project.smith(**({"customer_id": customer} if n % 2 else {})) for n in range(4)]
        moves = [api.patch(f"/v1/smiths/{one['id']}", json={"customer_id": customer}) for one in smiths]
        moves += [api.post("/v1/smiths", json={"customer_id": customer}) for _ in range(2)]
        answers = await asyncio.gather(*moves[:3], api.delete(f"/v1/customers/{customer}"), *moves[3:])
        assert {answer.status_code for answer in answers} <= {200, 201, 204, 404}
        left = "select count(*) from smiths where customer_id = %s and archived_at is null"
        assert world.ask(left, customer) == [(0,)]


async def test_what_customers_are_is_not_for_smiths(project: Tenant) -> None:
    person = await project.person("customers:read", "customers:write")
    error(await person.api.get("/v1/customers"), 403, "tenant_token_required")
    error(await person.api.post("/v1/customers", json={"name": "Mine"}), 403, "tenant_token_required")
