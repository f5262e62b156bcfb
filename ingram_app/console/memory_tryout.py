"""What would be recalled for a question: the facts and past turns that the smith would be given, best first."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ingram_app.console.address import named
from ingram_app.console.figures import moment
from ingram_app.console.lists import list_table
from ingram_app.console.looks import alert, button, field, link, relative_time, section
from ingram_app.console.memory_facts import fact_path
from ingram_app.console.session import Session, standing
from ingram_app.console.thread_lines import key_of
from ingram_app.core.errors import Invalid
from ingram_app.domain import recalling
from ingram_app.domain.recalling import QUERY_LENGTH, Recalled

VIEW = "tryout"
_FACTS, _TURNS = 50, 10
"""As many facts as a turn is given at most, and past turns as one can look at."""


@dataclass
class RecalledRow:
    id: str
    content: str
    score: str
    """From 0 to 1."""
    key: str
    """Of a past turn's thread, as it stands in a path of the console."""
    at: str

    @classmethod
    def of(cls, one: Recalled) -> "RecalledRow":
        key = key_of(one.thread_id) if one.thread_id else ""
        return cls(one.id, one.content, f"{one.score:.3f}", key, moment(one.created_at))


class MemoryTryout(rx.State):
    smith_id: str = ""
    """Whose memory was asked."""
    query: str = ""
    facts: list[RecalledRow] = []
    turns: list[RecalledRow] = []
    error: str = ""

    @rx.event
    async def load(self):
        """Forget what another smith would have recalled."""
        await standing(self)
        if named(self, "smiths") != self.smith_id:
            self.reset()

    @rx.event
    async def ask(self, form: dict[str, Any]):
        """Recall what a question is about."""
        caller = await standing(self)
        smith_id, query = named(self, "smiths"), str(form.get("query", "")).strip()
        try:
            facts = await recalling.facts(caller, smith_id, query, _FACTS)
            turns = await recalling.turns(caller, smith_id, query, _TURNS)
        except Invalid as error:
            self.error = error.sentence
            return
        self.smith_id, self.query, self.error = smith_id, query, ""
        self.facts = [RecalledRow.of(one) for one in facts]
        self.turns = [RecalledRow.of(one) for one in turns]


def tryout() -> rx.Component:
    """The box, and what came of it."""
    return rx.el.div(
        rx.el.form(
            field(
                "query",
                "What would be recalled for …",
                id="recall-query",
                kind="area",
                default_value=MemoryTryout.query,
                help="Say it as the person would. The working document is not searched: it always stands before.",
                max_length=QUERY_LENGTH,
                required=True,
                rows=2,
                custom_attrs={"data-enter-sends": ""},
            ),
            alert(MemoryTryout.error),
            rx.el.div(button("Recall", kind="main", type="submit")),
            on_submit=MemoryTryout.ask,
            class_name="stack",
        ),
        rx.cond(MemoryTryout.query != "", _found()),
        class_name="stack wide-gap",
    )


def _found() -> rx.Component:
    return rx.fragment(
        section(
            "Facts",
            "By meaning and by words, the two orders fused: 1 is what stands first in both.",
            _table("Facts that would be recalled", MemoryTryout.facts, lambda row: fact_path(row.id)),
        ),
        section(
            "Past turns",
            "What was said in this smith's conversations, found in the same way.",
            _table("Past turns that would be recalled", MemoryTryout.turns, _thread),
        ),
    )


def _table(label: str, rows: Any, href: Any) -> rx.Component:
    return list_table(
        ["Score#", "What", "From"],
        rows,
        lambda row: [
            row.score,
            link(rx.el.span(row.content, class_name="note"), href=href(row)),
            relative_time(row.at),
        ],
        label=label,
        empty=rx.el.p("Nothing.", class_name="muted none-match"),
    )


def _thread(row: Any) -> rx.Var[str]:
    return rx.Var.create(f"/p/{Session.project_id}/smiths/{MemoryTryout.smith_id}/threads/{row.key}").to(str)
