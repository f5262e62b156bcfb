"""What was sent to a webhook: a part of its page, live, with what came back and a button that sends it once more."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console import filters
from ingram_app.console.address import asked, named, or_not_here, place_of
from ingram_app.console.dialogs import drawer, open_dialog
from ingram_app.console.figures import moment
from ingram_app.console.following import stirred
from ingram_app.console.lists import chips, list_table
from ingram_app.console.looks import badge, button, code, facts, link, relative_time, section
from ingram_app.console.session import Session, standing
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.domain import deliveries
from ingram_app.domain.access import Caller
from ingram_app.domain.deliveries import Delivery, DeliveryState
from ingram_app.domain.paging import Page

_STATES = [("", "All"), *((state.value, state.value.capitalize()) for state in DeliveryState)]


@dataclass
class DeliveryRow:
    id: str
    event_id: str
    type: str
    again: bool
    """Sent once more, by hand."""
    at: str
    state: str
    attempts: int
    next: str
    answer: str
    """What came back, in a word."""
    took: str
    error: str
    excerpt: str

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryRow":
        status, took = delivery.last_status, delivery.duration_ms
        return cls(
            id=delivery.id,
            event_id=delivery.event_id,
            type=delivery.event_type,
            again=delivery.redelivery_of is not None,
            at=moment(delivery.created_at),
            state=delivery.state.value,
            attempts=delivery.attempts,
            next=moment(delivery.next_attempt_at),
            answer=str(status) if status else "no answer" if delivery.last_attempt_at else "–",
            took="–" if took is None else f"{took:,} ms",
            error=delivery.last_error or "",
            excerpt=delivery.response_excerpt or "",
        )


NONE = DeliveryRow("", "", "", False, "", "", 0, "", "", "", "", "")


class Deliveries(rx.State):
    rows: list[DeliveryRow] = []
    older: str = ""
    chosen: DeliveryRow = NONE
    """The one whose answer is looked at."""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of what was sent."""
        caller = await standing(self)
        self._show(await _found(caller, self))

    @rx.event(background=True)
    async def watch(self):
        """Show what becomes of the deliveries as it does. On later pages nothing moves."""
        caller = await standing(self)
        with signals.listening(deliveries.topic(named(self, "webhooks"))) as heard:
            while True:
                await stirred(heard)
                caller = await standing(self)
                if not asked(self, "cursor"):
                    found = await _found(caller, self)
                    async with self:
                        self._show(found)

    def _show(self, found: Page[Delivery]) -> None:
        self.rows, self.older = [DeliveryRow.of(delivery) for delivery in found.data], found.next_cursor or ""
        self.loaded = True

    @rx.event
    async def look(self, delivery_id: str):
        """Show what came back."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = await deliveries.find(session, caller, named(self, "webhooks"), delivery_id)
        self.chosen = DeliveryRow.of(found)
        return open_dialog("answer")

    @rx.event
    async def redeliver(self, delivery_id: str):
        """Send an event once more."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            await deliveries.redeliver(session, caller, named(self, "webhooks"), delivery_id)
        return [Deliveries.load, rx.toast.success("It is sent once more.")]


async def _found(caller: Caller, state: rx.State) -> Page[Delivery]:
    """Return the page that the address asks for."""
    status = filters.one_of(DeliveryState, asked(state, "status"))
    with or_not_here("webhook"):
        async with transaction(caller.tenancy) as session:
            return await deliveries.browse(session, caller, named(state, "webhooks"), place_of(state), state=status)


def part() -> rx.Component:
    """The list, with the drawer that shows one answer."""
    return rx.fragment(
        section(
            "Deliveries",
            "Each event that was sent, newest first. What failed is tried again for about a day.",
            rx.el.div(chips("status", _STATES, label="State"), class_name="filters"),
            list_table(
                ["Told", "Event", "State", "Attempts#", "Answer", "Took#", "Next attempt", ""],
                Deliveries.rows,
                _cells,
                label="Deliveries",
                loaded=Deliveries.loaded,
                older=Deliveries.older,
                empty=rx.el.p("Nothing was sent yet, or nothing that matches.", class_name="muted small"),
            ),
        ),
        _answer(),
    )


def _cells(row: DeliveryRow) -> list[Any]:
    look = button("Answer", kind="slim plain", on_click=Deliveries.look(row.id), aria_label=f"Answer to {row.event_id}")
    again = button(
        "Redeliver", kind="slim plain", on_click=Deliveries.redeliver(row.id), aria_label=f"Redeliver {row.event_id}"
    )
    type = link(rx.el.code(row.type), href=f"/p/{Session.project_id}/events/{row.event_id}")
    return [
        relative_time(row.at),
        rx.el.span(type, rx.cond(row.again, rx.el.span("again", class_name="badge")), class_name="row"),
        badge(row.state),
        row.attempts,
        rx.el.span(row.answer),
        row.took,
        relative_time(row.next),
        rx.el.div(rx.cond(row.attempts > 0, look), rx.cond(Session.manages, again), class_name="row end"),
    ]


def _answer() -> rx.Component:
    chosen = Deliveries.chosen
    return drawer(
        "answer",
        "What came back",
        "The last attempt, and how the answer began.",
        facts(
            ("Status", chosen.answer),
            ("Took", chosen.took),
            ("Attempts", chosen.attempts),
            ("Event", rx.el.code(chosen.event_id)),
            ("Delivery", rx.el.code(chosen.id)),
        ),
        rx.cond(chosen.error != "", rx.el.p(chosen.error, class_name="notice red")),
        rx.cond(
            chosen.excerpt != "", code(chosen.excerpt, "The answer"), rx.el.p("It was empty.", class_name="muted small")
        ),
    )
