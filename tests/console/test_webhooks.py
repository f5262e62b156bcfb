"""Events, webhooks and the audit log, without a browser."""

import json

import pytest

from ingram_app.console.audit_log import AuditLog
from ingram_app.console.deliveries import Deliveries
from ingram_app.console.event import EventPage
from ingram_app.console.events import EventsPage
from ingram_app.console.session import NotHere
from ingram_app.console.webhook import WebhookPage
from ingram_app.console.webhooks import Webhooks
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound, Refused
from ingram_app.domain import deliveries, events, smiths, webhooks
from ingram_app.domain.access import AdminRequired, Role
from ingram_app.domain.deliveries import Outcome
from tests.console.desk import Desk, call, sit

URL = "https://hooks.example.com/ingram"


async def smith_of(desk: Desk, external_id: str = "user-1") -> str:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        clone, _ = await smiths.create(session, caller, {"external_id": external_id})
    return clone.smith.id


async def hook_of(desk: Desk, *types: str) -> str:
    tab = desk.at(Webhooks, "/settings/webhooks")
    form = {"url": URL} | {f"type:{type}": "on" for type in types}
    await call(tab, Webhooks.create, form)
    assert tab.errors == {}
    return tab.rows[0].id


async def attempt(desk: Desk, webhook_id: str, outcome: Outcome) -> None:
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        taken = await deliveries.take(session, desk.project_id, webhook_id)
    assert taken is not None
    async with transaction(caller.tenancy) as session:
        await deliveries.settle(session, taken, outcome)


async def test_events_are_listed_with_whom_they_are_about_and_filtered_by_the_address(desk: Desk) -> None:
    first, second = await smith_of(desk), await smith_of(desk, "user-2")
    for query, found in (({}, ["user-2", "user-1"]), ({"smith": first}, ["user-1"]), ({"type": "run"}, [])):
        tab = desk.at(EventsPage, "/events", **query)
        await call(tab, EventsPage.load)
        assert [row.who for row in tab.rows] == found
    tab = desk.at(EventsPage, "/events", smith=second)
    await call(tab, EventsPage.load)
    [row] = tab.rows
    assert (row.type, row.actor) == ("smith.created", desk.teammate.email)
    assert "external_id user-2" in row.about


async def test_an_event_is_shown_exactly_as_it_is_sent_and_where_it_went(desk: Desk, stranger: Desk) -> None:
    webhook_id = await hook_of(desk, "smith")
    await smith_of(desk)
    await attempt(desk, webhook_id, Outcome(200))
    listed = desk.at(EventsPage, "/events")
    await call(listed, EventsPage.load)
    event_id = listed.rows[0].id
    tab = desk.at(EventPage, f"/events/{event_id}")
    await call(tab, EventPage.load)
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        event = await events.find(session, caller, event_id)
    assert json.loads(tab.payload) == json.loads(event.spelt())
    assert [(row.url, row.state, row.attempts) for row in tab.sent] == [(URL, "delivered", 1)]
    with pytest.raises(NotHere, match="no such event"):
        await call(stranger.at(EventPage, f"/events/{event_id}"), EventPage.load)


async def test_a_webhook_is_made_and_its_secret_shown_once(desk: Desk) -> None:
    tab = desk.at(Webhooks, "/settings/webhooks")
    ticked = ("run.failed", "agent", "agent.published", "nonsense")
    await call(tab, Webhooks.create, {"url": f" {URL} "} | {f"type:{type}": "on" for type in ticked})
    assert tab.secret.startswith("whsec_")
    assert (tab.rows[0].url, tab.rows[0].types, tab.rows[0].state) == (URL, "agent, run.failed", "active")
    await call(tab, Webhooks.forget)
    await call(tab, Webhooks.load)
    assert (tab.secret, len(tab.rows)) == ("", 1)


