"""Deliveries: every event once to every webhook that wants it, whoever is slow, fails or dies on the way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from standardwebhooks import Webhook as Standard

from ingram_app.core.database import dispatching
from ingram_app.core.errors import NotFound
from ingram_app.core.ids import new_id
from ingram_app.core.settings import settings
from ingram_app.domain import deliveries, events, webhooks
from ingram_app.domain.deliveries import Attempt, Delivery, Outcome
from ingram_app.domain.event_types import SmithArchived
from ingram_app.domain.paging import Place
from ingram_app.domain.webhooks import Made, WebhookInactive
from ingram_app.engine import courier
from ingram_app.gateways import posting, signed_post
from tests.engine.conftest import World, engine, until
from tests.fakes.receiver import Receiver, receiving

pytestmark = pytest.mark.usefixtures("private_addresses_allowed")
WELL = Outcome(200, None, "fine", 12)
BADLY = Outcome(500, None, "sorry", 12)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


class Post:
    """What a test does with the webhooks of its world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.caller = world.caller

    async def hook(self, url: str = "http://127.0.0.1:1/", *types: str) -> Made:
        async with self.world.transaction() as session:
            return await webhooks.create(session, self.caller, url, list(types))

    async def tell(self, number: int = 1) -> list[str]:
        """Tell of so many things, each in a transaction of its own; return the ids of the events."""
        told = []
        for _ in range(number):
            async with self.world.transaction() as session:
                told.append(await events.tell(session, self.caller, SmithArchived(None), smith_id=new_id("smt")))
        return told

    async def take(self, made: Made) -> Attempt | None:
        async with self.world.transaction() as session:
            return await deliveries.take(session, self.caller.project_id, made.webhook.id)

    async def settle(self, attempt: Attempt, outcome: Outcome) -> None:
        async with self.world.transaction() as session:
            await deliveries.settle(session, attempt, outcome)

    async def rows(self, made: Made) -> list[Delivery]:
        """Return the deliveries to a webhook, the oldest first."""
        async with self.world.transaction() as session:
            found = await deliveries.browse(session, self.caller, made.webhook.id, Place(limit=200))
        return list(reversed(found.data))

    async def states(self, made: Made) -> list[str]:
        return [row.state.value for row in await self.rows(made)]

    async def row(self, made: Made) -> webhooks.Webhook:
        async with self.world.transaction() as session:
            return await webhooks.find(session, self.caller, made.webhook.id)

    async def waits(self) -> bool:
        """Tell whether the dispatcher has something to send in this project."""
        async with dispatching() as session:
            return self.caller.project_id in [project for project, _ in await deliveries.due(session, 1000)]

    async def hurry(self) -> None:
        """Have everything that is to be tried again tried now."""
        await self.world.sql("update deliveries set next_attempt_at = now() where next_attempt_at is not null")


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


async def test_a_webhook_gets_what_is_told_signed_and_as_the_feed_shows_it(
    post: Post, receiver: Receiver, working: None
) -> None:
    made = await post.hook(f"{receiver.address}/ok")
    [event_id] = await post.tell()
    await until(lambda: receiver.heard)
    [request] = receiver.heard
    assert Standard(made.secret).verify(request.body, request.headers)["id"] == event_id
    async with post.world.transaction() as session:
        [event] = (await events.browse(session, post.caller)).data
    assert request.body == event.spelt()
    await until(lambda: _is(post.states(made), ["delivered"]))
    [row] = await post.rows(made)
    assert (row.attempts, row.last_status, row.response_excerpt) == (1, 200, '{"thanks": true}')
    assert (row.next_attempt_at, row.last_error) == (None, None)
    assert row.duration_ms is not None


async def test_the_end_of_a_run_is_sent_without_being_waited_for(
    post: Post, receiver: Receiver, working: None, world: World
) -> None:
    await post.hook(f"{receiver.address}/ok", "run.completed")
    run = await world.says(await world.smith(), "hello")
    await until(lambda: receiver.heard, 2)
    [event] = receiver.told("/ok")
    assert (event["type"], event["data"]["run_id"], event["data"]["usage"]) == ("run.completed", run.id, run.usage)


async def _is(asked: Any, expected: object) -> bool:
    return bool(await asked == expected)


