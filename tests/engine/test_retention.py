"""Retention: what is over goes when its days are, in bounded pieces, and nothing goes that somebody still waits for."""

import asyncio
from typing import Any

import pytest

from ingram_app.core.ids import new_id
from ingram_app.domain import deliveries, events, retention, trace_exports, webhooks
from ingram_app.domain.deliveries import DeliveryState, Outcome
from ingram_app.domain.event_types import SmithArchived
from ingram_app.domain.paging import Place
from ingram_app.engine import sweeping
from tests.engine.conftest import World

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    monkeypatch.setattr(retention, "_TRACES_AT_ONCE", 2)


async def tell(world: World, number: int = 1) -> list[str]:
    told = []
    for _ in range(number):
        async with world.transaction() as session:
            told.append(await events.tell(session, world.caller, SmithArchived(None), smith_id=new_id("smt")))
    return told


async def age(world: World, table: str, days: int, column: str = "created_at") -> None:
    await world.sql(f"update {table} set {column} = {column} - make_interval(days => :days)", days=days)


async def feed(world: World) -> list[str]:
    async with world.transaction() as session:
        found = await events.browse(session, world.caller, Place(limit=200), type="smith.archived")
    return [event.id for event in reversed(found.data)]


async def hook(world: World) -> str:
    async with world.transaction() as session:
        return (await webhooks.create(session, world.caller, "http://127.0.0.1:1/", [])).webhook.id


async def deliver(world: World, webhook_id: str, status: int = 200) -> None:
    async with world.transaction() as session:
        attempt = await deliveries.take(session, world.caller.project_id, webhook_id)
        assert attempt is not None
        await deliveries.settle(session, attempt, Outcome(status))


async def sent(world: World, webhook_id: str) -> list[DeliveryState]:
    async with world.transaction() as session:
        found = await deliveries.browse(session, world.caller, webhook_id, Place(limit=200))
    return [delivery.state for delivery in reversed(found.data)]


async def test_old_events_go_in_pieces_and_young_ones_and_those_of_others_stay(world: World, other: World) -> None:
    await tell(world, 7)
    await age(world, "events", 91)
    theirs = await tell(other)
    await age(other, "events", 89)
    young = await tell(world, 2)
    await asyncio.gather(*(sweeping.sweep_old() for _ in range(3)))
    assert (await feed(world), await feed(other)) == (young, theirs)


async def test_a_project_has_its_own_days(world: World) -> None:
    await world.prefer(retention={"events_days": 5})
    await tell(world)
    await age(world, "events", 4)
    await sweeping.sweep_old()
    assert len(await feed(world)) == 1
    await age(world, "events", 2)
    await sweeping.sweep_old()
    assert await feed(world) == []


async def test_what_is_still_to_be_sent_stays_with_its_event_whatever_comes_after_it(world: World) -> None:
    webhook_id = await hook(world)
    told = await tell(world, 5)
    await deliver(world, webhook_id, 500)
    for _ in range(2):
        await deliver(world, webhook_id)
    await age(world, "events", 400)
    await age(world, "deliveries", 400)
    await sweeping.sweep_old()
    assert await sent(world, webhook_id) == [DeliveryState.failed, DeliveryState.pending, DeliveryState.pending]
    assert await feed(world) == [told[0], told[3], told[4]]
    await world.sql("update deliveries set state = 'dead' where state = 'failed'")
    await sweeping.sweep_old()
    assert await feed(world) == told[3:]


async def test_deliveries_that_are_over_go_before_their_events(world: World) -> None:
    webhook_id = await hook(world)
    await tell(world, 5)
    for _ in range(5):
        await deliver(world, webhook_id)
    await age(world, "deliveries", 31)
    await tell(world)
    await deliver(world, webhook_id)
    await sweeping.sweep_old()
    assert await sent(world, webhook_id) == [DeliveryState.delivered]
    assert len(await feed(world)) == 6


async def test_what_a_webhook_or_an_export_has_not_read_yet_stays(world: World) -> None:
    webhook_id = await hook(world)
    told = await tell(world, 2)
    await age(world, "events", 91)
    await sweeping.sweep_old()
    assert await feed(world) == told
    async with world.transaction() as session:
        await webhooks.change(session, world.caller, webhook_id, {"active": False})
        await trace_exports.put(session, world.caller, "http://127.0.0.1:1/")
    later = await tell(world)
    await age(world, "events", 91)
    await sweeping.sweep_old()
    assert await feed(world) == later
    async with world.transaction() as session:
        await trace_exports.remove(session, world.caller)
    await sweeping.sweep_old()
    assert await feed(world) == []


async def test_spans_that_were_sent_go_after_their_days(world: World) -> None:
    keep: dict[str, Any] = {"p": world.caller.project_id}
    for number in range(5):
        await world.sql(
            "insert into sent_traces (project_id, id, status, created_at, updated_at)"
            " values (:p, :id, 'completed', now(), now())",
            id=f"{number:032x}", **keep,
        )  # fmt: skip
    await age(world, "sent_traces", 29, "updated_at")
    await sweeping.sweep_old()
    assert (await world.sql("select count(*) from sent_traces")).scalar() == 5
    await age(world, "sent_traces", 2, "updated_at")
    await sweeping.sweep_old()
    assert (await world.sql("select count(*) from sent_traces")).scalar() == 0
