"""One fact: where it was learnt, what it said before, what it replaced, and what replaced it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import reflex as rx

from ingram_app.console.address import asked, named
from ingram_app.console.figures import author, moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import button, facts, link, relative_time, skeleton, split, whole_id
from ingram_app.console.memory_facts import FactRow, fact_deeds, fact_path, learnt
from ingram_app.console.memory_writing import MemoryWriting
from ingram_app.console.session import Session, standing
from ingram_app.core.database import transaction
from ingram_app.core.errors import NotFound
from ingram_app.domain import memories

_NONE = FactRow("", "", "", "", "", "", "", "", "", "")
_SHOWN = 100
"""Facts that it replaced, the newest."""


@dataclass
class EditRow:
    content: str
    """What it said before."""
    category: str
    by: str
    """Who changed it."""
    at: str

    @classmethod
    def of(cls, edit: dict[str, Any]) -> "EditRow":
        at = moment(datetime.fromisoformat(edit["changed_at"]))
        return cls(edit["content"], edit["category"], author(edit["actor"]), at)


class MemoryFact(rx.State):
    row: FactRow = _NONE
    successor: FactRow = _NONE
    edits: list[EditRow] = []
    replaced: list[FactRow] = []
    gone: str = ""
    """A fact that is not there."""

    @rx.event
    async def load(self):
        """Show the fact that the address names."""
        caller = await standing(self)
        wanted, smith_id = asked(self, "fact"), named(self, "smiths")
        if asked(self, "tab") != "memory" or not wanted:
            return self.reset()
        try:
            async with transaction(caller.tenancy) as session:
                fact = await memories.find(session, caller, smith_id, wanted)
                older = await memories.predecessors(session, caller, smith_id, wanted)
                by = fact.superseded_by or ""
                newer = (await memories.known(session, caller, smith_id, [by])).get(by)
        except NotFound:
            self.reset()
            self.gone = wanted
            return
        self.row, self.successor = FactRow.of(fact), FactRow.of(newer) if newer else _NONE
        self.edits = [EditRow.of(edit) for edit in reversed(fact.edits)]
        self.replaced, self.gone = [FactRow.of(one) for one in older[:_SHOWN]], ""


def fact() -> rx.Component:
    """One fact, with its past."""
    there = rx.Var.create(f"{rx.State.router.url.path}?tab=memory").to(str)
    wanted = rx.State.router.url.query_parameters["fact"]
    return rx.el.div(
        link("All facts", href=there, class_name="crumb"),
        rx.cond(
            MemoryFact.gone == wanted,
            rx.el.p("The smith holds no such fact. It was deleted, or its time is over.", class_name="muted"),
            rx.cond(MemoryFact.row.id == wanted, split(_story(), _about()), skeleton()),
        ),
        class_name="stack tight",
    )


def _story() -> rx.Component:
    row = MemoryFact.row
    return rx.el.div(
        rx.el.h2(row.content),
        rx.cond(row.replaced_by != "", _replaced_by()),
        rx.cond(Session.builds, _deeds()),
        rx.cond(MemoryFact.edits.length() > 0, _past("What it said before", _edits())),
        rx.cond(MemoryFact.replaced.length() > 0, _past("What it replaced", _replaced())),
        class_name="stack",
    )


def _replaced_by() -> rx.Component:
    successor = MemoryFact.successor
    return rx.el.p(
        "It is history. It was replaced by ",
        rx.cond(successor.id != "", link(successor.content, href=fact_path(successor.id)), "a fact that is gone"),
        ".",
        class_name="notice",
    )


def _deeds() -> rx.Component:
    row = MemoryFact.row
    held = row.replaced_by == ""
    undo = button("Undo", kind="plain slim", on_click=MemoryWriting.take_back(row.id))
    hold = button("Hold it again", kind="plain slim", on_click=MemoryWriting.take_back(row.id))
    replace = button("Replace …", kind="plain slim", on_click=MemoryWriting.propose("replace", row.id))
    return rx.el.div(
        rx.cond(held, rx.cond(MemoryFact.edits.length() > 0, undo), hold),
        rx.cond(held, replace),
        fact_deeds(row),
        class_name="row",
    )


def _past(name: str, table: rx.Component) -> rx.Component:
    return rx.el.section(rx.el.h3(name), table, class_name="stack tight")


def _edits() -> rx.Component:
    return list_table(
        ["Until then", "Category", "Changed by", "When"],
        MemoryFact.edits,
        lambda edit: [rx.el.span(edit.content, class_name="note"), edit.category, edit.by, relative_time(edit.at)],
        label="What it said before",
    )


def _replaced() -> rx.Component:
    return list_table(
        ["Fact", "Category", "Learnt"],
        MemoryFact.replaced,
        lambda row: [rx.el.span(row.content, class_name="note"), row.category, learnt(row)],
        label="What it replaced",
        href=lambda row: fact_path(row.id),
    )


def _about() -> rx.Component:
    row = MemoryFact.row
    return facts(
        ("Id", whole_id(row.id)),
        ("Category", row.category),
        ("About", rx.cond(row.subject != "", row.subject, "the person")),
        ("Sure", row.confidence),
        ("Learnt", learnt(row)),
        ("Changed", rx.cond(row.changed != "", relative_time(row.changed), "never")),
        ("Forgotten", rx.cond(row.expires != "", relative_time(row.expires), "never")),
    )
