"""Mails: owners are written to once about what they must know, whatever the mail server or a process does."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlmodel import col, select

from ingram_app.core.database import NOBODY, transaction
from ingram_app.core.settings import settings
from ingram_app.domain import deliveries, events, mails, projects, webhooks
from ingram_app.domain.access import Role
from ingram_app.domain.deliveries import Outcome
from ingram_app.domain.event_types import SmithArchived
from ingram_app.domain.mails import Letter, Mail, MailState
from ingram_app.domain.teammates import Teammate
from ingram_app.engine import mailer
from ingram_app.gateways import mail
from ingram_app.gateways.mail import Sent
from tests.engine.conftest import World, engine, until
from tests.fakes.mail_server import MailServer, mail_server

FINAL = Sent(["ann@example.com"], "550 no such mailbox", is_final=True)


@pytest.fixture
async def post_office(database: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MailServer]:
    async with mail_server() as made:
        monkeypatch.setenv("IC_SMTP_URL", made.url)
        monkeypatch.setenv("IC_MAIL_FROM", "Ingram Cloud <cloud@example.com>")
        monkeypatch.setattr(mailer, "SECONDS", 0.05)
        settings.cache_clear()
        yield made
    monkeypatch.undo()
    settings.cache_clear()


async def owner(world: World, name: str, role: Role = Role.owner) -> str:
    async with world.transaction() as session:
        organization_id = (await projects.at(session, world.caller.project_id)).organization_id
    email = f"{name}.{organization_id[-6:].lower()}@example.com"
    async with transaction(NOBODY) as session:
        session.add(Teammate(organization_id=organization_id, email=email, name=name, role=role))
    return email


async def write(world: World, subject: str = "A webhook was switched off") -> None:
    async with world.transaction() as session:
        await mails.to_owners(session, world.caller.project_id, subject, "It failed.", "/settings/webhooks")


async def rows(world: World) -> list[Mail]:
    async with world.transaction() as session:
        return list((await session.exec(select(Mail).order_by(col(Mail.id)))).all())


async def take(world: World) -> Letter | None:
    async with world.transaction() as session:
        return await mails.take(session, world.caller.project_id, (await rows(world))[-1].id)


async def settle(world: World, letter: Letter, sent: Sent) -> None:
    async with world.transaction() as session:
        await mails.settle(session, letter, sent)


async def told(world: World) -> list[dict[str, object]]:
    async with world.transaction() as session:
        return [event.data for event in (await events.browse(session, world.caller, type="email.send_failed")).data]


async def has(world: World, state: MailState) -> bool:
    return [row.state for row in await rows(world)] == [state]


async def test_the_owners_of_a_webhook_that_is_switched_off_are_written_to_and_nobody_else(
    world: World, other: World, post_office: MailServer
) -> None:
    to = sorted([await owner(world, "ann"), await owner(world, "bob")])
    await owner(world, "admin", Role.admin)
    await owner(other, "stranger")
    async with world.transaction() as session:
        made = await webhooks.create(session, world.caller, "https://hooks.example.com/{x}?a=%0d", [])
        await events.tell(session, world.caller, SmithArchived(None))
    await world.sql("update webhooks set failing_since = now() - interval '73 hours'")
    async with world.transaction() as session:
        attempt = await deliveries.take(session, world.caller.project_id, made.webhook.id)
        assert attempt is not None
        await deliveries.settle(session, attempt, Outcome(500, None, "sorry", 12))
    async with engine():
        await until(lambda: post_office.heard)
        await until(lambda: has(world, MailState.sent))
    [(recipients, message)] = post_office.heard
    assert recipients == to
    assert (message["From"], message["To"]) == ("Ingram Cloud <cloud@example.com>", ", ".join(to))
    assert message["Subject"] == "A webhook was switched off · Production"
    text = message.get_content()
    assert "https://hooks.example.com/{x}?a=%0d" in text
    assert f"/p/{world.caller.project_id}/settings/webhooks/{made.webhook.id}" in text


async def test_without_a_mail_server_none_is_written(world: World) -> None:
    await owner(world, "ann")
    await write(world)
    assert await rows(world) == []


async def test_a_server_that_is_busy_is_asked_again_and_who_dies_while_sending_sends_the_same_again(
    world: World, post_office: MailServer
) -> None:
    await owner(world, "ann")
    await write(world)
    post_office.answers = "451 later"
    async with engine():
        await until(lambda: _tried(world, 1))
    [row] = await rows(world)
    assert (row.state, "451" in (row.last_error or "")) == (MailState.pending, True)
    await world.sql("update mails set next_attempt_at = now()")
    post_office.answers = "250 OK"
    letter = await take(world)
    assert letter is not None
    await mail.send(letter.id, letter.to, letter.subject, letter.body)  # and there it died
    assert await take(world) is None
    await world.sql("update mails set next_attempt_at = now()")
    async with engine():
        await until(lambda: has(world, MailState.sent))
    await settle(world, letter, FINAL)  # too late
    assert await has(world, MailState.sent)
    first, second = (message["Message-ID"] for _, message in post_office.heard)
    assert first == second == f"<{row.id}@example.com>"
    assert await told(world) == []


async def _tried(world: World, times: int) -> bool:
    return [(row.attempts, row.last_error is not None) for row in await rows(world)] == [(times, True)]


async def test_it_is_given_up_in_the_end_and_the_feed_tells_so(world: World, post_office: MailServer) -> None:
    email = await owner(world, "ann")
    await write(world)
    waits = []
    for _ in range(len(mails.RETRIES_SECONDS) + 1):
        await world.sql("update mails set next_attempt_at = now()")
        letter = await take(world)
        assert letter is not None
        await settle(world, letter, Sent(letter.to, "It is down."))
        waits.append((await rows(world))[0].next_attempt_at)
    [row] = await rows(world)
    assert (row.state, row.attempts) == (MailState.failed, 7)
    assert waits[:6] == sorted(waits[:6])
    await world.sql("update mails set next_attempt_at = now()")
    assert await take(world) is None
    assert await told(world) == [
        {"mail_id": row.id, "subject": row.subject, "unreached": [email], "reason": "It is down."}
    ]


async def test_an_address_that_is_no_more_is_told_and_the_others_are_reached(
    world: World, post_office: MailServer
) -> None:
    gone, there = await owner(world, "gone"), await owner(world, "there")
    post_office.refuses[gone] = "550 no such mailbox"
    async with engine():
        await write(world)
        await until(lambda: has(world, MailState.sent))
    [(recipients, _)] = post_office.heard
    assert recipients == [there]
    [event] = await told(world)
    assert (event["unreached"], "550" in str(event["reason"])) == ([gone], True)


async def test_when_nobody_can_be_reached_it_is_given_up_at_once(world: World, post_office: MailServer) -> None:
    post_office.refuses[await owner(world, "gone")] = "550 no such mailbox"
    async with engine():
        await write(world)
        await until(lambda: has(world, MailState.failed))
    assert len(await told(world)) == 1


async def test_where_there_is_no_owner_nothing_is_sent(world: World, post_office: MailServer) -> None:
    async with engine():
        await write(world)
        await until(lambda: has(world, MailState.failed))
    assert post_office.heard == []


async def test_racing_engines_send_it_once_and_a_shutdown_does_not_wait_for_a_server_that_hangs(
    world: World, post_office: MailServer
) -> None:
    await owner(world, "ann")
    post_office.hangs = True
    await write(world)
    async with engine():
        await until(lambda: post_office.hanging)
    assert [row.state for row in await rows(world)] == [MailState.pending]
    post_office.hangs = False
    loops = [asyncio.create_task(mailer.send_forever()) for _ in range(3)]
    await until(lambda: has(world, MailState.sent))
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    assert len(post_office.heard) == 1


async def test_a_password_is_not_said_in_the_open(post_office: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IC_SMTP_URL", post_office.url.replace("smtp://", "smtp://us:p%40ss@"))
    settings.cache_clear()
    sent = await mail.send("mail_1", ["ann@example.com"], "Hello", "Hello")
    assert (sent.unreached, post_office.heard) == (["ann@example.com"], [])
    assert "STARTTLS" in (sent.error or "")
    assert "p@ss" not in (sent.error or "")
    assert "STARTTLS" in (await mail.knock() or "")


async def test_a_server_that_would_take_mail_is_well_and_one_that_is_not_there_is_not(
    post_office: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await mail.knock() is None
    monkeypatch.setenv("IC_SMTP_URL", "smtp://127.0.0.1:1")
    settings.cache_clear()
    assert await mail.knock()
