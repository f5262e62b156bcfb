"""Events: what has happened in the project, newest first, live."""

import itertools
from dataclasses import dataclass
from typing import Any

import reflex as rx
from sqlmodel.ext.asyncio.session import AsyncSession

from ingram_app.console import filters
from ingram_app.console.address import asked, place_of
from ingram_app.console.dialogs import code_button, code_drawer, curl
from ingram_app.console.figures import author, moment
from ingram_app.console.following import stirred
from ingram_app.console.lists import chips, empty, filter_set, list_table, search, with_pill
from ingram_app.console.looks import head, relative_time
from ingram_app.console.run_rows import called
from ingram_app.console.session import Session, standing
from ingram_app.console.shell import page
from ingram_app.core import signals
from ingram_app.core.database import transaction
from ingram_app.core.ids import ID
from ingram_app.domain import events, smiths
from ingram_app.domain.access import Caller
from ingram_app.domain.event_types import FAMILIES
from ingram_app.domain.events import Event
from ingram_app.domain.paging import FIRST, Page, Place

_LOOK_AGAIN_SECONDS = 5
"""An event may be held back for a moment after it was told: the feed is looked at again."""


@dataclass
class EventRow:
    id: str
    at: str
    type: str
    who: str
    about: str
    actor: str

    @classmethod
    def of(cls, event: Event, known: dict[str, smiths.Smith]) -> "EventRow":
        smith = known.get(event.smith_id or "")
        return cls(
            id=event.id,
            at=moment(event.created_at),
            type=event.type,
            who=called(smith) if smith else event.smith_id or "–",
            about=_about(event.data),
            actor=author(event.actor),
        )


def _about(data: dict[str, Any]) -> str:
    """Write what an event says in a line, ids last."""
    said = [(name, value) for name, value in data.items() if isinstance(value, str | int)]
    return ", ".join(
        f"{name} {str(value).lower() if isinstance(value, bool) else value}"
        for name, value in sorted(said, key=lambda one: bool(ID.fullmatch(str(one[1]))))
    )


class EventsPage(rx.State):
    rows: list[EventRow] = []
    older: str = ""
    fresh: int = 0
    """Events that match and were told since the list was read."""
    more_fresh: bool = False
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of events."""
        caller = await standing(self)
        async with transaction(caller.tenancy) as session:
            found = await _browse(session, caller, self, place_of(self))
            known = await smiths.known(session, caller, {event.smith_id for event in found.data if event.smith_id})
        self.rows, self.older = [EventRow.of(event, known) for event in found.data], found.next_cursor or ""
        self.fresh, self.more_fresh, self.loaded = 0, False, True

    @rx.event(background=True)
    async def watch(self):
        """Count the events that are new."""
        caller = await standing(self)
        with signals.listening(events.topic(caller.project_id)) as heard:
            while True:
                await stirred(heard, _LOOK_AGAIN_SECONDS)
                caller = await standing(self)
                if self.loaded and not asked(self, "cursor"):
                    await self._count(caller)

    async def _count(self, caller: Caller) -> None:
        first = self.rows[0].id if self.rows else ""
        async with transaction(caller.tenancy) as session:
            found = (await _browse(session, caller, self, FIRST)).data
        fresh = len(list(itertools.takewhile(lambda event: event.id != first, found)))
        async with self:
            if (self.rows[0].id if self.rows else "") == first:
                self.fresh, self.more_fresh = fresh, fresh == FIRST.limit


async def _browse(session: AsyncSession, caller: Caller, state: rx.State, place: Place) -> Page[Event]:
    """Return the page that the address asks for."""
    return await events.browse(session, caller, place, **filters.wanted(state, type="type", smith_id="smith"))


@page("/p/[project]/events", title="Events", on_load=[EventsPage.load, EventsPage.watch])
def events_page() -> rx.Component:
    return rx.fragment(
        head(
            "Events",
            "What has happened in this project, each told together with the change. Webhooks send the same.",
            code_button(),
        ),
        rx.el.div(
            chips("type", [("", "All"), *((family, family) for family in FAMILIES)], label="Types"),
            search("smith", "Smith id"),
            filter_set("smith", "Smith", rx.State.router.url.query_parameters["smith"]),
            class_name="filters",
        ),
        with_pill(EventsPage.fresh, EventsPage.more_fresh, EventsPage.load, _table()),
        code_drawer(
            ("List events", curl("GET", Session.address, "/v1/events")),
            ("Those of a family, about one smith", curl("GET", Session.address, "/v1/events?type=run&smith_id=smt_…")),
        ),
    )


def _table() -> rx.Component:
    filtered = rx.State.router.url.query != ""
    return list_table(
        ["Time", "Type", "Smith", "What", "By"],
        EventsPage.rows,
        _cells,
        label="Events",
        href=lambda row: f"/p/{Session.project_id}/events/{row.id}",
        loaded=EventsPage.loaded,
        older=EventsPage.older,
        empty=rx.cond(
            filtered,
            rx.el.p("No event matches.", class_name="muted none-match"),
            empty(
                "No events yet",
                "When a run ends, an agent is published or a smith is made, it is told here.",
                curl=curl("GET", Session.address, "/v1/events"),
            ),
        ),
    )


def _cells(row: EventRow) -> list[Any]:
    return [
        relative_time(row.at),
        rx.el.code(row.type),
        rx.el.span(row.who, class_name="clip", title=row.who),
        rx.el.span(row.about, class_name="clip wide muted", title=row.about),
        rx.el.span(row.actor, class_name="clip", title=row.actor),
    ]
