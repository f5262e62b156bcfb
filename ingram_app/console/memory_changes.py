"""The timeline of a smith's memory: what was done to it, when and by whom, as the project's feed tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named, place_of
from ingram_app.console.figures import author, moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import link, relative_time
from ingram_app.console.memory_facts import fact_path
from ingram_app.console.session import standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import event_types, events, memories
from ingram_app.domain.events import Event
from ingram_app.domain.memories import Memory

VIEW = "changes"
_DEEDS = {
    "written": "Written down",
    "changed": "Changed",
    "replaced": "Replaced by a newer one",
    "restored": "Put back",
    "deleted": "Deleted",
}


@dataclass
class ChangeRow:
    at: str
    deed: str
    document: bool
    fact_id: str
    fact: str
    """What the fact says now, empty when it is gone."""
    by: str

    @classmethod
    def of(cls, event: Event, known: Mapping[str, Memory]) -> "ChangeRow":
        said, fact_id = event.data, str(event.data.get("memory_id") or "")
        fact = known.get(fact_id)
        deed = _DEEDS.get(str(said.get("deed")), "Changed")
        what = fact.content if fact else ""
        return cls(moment(event.created_at), deed, said.get("what") == "document", fact_id, what, author(event.actor))


class MemoryChanges(rx.State):
    rows: list[ChangeRow] = []
    older: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show a page of what was done."""
        caller = await standing(self)
        if asked(self, "tab") != "memory" or asked(self, "view") != VIEW:
            return self.reset()
        smith_id = named(self, "smiths")
        type = event_types.MemoryUpdated.name
        try:
            async with transaction(caller.tenancy) as session:
                found = await events.browse(session, caller, place_of(self), type=type, smith_id=smith_id)
                ids = {str(event.data["memory_id"]) for event in found.data if event.data.get("memory_id")}
                known = await memories.known(session, caller, smith_id, ids)
        except NotFound:
            return self.reset()  # the page says so
        self.rows = [ChangeRow.of(event, known) for event in found.data]
        self.older, self.loaded = found.next_cursor or "", True


def changes() -> rx.Component:
    """The timeline."""
    return list_table(
        ["When", "What", "Of what", "By"],
        MemoryChanges.rows,
        _cells,
        label="Changes",
        loaded=MemoryChanges.loaded,
        older=MemoryChanges.older,
        empty=rx.el.p("Nothing was remembered yet.", class_name="muted none-match"),
    )


def _cells(row: ChangeRow) -> list[Any]:
    document = rx.Var.create(f"{rx.State.router.url.path}?tab=memory&view=document").to(str)
    fact = rx.cond(
        row.fact != "",
        link(rx.el.span(row.fact, class_name="note"), href=fact_path(row.fact_id)),
        rx.el.span("a fact that is gone", class_name="muted"),
    )
    return [
        relative_time(row.at),
        row.deed,
        rx.cond(row.document, link("The working document", href=document), fact),
        rx.el.span(row.by, class_name="clip", title=row.by),
    ]
