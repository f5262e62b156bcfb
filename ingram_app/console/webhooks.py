"""Webhooks: the addresses that the project's events are sent to."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console import webhook_form
from ingram_app.console.dialogs import (
    close_dialog,
    code_button,
    code_drawer,
    curl,
    form_dialog,
    open_dialog,
    secret_once,
)
from ingram_app.console.figures import moment
from ingram_app.console.lists import empty, list_table
from ingram_app.console.looks import badge, button, head, relative_time
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Conflict, Invalid
from ingram_app.domain import webhooks
from ingram_app.domain.webhooks import Webhook
from ingram_app.gateways.outbound import ForbiddenTarget


@dataclass
class HookRow:
    id: str
    url: str
    types: str
    state: str
    since: str
    """When it was made."""

    @classmethod
    def of(cls, webhook: Webhook) -> "HookRow":
        return cls(webhook.id, webhook.url, types_of(webhook), state_of(webhook), moment(webhook.created_at))


def types_of(webhook: Webhook) -> str:
    return ", ".join(webhook.events) or "all"


def state_of(webhook: Webhook) -> str:
    """Return a webhook's state in a word, as `badge` shows it."""
    if not webhook.active:
        return "switched off"
    return "failing" if webhook.failing_since else "active"


class Webhooks(rx.State):
    rows: list[HookRow] = []
    errors: dict[str, str] = {}
    secret: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the webhooks."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = await webhooks.browse(session, caller)
        self.rows = [HookRow.of(webhook) for webhook in found]
        self.errors, self.secret, self.loaded = {}, "", True

    @rx.event
    async def create(self, form: dict[str, Any]):
        """Make a webhook and show its secret, this once."""
        caller = await standing(self)
        asked = webhook_form.asked_for(form)
        try:
            async with transaction(caller.tenancy) as session:
                made = await webhooks.create(session, caller, asked["url"], asked["events"])
        except (Invalid, Conflict, ForbiddenTarget) as error:
            self.errors = webhook_form.told(error)
            return None
        self.secret, self.errors = made.secret, {}
        self.rows = [HookRow.of(made.webhook), *self.rows]
        return [close_dialog("new-webhook"), open_dialog("webhook-secret")]

    @rx.event
    async def forget(self):
        """The secret has been stored."""
        await standing(self)
        self.secret = ""


@page("/p/[project]/settings/webhooks", title="Webhooks", on_load=Webhooks.load)
def webhooks_page() -> rx.Component:
    make = rx.cond(Session.manages, button("New webhook", icon="plus", kind="main", opens="new-webhook"))
    call = curl("POST", Session.address, "/v1/tenant/webhooks", '{"url": "https://hooks.example.com/ingram"}')
    return rx.fragment(
        head(
            "Webhooks",
            "Addresses of yours that events are sent to as they happen, signed, and again until they arrive.",
            code_button(),
            make,
        ),
        _table(make, call),
        form_dialog(
            "new-webhook",
            "New webhook",
            "It hears of what is told from now on.",
            webhook_form.fields("new-webhook", Webhooks.errors),
            deed="Create webhook",
            on_submit=Webhooks.create,
        ),
        secret_once(
            "webhook-secret",
            "The webhook's secret",
            "Your receiver needs it to tell that a message is ours.",
            Webhooks.secret,
            on_stored=Webhooks.forget,
        ),
        code_drawer(("Make a webhook", call), ("List webhooks", curl("GET", Session.address, "/v1/tenant/webhooks"))),
    )


def _table(make: rx.Component, call: rx.Var[str]) -> rx.Component:
    return list_table(
        ["Address", "State", "Events", "Created"],
        Webhooks.rows,
        _cells,
        label="Webhooks",
        href=lambda row: f"/p/{Session.project_id}/settings/webhooks/{row.id}",
        loaded=Webhooks.loaded,
        empty=empty(
            "No webhooks yet",
            "With one your systems hear of what happens here, such as runs that fail, without asking.",
            make,
            curl=call,
        ),
    )


def _cells(row: HookRow) -> list[Any]:
    return [
        rx.el.span(row.url, class_name="clip wide", title=row.url),
        badge(row.state),
        rx.el.span(row.types, class_name="clip wide", title=row.types),
        relative_time(row.since),
    ]