async def test_only_what_a_webhook_asks_for_is_sent_and_only_of_its_own_project(post: Post, world: World) -> None:
    exact, family, none = await post.hook(), await post.hook(), await post.hook()
    for made, types in ((exact, ["smith.archived"]), (family, ["agent", "smith."]), (none, ["smith.created", "run"])):
        async with world.transaction() as session:
            await webhooks.change(session, post.caller, made.webhook.id, {"events": types})
    await post.tell()
    for made, number in ((exact, 1), (family, 1), (none, 0)):
        assert (await post.take(made) is not None) == bool(number)
        assert len(await post.rows(made)) == number
    assert [project for project, _ in await _due()].count(post.caller.project_id) == 0


async def _due() -> list[tuple[str, str]]:
    async with dispatching() as session:
        return await deliveries.due(session, 1000)


async def test_what_was_told_before_there_was_a_webhook_is_not_sent(post: Post) -> None:
    await post.tell(3)
    made = await post.hook()
    assert await post.take(made) is None
    [later] = await post.tell()
    attempt = await post.take(made)
    assert attempt is not None
    assert attempt.event_id == later


async def test_racing_engines_make_one_delivery_of_an_event_and_one_attempt_at_a_time(post: Post) -> None:
    made = await post.hook()
    told = await post.tell(3)
    taken = [attempt for attempt in await asyncio.gather(*(post.take(made) for _ in range(12))) if attempt]
    assert [attempt.event_id for attempt in taken] == told[:1]
    assert [row.event_id for row in await post.rows(made)] == told
    assert not await post.waits()
    await post.settle(taken[0], WELL)
    assert await post.waits()
    again = [attempt for attempt in await asyncio.gather(*(post.take(made) for _ in range(12))) if attempt]
    assert [attempt.event_id for attempt in again] == told[1:2]


async def test_engines_that_race_to_the_end_send_everything_once_and_in_order(post: Post, receiver: Receiver) -> None:
    """Four couriers, three webhooks, and writers that go on telling."""
    made = [await post.hook(f"{receiver.address}/ok/{number}") for number in range(3)]
    couriers = [asyncio.create_task(courier.deliver_forever()) for _ in range(4)]
    try:
        told = [one for batch in await asyncio.gather(*(post.tell(10) for _ in range(4))) for one in batch]
        await until(lambda: len(receiver.heard) >= 3 * len(told))
        for number, one in enumerate(made):
            await until(lambda one=one: _is(post.states(one), ["delivered"] * len(told)))
            async with post.world.transaction() as session:
                feed = (await events.browse(session, post.caller, Place(limit=200))).data
            heard = [event["id"] for event in receiver.told(f"/ok/{number}")]
            assert heard == [event.id for event in reversed(feed)]
    finally:
        for one in couriers:
            one.cancel()
        await asyncio.gather(*couriers, return_exceptions=True)


async def test_an_attempt_that_nobody_answers_for_any_more_is_made_again(post: Post, world: World) -> None:
    made = await post.hook()
    await post.tell()
    lost = await post.take(made)
    assert lost is not None
    assert await post.take(made) is None
    await world.sql("update webhooks set busy_until = clock_timestamp()")
    again = await post.take(made)
    assert again is not None
    assert (again.delivery_id, again.number) == (lost.delivery_id, 2)
    await post.settle(lost, BADLY)  # it was only slow, and comes too late
    assert await post.states(made) == ["pending"]
    assert await post.take(made) is None
    await post.settle(again, WELL)
    assert await post.states(made) == ["delivered"]


async def test_a_shutdown_leaves_the_attempt_to_the_next_engine(post: Post, receiver: Receiver) -> None:
    made = await post.hook(f"{receiver.address}/hang")
    await post.tell()
    async with engine():
        await until(lambda: receiver.hanging)
    receiver.instead["/hang"] = "ok"
    async with engine():
        await until(lambda: _is(post.states(made), ["delivered"]), 5)


async def test_failures_are_tried_again_later_and_later_and_then_no_more(post: Post, world: World) -> None:
    made = await post.hook()
    await post.tell()
    waits = []
    for number in range(1, 10):
        await post.hurry()
        attempt = await post.take(made)
        assert attempt is not None
        assert attempt.number == number
        await post.settle(attempt, BADLY)
        wait = "select extract(epoch from next_attempt_at - clock_timestamp()) from deliveries"
        waits.append((await world.sql(wait)).scalar())
    assert waits.pop() is None
    for wait, usual in zip(waits, deliveries.RETRIES_SECONDS, strict=True):
        assert 0.8 * usual - 1 <= wait <= 1.2 * usual
    [row] = await post.rows(made)
    assert (row.state, row.attempts, row.last_status, row.response_excerpt) == ("dead", 9, 500, "sorry")
    assert not await post.waits()


