"""Stripe: the project's own account there, to which what its customers use is told."""

from typing import Any

import reflex as rx

from ingram_app.console.dialogs import close_dialog, code_button, code_drawer, confirm, curl, form_dialog
from ingram_app.console.figures import moment
from ingram_app.console.lists import empty
from ingram_app.console.looks import alert, button, facts, field, head, relative_time, skeleton
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core.database import transaction
from ingram_app.core.errors import Invalid, NotFound
from ingram_app.domain import pushes, stripe_accounts
from ingram_app.domain.pushes import TOKEN_METERS, PushState


class StripePage(rx.State):
    connected: bool = False
    ending: str = ""
    live: bool = False
    push_tokens: bool = False
    problem: str = ""
    changed: str = ""
    waiting: int = 0
    dead: int = 0
    unsure: int = 0
    error: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show whether an account is connected, and what waits to be told."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            try:
                account = await stripe_accounts.find(session, caller)
            except NotFound:
                self.reset()
                self.loaded = True
                return
            is_open = await pushes.counts(session, caller)
        self.connected, self.ending, self.live = True, account.ending, account.live
        self.push_tokens, self.problem = account.push_tokens, account.problem or ""
        self.changed, self.error, self.loaded = moment(account.updated_at), "", True
        self.waiting, self.dead = is_open[PushState.waiting], is_open[PushState.dead]
        self.unsure = is_open[PushState.unsure]

    @rx.event
    async def connect(self, form: dict[str, Any]):
        """Keep the key that was given."""
        caller = await standing(self)
        try:
            async with transaction(caller.tenancy) as session:
                key, tokens = str(form.get("api_key", "")), bool(form.get("push_tokens"))
                await stripe_accounts.connect(session, caller, key, push_tokens=tokens)
        except Invalid as error:
            self.error = error.sentence
            return None
        return [close_dialog("stripe-key"), StripePage.load, rx.toast.success("Connected.")]

    @rx.event
    async def disconnect(self):
        """Forget the key."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await pushes.disconnect(session, caller)
        return [StripePage.load, rx.toast.success("Disconnected.")]


@page("/p/[project]/settings/stripe", title="Stripe", on_load=StripePage.load)
def stripe_page() -> rx.Component:
    deeds = rx.fragment(
        button("Disconnect", kind="danger", opens="stripe-off"), button("Replace the key", opens="stripe-key")
    )
    return rx.fragment(
        head(
            "Stripe",
            "With your own account connected, what your customers use is told to its Billing meters, each use once.",
            code_button(),
            rx.cond(Session.manages & StripePage.connected, deeds),
        ),
        rx.cond(StripePage.loaded, rx.cond(StripePage.connected, _account(), _none()), skeleton()),
        _dialogs(),
        code_drawer(
            ("Connect", _connecting()),
            ("Show", curl("GET", Session.address, "/v1/tenant/stripe")),
            ("Disconnect", curl("DELETE", Session.address, "/v1/tenant/stripe")),
        ),
    )


def _connecting() -> rx.Var[str]:
    key = '{"api_key": "$STRIPE_KEY", "push_tokens": true}'
    return curl("PUT", Session.address, "/v1/tenant/stripe", key)


def _account() -> rx.Component:
    names = " and ".join(TOKEN_METERS)
    return rx.el.div(
        alert(StripePage.problem),
        rx.el.div(
            facts(
                ("Key", rx.el.code(f"…{StripePage.ending}")),
                ("Mode", rx.cond(StripePage.live, "live", "test")),
                ("Tokens", rx.cond(StripePage.push_tokens, f"told as {names}", "not told")),
                ("Waiting", StripePage.waiting),
                ("Dead", StripePage.dead),
                ("Unsure", StripePage.unsure),
                ("Set", relative_time(StripePage.changed)),
            ),
            class_name="across",
        ),
        _how(),
        class_name="stack",
    )


def _none() -> rx.Component:
    return rx.el.div(
        empty(
            "No account is connected",
            "With one, each customer's use is counted at Stripe as it happens, and can be invoiced from there.",
            rx.cond(Session.manages, button("Connect Stripe", kind="main", opens="stripe-key")),
            curl=_connecting(),
        ),
        _how(),
        class_name="stack",
    )


def _how() -> rx.Component:
    return rx.el.p(
        "A customer is told of that has its Stripe id (",
        rx.el.code("stripe_customer_id"),
        "), from then on. For each of your meters Stripe needs a Billing meter whose event name is the meter's name.",
        class_name="muted small",
    )


def _dialogs() -> rx.Component:
    box = rx.el.input(type="checkbox", name="push_tokens", default_checked=True)
    return rx.fragment(
        form_dialog(
            "stripe-key",
            "Your key at Stripe",
            "It is sealed with the project's own key. One that is restricted to writing meter events is enough.",
            field(
                "api_key",
                "Secret or restricted key",
                kind="password",
                id="stripe-api-key",
                error=StripePage.error,
                required=True,
                max_length=500,
                auto_complete="off",
                placeholder="rk_live_…",
            ),
            rx.el.label(box, f"Tell tokens too, as {' and '.join(TOKEN_METERS)}", class_name="tick"),
            deed="Keep the key",
            on_submit=StripePage.connect,
        ),
        confirm(
            "stripe-off",
            "Disconnect Stripe",
            f"The key is forgotten. What waits to be told is given up ({StripePage.waiting}); it can be sent again, "
            "customer by customer, once an account is connected.",
            deed="Disconnect",
            on_confirm=StripePage.disconnect,
        ),
    )