@pytest.mark.parametrize(
    ("url", "said"),
    [("https://localhost/", "not at a public address"), ("http://a.example/", "https only"), ("", "no address")],
)
async def test_an_address_that_can_not_be_is_refused_at_its_field(desk: Desk, url: str, said: str) -> None:
    tab = desk.at(Webhooks, "/settings/webhooks")
    assert await call(tab, Webhooks.create, {"url": url}) is None
    assert said in tab.errors["url"]
    assert (tab.rows, tab.secret) == ([], "")


async def test_a_webhook_is_changed_switched_off_and_removed(desk: Desk) -> None:
    path = f"/settings/webhooks/{await hook_of(desk)}"
    tab = desk.at(WebhookPage, path)
    await call(tab, WebhookPage.load)
    assert (tab.url, tab.types, tab.state) == (URL, "all", "active")
    await call(tab, WebhookPage.change, {"url": f"{URL}/2", "type:run": "on"})
    assert (tab.url, tab.wanted) == (f"{URL}/2", ["run"])
    assert await call(tab, WebhookPage.change, {"url": "https://10.0.0.1/"}) is None
    assert "public" in tab.errors["url"]
    await call(tab, WebhookPage.switch, False)
    assert (tab.state, tab.active) == ("switched off", False)
    assert "switched off" in str(await call(tab, WebhookPage.test))
    await call(tab, WebhookPage.switch, True)
    assert tab.state == "active"
    await call(tab, WebhookPage.remove)
    with pytest.raises(NotHere, match="no such webhook"):
        await call(desk.at(WebhookPage, path), WebhookPage.load)


@pytest.mark.parametrize(("grace", "lasts"), [("3600", True), ("0", False)])
async def test_a_secret_is_rotated_and_shown_once(desk: Desk, grace: str, lasts: bool) -> None:
    tab = desk.at(WebhookPage, f"/settings/webhooks/{await hook_of(desk)}")
    await call(tab, WebhookPage.rotate, {"grace": grace})
    assert tab.secret.startswith("whsec_")
    assert (tab.grace != "") == lasts
    await call(tab, WebhookPage.load)
    assert tab.secret == ""


async def test_deliveries_are_shown_with_what_came_back_and_sent_once_more(desk: Desk) -> None:
    webhook_id = await hook_of(desk, "smith")
    path = f"/settings/webhooks/{webhook_id}"
    await smith_of(desk)
    await attempt(desk, webhook_id, Outcome(500, None, "out of order", 31))
    tab = desk.at(Deliveries, path)
    await call(tab, Deliveries.load)
    [row] = tab.rows
    assert (row.type, row.state, row.attempts, row.answer, row.took) == ("smith.created", "failed", 1, "500", "31 ms")
    assert row.next != ""
    await call(tab, Deliveries.look, row.id)
    assert tab.chosen.excerpt == "out of order"
    await call(tab, Deliveries.redeliver, row.id)
    await call(tab, Deliveries.load)
    assert [(one.state, one.again) for one in tab.rows] == [("pending", True), ("failed", False)]
    filtered = desk.at(Deliveries, path, status="failed")
    await call(filtered, Deliveries.load)
    assert [one.id for one in filtered.rows] == [row.id]
    webhook = desk.at(WebhookPage, path)
    await call(webhook, WebhookPage.load)
    assert webhook.state == "failing"


async def test_a_member_looks_and_touches_nothing(desk: Desk) -> None:
    webhook_id = await hook_of(desk, "smith")
    path = f"/settings/webhooks/{webhook_id}"
    await smith_of(desk)
    await attempt(desk, webhook_id, Outcome(200))
    for role in (Role.member, Role.viewer):
        colleague = await sit(role, beside=desk)
        listed, one, sent = colleague.at(Webhooks), colleague.at(WebhookPage, path), colleague.at(Deliveries, path)
        for tab, load in ((listed, Webhooks.load), (one, WebhookPage.load), (sent, Deliveries.load)):
            await call(tab, load)
        assert (len(listed.rows), one.url, len(sent.rows)) == (1, URL, 1)
        for deed in (
            call(listed, Webhooks.create, {"url": URL}),
            call(one, WebhookPage.change, {"url": f"{URL}/2"}),
            call(one, WebhookPage.switch, False),
            call(one, WebhookPage.rotate, {"grace": "0"}),
            call(one, WebhookPage.test),
            call(one, WebhookPage.remove),
            call(sent, Deliveries.redeliver, sent.rows[0].id),
        ):
            with pytest.raises(Refused):
                await deed