async def test_a_failure_does_not_hold_up_what_comes_after_it(post: Post, receiver: Receiver, working: None) -> None:
    made = await post.hook(f"{receiver.address}/fail")
    await post.tell()
    await until(lambda: _is(post.states(made), ["failed"]))
    receiver.instead["/fail"] = "ok"
    await post.tell()
    await until(lambda: _is(post.states(made), ["failed", "delivered"]))
    await post.hurry()
    await until(lambda: _is(post.states(made), ["delivered", "delivered"]))
    assert len(receiver.heard) == 3


async def test_nobody_waits_for_another_s_address(post: Post, receiver: Receiver, working: None) -> None:
    await post.hook(f"{receiver.address}/hang")
    quick = await post.hook(f"{receiver.address}/ok")
    await post.tell(5)
    await until(lambda: _is(post.states(quick), ["delivered"] * 5), 3)
    assert receiver.hanging == 1
    assert len(receiver.at("/hang")) == 1


async def test_who_does_not_answer_leaves_even_the_only_lane_to_others(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "LANES", 1)
    monkeypatch.setattr(signed_post, "SECONDS", 0.3)
    await post.hook(f"{receiver.address}/hang")
    quick = await post.hook(f"{receiver.address}/ok")
    await post.tell(8)
    async with engine():
        await until(lambda: _is(post.states(quick), ["delivered"] * 8))
    assert len(receiver.at("/hang")) <= 2


async def test_who_does_not_answer_has_failed(
    post: Post, receiver: Receiver, working: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_post, "SECONDS", 0.1)
    made = await post.hook(f"{receiver.address}/hang")
    await post.tell()
    await until(lambda: _is(post.states(made), ["failed"]))
    [row] = await post.rows(made)
    assert (row.last_status, row.last_error) == (None, "It did not answer within 0.1 seconds.")


async def test_an_answer_that_the_database_can_not_hold_is_kept_as_far_as_it_can(
    post: Post, receiver: Receiver, working: None
) -> None:
    made = await post.hook(f"{receiver.address}/huge")
    await post.tell()
    await until(lambda: _is(post.states(made), ["delivered"]))
    [row] = await post.rows(made)
    assert len(row.response_excerpt or "") == posting.BEGINNING_BYTES


