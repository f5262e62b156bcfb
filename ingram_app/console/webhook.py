"""One webhook: where it is, what it asks for, and what was sent there."""

from typing import Any

import reflex as rx

from ingram_app.console import deliveries, webhook_form
from ingram_app.console.address import is_at, named, or_not_here
from ingram_app.console.deliveries import Deliveries
from ingram_app.console.dialogs import (
    close_dialog,
    code_button,
    code_drawer,
    confirm,
    curl,
    form_dialog,
    open_dialog,
    secret_once,
)
from ingram_app.console.figures import moment, whole
from ingram_app.console.looks import alert, button, facts, field, link, one_thing, relative_time, skeleton
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.console.webhooks import state_of, types_of
from ingram_app.core.database import transaction
from ingram_app.core.errors import Conflict, Invalid
from ingram_app.domain import deliveries as sent, webhooks
from ingram_app.domain.webhooks import Webhook
from ingram_app.gateways.outbound import ForbiddenTarget

_GRACES = [("86400", "A day"), ("3600", "An hour"), ("604800", "A week"), ("0", "None: the old one ends now")]


class WebhookPage(rx.State):
    id: str = ""
    url: str = ""
    wanted: list[str] = []
    types: str = ""
    state: str = ""
    active: bool = False
    why: str = ""
    """Why the platform has switched it off."""
    created: str = ""
    changed: str = ""
    failing: str = ""
    grace: str = ""
    """Until when the secret before signs too."""
    errors: dict[str, str] = {}
    secret: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the webhook."""
        caller = await standing(self)
        with or_not_here("webhook"):
            async with transaction(caller.tenancy) as session:
                webhook = await webhooks.find(session, caller, named(self, "webhooks"))
        self.secret = ""
        self._show(webhook)

    @rx.event
    async def change(self, form: dict[str, Any]):
        """Send to another address, or other events."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                changes = webhook_form.asked_for(form)
                webhook = await webhooks.change(session, caller, named(self, "webhooks"), changes)
        except (Invalid, ForbiddenTarget) as error:
            self.errors = webhook_form.told(error)
            return None
        self._show(webhook)
        return [close_dialog("edit-webhook"), rx.toast.success("Saved.")]

    @rx.event
    async def switch(self, active: bool):
        """Switch it on or off."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            webhook = await webhooks.change(session, caller, named(self, "webhooks"), {"active": bool(active)})
        self._show(webhook)

    @rx.event
    async def rotate(self, form: dict[str, Any]):
        """Make a new secret and show it, this once."""
        caller = await standing(self)
        seconds = whole(str(form.get("grace", "")))
        async with transaction(caller.tenancy) as session:
            made = await webhooks.rotate_secret(
                session, caller, named(self, "webhooks"), -1 if seconds is None else seconds
            )
        self._show(made.webhook)
        self.secret = made.secret
        return [close_dialog("rotate"), open_dialog("webhook-secret")]

    @rx.event
    async def forget(self):
        """The secret has been stored."""
        await standing(self)
        self.secret = ""

    @rx.event
    async def test(self):
        """Send it an event to see whether it arrives."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                await sent.test(session, caller, named(self, "webhooks"))
        except Conflict as error:
            return rx.toast.error(error.sentence)
        return Deliveries.load

    @rx.event
    async def remove(self):
        """Send no more there."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await webhooks.remove(session, caller, named(self, "webhooks"))
        return [
            rx.redirect(f"/p/{caller.project_id}/settings/webhooks"),
            rx.toast.success("The webhook is removed."),
        ]

    def _show(self, webhook: Webhook) -> None:
        self.id, self.url, self.wanted = webhook.id, webhook.url, webhook.events
        self.types, self.state, self.active = types_of(webhook), state_of(webhook), webhook.active
        self.why, self.failing = webhook.disabled_reason or "", moment(webhook.failing_since)
        self.created, self.changed = moment(webhook.created_at), moment(webhook.updated_at)
        self.grace = moment(webhook.previous_secret_until)
        self.errors, self.loaded = {}, True


@page(
    "/p/[project]/settings/webhooks/[webhook_id]",
    title="Webhook",
    on_load=[WebhookPage.load, Deliveries.load, Deliveries.watch],
)
def webhook_page() -> rx.Component:
    body = rx.el.div(
        alert(WebhookPage.why),
        deliveries.part(),
        class_name="stack",
    )
    shown = rx.fragment(_top(), _facts(), body, _dialogs())
    return rx.cond(WebhookPage.loaded & is_at(WebhookPage.id), shown, skeleton())


def _top() -> rx.Component:
    switch = rx.cond(
        WebhookPage.active,
        rx.fragment(
            button("Send a test", icon="send", on_click=WebhookPage.test),
            button("Switch off", opens="switch-off"),
        ),
        button("Switch on", kind="main", on_click=WebhookPage.switch(True)),
    )
    deeds = rx.fragment(
        switch,
        button("Edit", opens="edit-webhook"),
        button("Rotate secret", opens="rotate"),
        button("Remove", kind="danger", opens="remove-webhook"),
    )
    return rx.el.div(
        link("Webhooks", href=f"/p/{Session.project_id}/settings/webhooks", class_name="crumb"),
        one_thing(
            WebhookPage.url, WebhookPage.id, code_button(), rx.cond(Session.manages, deeds), status=WebhookPage.state
        ),
    )


def _facts() -> rx.Component:
    return rx.el.div(
        facts(
            ("Events", WebhookPage.types),
            ("Created", relative_time(WebhookPage.created)),
            ("Changed", relative_time(WebhookPage.changed)),
            ("Failing since", relative_time(WebhookPage.failing)),
            ("Old secret signs until", relative_time(WebhookPage.grace)),
        ),
        class_name="across",
    )


def _dialogs() -> rx.Component:
    return rx.fragment(
        form_dialog(
            "edit-webhook",
            "Edit the webhook",
            "What has not been sent yet goes to the new address too.",
            rx.el.div(
                webhook_form.fields("edit-webhook", WebhookPage.errors, url=WebhookPage.url, wanted=WebhookPage.wanted),
                key=WebhookPage.changed,
            ),
            deed="Save",
            on_submit=WebhookPage.change,
        ),
        form_dialog(
            "rotate",
            "Rotate the secret",
            "Messages are signed with the new one at once, and while the grace lasts with the old one too.",
            field("grace", "Grace", id="rotate-grace", kind="select", options=_GRACES),
            deed="Make a new secret",
            on_submit=WebhookPage.rotate,
        ),
        secret_once(
            "webhook-secret",
            "The new secret",
            "Give it to your receiver before the grace is over.",
            WebhookPage.secret,
            on_stored=WebhookPage.forget,
        ),
        _confirmations(),
        _code(),
    )


def _confirmations() -> rx.Component:
    return rx.fragment(
        confirm(
            "switch-off",
            "Switch the webhook off",
            "What waits is sent when it is switched on again. What is told meanwhile is not.",
            deed="Switch off",
            on_confirm=WebhookPage.switch(False),
        ),
        confirm(
            "remove-webhook",
            "Remove the webhook",
            "Nothing more is sent there, and the record of what was sent goes with it.",
            deed="Remove the webhook",
            on_confirm=WebhookPage.remove,
        ),
    )


def _code() -> rx.Component:
    path = f"/v1/tenant/webhooks/{WebhookPage.id}"
    return code_drawer(
        ("List deliveries", curl("GET", Session.address, f"{path}/deliveries?status=failed")),
        ("Send an event once more", curl("POST", Session.address, f"{path}/deliveries/$DELIVERY_ID/redeliver")),
        ("Send a test", curl("POST", Session.address, f"{path}/test")),
        ("Rotate the secret", curl("POST", Session.address, f"{path}/rotate_secret", '{"grace_seconds": 3600}')),
        ("Switch it off", curl("PATCH", Session.address, path, '{"active": false}')),
    )
