"""The facts that a smith keeps: newest first or best first, by category, with what is history when it is asked for."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named, place_of
from ingram_app.console.figures import moment
from ingram_app.console.lists import empty, filter_set, list_table, search, with_query
from ingram_app.console.looks import button, link, relative_time
from ingram_app.console.memory_writing import MemoryWriting
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import memories, recalling
from ingram_app.domain.access import Caller
from ingram_app.domain.memories import Memory

_FOUND = 20
"""Facts that a search shows."""


@dataclass
class FactRow:
    id: str
    content: str
    category: str
    subject: str
    confidence: str
    run_id: str
    """The turn it was learnt in, empty for none."""
    at: str
    changed: str
    """Empty when it is as it was written."""
    expires: str
    replaced_by: str

    @classmethod
    def of(cls, fact: Memory) -> "FactRow":
        return cls(
            fact.id,
            fact.content,
            fact.category,
            fact.subject or "",
            f"{fact.confidence * 100:.0f} %",
            fact.source_run_id or "",
            moment(fact.created_at),
            moment(fact.updated_at) if fact.edits else "",
            moment(fact.expires_at),
            fact.superseded_by or "",
        )


class MemoryFacts(rx.State):
    rows: list[FactRow] = []
    categories: list[str] = []
    older: str = ""
    loaded: bool = False

    @rx.event
    async def load(self):
        """Show the facts that the address asks for."""
        caller = await standing(self)
        if asked(self, "tab") != "memory" or asked(self, "view") or asked(self, "fact"):
            return self.reset()
        try:
            await self._read(caller, named(self, "smiths"), asked(self, "q").strip(), asked(self, "category"))
        except NotFound:
            self.reset()  # the page says so

    async def _read(self, caller: Caller, smith_id: str, query: str, category: str) -> None:
        best = await recalling.facts(caller, smith_id, query, _FOUND) if query else []
        async with transaction(caller.tenancy) as session:
            self.categories = await memories.categories(session, caller, smith_id)
            if query:
                known = await memories.known(session, caller, smith_id, [one.id for one in best])
                found = [known[one.id] for one in best if one.id in known]
                self.rows, self.older = [FactRow.of(one) for one in found if category in ("", one.category)], ""
            else:
                page = await memories.browse(
                    session,
                    caller,
                    smith_id,
                    place_of(self),
                    category=category or None,
                    superseded=bool(asked(self, "history")),
                )
                self.rows, self.older = [FactRow.of(one) for one in page.data], page.next_cursor or ""
        self.loaded = True


def facts() -> rx.Component:
    """The list with its filters."""
    return rx.el.div(
        rx.el.div(
            search("q", "Search by meaning and words"),
            _category(),
            _history(),
            filter_set("q", "Best for", rx.State.router.url.query_parameters["q"]),
            rx.cond(
                Session.builds,
                button("Add a fact", icon="plus", kind="slim", on_click=MemoryWriting.propose("new", "")),
            ),
            class_name="filters",
        ),
        list_table(
            ["Fact", "Category", "About", "Sure", "Learnt", "Forgotten", ""],
            MemoryFacts.rows,
            _cells,
            label="Facts",
            href=lambda row: fact_path(row.id),
            loaded=MemoryFacts.loaded,
            older=MemoryFacts.older,
            empty=rx.cond(
                _is_filtered(),
                rx.el.p("No fact matches.", class_name="muted none-match"),
                empty(
                    "No facts yet",
                    "What the smith learns about its person in a conversation is written down here, and what you add.",
                ),
            ),
        ),
        class_name="stack",
    )


def fact_path(id: Any) -> rx.Var[str]:
    """Return where one fact is shown."""
    return rx.Var.create(f"{rx.State.router.url.path}?tab=memory&fact={id}").to(str)


def learnt(row: Any) -> rx.Component:
    """When a fact was learnt, and the turn in which, if there is one."""
    run = link("in a run", href=f"/p/{Session.project_id}/runs/{row.run_id}")
    return rx.el.span(relative_time(row.at), rx.cond(row.run_id != "", rx.el.span(" ", run)))


def fact_deeds(row: Any) -> rx.Component:
    """What one may do with a fact, for those who may."""
    held = row.replaced_by == ""
    edit = button(
        "Edit",
        kind="plain slim",
        on_click=MemoryWriting.propose("change", row.id),
        aria_label=f"Edit: {row.content}",
    )
    delete = button(
        "Delete …",
        kind="plain slim danger",
        on_click=MemoryWriting.doubt(row.id),
        aria_label=f"Delete: {row.content}",
    )
    return rx.cond(Session.builds, rx.el.div(rx.cond(held, edit), delete, class_name="row end"))


def _is_filtered() -> rx.Var[bool]:
    asked = rx.State.router.url.query_parameters
    return asked["q"].is_not_none() | asked["category"].is_not_none() | asked["cursor"].is_not_none()


def _category() -> rx.Component:
    current = rx.State.router.url.query_parameters["category"]
    return rx.el.select(
        rx.el.option("Every category", value=""),
        rx.foreach(MemoryFacts.categories, lambda category: rx.el.option(category, value=category)),
        value=rx.cond(current.is_not_none(), current, ""),
        aria_label="Category",
        class_name="input",
        on_change=lambda value: rx.redirect(with_query("category", value, "cursor")),
    )


def _history() -> rx.Component:
    asked = rx.State.router.url.query_parameters
    on = asked["history"].is_not_none()
    return rx.cond(
        asked["q"].is_none(),
        link(
            "With history",
            href=with_query("history", rx.cond(on, "", "1"), "cursor"),
            class_name="chip",
            aria_current=rx.cond(on, "true", "false"),
        ),
    )


def _cells(row: FactRow) -> list[Any]:
    return [
        rx.el.span(row.content, class_name=rx.cond(row.replaced_by != "", "note muted", "note")),
        rx.cond(row.replaced_by != "", rx.el.span("replaced", class_name="badge"), row.category),
        rx.cond(row.subject != "", rx.el.span(row.subject, class_name="clip", title=row.subject), "–"),
        row.confidence,
        learnt(row),
        rx.cond(row.expires != "", relative_time(row.expires), "–"),
        fact_deeds(row),
    ]
