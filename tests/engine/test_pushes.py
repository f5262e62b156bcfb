"""Pushes: what customers use is told to Stripe, and counted there once, whatever goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ingram_app.core.database import Tenancy, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import pushes
from ingram_app.engine import pusher
from ingram_app.gateways import outbound, stripe as gateway
from tests.fakes.stripe_server import KEY, StripeServer, stripe
from tests.world import Client, Tenant, World, building, error, ok, until

EVENTS = "/v1/usage/events"


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[StripeServer]:
    async with stripe() as served:
        yield served


@pytest.fixture(scope="module")
async def world(fresh_database: str, private_addresses_allowed: None, server: StripeServer) -> AsyncIterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IC_STRIPE_URL", server.address)
        patch.setattr(gateway, "SECONDS", 0.5)
        patch.setattr(pusher, "LANES", 3)
        patch.setattr(pushes, "RETRIES_SECONDS", (300, 600))  # the tests say when
        settings.cache_clear()
        async with building(fresh_database) as made:
            yield made
    settings.cache_clear()


@pytest.fixture(scope="module")
async def api(project: Tenant) -> Client:
    return project.api


@pytest.fixture(scope="module")
async def other(world: World) -> Tenant:
    return world.other


@pytest.fixture
async def connected(project: Tenant, server: StripeServer) -> Tenant:
    """The project, with an account at a Stripe that is well."""
    server.moods.clear()
    server.keys.add(KEY)
    ok(await project.api.put("/v1/tenant/stripe", json={"api_key": KEY}))
    return project


async def customer_of(project: Tenant, at_stripe: str = "cus_1") -> tuple[str, str]:
    """Make a customer with a smith; return both ids."""
    customer = await project.customer(external_ids={"stripe_customer_id": at_stripe})
    return customer, (await project.smith(customer_id=customer))["id"]


async def count(api: Client, smith_id: str, meter: str, quantity: float = 1, **fields: Any) -> str:
    told = {"smith_id": smith_id, "meter": meter, "quantity": quantity, **fields}
    return str(ok(await api.post(EVENTS, json=told))["id"])


async def pushed(api: Client, customer: str, state: str, many: int = 1) -> list[dict[str, Any]]:
    """Return a customer's pushes once so many are in a state."""

    async def there() -> list[dict[str, Any]]:
        found = [one for one in ok(await api.get(f"/v1/customers/{customer}/pushes"))["data"] if one["state"] == state]
        return found if len(found) >= many else []

    return list(await until(there))


async def due_now(world: World) -> None:
    """Have what is to be tried again be tried now. The pusher, on our own event loop, may be holding it just then."""
    await asyncio.to_thread(world.do, "update stripe_accounts set paused_until = now() where silences > 0")
    await asyncio.to_thread(world.do, "update pushes set next_attempt_at = now() where state = 'waiting'")


async def test_what_a_customer_uses_is_counted_at_stripe_once(
    api: Client, connected: Tenant, server: StripeServer
) -> None:
    customer, smith = await customer_of(connected)
    pages = await count(api, smith, "pages", 2.5, idempotency_key="once")
    await count(api, smith, "pages", 2.5, idempotency_key="once")
    await count(api, smith, "pages", 0)
    [push] = await pushed(api, customer, "sent")
    assert str(server.total("pages")) == "2.5"
    told = server.taken[pages]
    assert (told["event_name"], told["payload[stripe_customer_id]"]) == ("pages", "cus_1")
    assert set(push) == {
        *("id", "event_name", "stripe_customer_id", "value", "happened_at", "state", "attempts", "last_error"),
        "sent_at",
    }
    assert (push["id"], push["value"], push["attempts"], push["last_error"]) == (pages, 2.5, 1, None)
    assert len([event for event in server.heard if event["event_name"] == "pages"]) == 1


async def test_who_is_not_known_at_stripe_is_not_told_of(
    world: World, api: Client, other: Tenant, connected: Tenant
) -> None:
    nameless = await connected.customer()
    await count(api, (await connected.smith(customer_id=nameless))["id"], "silent")
    await count(api, (await connected.smith())["id"], "silent")
    _, unconnected = await customer_of(other)
    await count(other.api, unconnected, "silent")
    assert world.ask("select count(*) from pushes where event_name = 'silent'") == [(0,)]


@pytest.mark.parametrize("mood", ["fail", "busy", "hang", "swallow", "crash", "cut"])
async def test_what_fails_on_the_way_is_sent_again_and_counted_once(
    world: World, api: Client, connected: Tenant, server: StripeServer, mood: str
) -> None:
    customer, smith = await customer_of(connected)
    server.moods = [mood, mood]
    pushed_id = await count(api, smith, mood, 7)
    for attempt in (1, 2):

        async def failed(attempt: int = attempt) -> bool:
            query = (
                "select next_attempt_at - now() between interval '1 s' * %s and interval '1 s' * %s"
                " from pushes where id = %s and attempts = %s and last_error is not null"
            )
            wait = attempt * 300
            return world.ask(query, wait * 0.8 - 10, wait * 1.2, pushed_id, attempt) == [(True,)]

        await until(failed)
        await due_now(world)
    [push] = await pushed(api, customer, "sent")
    assert push["attempts"] == 3
    assert server.total(mood) == 7
    assert {event["identifier"] for event in server.heard if event["event_name"] == mood} == {pushed_id}


