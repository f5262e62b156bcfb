"""What Stripe was told of a customer: a part of its page, live, with a button that sends again what is dead."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named, or_not_here, place_of
from ingram_app.console.dialogs import confirm, open_dialog
from ingram_app.console.figures import counted, moment
from ingram_app.console.following import stirred
from ingram_app.console.lists import list_table
from ingram_app.console.looks import badge, button, link, relative_time, section
from ingram_app.console.session import Session, standing
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import pushes, stripe_accounts
from ingram_app.domain.access import Caller
from ingram_app.domain.paging import Page
from ingram_app.domain.pushes import Push, PushState


@dataclass
class PushRow:
    id: str
    meter: str
    value: str
    at: str
    state: str
    attempts: int
    told: str
    error: str

    @classmethod
    def of(cls, push: Push) -> "PushRow":
        return cls(
            id=push.id,
            meter=push.event_name,
            value=f"{push.value.normalize():,f}",
            at=moment(push.happened_at),
            state=push.state.value,
            attempts=push.attempts,
            told=moment(push.sent_at),
            error=push.last_error or "",
        )


@dataclass
class _Found:
    page: Page[Push]
    open: dict[PushState, int]
    connected: bool
    problem: str


class CustomerPushes(rx.State):
    rows: list[PushRow] = []
    older: str = ""
    waiting: int = 0
    dead: int = 0
    unsure: int = 0
    connected: bool = False
    problem: str = ""
    """Why Stripe refuses the key."""
    chosen: str = ""
    """The push that is to be sent again although it may have been counted."""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of what was told, or is to be."""
        caller = await standing(self)
        if asked(self, "tab") == "pushes":
            self._show(await _found(caller, self))

    @rx.event(background=True)
    async def watch(self):
        """Show what becomes of it as it does. On later pages nothing moves."""
        caller = await standing(self)
        with signals.listening(pushes.topic(named(self, "customers"))) as heard:
            while True:
                await stirred(heard)
                caller = await standing(self)
                if asked(self, "tab") == "pushes" and not asked(self, "cursor"):
                    found = await _found(caller, self)
                    async with self:
                        self._show(found)

    @rx.event
    async def retry(self):
        """Send again what is dead."""
        caller = await standing(self)
        return await _again(caller, named(self, "customers"), [])

    @rx.event
    async def choose(self, push_id: str):
        """Ask before one is sent again that Stripe may have counted."""
        await standing(self)
        self.chosen = push_id
        return open_dialog("push-again")

    @rx.event
    async def retry_chosen(self):
        """Send it again all the same."""
        caller = await standing(self)
        return await _again(caller, named(self, "customers"), [self.chosen])

    def _show(self, found: _Found) -> None:
        self.rows, self.older = [PushRow.of(push) for push in found.page.data], found.page.next_cursor or ""
        self.waiting, self.dead = found.open[PushState.waiting], found.open[PushState.dead]
        self.unsure = found.open[PushState.unsure]
        self.connected, self.problem, self.loaded = found.connected, found.problem, True


async def _again(caller: Caller, customer_id: str, push_ids: list[str]) -> list[Any]:
    async with transaction(caller.tenancy) as session:
        many = await pushes.retry(session, caller, customer_id, push_ids)
    return [CustomerPushes.load, rx.toast.success(f"{counted(many, 'use')} sent again.")]


async def _found(caller: Caller, state: rx.State) -> _Found:
    wanted = named(state, "customers")
    with or_not_here("customer"):
        async with transaction(caller.tenancy) as session:
            page = await pushes.browse(session, caller, wanted, place_of(state))
            is_open = await pushes.counts(session, caller, wanted)
            try:
                account = await stripe_accounts.find(session, caller)
            except NotFound:
                return _Found(page, is_open, False, "")
    return _Found(page, is_open, True, account.problem or "")


def part() -> rx.Component:
    """The list, with what is to be known of the account above it."""
    return rx.fragment(
        section(
            "Told to Stripe",
            "Each use that was counted there, or is to be. What fails is tried again; what is dead waits for you.",
            _standing(),
            list_table(
                ["Used", "Meter", "State", "Quantity#", "Attempts#", "Told", ""],
                CustomerPushes.rows,
                _cells,
                label="Told to Stripe",
                loaded=CustomerPushes.loaded,
                older=CustomerPushes.older,
                empty=rx.el.p("Stripe was told nothing of it yet.", class_name="muted small"),
            ),
        ),
        confirm(
            "push-again",
            "Send it again",
            "It was sent more than a day ago and no answer came. Look at Stripe first: if it was counted there, it "
            "will be counted twice.",
            deed="Send it again",
            on_confirm=CustomerPushes.retry_chosen,
        ),
    )


def _standing() -> rx.Component:
    settings = link("Settings", href=f"/p/{Session.project_id}/settings/stripe")
    again = button("Send the dead again", icon="rotate-cw", on_click=CustomerPushes.retry)
    return rx.fragment(
        rx.cond(
            CustomerPushes.loaded & ~CustomerPushes.connected,
            rx.el.p("No Stripe account is connected, so nothing is told. ", settings, class_name="notice"),
        ),
        rx.cond(
            CustomerPushes.problem != "",
            rx.el.p(CustomerPushes.problem, " Nothing is lost: ", settings, class_name="notice red"),
        ),
        rx.el.div(
            rx.el.span(f"{CustomerPushes.waiting} waiting"),
            rx.el.span(f"{CustomerPushes.dead} dead"),
            rx.el.span(f"{CustomerPushes.unsure} unsure"),
            rx.cond(Session.builds & (CustomerPushes.dead > 0), again),
            class_name="row wraps",
        ),
    )


def _cells(row: PushRow) -> list[Any]:
    label = rx.Var.create(f"Send {row.id} again").to(str)
    again = button("Send again …", kind="slim plain", on_click=CustomerPushes.choose(row.id), aria_label=label)
    why = rx.cond(row.error != "", rx.el.span(row.error, class_name="small muted clip wide", title=row.error))
    return [
        relative_time(row.at),
        rx.el.code(row.meter),
        rx.el.span(badge(row.state), why, class_name="row"),
        row.value,
        row.attempts,
        relative_time(row.told),
        rx.cond(Session.builds & (row.state == "unsure"), again),
    ]