async def test_a_stranger_reaches_no_webhook_of_another_project(desk: Desk, stranger: Desk) -> None:
    webhook_id = await hook_of(desk, "smith")
    path = f"/settings/webhooks/{webhook_id}"
    await smith_of(desk)
    await attempt(desk, webhook_id, Outcome(200, None, "a secret answer"))
    mine = desk.at(Deliveries, path)
    await call(mine, Deliveries.load)
    one, sent, listed = (stranger.at(page, path) for page in (WebhookPage, Deliveries, Webhooks))
    for tab, load in ((one, WebhookPage.load), (sent, Deliveries.load)):
        with pytest.raises(NotHere):
            await call(tab, load)
    for deed in (
        call(one, WebhookPage.rotate, {"grace": "0"}),
        call(one, WebhookPage.switch, False),
        call(one, WebhookPage.test),
        call(one, WebhookPage.remove),
        call(sent, Deliveries.look, mine.rows[0].id),
        call(sent, Deliveries.redeliver, mine.rows[0].id),
    ):
        with pytest.raises(NotFound):
            await deed
    await call(listed, Webhooks.load)
    assert (listed.rows, one.url, sent.chosen.excerpt) == ([], "", "")
    caller = await desk.caller()
    async with transaction(caller.tenancy) as session:
        assert (await webhooks.find(session, caller, webhook_id)).active


async def test_the_audit_log_says_who_did_what_in_every_project(desk: Desk) -> None:
    webhook_id = await hook_of(desk)
    tab = desk.at(AuditLog, "/settings/audit-log", resource=webhook_id)
    await call(tab, AuditLog.load)
    [row] = tab.rows
    assert (row.action, row.who, row.project) == ("webhook.created", desk.teammate.email, "Support desk")
    await call(tab, AuditLog.look, row.id)
    assert json.loads(tab.chosen.details) == {"url": URL, "events": []}
    for query, number in (({"action": "webhook"}, 1), ({"actor": desk.teammate.email, "action": "session"}, 1)):
        tab = desk.at(AuditLog, "/settings/audit-log", **query)
        await call(tab, AuditLog.load)
        assert len(tab.rows) == number
    tab = desk.at(AuditLog, "/settings/audit-log", actor="nobody@example.com")
    await call(tab, AuditLog.load)
    assert tab.rows == []


async def test_the_audit_log_is_for_owners_and_admins_and_their_organization(desk: Desk, stranger: Desk) -> None:
    webhook_id = await hook_of(desk)
    mine = desk.at(AuditLog, "/settings/audit-log", resource=webhook_id)
    await call(mine, AuditLog.load)
    admin = (await sit(Role.admin, beside=desk)).at(AuditLog, "/settings/audit-log")
    await call(admin, AuditLog.load)
    assert webhook_id in [row.resource for row in admin.rows]
    for role in (Role.member, Role.viewer):
        tab = (await sit(role, beside=desk)).at(AuditLog, "/settings/audit-log")
        for deed in (call(tab, AuditLog.load), call(tab, AuditLog.look, mine.rows[0].id)):
            with pytest.raises(AdminRequired):
                await deed
    theirs = stranger.at(AuditLog, "/settings/audit-log", resource=webhook_id)
    await call(theirs, AuditLog.load)
    assert theirs.rows == []
    with pytest.raises(NotFound):
        await call(theirs, AuditLog.look, mine.rows[0].id)