async def test_a_customer_that_stripe_does_not_know_is_dead_until_it_is_set_right(
    api: Client, connected: Tenant, server: StripeServer
) -> None:
    customer, smith = await customer_of(connected, "cus_nobody")
    await count(api, smith, "wrong", 3)
    [push] = await pushed(api, customer, "dead")
    assert "No such customer: 'cus_nobody'" in push["last_error"]
    assert ok(await api.get("/v1/tenant/stripe"))["pushes"]["dead"] == 1
    path = f"/v1/customers/{customer}"
    ok(await api.patch(path, json={"external_ids": {"stripe_customer_id": "cus_2"}}))
    assert ok(await api.post(f"{path}/pushes/retry")) == {"count": 1}
    await pushed(api, customer, "sent")
    assert server.total("wrong", "cus_2") == 3
    assert ok(await api.post(f"{path}/pushes/retry")) == {"count": 0}


async def test_a_refused_key_pauses_the_account_and_loses_nothing(
    world: World, api: Client, connected: Tenant, server: StripeServer
) -> None:
    customer, smith = await customer_of(connected)
    server.keys.clear()
    for _ in range(3):
        await count(api, smith, "refused")

    async def refused() -> bool:
        return ok(await api.get("/v1/tenant/stripe"))["problem"] is not None

    await until(refused)
    heard = len(server.heard)
    await count(api, smith, "refused")
    await due_now(world)
    account = ok(await api.get("/v1/tenant/stripe"))
    assert "Invalid API Key" in account["problem"]
    assert account["pushes"]["waiting"] == 4
    assert len(server.heard) == heard
    server.keys.add("sk_test_the_right_one")
    shown = ok(await api.put("/v1/tenant/stripe", json={"api_key": "sk_test_the_right_one"}))
    assert (shown["problem"], shown["ending"], shown["live"]) == (None, "_one", False)
    await due_now(world)
    await pushed(api, customer, "sent", 4)
    assert server.total("refused") == 4


async def test_what_may_have_been_counted_a_day_ago_is_left_to_a_person(
    world: World, api: Client, connected: Tenant, server: StripeServer
) -> None:
    customer, smith = await customer_of(connected)
    server.moods = ["swallow"]
    pushed_id = await count(api, smith, "doubt", 5)

    async def failed() -> bool:
        return world.ask("select 1 from pushes where id = %s and last_error is not null", pushed_id) != []

    await until(failed)
    server.forget()
    world.do(
        "update pushes set unsure_since = now() - interval '23 hours 1 s', next_attempt_at = now() where id = %s",
        pushed_id,
    )
    await due_now(world)
    await pushed(api, customer, "unsure")
    assert server.total("doubt") == 5
    retry = f"/v1/customers/{customer}/pushes/retry"
    assert ok(await api.post(retry)) == {"count": 0}
    assert ok(await api.post(retry, json={"push_ids": [pushed_id]})) == {"count": 1}
    await pushed(api, customer, "sent")
    assert server.total("doubt") == 10  # a person wanted it so


async def test_what_is_older_than_stripe_takes_is_dead(world: World, api: Client, connected: Tenant) -> None:
    customer, smith = await customer_of(connected)
    with_pause = "update stripe_accounts set paused_until = now() + interval '1 h' where project_id = %s"
    world.do(with_pause, connected.id)
    await count(api, smith, "old")
    world.do("update pushes set happened_at = now() - interval '34 days 1 s' where customer_id = %s", customer)
    world.do("update stripe_accounts set paused_until = now() where project_id = %s", connected.id)
    await due_now(world)
    [push] = await pushed(api, customer, "dead")
    assert (push["attempts"], "so old" in push["last_error"]) == (0, True)


async def test_an_account_that_is_disconnected_is_told_nothing_more(
    world: World, api: Client, connected: Tenant, server: StripeServer
) -> None:
    customer, smith = await customer_of(connected)
    world.do("update stripe_accounts set paused_until = now() + interval '1 h'")
    await count(api, smith, "late")
    ok(await api.delete("/v1/tenant/stripe"))
    error(await api.get("/v1/tenant/stripe"), 404, "not_found")
    error(await api.delete("/v1/tenant/stripe"), 404, "not_found")
    await count(api, smith, "later")
    [push] = await pushed(api, customer, "dead")
    assert push["event_name"] == "late"
    ok(await api.put("/v1/tenant/stripe", json={"api_key": KEY}))
    ok(await api.post(f"/v1/customers/{customer}/pushes/retry"))
    await pushed(api, customer, "sent")
    assert (server.total("late"), server.total("later")) == (1, 0)