async def test_a_name_that_leads_inside_is_refused_when_it_is_sent(
    post: Post, receiver: Receiver, working: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await post.hook(f"{receiver.address}/ok")
    monkeypatch.setenv("IC_ALLOW_PRIVATE_ADDRESSES", "false")
    settings.cache_clear()
    try:
        await post.tell()
        await until(lambda: _is(post.states(made), ["failed"]))
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    [row] = await post.rows(made)
    assert "not at a public address" in (row.last_error or "")
    assert receiver.heard == []


async def test_three_days_of_nothing_but_failures_switch_a_webhook_off(post: Post, world: World) -> None:
    made, other = await post.hook(), await post.hook("http://127.0.0.1:2/", "webhook")
    await post.tell(2)
    first = await post.take(made)
    assert first is not None
    await post.settle(first, BADLY)
    assert (await post.row(made)).active
    await world.sql("update webhooks set failing_since = now() - interval '73 hours' where active")
    second = await post.take(made)
    assert second is not None
    await post.settle(second, BADLY)
    row = await post.row(made)
    assert (row.active, row.disabled_reason) == (
        False,
        "For three days everything that was sent there has failed.",
    )
    async with world.transaction() as session:
        [event] = (await events.browse(session, post.caller, type="webhook.disabled")).data
    assert (event.data["webhook_id"], event.data["url"], event.actor) == (row.id, row.url, None)
    told = await post.take(other)
    assert told is not None
    assert told.event_id == event.id
    await post.hurry()
    assert await post.take(made) is None


async def test_one_success_in_three_days_keeps_it_on(post: Post, world: World) -> None:
    made = await post.hook()
    await post.tell(3)
    for outcome in (BADLY, WELL, BADLY):
        attempt = await post.take(made)
        assert attempt is not None
        await post.settle(attempt, outcome)
        if outcome is BADLY:
            await world.sql("update webhooks set failing_since = failing_since - interval '73 hours'")
    assert (await post.row(made)).active


async def test_what_is_switched_off_and_on_again_goes_on_with_what_waited_and_hears_of_nothing_between(
    post: Post, world: World
) -> None:
    made = await post.hook()
    [before] = await post.tell()
    attempt = await post.take(made)
    assert attempt is not None
    await post.settle(attempt, BADLY)
    for active in (False, True):
        if not active:
            await post.tell()
        async with world.transaction() as session:
            await webhooks.change(session, post.caller, made.webhook.id, {"active": active})
        if not active:
            await post.tell()
            assert await post.take(made) is None
    [after] = await post.tell()
    await post.hurry()
    heard = []
    while (attempt := await post.take(made)) is not None:
        heard.append(attempt.event_id)
        await post.settle(attempt, WELL)
    assert heard == [before, after]


async def test_a_test_is_sent_to_the_one_webhook_whatever_it_asks_for(post: Post, world: World) -> None:
    made, other = await post.hook("http://127.0.0.1:1/", "run"), await post.hook()
    async with world.transaction() as session:
        sent = await deliveries.test(session, post.caller, made.webhook.id)
    assert await post.take(other) is None
    attempt = await post.take(made)
    assert attempt is not None
    assert (attempt.delivery_id, sent.event_type) == (sent.id, "webhook.test")
    await post.settle(attempt, WELL)
    assert await post.take(made) is None


async def test_a_redelivery_is_the_same_event_in_a_delivery_of_its_own(post: Post, world: World) -> None:
    made = await post.hook()
    [event_id] = await post.tell()
    first = await post.take(made)
    assert first is not None
    await post.settle(first, WELL)
    async with world.transaction() as session:
        again = await deliveries.redeliver(session, post.caller, made.webhook.id, first.delivery_id)
    attempt = await post.take(made)
    assert attempt is not None
    assert (attempt.event_id, attempt.body, attempt.number) == (event_id, first.body, 1)
    assert [row.redelivery_of for row in await post.rows(made)] == [None, first.delivery_id]
    assert again.id == attempt.delivery_id


async def test_nothing_is_sent_to_what_is_switched_off(post: Post, world: World) -> None:
    made = await post.hook()
    async with world.transaction() as session:
        await webhooks.change(session, post.caller, made.webhook.id, {"active": False})
    with pytest.raises(WebhookInactive):
        async with world.transaction() as session:
            await deliveries.test(session, post.caller, made.webhook.id)


async def test_a_webhook_that_is_removed_on_the_way_leaves_nothing(post: Post, world: World) -> None:
    made = await post.hook()
    await post.tell()
    attempt = await post.take(made)
    assert attempt is not None
    async with world.transaction() as session:
        await webhooks.remove(session, post.caller, made.webhook.id)
    await post.settle(attempt, WELL)
    assert (await world.sql("select count(*) from deliveries")).scalar() == 0
    with pytest.raises(NotFound):
        await post.rows(made)


async def test_a_deleted_project_sends_nothing_more(post: Post, world: World) -> None:
    made = await post.hook()
    await post.tell()
    await world.sql("update projects set archived_at = now()")
    assert await post.take(made) is None
    assert not await post.waits()


async def test_an_event_is_sent_only_once_no_earlier_one_can_still_come(post: Post, world: World) -> None:
    made = await post.hook()
    async with world.transaction() as slow:
        first = await events.tell(slow, post.caller, SmithArchived("slow"), smith_id="smt_slow")
        [second] = await post.tell()
        assert await post.take(made) is None
    heard = []
    while (attempt := await post.take(made)) is not None:
        heard.append(attempt.event_id)
        await post.settle(attempt, WELL)
    assert heard == [first, second]


async def test_a_secret_signs_beside_its_successor_until_its_grace_is_over(post: Post, world: World) -> None:
    made = await post.hook()
    async with world.transaction() as session:
        rotated = await webhooks.rotate_secret(session, post.caller, made.webhook.id, 60)
    for lasts, secrets in ((True, [rotated.secret, made.secret]), (False, [rotated.secret])):
        if not lasts:
            await world.sql("update webhooks set previous_secret_until = now() - interval '1 second'")
        await post.tell()
        attempt = await post.take(made)
        assert attempt is not None
        assert attempt.secrets == secrets
        await post.settle(attempt, WELL)
