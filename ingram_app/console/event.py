"""One event: exactly what was told, and to which webhooks it was sent."""

import json
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import is_at, named, or_not_here
from ingram_app.console.figures import author, moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import badge, code, facts, link, one_thing, relative_time, section, skeleton, split
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.domain import deliveries, events
from ingram_app.domain.deliveries import Delivery
from ingram_app.domain.webhooks import Webhook


@dataclass
class SentRow:
    webhook_id: str
    url: str
    state: str
    attempts: int
    at: str

    @classmethod
    def of(cls, delivery: Delivery, webhook: Webhook) -> "SentRow":
        when = moment(delivery.last_attempt_at)
        return cls(webhook.id, webhook.url, delivery.state.value, delivery.attempts, when)


class EventPage(rx.State):
    id: str = ""
    type: str = ""
    at: str = ""
    actor: str = ""
    smith_id: str = ""
    run_id: str = ""
    payload: str = ""
    sent: list[SentRow] = []
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the event."""
        caller = await standing(self)
        with or_not_here("event"):
            async with transaction(caller.tenancy) as session:
                event = await events.find(session, caller, named(self, "events"))
                sent = await deliveries.of_event(session, caller, event.id)
        self.id, self.type, self.at = event.id, event.type, moment(event.created_at)
        self.actor, self.smith_id = author(event.actor), event.smith_id or ""
        self.run_id = str(event.data.get("run_id") or "")
        self.payload = json.dumps(json.loads(event.spelt()), ensure_ascii=False, indent=2)
        self.sent = [SentRow.of(delivery, webhook) for delivery, webhook in sent]
        self.loaded = True


@page("/p/[project]/events/[event_id]", title="Event", on_load=EventPage.load)
def event_page() -> rx.Component:
    top = rx.el.div(
        link("Events", href=f"/p/{Session.project_id}/events", class_name="crumb"),
        one_thing(EventPage.type, EventPage.id),
    )
    return rx.cond(EventPage.loaded & is_at(EventPage.id), rx.fragment(top, split(_body(), _facts())), skeleton())


def _body() -> rx.Component:
    return rx.el.div(
        rx.el.div(rx.el.h2("Payload"), code(EventPage.payload, "Payload"), class_name="stack tight"),
        section(
            "Webhooks",
            "Where this event was sent, or is about to be.",
            list_table(
                ["Webhook", "State", "Attempts#", "Last attempt"],
                EventPage.sent,
                _cells,
                label="Deliveries",
                href=lambda row: f"/p/{Session.project_id}/settings/webhooks/{row.webhook_id}",
                empty=rx.el.p("No webhook asks for it.", class_name="muted small"),
            ),
        ),
        class_name="stack wide-gap",
    )


def _facts() -> rx.Component:
    root = f"/p/{Session.project_id}"
    return facts(
        ("Told", relative_time(EventPage.at)),
        ("By", EventPage.actor),
        ("Smith", _linked(f"{root}/smiths/", EventPage.smith_id)),
        ("Run", _linked(f"{root}/runs/", EventPage.run_id)),
    )


def _linked(root: str, id: rx.Var[str]) -> rx.Component:
    return rx.cond(id != "", link(rx.el.code(id), href=f"{root}{id}"), rx.el.span("–"))


def _cells(row: SentRow) -> list[Any]:
    url = rx.el.span(row.url, class_name="clip wide", title=row.url)
    return [url, badge(row.state), row.attempts, relative_time(row.at)]