async def test_two_that_look_at_once_take_each_push_once(world: World, api: Client, connected: Tenant) -> None:
    customer, smith = await customer_of(connected)
    world.do("update stripe_accounts set paused_until = now() + interval '1 h' where project_id = %s", connected.id)
    for _ in range(5):
        await count(api, smith, "taken")

    async def take() -> list[pushes.Attempt]:
        async with transaction(Tenancy(project_id=connected.id)) as session:
            return await pushes.take(session, connected.id)

    world.do("update pushes set next_attempt_at = now() + interval '1 h' where state = 'waiting'")
    world.do("update stripe_accounts set paused_until = now() where project_id = %s", connected.id)
    await due_now(world)
    taken = [attempt.push_id for found in await asyncio.gather(*(take() for _ in range(4))) for attempt in found]
    assert len(taken) == len(set(taken))
    await due_now(world)
    await pushed(api, customer, "sent", 5)


async def test_projects_whose_stripe_is_silent_keep_nobody_else_waiting(
    world: World, connected: Tenant, server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushes, "RETRIES_SECONDS", (0.01,))  # there is always something of theirs that is due
    customer, smith = await customer_of(connected)
    server.silent_to = {f"sk_test_of_silent_{n}" for n in range(8)}
    silent = [await world.tenant(key) for key in server.silent_to]
    for tenant, key in zip(silent, server.silent_to, strict=True):
        ok(await tenant.api.put("/v1/tenant/stripe", json={"api_key": key}))
        await count(tenant.api, (await customer_of(tenant))[1], "unheard")
    await count(connected.api, smith, "heard")
    await pushed(connected.api, customer, "sent")
    asked = [event["identifier"] for event in server.heard if event["event_name"] == "unheard"]
    assert len(asked) == len(set(asked))  # each has had one turn at most, and is left alone since
    server.silent_to = set()
    server.keys |= {f"sk_test_of_silent_{n}" for n in range(8)}

    async def all_came() -> bool:
        await due_now(world)
        return server.total("unheard") == len(silent)

    async def all_forgiven() -> bool:
        return world.ask("select distinct silences from stripe_accounts") == [(0,)]

    await until(all_came)
    await until(all_forgiven)


async def test_stripe_inside_is_not_called_unless_that_is_allowed(
    world: World, api: Client, connected: Tenant, server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer, smith = await customer_of(connected)
    await outbound.close()  # a connection that stands is not looked at again
    monkeypatch.setattr(settings(), "allow_private_addresses", False)
    await count(api, smith, "inside")
    query = "select last_error from pushes where event_name = 'inside' and last_error is not null"

    async def refused() -> list[Any]:
        return world.ask(query)

    [(error_told,)] = await until(refused)
    assert "is not at a public address" in error_told
    monkeypatch.undo()
    await due_now(world)
    await pushed(api, customer, "sent")


async def test_tokens_are_told_in_sums_and_each_once(
    world: World, api: Client, connected: Tenant, server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer, smith = await customer_of(connected, "cus_2")
    nobodys = await connected.smith()
    for said in ("one", "one two", "one two three"):
        await connected.run(smith, said)
    await connected.run(nobodys["id"], "not for Stripe")
    monkeypatch.setattr(pushes, "APART_SECONDS", 0)
    used = "select sum(input_tokens), sum(output_tokens) from model_calls where customer_id = %s"
    names = ("ingram_input_tokens", "ingram_output_tokens")

    async def all_told() -> bool:
        return [server.total(name, "cus_2") for name in names] == list(world.ask(used, customer)[0])

    await until(all_told)
    await connected.run(smith, "and more")
    ok(await api.put("/v1/tenant/stripe", json={"api_key": KEY}))  # goes on where it was
    await until(all_told)
    await pushed(api, customer, "sent", 4)
    assert [server.total(name) for name in names] == [0, 0]


async def test_tokens_are_told_from_when_it_is_wanted_on(
    world: World, api: Client, connected: Tenant, server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushes, "APART_SECONDS", 0)
    server.customers.add("cus_3")
    _, smith = await customer_of(connected, "cus_3")
    ok(await api.put("/v1/tenant/stripe", json={"api_key": KEY, "push_tokens": False}))
    await connected.run(smith, "one two three")
    ok(await api.put("/v1/tenant/stripe", json={"api_key": KEY}))
    run = await connected.run(smith, "four")

    async def told() -> bool:
        return server.total("ingram_input_tokens", "cus_3") > 0

    await until(told)
    assert server.total("ingram_input_tokens", "cus_3") == run["usage"]["input_tokens"]
